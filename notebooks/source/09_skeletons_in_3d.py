# ---
# jupyter:
#   jupytext:
#     formats: ipynb,source//py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Skeletons in 3-D
#
# You will see one instant of a capture as a scene: people as solid bodies that get pale where the answer is unsure, the
# lines of sight they were made from, where everybody came from, and the truth as grey ghosts. First as a scene to turn
# with the mouse (plotly), then as pictures and a film that need neither a screen nor a graphics card (Open3D).
#
# Both draw the same record, a `Stage`, so what is in one is in the other, in the same colours.

# %%
# %matplotlib inline
import json
from importlib.resources import files
from pathlib import Path

from dispose.datasets.samples import sample_folder
from dispose.evaluation.against_truth import score_people
from dispose.formats.predictions import read_predictions
from dispose.inference.capture import read_capture, read_image_capture, read_raw, select_frames, source_of
from dispose.inference.run import results_of
from dispose.zoo.checkpoints import SHIPPED_ASSOCIATOR, load_associator
from dispose.zoo.triangulators import load_reconstruction

# %%
from dispose_viz.export import name_figure
from dispose_viz.movie import png_of, write_film
from dispose_viz.scene.open3d_scene import image_or_figure, render, why_not
from dispose_viz.scene.plotly_scene import draw_stage, look_from, new_scene
from dispose_viz.scene.solids import approach, overview, turn_viewpoint
from dispose_viz.scene.stage import Stage, joint_rays, root_rays, stage_of, stages_over_time
from dispose_viz.style import DARK
from dispose_viz.widgets import scrubber
from dispose_workbench.validation import require_at_least, require_one_of

SHIPPED = Path(str(files("dispose.zoo"))) / "weights" / SHIPPED_ASSOCIATOR

# %% tags=["parameters"]
capture: Path = sample_folder("crossing")  # a capture folder as Pose2Sim has it
frame: int = 40  # the frame that is looked at
before: int = 20  # frames before it that are predicted too, for trails and the film
joint: str = "l_wrist"  # the joint whose lines of sight are drawn
turn: float = 90.0  # how far the eye goes around during the film, degrees
weights: Path = SHIPPED  # a file that a training wrote
out: Path = Path(".")  # where pictures go

# %% [markdown]
# ## 1. Predicted once
#
# The frame and some frames before it; the rest of the page only draws.

# %%
capture, out = Path(capture), Path(out)
opened = read_capture(capture)
require_one_of("frame", frame, opened.numbers, capture)
require_one_of("joint", joint, opened.skeleton.joints, capture)
require_at_least("before", before, 0)
opened = select_frames(opened, frame - before, frame + 1)
associator = load_associator(Path(weights))
found = results_of(source_of(opened), associator.associate, load_reconstruction())
frames, predictions = [one.frame for one in found], [one.prediction for one in found]
here, earlier = predictions[-1], [p.poses for p in predictions[:-1]]
answers = capture / "truth" / "predictions.jsonl"
truth = [t for t in read_predictions(answers).frames if t.number == here.number] if answers.exists() else []
ghosts = truth[0].poses if truth else None
print(f"frame {here.number}: {len(here.poses.id)} people, {len(earlier)} frames before it")
print(why_not() or "Open3D can draw here.")

# %% [markdown]
# ## 2. A scene to turn
#
# Drag to turn it, scroll to come closer; click a name in the legend to hide that person; point at a joint to read its
# name and how sure it is. The fading line behind everybody is the way the hips took, and the thin lines are the lines
# of sight through the hips of every detection that was used.

# %%
stage = stage_of(frames[-1], here, truth=ghosts, trails=earlier, rays=root_rays)
scene = draw_stage(new_scene(), stage)
name_figure(look_from(scene, stage, overview(stage)), "scene")

# %% [markdown]
# ## 3. The same scene as a picture
#
# Open3D draws it from the same place, without a window. Where it is missing, plotly draws here too, and says why.

# %%
image_or_figure(stage, out / "stage")

# %% [markdown]
# ## 4. How sure, how right?
#
# Closer to the people, without cameras. A body gets paler and thinner where a joint is less sure; an unknown joint is
# left out. Grey is the truth: where no grey sticks out, the answer is right to within the thickness of a bone.

# %%
people = Stage(here.poses, ghosts=ghosts)
close = overview(people, elevation_deg=12.0)
image_or_figure(people, out / "people_and_truth", viewpoint=close)

# %%
poses, figures = here.poses, {"people": len(here.poses.id)}
least = poses.confidence.masked_fill(~poses.valid, 2.0).min(-1)
for person, sure, index in zip(poses.id.tolist(), least.values.tolist(), least.indices.tolist(), strict=True):
    print(f"P{person}: least sure of the {poses.skeleton.joints[index]} ({sure:.2f})")
if truth:
    score = score_people([here], truth)
    figures |= {"found": score.found, "mpjpe_mm": score.mpjpe_mm}
(out / "metrics.json").write_text(json.dumps(figures))
print(", ".join(f"{name} {value:.0f}" for name, value in figures.items()))

# %% [markdown]
# ## 5. Where a joint comes from
#
# Only the lines of sight through one joint. Each starts in a camera and ends where it passes the joint: where the lines
# of a person end in one point, the views agree; a line that ends beside it is a detection that was a little off.

# %%
sight = stage_of(frames[-1], here, rays=joint_rays(joint))
print(f"{len(sight.rays)} lines of sight through {joint}")
image_or_figure(sight, out / "rays", viewpoint=close, theme=DARK)

# %% [markdown]
# ## 6. What the cameras saw
#
# Where a capture has images (`studio` has; its people here are the truth), each hangs in front of its camera: a
# person in the scene and the same person in an image lie on one line through the camera.

# %%
studio = sample_folder("studio")
filmed = read_image_capture(studio)
pictures = read_raw(filmed, 6)[0].images
actors = read_predictions(studio / "truth" / "predictions.jsonl").frames[:7]
with_pictures = Stage(actors[-1].poses, filmed.cameras, tuple(pictures), trails=tuple(a.poses for a in actors[:-1]))
scene = draw_stage(new_scene(), with_pictures)
name_figure(look_from(scene, with_pictures, overview(with_pictures)), "pictures_in_frusta")

# %%
image_or_figure(with_pictures, out / "pictures_open3d", theme=DARK)

# %% [markdown]
# ## 7. A film
#
# All predicted frames while the eye walks around. Pull the slider; the same pictures are in `film.mp4`, which every
# browser plays.

# %%
stages, film = stages_over_time(frames, predictions, trail=before), []
eye = approach(overview(Stage(here.poses, trails=tuple(earlier)), azimuth_deg=-50.0 - turn / 2), -0.3)
if why_not() is None:
    for step, moment in enumerate(stages):
        place = turn_viewpoint(eye, turn * step / max(1, len(stages) - 1))
        film.append(render(moment, width=560, height=420, viewpoint=place))
    write_film(out / "film.mp4", film, rate_hz=12.5)

# %%
labels = [f"frame {p.number}" for p in predictions]
scrubber([png_of(f) for f in film], labels, description="frame") if film else print(why_not())

# %% [markdown]
# ## Try next
#
# - `joint_rays("r_ankle")` in section 5: whose ankle do the views disagree about?
# - `truth=` takes any poses: draw another method's answer as the ghosts.
# - `dispose notebook run 09_skeletons_in_3d -p capture MY_FOLDER -p frame 100`: a capture of your own.
# - On a desktop, `dispose_viz.scene.open3d_scene.show(stage)` opens the scene in a window.

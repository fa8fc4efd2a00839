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
# # Start here: from 2-D detections to 3-D people
#
# You will see, on one small capture: the cameras from above, what their detectors found, which combinations of
# detections could be one person, how diffusion decides who is who, and the people in 3-D, over time, to turn with the
# mouse.
#
# The capture is synthetic, so the truth is known and the last section can count mistakes. Any folder of your own works
# as well: set `capture`.

# %%
# %matplotlib inline
import json
import math
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

from dispose.datasets.samples import sample_folder
from dispose.evaluation.against_truth import score_frames
from dispose.formats.predictions import read_predictions
from dispose.inference.capture import read_capture, read_frame, source_of
from dispose.inference.check.diagnosis import diagnose
from dispose.inference.check.report import table
from dispose.inference.run import results_of
from dispose.models.dispose.sampling import SamplerConfig

# %%
from dispose.zoo.checkpoints import SHIPPED_ASSOCIATOR, load_associator
from dispose.zoo.triangulators import DEFAULT_TRIANGULATOR, load_reconstruction
from dispose_viz.export import name_figure
from dispose_viz.hypergraph import trajectory
from dispose_viz.image import view_panels
from dispose_viz.scene import plotly_scene, rig
from dispose_viz.style import new_figure, save_figure
from dispose_workbench.validation import require_one_of

SHIPPED = Path(str(files("dispose.zoo"))) / "weights" / SHIPPED_ASSOCIATOR

# %% tags=["parameters"]
capture: Path = sample_folder("crossing")  # a capture folder as Pose2Sim has it
frame: int = 25  # the frame that is looked at closely
weights: Path = SHIPPED  # a file that a training wrote
triangulator: str = DEFAULT_TRIANGULATOR  # what turns a group's keypoints into joints: dlt, robust, rays, …
out: Path = Path(".")  # where pictures go

# %% [markdown]
# ## 1. A capture
#
# A folder with one calibration and, per camera, one file of 2-D skeletons per frame. Nothing else is needed: no images,
# no training on these cameras.

# %%
capture, out = Path(capture), Path(out)
opened = read_capture(capture)
require_one_of("frame", frame, opened.numbers, capture)
cameras = opened.cameras
print(f"{len(opened.numbers)} frames, {len(cameras)} cameras, skeleton {opened.skeleton.name}")
for note in opened.notes:
    print(note)

# %% [markdown]
# ## 2. Does the rig make sense?
#
# Before any model: pairs of cameras triangulate what only fits one way, and project it back. A few pixels are right;
# wrong units, axes or a moved camera give hundreds, and a sentence with the likely cause (`dispose check` on the
# command line).

# %%
some = [read_frame(opened, number).frame.detections for number in opened.numbers[::5]]
diagnosis = diagnose(some, cameras)
print(table(cameras, diagnosis.consistency))
for finding in diagnosis.findings:
    print(finding.sentence)
print(f"\n{diagnosis.verdict}")

# %% [markdown]
# The same cameras from above. Grey wedges open towards what a camera sees.

# %%
figure = new_figure(6.5, 6.5)
rig.draw_rig_from_above(figure.add_subplot(), cameras)
save_figure(figure, out / "rig")

# %% [markdown]
# ## 3. What the detectors found
#
# One frame, all views. `#2` is the detection with number 2 in that camera's file; numbers in different views have
# nothing to do with each other. People hide one another, some detections are fragments, some are nobody.

# %%
seen = read_frame(opened, frame).frame
save_figure(view_panels.draw_views(new_figure(15.0, 6.4), seen), out / "detections")

# %% [markdown]
# ## 4. The whole answer first
#
# For every frame: who is who, where every joint is, and who stays who over time. Sections 5 to 7 then show how it
# comes about in the frame above.

# %%
associator = load_associator(Path(weights))
place = load_reconstruction(triangulator, associator=associator)
found = results_of(source_of(opened), associator.associate, place)
frames, predictions = [one.frame for one in found], [one.prediction for one in found]
here = predictions[opened.numbers.index(frame)]
people = here.poses.id.tolist()
print(f"frame {frame}: {len(people)} people, ids {people}")

# %% [markdown]
# ## 5. Candidate tuples
#
# A tuple takes one detection, or none, from every view and claims that they are one person. Most tuples are impossible
# because their rays do not meet; the join over views never even builds them.

# %%
problem = associator.problem(seen)
assert problem is not None, f"frame {frame}: fewer than two cameras see anybody, so there is nothing to associate"
every = math.prod(int(count) + 1 for count in seen.detections.counts)
print(f"detections per view: {seen.detections.counts.tolist()}")
print(f"{every} tuples could be formed, {len(problem.members) - 1} are candidates")

# %% [markdown]
# ## 6. Reverse diffusion
#
# Every candidate carries mass. It starts undecided (left) and a network moves it, step by step, to the tuples that are
# people (right); `P1 = 0·213` is the person that takes detection 0 of the first view, none of the second, and so on.
# After every step the mass is projected so that each detection is used exactly once: the residual says how exactly.

# %%
steps = list(associator.trajectory(problem, SamplerConfig(steps=6)))
path = trajectory.trajectory_of(steps, problem.members, problem.graph.marginals)
chosen = here.association.members.numpy()
owners = trajectory.owners_of_tuples(path.members, chosen, people)
figure = trajectory.draw_trajectory(new_figure(15.0, 7.0), path, owners=owners)
save_figure(figure, out / "diffusion")

# %% [markdown]
# ## 7. Who is who
#
# The mass is rounded to disjoint tuples. A row is a person, a box is the detection that shows it in that view.

# %%
figure = new_figure(9.0, 0.6 * len(people) + 1.4)
sure = here.association.confidence.numpy()
trajectory.draw_members(figure.add_subplot(), chosen, sure, people, cameras.names)
save_figure(figure, out / "who_is_who")

# %% [markdown]
# ## 8. Back into the images
#
# The strong lines are detections in the colour of their person, the light ones the 3-D people seen by that camera:
# also where the detector missed someone. Arrows are errors, several times as long as
# they are: the one in the corner is 10 px.

# %%
figure = view_panels.draw_views(new_figure(15.0, 6.4), seen, prediction=here)
for view, axes in enumerate(figure.axes):
    view_panels.draw_residuals(axes, seen, here, view)
save_figure(figure, out / "reprojection")

# %% [markdown]
# ## 9. All frames, in 3-D
#
# Every joint is triangulated from the views that agree on it, and people keep their id (and colour) over time. Press ▶
# or pull the slider; turn the scene with the mouse. Where the truth is known it is the wide grey shadow behind the
# coloured people.

# %%
answers = capture / "truth" / "predictions.jsonl"
truth = read_predictions(answers).frames if answers.exists() else None
scene = plotly_scene.new_scene()
plotly_scene.draw_floor(scene, *plotly_scene.bounds(cameras))
plotly_scene.draw_cameras(scene, cameras)
ghosts = None if truth is None else [t.poses for t in truth if t.number in opened.numbers]
plotly_scene.draw_timeline(scene, opened.numbers, [p.poses for p in predictions], truth=ghosts)
name_figure(scene, "people")

# %%
figure = new_figure(6.5, 6.5)
axes = rig.draw_rig_from_above(figure.add_subplot(), cameras)
rig.draw_walks(axes, predictions)
axes.set_title("Where everybody walked")
save_figure(figure, out / "walks")

# %% [markdown]
# ## 10. How right is it?
#
# Pair F1 asks for every two detections of different views whether they were rightly put together or kept apart; the
# error is the mean distance of joints from the truth.

# %%
if truth is not None:
    score = score_frames(frames, predictions, truth)
    (out / "metrics.json").write_text(json.dumps(asdict(score)))
    print(f"pair F1 {score.pair_f1:.1f} %, whole groups {score.exact:.1f} %")
    print(f"people found {score.found:.1f} %, mean error of their joints {score.mpjpe_mm:.1f} mm")

# %% [markdown]
# ## Try next
#
# - `dispose notebook run 00_start_here -p capture MY_FOLDER -p frame 100`: this page for a capture of your own.
# - Another `frame`: what happens in section 6 when people stand far apart?
# - Remove a camera: delete one of the folders in a copy of the capture, and look at section 10 again.
# - `notebooks/train.ipynb`: where the weights come from.

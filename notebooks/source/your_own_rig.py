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
# # Your own rig: from a folder to 3-D people
#
# You will see what a capture folder must look like, whether its calibration is right, what the usual mistakes look like
# when it is not, and the people of your capture in 3-D, in your images' pixels and as files for other programs.
#
# Run it as it is: the folder is the sample `crossing`. Then set `capture` to a folder of your own.

# %%
# %matplotlib inline
import json
from pathlib import Path

from dispose.baselines.integer_programme import integer_programme
from dispose.datasets.samples import sample_folder
from dispose.inference.capture import read_capture, read_frame, select_frames, source_of
from dispose.inference.check.diagnosis import diagnose
from dispose.inference.check.hypotheses import inverted
from dispose.inference.results_folder import RunFiles, results_folder
from dispose.inference.run import run
from dispose.scene import teaching
from dispose.zoo.checkpoints import load_associator
from dispose.zoo.triangulators import DEFAULT_TRIANGULATOR, load_reconstruction
from dispose_viz.export import name_figure

# %%
from dispose_viz.image import view_panels
from dispose_viz.scene import plotly_scene, rig
from dispose_viz.scene.stage import stage_of
from dispose_viz.style import new_figure, save_figure
from dispose_viz.widgets import picker
from dispose_workbench.failures.facts import failures_of
from dispose_workbench.failures.measures import rank, trouble
from dispose_workbench.results.open import read_results
from dispose_workbench.validation import require_at_least

# %% tags=["parameters"]
capture: Path = sample_folder("crossing")  # your capture folder
start: int = 16  # first frame
stop: int = 36  # frame after the last
rate_hz: float = 30.0  # frames per second, for the times in TRC files
triangulator: str = DEFAULT_TRIANGULATOR  # what turns a group's keypoints into joints: dlt, robust, rays, …
out: Path = Path(".")  # where pictures and results go

# %% [markdown]
# ## 1. The folder
#
# One calibration (`calibration/*.toml` as Pose2Sim writes it, or JSON, OpenCV YAML, COLMAP), and per camera one folder
# of 2-D skeletons: OpenPose JSON, one file per frame, from any detector that writes it. Names must match: the
# detections of camera `cam01` are in `pose/cam01_json`. `images/` or `videos/` are not needed.

# %%
capture, out = Path(capture), Path(out)
print(rig.folder_tree(capture))

# %% [markdown]
# ## 2. What is read
#
# Frames of different cameras belong together by their number, so the cameras must be synchronised. A camera that lacks
# a frame just sees nobody in it.

# %%
require_at_least("rate_hz", rate_hz, 0.001)
opened = select_frames(read_capture(capture), start, stop)
cameras = opened.cameras
some = [read_frame(opened, number).frame.detections for number in opened.numbers[::4]]
counted = [found.counts.double() for found in some]
print(f"{len(opened.numbers)} frames, {len(cameras)} cameras, skeleton {opened.skeleton.name}")
for note in opened.notes:
    print(note)
for name, people in zip(cameras.names, sum(counted) / len(counted), strict=True):
    print(f"  {name}: {people:.1f} people per frame")

# %% [markdown]
# ## 3. Is the calibration right?
#
# Without any model: people seen by two cameras are triangulated and projected back. A few pixels are right. The same on
# the command line: `dispose check MY_FOLDER`.

# %%
diagnosis = diagnose(some, cameras)
figure = rig.draw_check(new_figure(13.0, 6.4), cameras, diagnosis, capture.name)
save_figure(figure, out / "check")

# %% [markdown]
# ## 4. What mistakes look like
#
# The same capture, made wrong on purpose. Read the sentences below each picture: they are what `dispose check` says.
#
# First one camera turned by 6 degrees, as if somebody had bumped into its tripod after the calibration. Its row and
# column are bright, the other pairs are as before.

# %%
turned = teaching.rotate_camera(cameras, 1, 6.0)
bumped = diagnose(some, turned)
figure = rig.draw_check(new_figure(13.0, 6.4), turned, bumped, "one camera bumped")
save_figure(figure, out / "bumped")

# %% [markdown]
# Units. The people still fit together to the pixel: no reprojection error can tell metres from millimetres. Their size
# can.

# %%
small = teaching.read_as_millimetres(cameras)
tiny = diagnose(some, small)
figure = rig.draw_check(new_figure(13.0, 6.4), small, tiny, "metres read as millimetres")
save_figure(figure, out / "units")

# %% [markdown]
# Direction. Half of all programs write where a camera stands (world from camera), the other half how the world looks
# from it (camera from world). Mixed up, everything is bright.

# %%
backwards = inverted(cameras)
mixed = diagnose(some, backwards)
figure = rig.draw_check(new_figure(13.0, 6.4), backwards, mixed, "world from camera")
save_figure(figure, out / "direction")

# %% [markdown]
# Two cameras with each other's calibration, and a world whose y axis points up. Choose.

# %%
mistakes = {
    "two cameras exchanged": teaching.exchange_cameras(cameras, 0, min(2, len(cameras) - 1)),
    "y axis up": teaching.turn_y_up(cameras),
}
checks = {name: diagnose(some, wrong) for name, wrong in mistakes.items()}
for name, check in checks.items():
    print(f"{name}: {check.verdict}")
    for finding in check.findings:
        print(f"  {finding.topic}: {finding.sentence}")


# %%
def mistake(place: int):
    name = list(mistakes)[place]
    return rig.draw_check(new_figure(13.0, 6.4), mistakes[name], checks[name], name)


save_figure(mistake(0), out / "exchanged")
save_figure(mistake(1), out / "axes")
picker(mistake, list(mistakes), description="mistake")

# %% [markdown]
# ## 5. Typical mistakes
#
# | what you see | what it probably is | what to do |
# |:--|:--|:--|
# | one bright row and column | moved, out of sync, or another's calibration | calibrate again, or leave it out |
# | two bright rows and columns | two cameras are exchanged | rename the folders of detections |
# | all bright, "read otherwise they do" | extrinsics the wrong way round, other axes | do what the sentence says |
# | all bright, "no usual mistake" | another session's calibration, scaled images | compare the images' sizes |
# | errors grow with people's speed | cameras are not synchronised | shift one camera's numbers |
# | good errors, people 1.7 mm tall | metres and millimetres | multiply the translations |
# | good errors, people lie down | the world's axes | turn the world so that +z is up |
# | nobody is seen by two cameras | names or frame numbers do not match | see the notes of section 2 |

# %% [markdown]
# ## 6. Predict
#
# Who is who in every frame (reverse diffusion over candidate tuples), where every joint is (triangulation), and who
# stays who over time. The same on the command line: `dispose predict MY_FOLDER --out results`.

# %%
associator = load_associator()
place = load_reconstruction(triangulator, associator=associator)
results = out / "results"
with results_folder(results, RunFiles(capture.name, "ours", rate_hz)) as sink:
    run(source_of(opened), associator.associate, place, sink, reference=integer_programme)
for person, frames in sink.people:
    print(f"P{person}: {frames} of {len(opened.numbers)} frames")

# %% [markdown]
# ## 7. Look
#
# From above, where everybody walked; then one frame in 3-D, to turn; then back in the views.

# %%
figure = new_figure(6.5, 6.5)
axes = rig.draw_rig_from_above(figure.add_subplot(), cameras)
again = read_results(results)
rig.draw_walks(axes, [case.prediction for case in again.cases])
axes.set_title("Where everybody walked")
save_figure(figure, out / "walks")

# %%
case = again.cases[len(again.cases) // 2]
earlier = [c.prediction.poses for c in again.cases[: len(again.cases) // 2]]
scene = plotly_scene.draw_stage(plotly_scene.new_scene(), stage_of(case.frame, case.prediction, trails=earlier))
name_figure(scene, "people_3d")

# %%
figure = view_panels.draw_views(new_figure(15.0, 6.4), case.frame, prediction=case.prediction)
save_figure(figure, out / "views")

# %% [markdown]
# ## 8. Export and inspect
#
# `predictions.jsonl` is one line per frame, `.npz` the same as arrays, `trc/` one file per person for OpenSim, and
# `evidence.npz` what was weighed: with it the run opens later without the model. Which frames to look at first?

# %%
print("\n".join(str(path.relative_to(out)) for path in sink.written))

# %%
failures = failures_of(again.cases)
for place in rank(failures)[:3]:
    print(f"frame {failures[place].number}: trouble {trouble(failures[place]):.2f}")
summary = {"frames": len(again.cases), "people": len(sink.people), "share": diagnosis.consistency.share}
(out / "metrics.json").write_text(json.dumps(summary))
print(f"look at them: dispose inspect {results}")

# %% [markdown]
# ## Try next
#
# - `dispose notebook run your_own_rig -p capture MY_FOLDER -p start 0 -p stop 200`: this page for your capture.
# - `dispose inspect results` to click through the frames, `dispose view results` to play them.
# - No detections yet? `dispose detect MY_FOLDER` finds people in videos or images.
# - `01_cameras_and_rays`: what a calibration means; `10_reprojections`: errors joint by joint.

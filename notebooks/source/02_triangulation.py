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
# # From rays to a point
#
# You will see: rays of one joint that should meet and do not; four ways to make a point of them, and when they differ;
# how the error depends on angle, number of views and noise; and an ellipse that says in advance how sure a point is.
#
# The rays are those of the sample `crossing`, where the truth is known. Who is who is taken from the truth here: this
# page is about what comes after.

# %%
# %matplotlib inline
import json
from itertools import combinations
from pathlib import Path

import torch

from dispose.association.packing import gather_groups
from dispose.datasets.samples import sample_folder
from dispose.formats.predictions import read_predictions
from dispose.inference.capture import read_capture, read_frame
from dispose.scene.labels import association_of_identities, identities
from dispose_benchmarks.studies import triangulation as study

# %%
from dispose_viz.scene import rig, triangulation
from dispose_viz.style import new_figure, save_figure
from dispose_viz.widgets import picker
from dispose_workbench.validation import require_at_least, require_one_of

# %% tags=["parameters"]
capture: Path = sample_folder("crossing")  # a capture folder with detections and truth/predictions.jsonl
frame: int = 25  # the frame that is looked at
person: int = 1  # whose joints are looked at closely
noise_px: float = 3.0  # standard deviation of a detector, for sections 3 to 5
draws: int = 1000  # how often a point is measured again in sections 3 to 5
out: Path = Path(".")  # where pictures go

# %% [markdown]
# ## 1. Rays meet nowhere
#
# Every camera that sees the joint contributes a ray. With perfect pixels all would meet in it. Detectors are a few
# pixels off, a few pixels are a centimetre or two at four metres, and lines in space that are off by a centimetre
# simply pass each other.

# %%
opened, out = read_capture(Path(capture)), Path(out)
seen, cameras = read_frame(opened, frame).frame, opened.cameras
known = {t.number: t for t in read_predictions(Path(capture) / "truth" / "predictions.jsonl").frames}
require_one_of("frame", frame, sorted(known), capture)
require_at_least("noise_px", noise_px, 0.1)
require_at_least("draws", draws, 2)
truth = known[frame]
who, joints = identities(seen, truth), opened.skeleton.joints
twice = [row for row, number in enumerate(truth.poses.id) if int((who == number).any(1).sum()) >= 2]
require_one_of("person", person, range(len(twice)), f"frame {frame}, people whom two cameras see")
evidence = gather_groups([seen], [association_of_identities(who)])
true_mm = truth.poses.xyz_world[twice].double()

# %%
for joint in ("nose", "l_shoulder", "r_hip", "r_ankle"):
    xy, sure = evidence.xy_image[person, :, joints.index(joint)], evidence.confidence[person, :, joints.index(joint)]
    gaps = study.ray_gaps(cameras, xy, sure)
    apart = f"{gaps.min():4.0f} to {gaps.max():4.0f} mm" if len(gaps) else "– (not seen twice)"
    print(f"{joint:12} {len(gaps):2} pairs of rays pass each other at {apart}")

# %% [markdown]
# Close up, from above (left) and from the side (right). The red cross is the truth; the marks are what four methods
# make of the rays. Choose a joint.

# %%
names = [joint for joint in joints if int((evidence.confidence[person, :, joints.index(joint)] > 0).sum()) >= 2]
names.sort(key=lambda joint: joint != "r_hip")


def draw_joint(choice: int):
    place = joints.index(names[choice])
    xy, sure = evidence.xy_image[person, :, place], evidence.confidence[person, :, place]
    centre, shown = true_mm[person, place], torch.where(sure[:, None] > 0, xy, torch.nan)
    marks = [triangulation.NamedPoint(method.name, method.solve(cameras, xy, sure)) for method in study.METHODS]
    figure = new_figure(12.6, 8.0)
    for column, plane in enumerate(((0, 1), (0, 2)), start=1):
        axes = triangulation.draw_close_up(figure.add_subplot(1, 2, column), cameras, shown, centre, plane=plane)
        triangulation.draw_marks(axes, marks, centre, plane=plane)
    return figure


# %%
save_figure(draw_joint(0), out / "close_up")
picker(draw_joint, names, description="joint")

# %% [markdown]
# ## 2. Four ways to make a point
#
# - **midpoint**: nearest to all rays in space, in mm. A far camera counts as much as a near one.
# - **DLT** (direct linear transform): every pixel gives two linear equations; their least-squares solution.
# - **weighted DLT** (algebraic): the same, and a view counts as much as its detector is sure.
# - **robust**: every pair of views proposes a point, the proposal that most views agree with wins and is refined on
#   their pixels; a view that contradicts is left out.
#
# All joints of all people of this frame, against the truth:

# %%
xy, sure = evidence.xy_image.transpose(1, 2), evidence.confidence.transpose(1, 2)
errors = study.errors_by_method(cameras, xy, sure, true_mm).flatten(1)
figure = new_figure(9.0, 5.0)
triangulation.draw_shares(figure.add_subplot(), [m.name for m in study.METHODS], errors)
save_figure(figure, out / "methods")

# %% [markdown]
# Half of the joints hardly care. The rest is where one view is wrong: a wrist of somebody else, left and right swapped.

# %%
middle = {m.name: float(e.nanmedian()) for m, e in zip(study.METHODS, errors, strict=True)}
worst = {m.name: float(e[e.isfinite()].quantile(0.9)) for m, e in zip(study.METHODS, errors, strict=True)}
(out / "metrics.json").write_text(json.dumps({"median_mm": middle, "worst_tenth_mm": worst}, indent=1))
for name in middle:
    print(f"{name:14} median {middle[name]:5.1f} mm, one joint in ten is off by more than {worst[name]:6.1f} mm")

# %% [markdown]
# ## 3. One wrong view
#
# Five cameras in a ring, 4 m away, and one of them points beside the truth. The detector notices a little: it is half
# as sure there. Averages follow the wrong view, the weighted one follows less, the robust one first wavers and then
# lets go.

# %%
generator = torch.Generator().manual_seed(0)
shifts = (0.0, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 60.0, 80.0, 120.0)
figure = new_figure(9.0, 5.0)
wrong = study.error_by_wrong_view(shifts, 5, noise_px, draws, generator)
triangulation.draw_study(figure.add_subplot(), wrong, "one view of five is off by (px)")
save_figure(figure, out / "wrong_view")

# %% [markdown]
# ## 4. What accuracy depends on
#
# Angle (left): two rays that are nearly parallel do not say how far away; nor do two that face each other. Views
# (middle): more of them help as the square root of their number. Noise (right): twice the noise, twice the error. While
# all views are good the four methods are as good as can be: their curves lie on each other, and on the dashed line that
# section 5 explains. Only where errors near 15 px, its bound for a wrong view, does the robust one throw away views
# that were good: at a noise of 6 px one view in 23 errs that much.

# %%
angles, counts = (4.0, 7.0, 10.0, 20.0, 40.0, 60.0, 90.0, 120.0, 150.0, 170.0), (2, 3, 4, 5, 6, 8, 10)
figure = new_figure(15.0, 5.0)
studies = (
    (study.error_by_angle(angles, noise_px, draws, generator), "angle between two rays (°)"),
    (study.error_by_views(counts, noise_px, draws, generator), "number of views"),
    (study.error_by_noise((1.0, 2.0, 4.0, 6.0), 4, draws, generator), "noise of four views (px)"),
)
for column, (result, words) in enumerate(studies, start=1):
    triangulation.draw_study(figure.add_subplot(1, 3, column), result, words)
save_figure(figure, out / "depends_on")

# %% [markdown] tags=["exercise"]
# **Exercise 1.** A good detector is too slow for you; a quick one errs twice as much. How many cameras in a ring make
# the quick one as good as the good one is with 3?

# %% tags=["exercise"]
good = study.error_by_noise((noise_px / 2,), 3, draws, generator)
print(f"3 cameras, good detector: {float(good.rms_mm[-1, 0]):.1f} mm")

# %% tags=["solution"]
bad = study.error_by_noise((noise_px,), 12, draws, generator)
print(f"12 cameras, bad detector: {float(bad.rms_mm[-1, 0]):.1f} mm: four times as many, because errors fall as √views")
assert abs(float(bad.predicted_mm / good.predicted_mm) - 1) < 0.02

# %% [markdown]
# ## 5. How sure is a point?
#
# Measure the same point again and again, with fresh noise (dots). How the dots spread can be said without measuring:
# the derivative J of all pixels by the point turns pixel noise σ into the covariance `σ² (JᵀJ)⁻¹`. Its ellipse should
# hold 95 % of the dots. From above: two cameras at 30°, at 90°, and five in a ring.

# %%
origin = torch.zeros(3, dtype=torch.float64)
rigs = (("two at 30°", study.two_cameras(30.0)), ("two at 90°", study.two_cameras(90.0)), ("five", study.ring_of(5)))
figure = new_figure(15.0, 5.4)
for column, (words, some) in enumerate(rigs, start=1):
    axes, shape = figure.add_subplot(1, 3, column), study.covariance_at(some, origin, noise_px)
    triangulation.draw_cloud(axes, study.spread_of(some, origin, noise_px, draws, generator), shape, origin)
    axes.set_title(f"{words}: {axes.get_title()}")
save_figure(figure, out / "clouds")

# %% [markdown]
# So a rig can be judged before anybody walks through it. Left: with two neighbouring cameras of the sample, people far
# away are placed badly along the line of sight. Right: with all five.

# %%
grid = [(x, y, 1000.0) for x in (-1500.0, 0.0, 1500.0) for y in (-1500.0, 0.0, 1500.0)]
places = torch.tensor(grid, dtype=torch.float64)
figure = new_figure(13.0, 7.4)
for column, some in enumerate((cameras.select(views=[0, len(cameras) - 1]), cameras), start=1):
    axes = rig.draw_rig_from_above(figure.add_subplot(1, 2, column), some)
    triangulation.draw_ellipses_from_above(axes, places, study.covariance_at(some, places, noise_px))
save_figure(figure, out / "rig")

# %% [markdown] tags=["exercise"]
# **Exercise 2.** If only two cameras of this rig may run, which pair places somebody in the middle of the floor best,
# and which worst? Guess from the picture first.

# %% tags=["solution"]
spread = {}
for a, b in combinations(range(len(cameras)), 2):
    covariance = study.covariance_at(cameras.select(views=[a, b]), places[4], noise_px)
    spread[cameras.names[a], cameras.names[b]] = float(covariance.trace().sqrt())
ranked = sorted(spread, key=spread.__getitem__)
for pair in (ranked[0], ranked[-1]):
    print(f"{pair[0]} and {pair[1]}: {spread[pair]:.0f} mm")
assert spread[ranked[-1]] >= spread[ranked[0]]

# %% [markdown]
# ## Try next
#
# - `noise_px = 10`: does the ellipse still hold 95 % of the dots? At which angle does it stop to?
# - `person = 0`: which of their joints is worst, and how many cameras see it?
# - In section 3 the detector is half as sure of the wrong view. What if it does not notice at all?
# - `10_reprojections`: what is left of these errors in the images.

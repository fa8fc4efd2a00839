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
# # Do the views agree? Every camera alone, and all together
#
# You will see: a person lifted from every camera by itself, each with many poses; the clouds of one joint in the room,
# long along each camera's ray, and where they meet; how often the truth lies in a view's region; and a view that fails,
# with the other view that explains why.
#
# `multi_hypothesis` shows what a single view says. No view here knows of the others before their clouds are put in one
# room by the calibration.

# %%
# %matplotlib inline
import json
from pathlib import Path

import torch

from dispose.datasets.samples import sample_folder
from dispose.evaluation.views_agree import agreement_of, inside_region, lift_capture, meet, people_of
from dispose.formats.predictions import read_predictions
from dispose.geometry.uncertainty import expected_error
from dispose.inference.capture import read_capture, read_frame

# %%
from dispose.scene.labels import labels_of
from dispose.scene.lifted import spread_of
from dispose.zoo.lifters import load_keypoint_lifter
from dispose_viz.export import name_figure
from dispose_viz.image.canvas import draw_canvas, draw_skeleton, zoom_to_points
from dispose_viz.lifting.fans import FLANK, FRONT, draw_fan, draw_spread, draw_truth, frame_side, reach_of
from dispose_viz.lifting.meeting import draw_clouds, draw_directions, edge_of
from dispose_viz.scene import uncertainty
from dispose_viz.scene.plotly_scene import new_scene
from dispose_viz.style import PALETTE, add_legend, new_figure, panels, save_figure
from dispose_viz.widgets import picker
from dispose_workbench.validation import require_at_least, require_one_of

# %% tags=["parameters"]
model: str = "diffpose-hypotheses"  # a lifter that draws poses by keypoints
frame: int = 24  # frame of the sample crossing, for sections 1 and 2
walker: int = 0  # who is looked at in it
joint: str = "l_wrist"  # which joint is looked at closely
every: int = 10  # statistics take every so many frames
seed: int = 0  # of the poses that are drawn
out: Path = Path(".")  # where pictures go

# %% [markdown]
# ## 1. One person, every camera alone
#
# From above: where every camera says the joint may be. A camera knows the direction well and the distance badly, since
# somebody who is larger and farther away looks the same. So each cloud is long, and points at its camera (dotted). The
# black ellipse is the product of all clouds as if each were a Gaussian.

# %%
out, folder = Path(out), sample_folder("crossing")
capture, lifter = read_capture(folder), load_keypoint_lifter(model)
known = {one.number: one for one in read_predictions(folder / "truth" / "predictions.jsonl").frames}
require_one_of("frame", frame, sorted(known), folder)
require_one_of("joint", joint, lifter.skeleton.joints, model)
require_at_least("every", every, 1)
numbers = sorted({frame, *sorted(known)[::every]})
scenes = [(one, labels_of(one, known[number])) for number in numbers for one in [read_frame(capture, number).frame]]
clouds = lift_capture(lifter, scenes, torch.Generator().manual_seed(seed))
rig, skeleton, at = capture.cameras, lifter.skeleton, lifter.skeleton.index(joint)
hips = skeleton.indices(("l_hip", "r_hip"))

# %%
here = [rows for rows in people_of(clouds) if int(clouds.frame[rows[0]]) == frame and len(rows) > 1]
require_one_of("walker", walker, range(len(here)), f"frame {frame}, people whom two cameras see")
mine = clouds[here[walker]]
names = [rig.names[view] for view in mine.view.tolist()]
together = meet(mine.xyz_world)
figure = new_figure(8.0, 8.0)
axes = draw_clouds(
    figure.add_subplot(), names, mine.xyz_world[:, :, at], mine.truth[0, at],
    (together.xyz_world[at], together.covariance[at]),
)  # fmt: skip
draw_directions(axes, rig, mine.view.tolist(), mine.truth[0, at])
save_figure(figure, out / "meeting")

# %% [markdown]
# The same in space, to be turned: an ellipsoid for every camera and one for all together.

# %%
truth = dict(zip((one.number for one, _ in scenes), (labels.poses for _, labels in scenes), strict=True))[frame]
scene = uncertainty.draw_truth(new_scene(), truth[truth.id == mine.person[0]], joint)
said = [
    (name, cloud[:, at].mean(0), spread_of(cloud[:, at])) for name, cloud in zip(names, mine.xyz_world, strict=True)
]
said.append(("all together", together.xyz_world[at], together.covariance[at]))
for color, (name, place, shape) in enumerate(said):
    label = f"{name}, sure to {float(expected_error(shape)):.0f} mm"
    uncertainty.draw_claims(scene, [uncertainty.PlaceClaim(label, place, shape, color)])
reach_mm = edge_of(mine.xyz_world[:, :, at], mine.truth[0, at])
name_figure(uncertainty.look_closely(scene, mine.truth[0, at], reach_mm), "ellipsoids")

# %% [markdown]
# ## 2. The same body, seen from elsewhere
#
# What a camera cannot see is how far away each joint is. Seen from the side, its poses disagree (thin lines); the
# truth is black. Choose the camera.


# %%
def draw_view(choice: int):
    figure, view = new_figure(15.0, 5.2), int(mine.view[choice])
    pose = rig.rotation[view] @ (mine.xyz_world[choice] - mine.xyz_world[choice][:, hips].mean(1, keepdim=True)).mT
    true = rig.rotation[view] @ (mine.truth[choice] - mine.truth[choice][hips].mean(0)).mT
    left, *sides = panels(figure, 3, 3)
    xy, _ = rig.select(views=[view]).project(mine.truth[choice])
    draw_canvas(left, rig.size[view], f"{rig.names[view]}, the truth in its image")
    draw_skeleton(zoom_to_points(left, xy[0]), xy[0], mine.known[choice], skeleton, PALETTE[choice % 8])
    for side, axes in zip((FRONT, FLANK), sides, strict=True):
        draw_spread(draw_fan(axes, pose.mT, skeleton, side, PALETTE[choice % 8]), pose.mT, side, PALETTE[choice % 8])
        draw_truth(frame_side(axes, side, reach_mm=reach_of(pose.mT)), true.mT, skeleton, side)
    add_legend(sides[0], location="below")
    return figure


# %%
save_figure(draw_view(0), out / "one_view")
picker(draw_view, names, description="view")

# %% [markdown]
# ## 3. How often is a view right about how sure it is?
#
# A view's region is the ellipsoid with the shape of its cloud that holds 90 % of its poses. The truth should lie in it
# about nine times of ten. Placed in the room the region includes how far away the person may stand; compared from the
# middle of the hips it does not.

# %%
figures = agreement_of(clouds, hips)
print(f"{figures.joints_told} joints of people in single views, of {len(numbers)} frames")
print(f"in the room:   {100 * figures.in_room:.0f} % inside, the mean pose is {figures.view_mm:.0f} mm off")
print(f"from the hips: {100 * figures.from_hips:.0f} % inside, the mean pose is {figures.pose_mm:.0f} mm off")
measured = {"in_room_%": 100 * figures.in_room, "from_hips_%": 100 * figures.from_hips}
measured |= {"view_mm": figures.view_mm, "pose_mm": figures.pose_mm, "meeting_mm": figures.meeting_mm}
(out / "metrics.json").write_text(json.dumps(measured, indent=1))
print(f"where all views meet: {figures.meeting_mm:.0f} mm off, median {figures.median_meeting_mm:.0f} mm")

# %% [markdown]
# ## 4. A failure, and who explains it
#
# The view whose mean pose is farthest from the truth, from the hips, and beside it the view of the same person that is
# nearest. Often a limb points at the camera, is hidden, or is not detected at all: a keypoint that is missing has no
# dot in the left image.

# %%
about = clouds.from_hips(hips)
off = torch.where(about.known, (about.xyz_world.mean(1) - about.truth).norm(dim=-1), torch.nan).nanmean(1)
several = [rows for rows in people_of(clouds) if len(rows) > 1]
group = max(several, key=lambda rows: float(off[rows].nan_to_num(0).max()))
worst, best = int(group[off[group].nan_to_num(0).argmax()]), int(group[off[group].nan_to_num(torch.inf).argmin()])
moment = next(one for one, _ in scenes if one.number == int(clouds.frame[worst]))


# %%
def draw_row(part, row: int, title: str):
    view, color = int(clouds.view[row]), PALETTE[0] if row == best else PALETTE[1]
    left, *sides = panels(part, 3, 3)
    xy, _ = rig.select(views=[view]).project(clouds.truth[row])
    draw_canvas(left, rig.size[view], f"{title}: {rig.names[view]}, {float(off[row]):.0f} mm off")
    draw_skeleton(zoom_to_points(left, xy[0]), xy[0], clouds.seen[row], skeleton, color)
    pose, true = ((value @ rig.rotation[view].mT) for value in (about.xyz_world[row], about.truth[row]))
    for side, axes in zip((FRONT, FLANK), sides, strict=True):
        draw_spread(draw_fan(axes, pose, skeleton, side, color), pose, side, color)
        draw_truth(frame_side(axes, side, reach_mm=reach_of(pose)), true, skeleton, side)
    add_legend(sides[0], location="below")


# %%
figure = new_figure(15.0, 10.4)
above, below = figure.subfigures(2, 1)
draw_row(above, worst, "worst")
draw_row(below, best, "best")
save_figure(figure, out / "failure")
inside = inside_region(clouds.xyz_world[[worst, best]].transpose(1, 2), clouds.truth[[worst, best]])
for row, (name, one) in enumerate((("worst", worst), ("best", best))):
    share = 100 * float(inside[row][clouds.known[one]].double().mean())
    print(f"{name}: frame {moment.number}, {int(clouds.seen[one].sum())} keypoints, {share:.0f} % of the joints inside")

# %% [markdown]
# ## Try next
#
# - `joint = "l_hip"`: what is sure about a joint in the middle of the body?
# - `every = 2`: more frames, steadier shares.
# - `dispose predict MY_FOLDER --single-view diffpose-hypotheses`: people whom one camera alone sees, in your capture.
# - `multi_hypothesis`: what a single view says, and whether one may believe it.

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
# # Many poses from one image
#
# You will see: fans of skeletons that all look the same to one camera; ellipses of how far every joint is spread, long
# where the camera looks along; what happens when the detector loses the legs; and a plot that says whether the spread
# is honest, beside an answer that only pretends to be uncertain.
#
# One image does not tell how far away a hand is. A method that gives one pose has to guess; one that gives many can say
# what it does not know (Holmquist and Wandt, 2023). The network has seen captured motion and drawn cameras, no
# photographs.

# %%
# %matplotlib inline
import json
from dataclasses import replace
from pathlib import Path

import torch

from dispose.datasets.samples import sample_folder
from dispose.evaluation.views_agree import lift_views
from dispose.formats.predictions import read_predictions
from dispose.inference.capture import read_capture, read_frame
from dispose.metrics.lifting import energy_score, expected_calibration_error, radial_quantile, residual_bootstrap
from dispose.scene.labels import labels_of

# %%
from dispose.training.lifting import DrawnViews
from dispose.zoo.lifters import KeypointsAlone, load_keypoint_lifter
from dispose_synthetic.one_view import OneViewConfig
from dispose_synthetic.randomness import Noise
from dispose_viz.image.canvas import draw_canvas, draw_skeleton, zoom_to_points
from dispose_viz.lifting import fans
from dispose_viz.lifting.charts import NamedQuantiles, draw_deviations, draw_quantiles
from dispose_viz.lifting.fans import ABOVE, FLANK, FRONT, draw_fan, draw_spread, draw_truth, frame_side, on_side
from dispose_viz.style import PALETTE, add_legend, new_figure, panels, save_figure, write
from dispose_viz.widgets import picker
from dispose_workbench.validation import require_at_least, require_one_of

# %% tags=["parameters"]
model: str = "diffpose-hypotheses"  # a lifter that draws poses by keypoints
frame: int = 24  # frame of the sample crossing
walker: int = 0  # who is looked at in it
joint: str = "l_wrist"  # which joint is looked at closely
people: int = 200  # how many are drawn for section 4
seed: int = 0  # of everything that is drawn
out: Path = Path(".")  # where pictures go

# %% [markdown]
# ## 1. A fan of skeletons
#
# First the keypoints of one camera, all that the network is told. Then the poses it draws, from the front, the side and
# above: thin lines; their mean (thick); for every joint the ellipse that holds 90 %; and the truth (black). From the
# front they nearly coincide, from the side they fan out. Choose the camera.

# %%
out, folder = Path(out), sample_folder("crossing")
capture, lifter = read_capture(folder), load_keypoint_lifter(model)
known = {one.number: one for one in read_predictions(folder / "truth" / "predictions.jsonl").frames}
require_one_of("frame", frame, sorted(known), folder)
require_one_of("joint", joint, lifter.skeleton.joints, model)
require_at_least("people", people, 20)
moment = read_frame(capture, frame).frame
labels, rig, skeleton = labels_of(moment, known[frame]), capture.cameras, lifter.skeleton
hips, at = skeleton.indices(("l_hip", "r_hip")), skeleton.index(joint)
require_one_of("walker", walker, range(len(labels.poses.id)), f"frame {frame}, people")


# %%
def in_camera_axes(clouds):
    """The poses of every row and the truth, from the hips, along the axes of the row's camera."""
    about = clouds.from_hips(hips)
    turn = rig.rotation[clouds.view].mT
    return (about.xyz_world.flatten(1, 2) @ turn).view(about.xyz_world.shape), about.truth @ turn


clouds = lift_views(lifter, moment, labels, torch.Generator().manual_seed(seed))
mine = clouds[clouds.person == labels.poses.id[walker]]
poses, truths = in_camera_axes(mine)


# %%
def draw_view(choice: int):
    figure, view, color = new_figure(11.0, 10.4), int(mine.view[choice]), PALETTE[choice % 8]
    image, *sides = panels(figure, 4, 2)
    slot = int((labels.identity[view] == mine.person[choice]).nonzero()[0, 0])
    xy, visible = moment.detections.xy_image[view, slot], moment.detections.visible[view, slot]
    draw_canvas(image, rig.size[view], f"{rig.names[view]}, its keypoints")
    draw_skeleton(zoom_to_points(image, xy[visible]), xy, visible, moment.detections.skeleton, color)
    for side, axes in zip((FRONT, FLANK, ABOVE), sides, strict=True):
        draw_spread(draw_fan(axes, poses[choice], skeleton, side, color), poses[choice], side, color)
        draw_truth(frame_side(axes, side, reach_mm=fans.reach_of(poses[choice])), truths[choice], skeleton, side)
    add_legend(sides[0], location="below")
    return figure


# %%
save_figure(draw_view(0), out / "fan")
picker(draw_view, [rig.names[view] for view in mine.view.tolist()], description="view")

# %% [markdown]
# ## 2. What one image cannot say
#
# How far every joint is spread to the right, up, and away from the camera. A joint that the camera sees is known
# across the line of sight, and unknown along it: that is the depth ambiguity. Hips are near zero because everything is
# told from their middle.

# %%
figure = new_figure(15.0, 4.6)
draw_deviations(figure.add_subplot(), skeleton.joints, poses[0])
save_figure(figure, out / "deviations")
deviation = poses[0].std(0)
across, along = (float(deviation[:, axes].mean()) for axes in ([0, 1], [2]))
print(f"mean over the joints: {across:.0f} mm across the line of sight, {along:.0f} mm along it")

# %% [markdown]
# One joint closely: every pose a dot. Where there are two heaps, the network knows that the limb points either towards
# the camera or away from it, and that nothing lies in between: no single pose, and no ellipse, could say so.

# %%
figure = new_figure(14.0, 4.8)
for side, axes in zip((FRONT, FLANK, ABOVE), panels(figure, 3, 3), strict=True):
    axes.plot(*on_side(poses[0][:, at], side).T.numpy(), ".", color=PALETTE[0], markersize=5, alpha=0.5)
    draw_spread(axes, poses[0][:, [at]], side, PALETTE[0])
    spot = on_side(truths[0][at], side)
    axes.plot(*spot.numpy(), "kx", markersize=13, markeredgewidth=3)
    write(axes, "truth", (float(spot[0]), float(spot[1])), (9, 6))
    frame_side(axes, side, title=f"{joint}, {side.title}")
save_figure(figure, out / "one_joint")

# %% [markdown]
# ## 3. What is not seen
#
# The same keypoints, and the same without the legs, as behind a table. The network was not told where the legs are: it
# says what legs do under such a body. Compare the ellipses of knees and ankles.

# %%
legs = skeleton.indices(("l_knee", "r_knee", "l_ankle", "r_ankle"))
hidden = replace(moment.detections, visible=moment.detections.visible.clone())
columns = [moment.detections.skeleton.index(name) for name in ("l_knee", "r_knee", "l_ankle", "r_ankle")]
hidden.visible[..., columns] = False
half = lift_views(lifter, replace(moment, detections=hidden), labels, torch.Generator().manual_seed(seed))
rows = (half.person == labels.poses.id[walker]) & (half.view == mine.view[0])
less = in_camera_axes(half[rows])[0]

# %%
figure = new_figure(15.0, 4.6)
cases = (("all keypoints", poses[0], PALETTE[0]), ("without legs", less[0], PALETTE[1]))
for place, ((name, some, color), side) in enumerate([(case, side) for side in (FRONT, FLANK) for case in cases]):
    axes = figure.add_subplot(1, 4, place + 1)
    draw_spread(draw_fan(axes, some, skeleton, side, color), some, side, color)
    draw_truth(frame_side(axes, side, title=f"{name},\n{side.title}"), truths[0], skeleton, side)
save_figure(figure, out / "without_legs")
wider = float(less[0][:, legs].std(0).mean() / poses[0][:, legs].std(0).mean())
print(f"legs are spread {wider:.1f} times as widely when nobody sees them")

# %% [markdown]
# ## 4. May one believe the spread?
#
# If the poses are spread as the truth is, then half of the truths lie nearer to the middle than half of the poses do,
# nine tenths nearer than nine tenths, and so on: the line is the diagonal. The best of many poses alone would prove
# nothing: it is good for whoever spreads enough.
#
# So there is a control: the mean pose, plus errors that it made on other people, drawn blindly. It is calibrated as
# well, but it does not know *whom* it is unsure about. The energy score tells the two apart (smaller is better).

# %%
drawn = DrawnViews(OneViewConfig(), None).draw(Noise(torch.Generator().manual_seed(seed)), 2 * people)
drawn = drawn[drawn.known.all(1)]
told, other = drawn[0::2], drawn[1::2]
draw = torch.Generator().manual_seed(seed)
by_keypoints = lifter.lift
assert isinstance(by_keypoints, KeypointsAlone)
said, elsewhere = (by_keypoints.lift(some.people, draw) for some in (told, other))
control = residual_bootstrap(said.mean(1), other.xyz - elsewhere.mean(1), said.shape[1], draw)

# %%
limbs = [row for row in range(len(skeleton)) if row not in hips]
both = (("poses of the network", said), ("control: errors of others", control))
quantiles = [NamedQuantiles(name, radial_quantile(some, told.xyz)[:, limbs].flatten()) for name, some in both]
figure = new_figure(6.6, 6.2)
draw_quantiles(figure.add_subplot(), quantiles)
save_figure(figure, out / "calibration")

# %%
score = {name: 1000 * float(energy_score(some, told.xyz)[:, limbs].mean()) for name, some in both}
measured = {f"{name} · energy_mm": value for name, value in score.items()}
measured |= {"along_mm": along, "across_mm": across, "legs_wider": wider}
(out / "metrics.json").write_text(json.dumps(measured, indent=1))
for (name, some), one in zip(both, quantiles, strict=True):
    near = 1000 * (some - told.xyz[:, None]).norm(dim=-1)[..., limbs].mean(-1)
    error = float(expected_calibration_error(one.quantile))
    print(f"{name}: calibration error {error:.3f}, energy score {score[name]:.0f} mm, "
          f"best pose {near.amin(1).mean():.0f} mm, mean of all {near.mean():.0f} mm")  # fmt: skip

# %% [markdown]
# ## Try next
#
# - `joint = "l_ankle"`, another `walker` or `frame`: can you find a joint with two heaps?
# - `model = "diffpose-gmm"`: poses that are drawn from another start (`informed_diffusion` shows it step by step).
# - `dispose predict --model diffpose-hypotheses image.jpg --keypoints file.json --fov-deg 60`: your own image.
# - `views_agree`: put the fans of several cameras into one room.

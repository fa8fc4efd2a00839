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
# # From the uncertain start to the pose
#
# You will see: a first pose and how wrong it may be; poses that start there, spread as wide as that, and come together
# step by step; how noisy every step of the chain is, and where to begin; a keypoint that may be at two places; and
# what the refinement is worth over many people.
#
# Most diffusions begin in pure noise. The one of Gong and others (DiffPose, 2023) begins where something is known: at
# the keypoints, as uncertain as the detector is, and at the pose of a plain network, as uncertain as its errors were.
# What is refined is both together, place in the image and pose.

# %%
# %matplotlib inline
import json
from pathlib import Path

import torch

from dispose.datasets.samples import sample_folder
from dispose.diffusion.noise import Mixture
from dispose.formats.predictions import read_predictions
from dispose.inference.capture import read_capture, read_frame
from dispose.models.diffpose_gmm.model import DiffPoseGmm
from dispose.models.lifting.sight import FEWEST_JOINTS, one_view_each, sight_of
from dispose.scene.convert import convert_detections, convert_poses

# %%
from dispose.scene.labels import labels_of
from dispose.skeletons.catalog import by_name
from dispose.zoo.checkpoints import load_weights
from dispose.zoo.lifters import lifter_weights
from dispose_viz.charts.curves import Score, draw_scores
from dispose_viz.lifting.fans import FLANK, FRONT, draw_fan, draw_pose, draw_spread, draw_truth, frame_side, on_side
from dispose_viz.style import PALETTE, add_legend, dress_chart, new_figure, panels, save_figure
from dispose_viz.widgets import picker
from dispose_workbench.validation import require_at_least, require_one_of

# %% tags=["parameters"]
frame: int = 24  # frame of the sample crossing
person: int = 0  # who is looked at closely, among those whom a camera shows
joint: str = "l_wrist"  # the keypoint that may be at two places, in section 4
copies: int = 60  # how many poses are drawn
every: int = 10  # statistics take every so many frames
seed: int = 0  # of the poses that are drawn
out: Path = Path(".")  # where pictures go

# %%
out, folder = Path(out), sample_folder("crossing")
network = load_weights(lifter_weights("diffpose-gmm"), DiffPoseGmm)
skeleton, capture = by_name(network.config.skeleton), read_capture(folder)
known = {one.number: one for one in read_predictions(folder / "truth" / "predictions.jsonl").frames}
require_one_of("frame", frame, sorted(known), folder)
require_one_of("joint", joint, skeleton.joints, "the network")
require_at_least("copies", copies, 2)
require_at_least("every", every, 1)
hips, at = skeleton.indices(skeleton.root_of), skeleton.index(joint)


# %%
def people_in(number: int):
    """Everybody whom a camera shows, as the network is told of them, and where their joints truly are, in metres."""
    moment = read_frame(capture, number).frame
    labels, found = labels_of(moment, known[number]), convert_detections(moment.detections, skeleton)
    poses = convert_poses(labels.poses, skeleton)
    enough = found.valid & (found.visible.sum(-1) >= FEWEST_JOINTS) & torch.isin(labels.identity, poses.id)
    view, slot = enough.nonzero().unbind(1)
    row = (labels.identity[view, slot][:, None] == poses.id).int().argmax(1)
    cameras, seen = one_view_each(capture.cameras, view), found.visible[view, slot]
    told = sight_of(skeleton.joints, cameras, found.xy_image[view, slot], found.confidence[view, slot], seen).people
    about = poses.xyz_world[row].double() - poses.xyz_world[row][:, hips].double().mean(1, keepdim=True)
    return told, told.from_camera(about @ cameras.rotation[:, 0].mT / 1000), poses.valid[row]


# %%
people, truth, valid = people_in(frame)
require_one_of("person", person, range(len(people)), f"frame {frame}, people in views")
alone = people[[person] * copies]

# %% [markdown]
# ## 1. The start
#
# The first pose (thick) is what a plain network says of the keypoints. Ellipses: how wrong its joints were on people it
# had not seen. Thin lines: the poses that the process starts at, drawn from that. The truth is black. Axes are those of
# a camera that looks straight at the person.

# %%
with torch.no_grad():
    law, steps = network.reverse(alone, torch.Generator().manual_seed(seed))
    states = [(step.time, network.pose_of(law, step.mass), network.pose_of(law, step.clean)) for step in steps]
    first = network.initial(people[[person]])[0]
figure = new_figure(13.0, 6.2)
for side, axes in zip((FRONT, FLANK), panels(figure, 2, 2), strict=True):
    draw_fan(axes, 1000 * states[0][1], skeleton, side, PALETTE[1])
    draw_spread(axes, 1000 * states[0][1], side, PALETTE[1])
    draw_pose(axes, 1000 * first, skeleton, side, PALETTE[0], label="answer of the lifter")
    draw_truth(frame_side(axes, side), 1000 * truth[person], skeleton, side)
add_legend(figure.axes[0])
save_figure(figure, out / "start")

# %% [markdown]
# ## 2. Step by step
#
# The same poses at every step of the reverse process, from the side. What is left at the end is what the network thinks
# possible, no longer what it started with. Choose what is shown: the states themselves, or what the denoiser makes of
# each of them at once.

# %%
views = {"states": 1, "answers of the denoiser": 2}


def draw_steps(choice: int):
    figure, which = new_figure(3.4 * len(states), 4.6), list(views.values())[choice]
    for axes, moment in zip(panels(figure, len(states), len(states)), states, strict=True):
        poses = 1000 * moment[which]
        draw_spread(draw_fan(axes, poses, skeleton, FLANK, PALETTE[1]), poses, FLANK, PALETTE[1])
        draw_truth(axes, 1000 * truth[person], skeleton, FLANK)
        frame_side(axes, FLANK, title=f"step {network.table.step_at(moment[0]):.0f}")
    add_legend(figure.axes[0], location="below")
    return figure


# %%
save_figure(draw_steps(0), out / "steps")
picker(draw_steps, list(views), description="shown")

# %%
spread = [1000 * float(moment[1].std(0).mean()) for moment in states]
off = [1000 * float((moment[2].mean(0) - truth[person]).norm(dim=-1)[valid[person]].mean()) for moment in states]
for (time, *_), wide, error in zip(states, spread, off, strict=True):
    print(f"step {network.table.step_at(time):>4.0f}: spread {wide:.0f} mm, the mean answer is {error:.0f} mm off")
last = 1000 * states[-1][2]
print(f"the first pose is {1000 * (first - truth[person]).norm(dim=-1)[valid[person]].mean():.0f} mm off")

# %% [markdown]
# ## 3. Where to begin
#
# Every step of the chain has a noise (line). The errors of the first pose are noise too: the process should begin at
# the step whose noise is as large. Earlier, and what is known is thrown away; later, and errors are left standing. In
# the paper's way the noise has the shape of the errors itself, so the line counts in units of them.

# %%
table = network.table
noise = [(1 - float(table.alpha_bar[step])) ** 0.5 for step in range(len(table))]
figure = new_figure(9.0, 4.6)
axes = figure.add_subplot()
axes.plot(range(len(table)), noise, color=PALETTE[0], linewidth=2.4, label="noise of the step")
unit = 1.0 if network.config.mode.centred else float(network.error.square().mean().sqrt())
axes.axhline(unit, color=PALETTE[1], linestyle="--", linewidth=1.8, label="errors of the first pose")
axes.axvline(network.start, color="#808080", linewidth=1.8, label="begins here")
axes.set(xlabel="step of the chain", ylabel="standard deviation (" + ("of the errors)" if unit == 1 else "m)"))
dress_chart(add_legend(axes))
save_figure(figure, out / "chain")

# %% [markdown]
# ## 4. A keypoint at two places
#
# A detector that is not sure gives two peaks. Here the keypoint may be where it was found, or where its mirror image
# is. Each pose takes one of the two; so poses come in two kinds.

# %%
other = skeleton.mirror[at]
one = people[[person]]
sigma = one.sigma.clamp(min=0.02)[..., None, None].expand(1, len(skeleton), 2, 2).clone()
mean = one.uv[:, :, None].expand(-1, -1, 2, -1).clone()
mean[0, at, 1] = one.uv[0, other]
weight = torch.tensor([1.0, 0.0]).expand(1, len(skeleton), 2).clone()
weight[0, at] = torch.tensor([0.5, 0.5])
drawn = network.hypotheses(one, copies, torch.Generator().manual_seed(seed), mixture=Mixture(weight, mean, sigma))[0]
plain = network.hypotheses(one, copies, torch.Generator().manual_seed(seed))[0]

# %%
figure = new_figure(15.0, 4.8)
cases = [(name, some, side) for side in (FRONT, FLANK) for name, some in (("one place", plain), ("two", drawn))]
for axes, (name, some, side) in zip(panels(figure, 4, 4), cases, strict=True):
    draw_fan(axes, 1000 * some, skeleton, side, PALETTE[0])
    spots = on_side(1000 * some[:, at], side).T.numpy()
    axes.plot(*spots, ".", color=PALETTE[1], markersize=6, zorder=6, label=f"{joint} of every pose")
    draw_truth(axes, 1000 * truth[person], skeleton, side)
    frame_side(axes, side, title=f"{joint}: {name},\n{side.title}")
add_legend(figure.axes[0], location="below")
save_figure(figure, out / "two_places")
wider = float(drawn[:, at].std(0).norm() / plain[:, at].std(0).norm())
print(f"{joint} is spread {wider:.1f} times as widely when it may be at two places")

# %% [markdown]
# ## 5. What it is worth
#
# Everybody in some frames: the first pose, the mean of several refined ones, and the best of them, which nobody can
# pick without the truth. A refiner is added last; it cannot do what a better first pose does.

# %%
counts, rows, draw = (1, 2, 5, 10, 20), [], torch.Generator().manual_seed(seed)
for number in sorted(known)[::every]:
    some, true, there = people_in(number)
    poses = network.hypotheses(some, max(counts), draw)
    with torch.no_grad():
        begin = network.initial(some)
    far = [((pose - true).norm(dim=-1) * there).sum(1) / there.sum(1) for pose in (begin, *poses.unbind(1))]
    means = [((poses[:, :n].mean(1) - true).norm(dim=-1) * there).sum(1) / there.sum(1) for n in counts]
    best = [torch.stack(far[1 : n + 1]).amin(0) for n in counts]
    rows.append(torch.stack([*(far[0] for _ in counts), *means, *best]))
figures = 1000 * torch.cat(rows, 1).mean(1).view(3, len(counts))

# %%
names = ("the first pose", "mean of several", "best of several")
figure = new_figure(8.0, 4.8)
lines = [Score(name, values.numpy()) for name, values in zip(names, figures, strict=True)]
draw_scores(figure.add_subplot(), counts, lines, xlabel="poses", ylabel="mean error from the hips (mm)")
save_figure(figure, out / "worth")
measured = {f"{name} · mm": float(values[2]) for name, values in zip(names, figures, strict=True)}
measured |= {"spread_first_mm": spread[0], "spread_last_mm": float(last.std(0).mean()), "two_places_wider": wider}
(out / "metrics.json").write_text(json.dumps(measured, indent=1))
for name, values in zip(names, figures, strict=True):
    print(f"{name}: " + ", ".join(f"{value:.1f} mm of {n}" for n, value in zip(counts, values.tolist(), strict=True)))

# %% [markdown]
# ## Try next
#
# - Another `person` or `frame`: whose start is far off, and do the steps mend it?
# - `joint = "l_ankle"`: does a leg come in two kinds as well?
# - `dispose predict --model diffpose-gmm image.jpg --keypoints file.json --fov-deg 60`: your own image.
# - `dispose labels uncertainty`: mixtures like those of section 4 from heat maps, or from several detectors.

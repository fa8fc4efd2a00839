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
# # What the picture around the joints adds
#
# You will see: the maps that a frozen network makes of a person's picture; where every joint looks in them, drawn on
# the picture; how far it looks; and whether that helps, beside the same network with somebody else's picture and with
# none.
#
# Two wrists at the same place in the image may be 80 cm apart in depth. Keypoints cannot tell, but the picture can: a
# hand that is near is large, and it hides what is behind it. Context-Aware PoseFormer (Zhao and others, 2023) reads the
# maps of a network that was trained to find joints in 2-D, and learns nothing but where to look and what it means.
#
# The weights that come with the project have seen rendered people, of whom you will see some.

# %%
# %matplotlib inline
import json
from dataclasses import replace
from pathlib import Path

import torch

from dispose.datasets.samples import sample_folder
from dispose.formats.predictions import read_predictions
from dispose.inference.capture import read_image_capture, read_raw
from dispose.models.context.crops import cut_out_people
from dispose.models.context.network import ContextLift, gaze_of, lift_crops
from dispose.models.lifting.sight import one_view_each, sight_of

# %%
from dispose.scene.convert import convert_poses
from dispose.zoo.lifters import load_lifter
from dispose_viz.lifting.fans import FLANK, FRONT, draw_pose, draw_truth, frame_side
from dispose_viz.lifting.gaze import draw_cut, draw_cut_joints, draw_energy, draw_looks, draw_reach
from dispose_viz.style import PALETTE, add_legend, new_figure, panels, save_figure
from dispose_viz.widgets import picker
from dispose_workbench.validation import require_at_least, require_one_of

# %% tags=["parameters"]
picture: int = 10  # frame of the sample studio
person: int = 0  # who is looked at closely, among those whom a camera shows
joint: str = "l_wrist"  # which joint is looked at closely
pictures: int = 8  # how many frames of the sample section 4 takes
out: Path = Path(".")  # where pictures go

# %%
out, folder = Path(out), sample_folder("studio")
capture, lifter = read_image_capture(folder), load_lifter("context")
assert isinstance(lifter.lift, ContextLift)
network, skeleton = lifter.lift.network, lifter.skeleton
known = {one.number: one for one in read_predictions(folder / "truth" / "predictions.jsonl").frames}
require_one_of("picture", picture, capture.numbers, folder)
require_one_of("joint", joint, skeleton.joints, "the network")
require_at_least("pictures", pictures, 1)
at, hips = skeleton.index(joint), skeleton.indices(("l_hip", "r_hip"))


# %%
def people_in(number: int):
    """Cuts of everybody whom a camera shows nearly whole, and their true joints from the hips in the camera's axes."""
    poses = convert_poses(known[number].poses, skeleton)
    xy, front = capture.cameras.project(poses.xyz_world.double())
    shown = front & poses.valid & capture.cameras.inside(xy)
    view, row = ((shown.sum(-1) >= 10) & poses.valid[:, hips].all(-1)).nonzero().unbind(1)
    cameras, images = one_view_each(capture.cameras, view), read_raw(capture, number)[0].images
    score = torch.full(shown.shape, 0.9, dtype=torch.float64)[view, row]
    sight = sight_of(skeleton.joints, cameras, xy[view, row], score, shown[view, row])
    crops = cut_out_people([images[one] for one in view.tolist()], sight, network.config.input_size)
    true = poses.xyz_world[row].double() - poses.xyz_world[row][:, hips].double().mean(1, keepdim=True)
    return crops, true @ cameras.rotation[:, 0].mT, poses.valid[row]


# %%
crops, truth, valid = people_in(picture)
require_one_of("person", person, range(len(crops)), f"picture {picture}, people in its images")

# %% [markdown]
# ## 1. What the frozen network sees
#
# The person is cut out around the keypoints. The maps get coarser from left to right: the fine ones know edges, the
# coarse ones know what is where. Bright: the map answers strongly.

# %%
levels = network.look(crops.pixels)
figure = new_figure(15.0, 4.4)
first, *others = panels(figure, 1 + len(levels), 1 + len(levels))
draw_cut(first, crops.pixels[person], "the cut, with keypoints")
draw_cut_joints(first, crops.xy_crop[person], crops.people.seen[person], skeleton)
for number, (level, axes) in enumerate(zip(levels, others, strict=True), start=1):
    height, width = level.shape[-2:]
    draw_energy(axes, level[person], f"map {number}: {width} x {height}, {level.shape[1]} channels")
save_figure(figure, out / "maps")

# %% [markdown]
# ## 2. Where a joint looks
#
# Every joint reads every map at some places that it chooses, anywhere in the cut: a mark for each, as large as it
# counts, in the colour of its map. The white cross is the joint. One panel for every block: later ones have read what
# the earlier ones saw. Choose the joint.

# %%
gaze = gaze_of(network, crops)
blocks = len(gaze.weight)


def draw_joint(choice: int):
    figure = new_figure(4.2 * blocks, 6.0)
    for block, axes in enumerate(panels(figure, blocks, blocks)):
        draw_cut(axes, crops.pixels[person], f"{skeleton.joints[choice]}, block {block + 1}")
        place, weight = gaze.place[block, person, :, choice], gaze.weight[block, person, :, choice]
        draw_looks(axes, place, weight, crops.xy_crop[person, choice])
    add_legend(figure.axes[-1])
    return figure


# %%
save_figure(draw_joint(at), out / "looks")
picker(draw_joint, list(skeleton.joints), description="joint")

# %% [markdown]
# How far away they look, over everybody in this picture, in the last block.

# %%
figure = new_figure(15.0, 4.4)
draw_reach(figure.add_subplot(), skeleton.joints, gaze.place[-1], gaze.weight[-1], crops.xy_crop)
save_figure(figure, out / "reach")

# %% [markdown]
# ## 3. What comes out
#
# The pose from keypoints and picture, the pose with the picture of somebody else, and the truth (black), from the front
# and from the side. Keypoints are the same in both.

# %%
strange = replace(crops, pixels=crops.pixels.roll(1, 0))
nothing = replace(crops, pixels=torch.zeros_like(crops.pixels))
said = {"own picture": crops, "somebody else's": strange, "grey": nothing}
answers = {
    name: 1000 * crops.people.to_camera(lift_crops(network, some).double())[person] for name, some in said.items()
}
figure = new_figure(15.0, 5.2)
for side, axes in zip((FRONT, FLANK), panels(figure, 2, 2), strict=True):
    for color, name in enumerate(("own picture", "somebody else's")):
        draw_pose(axes, answers[name], skeleton, side, PALETTE[color], label=name)
    draw_truth(axes, truth[person], skeleton, side)
    frame_side(axes, side)
add_legend(figure.axes[0])
save_figure(figure, out / "answers")

# %% [markdown]
# ## 4. Does it help?
#
# Mean error of everybody in some pictures. With somebody else's picture the network is worse than with none at all: it
# believes what it sees.

# %%
numbers = capture.numbers[:: max(1, len(capture.numbers) // pictures)]
errors: dict[str, list[torch.Tensor]] = {name: [] for name in said}
for number in numbers:
    some, true, there = people_in(number)
    ways = (some.pixels, some.pixels.roll(1, 0), torch.zeros_like(some.pixels))
    for name, pixels in zip(errors, ways, strict=True):
        found = 1000 * some.people.to_camera(lift_crops(network, replace(some, pixels=pixels)).double())
        errors[name].append((found - true).norm(dim=-1)[there])
measured = {f"{name} · mm": float(torch.cat(one).mean()) for name, one in errors.items()}
(out / "metrics.json").write_text(json.dumps(measured, indent=1))
for name, value in measured.items():
    print(f"{name}: {value:.0f}")

# %% [markdown]
# ## Try next
#
# - Another `joint`: which ones look far away, and at what?
# - `dispose predict --model context image.jpg --keypoints file.json --fov-deg 60`: your own image.
# - `dispose evaluate context`: the same comparison on held-out people, with the published network's sizes.
# - `multi_hypothesis`: instead of looking, say what one does not know.

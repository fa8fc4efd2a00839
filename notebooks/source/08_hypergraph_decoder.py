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
# # The hypergraph decoder: from a root to a skeleton
#
# You will see how Stage II finds every joint of a person of whom only the hips are known: it puts a rest pose there,
# looks at all images where the joints would be, moves every joint, and does so four times. You will see where it
# looks, whom its joints talk to (two hypergraphs), which views it trusts, and how sure it is at the end.
#
# The images are synthetic, so the error is known.

# %%
# %matplotlib inline
import json
from pathlib import Path

import torch

from dispose.datasets.samples import sample_folder
from dispose.formats.predictions import read_predictions
from dispose.inference.capture import read_image_capture, read_image_frame, read_raw
from dispose.models.dispose.decoder import Body
from dispose.zoo.checkpoints import load_image_model, shipped_image_weights
from dispose_viz.export import name_figure

# %%
from dispose_viz.image import decoder, view_panels
from dispose_viz.scene import plotly_scene
from dispose_viz.style import new_figure, save_figure
from dispose_viz.widgets import picker
from dispose_workbench.validation import require_one_of

# %% tags=["parameters"]
frame: int = 6  # frame of the studio sample, 0 to 11
person: int = 1  # who is looked at closely
view: int = 2  # the camera that is looked through
joint: str = "l_wrist"  # the joint whose samples are drawn
out: Path = Path(".")  # where pictures go

# %%
out = Path(out)
capture = sample_folder("studio")
opened = read_image_capture(capture)
require_one_of("frame", frame, opened.numbers, capture)
require_one_of("view", view, range(len(opened.cameras)), capture)
model = load_image_model(shipped_image_weights())
require_one_of("joint", joint, model.skeleton.joints, "the model")
seen = read_image_frame(opened, frame, model.config.input_size).frame
cameras, pictures = opened.cameras, read_raw(opened, frame)[0].images
truth = next(t for t in read_predictions(capture / "truth" / "predictions.jsonl").frames if t.number == frame)

# %% [markdown]
# ## 1. What Stage I hands over
#
# A network has drawn heat maps of the hips, diffusion has decided which peaks are one person, and their rays have met:
# one point in space per person, the root. More is not known.

# %%
found = model.propose([seen])
roots, confidence = found.roots[0], found.results[0].association.confidence
require_one_of("person", person, range(len(roots)), f"frame {frame}")
for number, (sure, place) in enumerate(zip(confidence, roots, strict=True)):
    x, y, z = (f"{value / 1000:.2f}" for value in place.tolist())
    print(f"P{number}: confidence {sure:.2f}, hips at x {x}, y {y}, z {z} m")

# %% [markdown]
# ## 2. Four layers, one person, one camera
#
# The rest pose is a pole: the mean over people who face all ways. Every layer takes the pose of the one before, looks
# at all images where it has the joints, and moves them.

# %%
with torch.no_grad():
    moments = list(model.watch(found.features, found.batch, [roots]))
    refined = model.refine(found.features, found.batch, [roots])
layers = decoder.poses_by_layer(model.skeleton, moments)
figure = new_figure(16.0, 4.6)
decoder.draw_refinement(figure, cameras, pictures[view], view, layers, person)
save_figure(figure, out / "layers")

# %% [markdown]
# The same in space, everybody at once. Pull the slider from the rest pose (0) to the last layer; the wide grey shadow
# is the truth.

# %%
scene = plotly_scene.new_scene()
plotly_scene.draw_floor(scene, *plotly_scene.bounds(cameras))
plotly_scene.draw_cameras(scene, cameras)
plotly_scene.draw_timeline(scene, range(len(layers)), layers, truth=[truth.poses] * len(layers))
scene.layout.sliders[0].currentvalue.prefix = "after layer "
name_figure(scene, "layers_3d")

# %% [markdown]
# ## 3. What each layer is worth
#
# Most is won by the first layer; the later ones see better because they look nearer to where the joints are.

# %%
errors = decoder.errors_by_layer(layers, truth.poses)
figure = new_figure(9.0, 4.8)
decoder.draw_layer_errors(figure.add_subplot(), errors.mean(-1))
save_figure(figure, out / "errors")

# %%
means = errors.mean((1, 2))
(out / "metrics.json").write_text(json.dumps({"rest_mm": means[0], "mpjpe_mm": means[-1], "people": errors.shape[1]}))
print("mean joint error, mm:", ", ".join(f"{value:.0f}" for value in means))

# %% [markdown]
# ## 4. Where a layer looks
#
# For one joint in every image: the cross is where the joint stands before the layer, the marks are the places that
# the layer reads (large = counts much), on maps of three resolutions, and the arrow is where it moves the joint. A head
# that has nothing to ask looks beside the image, where there is nothing: the title says how much of the weight does.
# Choose the layer.

# %%
gazes = [moment.gaze() for moment in moments]
row = model.skeleton.index(joint)


def looks(layer: int):
    figure = new_figure(12.0, 4.7 * ((len(cameras) + 1) // 2))
    view_panels.draw_images(figure, cameras, pictures, columns=2)
    return decoder.draw_sampling(figure, gazes[layer], moments[layer].step, person=person, joint=row)


save_figure(looks(0), out / "gaze_first")
save_figure(looks(len(gazes) - 1), out / "gaze_last")
picker(looks, [f"{joint}, layer {number + 1}" for number in range(len(gazes))], description="layer")

# %% [markdown]
# ## 5. Two hypergraphs: whom a joint talks to
#
# What was read is shared before anything moves. In the view hypergraph every joint of every image is a node; a box is
# one edge (all joints of a person in one view: a body seen from here), a line is another (one joint in all views: the
# same wrist must be meant).

# %%
before = gazes[0]
xy, visible = (part[person].detach().numpy() for part in (gazes[-1].xy_image, before.visible))
figure = new_figure(13.0, 4.6)
decoder.draw_view_hypergraph(
    figure.add_subplot(), model.skeleton, xy, visible, cameras.names, joints=["nose", "l_wrist", "r_knee"]
)
save_figure(figure, out / "view_hypergraph")

# %% [markdown]
# In the part hypergraph the views are merged: a node is a joint in space. One edge holds the whole body, six hold its
# parts, so that an elbow that moves tells its wrist. No edge joins two people. (The pose is a true one.)

# %%
figure = new_figure(5.6, 7.4)
pose = truth.poses.xyz_world[0].numpy()
decoder.draw_part_hypergraph(figure.add_subplot(), model.skeleton, pose, Body().parts)
save_figure(figure, out / "part_hypergraph")

# %% [markdown]
# ## 6. Whom it trusts
#
# The new place of a joint is where the rays of its moved image points meet. Views that hide it count less.

# %%
figure = new_figure(12.0, 3.8)
trust = moments[-1].step.weight[person]
decoder.draw_trust(figure.add_subplot(), trust, cameras.names, model.skeleton.joints)
save_figure(figure, out / "trust")

# %% [markdown]
# ## 7. How sure it is
#
# A head on top predicts how large every joint's error is likely to be. Sure dots should lie low.

# %%
figure = new_figure(8.0, 5.2)
decoder.draw_confidence(figure.add_subplot(), refined.joint_confidence, errors[-1], below_mm=50.0)
save_figure(figure, out / "confidence")

# %% [markdown] tags=["exercise"]
# ## Exercises
#
# **1.** How many edges do the two hypergraphs of one person have, with V views, 15 joints and 6 parts?

# %% tags=["solution"]
view_edges = len(cameras) + len(model.skeleton)  # a box per view, a line per joint
part_edges = 1 + len(Body().parts)  # the body and its parts
scene_of_layers = moments[0].scene
assert scene_of_layers.first_edges.shape[1] == view_edges and scene_of_layers.second_edges.shape[1] == part_edges
print(f"{view_edges} and {part_edges}")

# %% [markdown] tags=["exercise"]
# **2.** Stage I is sometimes wrong. Put all roots 200 mm too far along x. How much of that does Stage II repair?

# %% tags=["exercise"]
wrong = roots + torch.tensor([0.0, 0.0, 0.0])  # mm; change me

# %% tags=["solution"]
wrong = roots + torch.tensor([200.0, 0.0, 0.0])
with torch.no_grad():
    moved = list(model.watch(found.features, found.batch, [wrong]))
repaired = decoder.errors_by_layer(decoder.poses_by_layer(model.skeleton, moved), truth.poses).mean((1, 2))
print("mean joint error, mm:", ", ".join(f"{value:.0f}" for value in repaired))
assert repaired[-1] < repaired[0]

# %% [markdown] tags=["exercise"]
# **3.** Which joint has the largest error at the end, and how sure was the network of it?

# %% tags=["solution"]
worst = int(errors[-1].argmax())
who, which = divmod(worst, len(model.skeleton))
sure = float(refined.joint_confidence[who, which])
print(f"P{who}, {model.skeleton.joints[which]}: {errors[-1][who, which]:.0f} mm, confidence {sure:.2f}")

# %% [markdown]
# ## Try next
#
# - Another `joint` (`nose`, `r_ankle`), `view` or `frame`: when does the first layer look in the wrong place?
# - Cover a camera: `seen.require_images().present[0] = False` before section 1, and look at section 6 again.
# - `09_skeletons_in_3d` and `10_reprojections`: looking at finished skeletons.
# - `dispose predict MY_FOLDER --from-pictures`: both stages on images of your own.

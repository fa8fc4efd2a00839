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
# # From images to 3-D people
#
# You will see, at one instant of one small capture: what four cameras saw, where a network thinks that people's hips
# are, who is who, and the people in 3-D, drawn back into the images.
#
# The images are synthetic, so the truth is known. The weights are the project's own and have seen synthetic images
# only; with imported ones (`dispose zoo import`) real captures work the same way: set `capture` and `weights`.

# %%
# %matplotlib inline
import json
from pathlib import Path

from dispose.datasets.samples import sample_folder
from dispose.evaluation.against_truth import score_people
from dispose.formats.predictions import read_predictions
from dispose.inference.capture import read_image_capture, read_image_frame, read_raw

# %%
from dispose.nn.backbones import STRIDE
from dispose.zoo.checkpoints import load_image_model, shipped_image_weights
from dispose_viz.image import view_panels
from dispose_viz.style import new_figure, save_figure
from dispose_workbench.validation import require_one_of

# %% tags=["parameters"]
capture: Path = sample_folder("studio")  # a capture folder with images/ or videos/
frame: int = 6  # the frame that is looked at
weights: Path = shipped_image_weights()  # a file that a training or an import wrote
out: Path = Path(".")  # where pictures go

# %% [markdown]
# ## 1. Pictures
#
# A folder with one calibration and, per camera, images or a video. A camera that has no image of this frame is left
# out of it, nothing else happens.

# %%
capture, out = Path(capture), Path(out)
opened = read_image_capture(capture)
require_one_of("frame", frame, opened.numbers, capture)
model = load_image_model(Path(weights))
seen = read_image_frame(opened, frame, model.config.input_size).frame
cameras, pictures = opened.cameras, read_raw(opened, frame)[0].images
size = (15.0, 3.3 * (1 + (len(cameras) - 1) // 4))
print(f"{len(opened.numbers)} frames, {len(cameras)} cameras")
save_figure(view_panels.draw_images(new_figure(*size), cameras, pictures), out / "pictures")

# %% [markdown]
# ## 2. Heat maps
#
# The network looks at every image by itself and says for each of 15 joints where it is. Here the middle of the hips:
# its peaks are the detections that Stage I puts together across views, by the same diffusion as in `00_start_here`.

# %%
heatmaps = model.backbone(seen.require_images().pixels).heatmaps
root = model.skeleton.index(model.skeleton.root_of[0])
figure = view_panels.draw_images(new_figure(*size), cameras, pictures)
for view, axes in enumerate(figure.axes):
    if seen.require_images().present[view]:
        view_panels.draw_heat(axes, heatmaps[view, root], seen.require_images().input_from_image[view], STRIDE)
save_figure(figure, out / "roots")

# %% [markdown]
# ## 3. People
#
# Stage I says which peaks are one person, their rays say where the hips are in space; Stage II starts from a rest pose
# there and moves every joint until it fits what all views show.

# %%
found = model(seen)
people = found.poses.id.tolist()
for person, sure, place in zip(people, found.association.confidence, found.root, strict=True):
    x, y, z = (f"{value / 1000:.2f}" for value in place.tolist())
    print(f"P{person}: confidence {sure:.2f}, hips at x {x}, y {y}, z {z} m")

# %%
figure = view_panels.draw_images(new_figure(*size), cameras, pictures)
for view, axes in enumerate(figure.axes):
    view_panels.draw_people(axes, cameras, found.poses, view)
save_figure(figure, out / "people")

# %% [markdown]
# Where the truth is known, it can be said how right that is.

# %%
answers = capture / "truth" / "predictions.jsonl"
truth = read_predictions(answers).frames if answers.exists() else None
if truth is not None:
    score = score_people([found], truth)
    (out / "metrics.json").write_text(json.dumps({"found": score.found, "mpjpe_mm": score.mpjpe_mm}))
    print(f"found {score.found:.0f} %, mean error of their joints {score.mpjpe_mm:.0f} mm")

# %% [markdown]
# ## Try next
#
# - `dispose predict MY_FOLDER --from-pictures`: all frames, with numbers that stay with people, into files.
# - Delete the image of one camera in a copy of the capture: does Stage I still find everybody?
# - `joint = model.skeleton.index("l_wrist")` in section 2: which joints does the network find hard?

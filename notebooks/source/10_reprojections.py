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
# # Reprojections, view by view
#
# You will see: the 3-D people drawn back into every image, the pixels by which they miss what was detected there, and
# a table that says at a glance which camera or which person does not fit. At the end, the same on images, over what
# the network saw in them.
#
# Nothing here needs the truth, so it works for every capture of your own: set `capture`.

# %%
# %matplotlib inline
import json
from importlib.resources import files
from pathlib import Path

from dispose.datasets.samples import sample_folder
from dispose.inference.capture import (
    read_capture,
    read_image_capture,
    read_image_frame,
    read_raw,
    select_frames,
    source_of,
)
from dispose.inference.run import results_of

# %%
from dispose.nn.backbones import STRIDE
from dispose.zoo.checkpoints import SHIPPED_ASSOCIATOR, load_associator, load_image_model, shipped_image_weights
from dispose.zoo.triangulators import load_reconstruction
from dispose_viz.image import residuals, view_panels
from dispose_viz.style import new_figure, save_figure
from dispose_viz.widgets import picker
from dispose_workbench.validation import require_at_least, require_one_of

SHIPPED = Path(str(files("dispose.zoo"))) / "weights" / SHIPPED_ASSOCIATOR

# %% tags=["parameters"]
capture: Path = sample_folder("crossing")  # a capture folder with calibration and detections
frame: int = 25  # the frame that is looked at
frames: int = 30  # how many frames, from the capture's first on, are put together for the table of section 4
weights: Path = SHIPPED  # a file that a training wrote
pictures: Path = sample_folder("studio")  # a capture folder with calibration and images, for section 5
picture_frame: int = 6  # the frame of it that is looked at
out: Path = Path(".")  # where pictures go

# %% [markdown]
# ## 1. All views
#
# Strong lines are detections, in the colour of the person that they were given to; grey ones are nobody's. Light lines
# are the 3-D people as this camera would see them. Red arrows lead from each detected joint to where its person's joint
# projects to, several times as long as that error (the one in the corner is 10 px); the longest of every person is
# written beside it. Above: everybody's mean.

# %%
opened, out = read_capture(Path(capture)), Path(out)
require_one_of("frame", frame, opened.numbers, capture)
require_at_least("frames", frames, 1)
last = max(opened.numbers[min(frames, len(opened.numbers)) - 1], frame)
associator = load_associator(Path(weights))
source = source_of(select_frames(opened, None, last + 1))
answers = results_of(source, associator.associate, load_reconstruction())
found = {one.prediction.number: (one.frame, one.prediction) for one in answers}
seen, here = found[frame]
cameras, people = seen.cameras, here.poses.id.tolist()
size = (15.0, 3.7 * (1 + (len(cameras) - 1) // 3))
figure = view_panels.draw_views(new_figure(*size), seen, prediction=here)
for view, axes in enumerate(figure.axes):
    view_panels.draw_residuals(axes, seen, here, view)
save_figure(figure, out / "views")

# %% [markdown]
# ## 2. One view, large
#
# Choose a camera. Long arrows next to short ones are joints that the detector put elsewhere, often on somebody else:
# the other cameras outvoted it. Arrows that all point the same way are a camera that stands wrong.


# %%
def draw_camera(view: int):
    figure = new_figure(12.0, 7.2)
    axes = view_panels.draw_view(figure.add_subplot(), seen, view, prediction=here)
    view_panels.draw_residuals(axes, seen, here, view)
    return figure


save_figure(draw_camera(0), out / "view")
picker(draw_camera, cameras.names, description="camera")

# %% [markdown]
# ## 3. One person, everywhere
#
# Choose a person. Light lines without strong ones are joints that this camera's detector missed and the others
# supplied.


# %%
def draw_person(row: int):
    return view_panels.draw_person_views(new_figure(*size), seen, here, people[row])


if people:
    save_figure(draw_person(0), out / "person")
names = [f"P{person}" for person in people]
picker(draw_person, names, description="person") if people else print("Nobody was found in this frame.")

# %% [markdown]
# ## 4. Who does not fit?
#
# The median error of every person in every camera, over all frames: a row is a person, a column a camera. Medians do
# not care about single wild joints, so what is left is systematic. A bright column is a camera that moved, a bright row
# is a person made of two; a camera that is three times worse than the rest is framed.

# %%
table = residuals.over_frames([residuals.residuals_of(f, p) for f, p in found.values()])
figure = new_figure(9.0, 2.2 + 0.5 * len(table.person))
residuals.draw_matrix(figure.add_subplot(), table, cameras.names)
save_figure(figure, out / "matrix")

# %%
by_view = dict(zip(cameras.names, residuals.view_medians_px(table).round(3).tolist(), strict=True))
(out / "metrics.json").write_text(json.dumps({"frames": len(found), "median_px": by_view}, indent=1))
wrong = [cameras.names[view] for view in residuals.suspects(table)]
print(f"{len(found)} frames:", ", ".join(f"{name} {value:.1f} px" for name, value in by_view.items()))
print(f"does not fit: {', '.join(wrong)}" if wrong else "no camera stands out")

# %% [markdown]
# ## 5. On images
#
# A network that looks at images has no skeletons in 2-D, it has heat maps. Yellow is where it sees the joint, rings
# are where the joint of the 3-D person projects to. The network saw every image by itself; the person fits all of
# them. A ring beside the heat is an error of one of the two; heat without a ring is somebody whom the other cameras do
# not confirm. Choose a joint.

# %%
studio, model = read_image_capture(Path(pictures)), load_image_model(shipped_image_weights())
require_one_of("frame", picture_frame, studio.numbers, pictures)
reading, raw = read_image_frame(studio, picture_frame, model.config.input_size), read_raw(studio, picture_frame)[0]
images, heatmaps = reading.frame.images, model.backbone(reading.frame.require_images().pixels).heatmaps
filmed = model(reading.frame)
rows = 1 + (len(studio.cameras) - 1) // 2


def draw_joint(joint: int):
    figure = view_panels.draw_images(new_figure(13.0, 4.6 * rows), studio.cameras, raw.images, columns=2)
    for view, axes in enumerate(figure.axes):
        if images.present[view]:
            view_panels.draw_heat(axes, heatmaps[view, joint], images.input_from_image[view], STRIDE)
        view_panels.draw_joint(axes, studio.cameras, filmed.poses, view, model.skeleton.joints[joint])
    return view_panels.draw_heat_scale(figure)


# %%
save_figure(draw_joint(0), out / "heat")
picker(draw_joint, model.skeleton.joints, description="joint")

# %% [markdown]
# And the people whole.

# %%
figure = view_panels.draw_images(new_figure(13.0, 4.6 * rows), studio.cameras, raw.images, columns=2)
for view, axes in enumerate(figure.axes):
    view_panels.draw_people(axes, studio.cameras, filmed.poses, view)
save_figure(figure, out / "people")

# %% [markdown]
# ## Try next
#
# - `dispose notebook run 10_reprojections -p capture MY_FOLDER -p frame 100`: the same for a capture of your own.
# - `frame = 30`: which person has the longest arrows, and is the detector or the association to blame?
# - Turn a camera in a copy of the capture's calibration by a degree and look at section 4 again; `01_cameras_and_rays`
#   does that on purpose.
# - `11_failure_cases`: the frames that went wrong, worst first.

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
# # Cameras and rays
#
# You will see: what a camera does to a point in space, what its lens adds, how a pixel becomes a ray and a ray becomes
# a curve in every other image; and how, with nothing but that, a camera that was knocked by 2 degrees gives itself
# away.
#
# Two small synthetic captures: `studio` has images, `crossing` has detections with a detector's usual mistakes. The
# truth of both is known.

# %%
# %matplotlib inline
import json
from dataclasses import replace
from pathlib import Path

from dispose.association.reconstruct import reconstruct_frame
from dispose.datasets.samples import sample_folder
from dispose.formats.predictions import read_predictions
from dispose.inference.capture import read_capture, read_frame, read_image_capture, read_raw
from dispose.scene.labels import association_of_identities, identities
from dispose.scene.teaching import projected_frame, rotate_camera
from dispose_viz.export import name_figure

# %%
from dispose_viz.image import calibration, epipolar, residuals, view_panels
from dispose_viz.scene import plotly_scene, rig
from dispose_viz.scene.stage import ray_through, stage_of
from dispose_viz.style import new_figure, save_figure
from dispose_viz.widgets import picker
from dispose_workbench.validation import require_one_of

# %% tags=["parameters"]
capture: Path = sample_folder("crossing")  # a capture folder with detections and truth/predictions.jsonl
frame: int = 25  # the frame of it that is looked at
view: int = 0  # the camera whose pixels are followed
joint: str = "r_hip"  # the joint that is followed
knocked: int = 2  # the camera that is turned in section 6
degrees: float = 2.0  # how far it is turned
out: Path = Path(".")  # where pictures go

# %% [markdown]
# ## 1. One world, several cameras
#
# All cameras speak of one world: millimetres, z upwards, the origin somewhere on the floor. A calibration says for
# every camera where it stands and how it is turned: `xyz_camera = R · xyz_world + t`. Its own axes are x to the right,
# y downwards and z forwards, out of the lens.
#
# From above: a grey wedge opens towards what a camera sees.

# %%
studio = sample_folder("studio")
opened = read_image_capture(studio)
pictures = read_raw(opened, 6)[0].images
people = read_predictions(studio / "truth" / "predictions.jsonl").frames[6]
filmed = projected_frame(6, opened.cameras, people.poses)
figure = new_figure(6.0, 6.0)
rig.draw_rig_from_above(figure.add_subplot(), opened.cameras)
save_figure(figure, Path(out) / "rig")

# %% [markdown]
# The world, drawn into what each camera saw: the floor in squares of half a metre, and at the origin the world's axes
# x (blue), y (orange) and z (green). If the calibration were wrong, the floor would float or sink.

# %%
figure = view_panels.draw_images(new_figure(13.0, 9.6), opened.cameras, pictures, columns=2)
for number, axes in enumerate(figure.axes):
    calibration.draw_floor(axes, opened.cameras, number, half_mm=1500.0, step_mm=500.0)
save_figure(figure, Path(out) / "floor")

# %% [markdown]
# ## 2. The pinhole
#
# One camera and one person from the side. Light goes straight through the hole, so the triangles on both sides of the
# image plane are similar: `row = c_y + f_y · Y / Z`, and the same with columns and X. Twice as far is half as large.
# That is the whole model; `Z`, how far away it was, is lost.

# %%
cameras, known = read_capture(Path(capture)).cameras, read_predictions(Path(capture) / "truth" / "predictions.jsonl")
truth = {t.number: t for t in known.frames}
require_one_of("frame", frame, sorted(truth), capture)
for name, camera in (("view", view), ("knocked", knocked)):
    require_one_of("camera", camera, range(len(cameras)), name)
truth = truth[frame]
figure = new_figure(12.0, 4.6)
calibration.draw_section(figure.add_subplot(), cameras, view, truth.poses, 0)
save_figure(figure, Path(out) / "pinhole")

# %% [markdown] tags=["exercise"]
# **Exercise 1.** The person steps back until the depth of every joint is twice what it was. In which row does the
# camera see the lowest joint then? Answer with a formula, then let the camera project it.

# %% tags=["solution"]
xyz = cameras.to_camera(truth.poses.xyz_world[0].double())[view]
low = xyz[xyz[:, 1].argmax()]
middle, focal = cameras.matrix[view, 1, 2], cameras.matrix[view, 1, 1]
before, after = (float(middle + focal * low[1] / (share * low[2])) for share in (1, 2))
assert abs((after - float(middle)) - (before - float(middle)) / 2) < 1e-9
print(f"row {before:.0f} becomes row {after:.0f}: half as far from the middle, row {float(middle):.0f}")

# %% [markdown]
# ## 3. The lens
#
# A real lens bends straight lines. Pale: where a pinhole would put them; dark: where this camera does. The calibration
# knows by how much, so the bend can be undone before any geometry.

# %%
figure = new_figure(9.0, 5.4)
calibration.draw_lens(figure.add_subplot(), cameras, view)
save_figure(figure, Path(out) / "lens")

# %% [markdown]
# ## 4. A pixel becomes a ray
#
# Read backwards, the pinhole says where light came from: not a point, a ray. Somewhere on it is the wrist of P0 whose
# pixel camera 1 reports; that pixel alone cannot say where. Turn the scene and find the person on the ray.

# %%
row = people.poses.skeleton.index("r_wrist")
pixel = filmed.detections.xy_image[0, 0, row]
ray = ray_through(opened.cameras, 0, pixel, int(people.poses.id[0]), reach_mm=5000.0)
stage = replace(stage_of(filmed, people, images=pictures), rays=(ray,))
name_figure(plotly_scene.draw_stage(plotly_scene.new_scene(), stage), "ray")

# %% [markdown]
# The other cameras see that ray as a line, the *epipolar line* of the pixel. Whatever camera 1 saw at the ring, the
# others see it on the line: to find a match one searches a line, not an image. Here the projected truth lies on it
# exactly. In cam03 it begins in the middle of the image: there stands camera 1. (The lens bends the line, here by
# less than a pixel.)

# %%
images = [picture / 255.0 for picture in pictures]
who = [people.poses.id.tolist()] * len(opened.cameras)
figure = epipolar.draw_epipolar_views(new_figure(13.0, 9.6), filmed, 0, 0, ("r_wrist",), owners=who, images=images)
save_figure(figure, Path(out) / "epipolar_pictures")

# %% [markdown]
# ## 5. With a detector that errs
#
# Detections are a few pixels beside the truth, so the right match is only *near* the line; and others may be near it by
# chance. The list says how far every detection's joint is from the line, nearest first; colours are who it truly is.
# Choose a detection.

# %%
seen = read_frame(read_capture(Path(capture)), frame).frame
owners = identities(seen, truth).tolist()
require_one_of("joint", joint, seen.detections.skeleton.joints, capture)
row = seen.detections.skeleton.index(joint)
shown = (seen.detections.valid & seen.detections.visible[..., row]).nonzero().tolist()
assert shown, f"frame {frame}: no camera sees a {joint}"
shown.sort(key=lambda place: place[0] != view)
labels = [f"{cameras.names[v]}: detection {s}" for v, s in shown]


def draw_lines(choice: int):
    return epipolar.draw_epipolar_views(new_figure(15.0, 7.0), seen, *shown[choice], (joint,), owners=owners)


# %%
save_figure(draw_lines(0), Path(out) / "epipolar")
picker(draw_lines, labels, description="follow")

# %% [markdown]
# ## 6. Which camera is wrong?
#
# Somebody knocks a camera after the calibration. Nothing in its own image tells. But people are put together from all
# views and projected back: then the knocked camera disagrees with everybody. Left: the rig as it is. Right: one camera
# tilted. A row is a person, a column a camera.

# %%
together = association_of_identities(identities(seen, truth))
wrong = replace(seen, cameras=rotate_camera(cameras, knocked, degrees, axis=0))
tables = [residuals.residuals_of(given, reconstruct_frame(given, together)) for given in (seen, wrong)]
figure = new_figure(15.0, 3.8)
for place, table in enumerate(tables, start=1):
    residuals.draw_matrix(figure.add_subplot(1, 2, place), table, cameras.names, top_px=30.0)
save_figure(figure, Path(out) / "matrix")

# %% [markdown]
# The same knock in the images: lines of the knocked camera's pixels miss their matches everywhere else. That one
# glance is why a line is drawn before anything is computed.

# %%
# A detection of somebody in the knocked camera, or in any other where it has none of this joint.
place = min(shown, key=lambda p: (owners[p[0]][p[1]] < 0, p[0] != knocked))
figure = epipolar.draw_epipolar_views(new_figure(15.0, 7.0), wrong, *place, (joint,), owners=owners)
save_figure(figure, Path(out) / "knocked")

# %%
as_is, after_knock = (residuals.view_medians_px(table).round(3).tolist() for table in tables)
figures = {"as_is_px": as_is, "knocked_px": after_knock}
(Path(out) / "metrics.json").write_text(json.dumps(figures, indent=1))
print("median error per camera (px):", figures)

# %% [markdown] tags=["exercise"]
# **Exercise 2.** `mystery` has one wrong camera: rolled by 3 degrees about its own line of sight. Which?

# %% tags=["exercise"]
mystery = replace(seen, cameras=rotate_camera(cameras, (knocked + 2) % len(cameras), 3.0, axis=2))

# %% tags=["solution"]
table = residuals.residuals_of(mystery, reconstruct_frame(mystery, together))
print("median error per camera (px):", residuals.view_medians_px(table).round(1))
guess = int(residuals.view_medians_px(table).argmax())
assert guess == (knocked + 2) % len(cameras) or len(cameras) == 2  # of two, both fit equally badly
print(f"{cameras.names[guess]}: its column is the worst")

# %% [markdown]
# ## Try next
#
# - `degrees = 0.3` in section 6: from which angle on does the matrix tell? How far is that in pixels?
# - `knocked` and `view` the same: which lines of section 5 go wrong, those of that camera, those in it, or both?
# - `axis=1` pans the camera instead: the matrix still tells, the lines hardly do. Along which direction do they run?
# - All lines of one camera's pixels meet in one point of another image, even outside it. What stands there?
# - `dispose check MY_FOLDER`: the same question for a rig of your own, before any person is put together.
# - `02_triangulation`: from two rays to a point.

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
# # Learnable triangulation: whom to believe, and how sure to be
#
# You will see: heat maps of one wrist in four images, two of which mistake it for the other one; how far every view is
# trusted; the cube of the volumetric method and what it thinks probable; how one ray leaves a joint in a long ellipsoid
# and five leave it in a small one; errors over the number of cameras; and what every method makes of a view that lies.
#
# `02_triangulation` explains the ways that learn nothing. Of those that learn, algebraic and volumetric are Iskakov's
# and others' (2019), rays are this project's own.

# %%
# %matplotlib inline
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from dispose.datasets.samples import sample_folder
from dispose.formats.predictions import read_predictions
from dispose.geometry.uncertainty import expected_error

# %%
from dispose.inference.capture import read_capture, read_frame, read_image_capture, read_image_frame, read_raw
from dispose.models.rays.estimate import estimate_joints
from dispose.models.rays.sightings import Sightings
from dispose.nn.backbones import STRIDE
from dispose.scene.labels import labels_of
from dispose.zoo.checkpoints import load_image_model, load_rays, shipped_image_weights
from dispose.zoo.triangulators import load_triangulator

# %%
from dispose_benchmarks.studies import trust as study
from dispose_viz.charts import claims, curves
from dispose_viz.charts.triangulators import label_ratios
from dispose_viz.export import name_figure
from dispose_viz.image import trust, view_panels
from dispose_viz.scene import uncertainty
from dispose_viz.scene.plotly_scene import new_scene
from dispose_viz.style import PALETTE, new_figure, save_figure
from dispose_viz.widgets import picker
from dispose_workbench.validation import require_at_least, require_one_of

# %% tags=["parameters"]
picture: int = 10  # frame of the sample studio, for sections 1 to 3
person: int = 0  # who is looked at in it
joint: str = "l_wrist"  # which joint is looked at closely
frame: int = 24  # frame of the sample crossing, for sections 4 and 6
walker: int = 0  # who is looked at in it
view: int = 1  # the camera that lies about them
shift_px: float = 120.0  # how far off it is when it lies by that
people: int = 60  # how many are drawn for section 5
methods: str = "rays,algebraic,hybrid,ransac,robust,dlt"  # ways to triangulate, by name
out: Path = Path(".")  # where pictures go

# %% [markdown]
# ## 1. Heat maps
#
# A network looks at every image by itself and says how probable it is that the joint is here, or there. The person has
# been cut out: what is beside them does not count. The keypoint (cross) is the mean of all places, weighted by the
# heat (soft-argmax), so that a training can move it. The ring is the truth.
#
# The network is small and so are the images, 320 x 240 pixels. In two of them it takes the wrong wrist.

# %%
studio, out = sample_folder("studio"), Path(out)
opened, model = read_image_capture(studio), load_image_model(shipped_image_weights())
require_one_of("picture", picture, opened.numbers, studio)
require_one_of("joint", joint, model.skeleton.joints, "the network")
images = read_image_frame(opened, picture, model.config.input_size).frame.require_images()
pixels, known = read_raw(opened, picture)[0].images, read_predictions(studio / "truth" / "predictions.jsonl").frames
truth = next(one.poses for one in known if one.number == picture)
require_one_of("person", person, truth.id.tolist(), f"picture {picture}")

# %%
with torch.no_grad():
    heat = study.cut_out(model.backbone(images.pixels).heatmaps, opened.cameras, images, truth, STRIDE)
keypoints, scores = study.keypoints_of(heat, images, STRIDE)
where, place = opened.cameras.project(truth.xyz_world[person].double())[0], model.skeleton.index(joint)
figure = view_panels.draw_images(new_figure(15.0, 5.6), opened.cameras, pixels)
for number, axes in enumerate(figure.axes):
    view_panels.draw_heat(axes, heat[person, number, place], images.input_from_image[number], STRIDE)
    trust.draw_keypoint(axes, keypoints[person, number, place], where[number, place])
    trust.show_person(axes, where[number].numpy())
save_figure(view_panels.draw_heat_scale(figure), out / "heat")

# %% [markdown]
# ## 2. Whom to believe
#
# The equations of all views together give the joint. How much each of them counts is what is learned: from the image
# itself in the published algebraic method; here, without images, from what keypoints tell (scores, whether rays meet,
# what the person's other joints do). Large and bright: trusted. A cross: not at all. A red line leads from a keypoint
# to where the joint truly is. Choose who judges.

# %%
seen = study.groups_of([study.frame_of(picture, opened.cameras, truth, keypoints, scores)]).select(persons=[person])
judges = ["rays", "algebraic", "robust"]


def draw_judge(choice: int):
    weight, found = study.weigh_by(judges[choice])(seen.groups)[0], seen.groups
    figure = new_figure(15.0, 5.6)
    rig = opened.cameras
    return trust.draw_trusted_views(figure, rig, found.xy_image[0], found.seen[0], weight, seen.truth, images=pixels)


save_figure(draw_judge(0), out / "trust")
picker(draw_judge, judges, description="judge")

# %% [markdown]
# ## 3. The cube
#
# The volumetric method decides later. It puts a cube of voxels around the person and asks of every voxel what every
# image shows there: a peak becomes a beam. Where the beams of all views cross, the joint is probable (red).
#
# Here two places are left, one for each wrist, because two images meant the wrong one. No view by itself could have
# said so. The method has a network in three dimensions that reads such cubes and learns what bodies allow. No weights
# of it come with the project (`dispose train toy_volumetric` makes some), so what you see is what comes before it:
# views as independent witnesses, the logarithms of their heat added up.

# %%
root = load_triangulator("dlt")(seen.groups).xyz_world[0, model.skeleton.index("mid_hip")]
cube = study.join_in_cube(heat[person], opened.cameras, images, root)
scene = uncertainty.draw_cube(new_scene(), root, cube.cubes.side_mm)
uncertainty.draw_truth(scene, seen.truth, joint)
for number, name in enumerate(opened.cameras.names):
    look = {"color": PALETTE[2 + number % 4], "levels": (0.6,), "opacity": 0.25}
    uncertainty.draw_cloud(scene, cube.xyz_world, cube.shown[number, place], f"beam of {name}", **look)
look = {"color": PALETTE[1], "levels": (0.05, 0.4, 0.75), "opacity": 0.4}
uncertainty.draw_cloud(scene, cube.xyz_world, cube.probability[place], "all together", **look)
name_figure(uncertainty.look_closely(scene, root, 0.54 * cube.cubes.side_mm), "cube")

# %% [markdown]
# The mean of the cloud is the joint (soft-argmax again, in 3-D). That is good where the cloud is one heap, and bad
# where it is two, as here.

# %%
errors = (cube.xyz_mean - truth.xyz_world[person]).norm(dim=-1)
print(f"{joint}: {errors[place]:.0f} mm from the truth; half of the joints are nearer than {errors.median():.0f} mm")

# %% [markdown]
# ## 4. How sure to be
#
# Now keypoints of a better detector, in the sample `crossing`, and the method that reads rays. It says of every joint
# how uncertain it is: the ellipsoid should hold the joint nine times of ten. One ray says nothing of how far away the
# joint is, and only the size of the body keeps the ellipsoid from being endless. Thick rays are trusted. Click on names
# to hide things.

# %%
crossing = sample_folder("crossing")
recorded = read_capture(crossing)
known = {one.number: one for one in read_predictions(crossing / "truth" / "predictions.jsonl").frames}
require_one_of("frame", frame, sorted(known), crossing)
moment = read_frame(recorded, frame).frame
labels, rig = labels_of(moment, known[frame]), recorded.cameras
crowd = study.groups_of([(moment, labels)])
require_one_of("walker", walker, range(len(crowd.truth.id)), f"frame {frame}, people whom two cameras see")
require_one_of("view", view, range(len(rig)), crossing)
require_one_of("joint", joint, recorded.skeleton.joints, crossing)

# %%
network, at, alone = load_rays(), recorded.skeleton.index(joint), crowd.select(persons=[walker])
everything, chosen = estimate_joints(network, Sightings.of(alone.groups)), int(alone.truth.id[0])
true_mm, trusted = alone.truth.xyz_world[0, at].double(), trust.relative_trust(everything.weight[0])[:, at]
pixel = torch.where(alone.groups.seen[0, :, at, None], alone.groups.xy_image[0, :, at], torch.nan)
scene = uncertainty.draw_truth(new_scene(), alone.truth, joint)
uncertainty.draw_trusted_rays(scene, rig, pixel, trusted, true_mm, half_mm=900.0)
for color, views in ((1, [0]), (2, [0, 2]), (0, list(range(len(rig))))):
    few = study.by_views([(moment, labels)], views)
    said = estimate_joints(network, Sightings.of(few.groups)).select(persons=few.truth.id == chosen)
    name = f"{len(views)} view{'s' * (len(views) > 1)}, sure to {float(expected_error(said.covariance[0, at])):.0f} mm"
    uncertainty.draw_claims(scene, [uncertainty.PlaceClaim(name, said.xyz_world[0, at], said.covariance[0, at], color)])
name_figure(uncertainty.look_closely(scene, true_mm, 900.0), "one_to_all")

# %% [markdown]
# ## 5. How many cameras
#
# Drawn people, alone before rigs of six cameras and found by a detector that errs like real ones, are seen by the first
# two cameras, by three, and so on. Left: errors of the joints that all methods place. Right: what they claim; above the
# dashed line a method is bolder than it should be.

# %%
names = methods.split(",")
triangulators = [load_triangulator(name) for name in names]
require_at_least("people", people, 10)
scenes, counts = study.sample_single_people(6, people, torch.Generator().manual_seed(0)), range(2, 7)
table = [[study.said_of(way, study.by_views(scenes, range(count))) for way in triangulators] for count in counts]
means, figure = np.array([study.common_means(row) for row in table]), new_figure(14.0, 5.6)
lines = [curves.Score(name, means[:, column]) for column, name in enumerate(names)]
curves.draw_scores(figure.add_subplot(1, 2, 1), counts, lines, xlabel="cameras", ylabel="mean error (mm)")
by_method = zip(names, zip(*table, strict=True), strict=True)
claims.draw_calibration(figure.add_subplot(1, 2, 2), [claims.claims_of(name, said) for name, said in by_method])
save_figure(figure, out / "cameras")

# %%
for row, count in zip(table, counts, strict=True):
    shares = [f"{name} {100 * said.share:.0f} %" for name, said in zip(names, row, strict=True)]
    print(f"joints placed, {count} cameras: {', '.join(shares)}")

# %% [markdown]
# ## 6. A view that lies
#
# Back to the person of section 4. One of their cameras is off, as if somebody had pushed it; takes left for right, as
# detectors do with people seen from behind; or shows somebody else, as an association that was mistaken. Above: whom
# rays believe then. Below: what every method says, really (dot) and by its own claim (bar). Choose the lie.

# %%
told = study.lies(shift_px)
lied = [lie.tell(crowd, walker, view) for lie in told]
heard = [[study.said_of(way, one) for way in triangulators] for one in lied]
answers = [
    (lie.name, [claims.answer_of(name, [said]) for name, said in zip(names, row, strict=True)])
    for lie, row in zip(told, heard, strict=True)
]


# %%
def draw_lie(choice: int):
    figure, groups = new_figure(15.0, 9.2), lied[choice].groups
    above, below = figure.subfigures(2, 1, height_ratios=[5, 3])
    weight = study.weigh_by("rays")(groups)[0]
    trust.draw_trusted_views(above, rig, groups.xy_image[0], groups.seen[0], weight, alone.truth)
    claims.draw_answers(below, answers)
    return figure


# %%
save_figure(draw_lie(2), out / "lie")
picker(draw_lie, [lie.name for lie in told], description="lie")

# %%
for name, row in answers:
    print(f"{name}: " + ", ".join(f"{one.name} {one.real_mm:.0f} mm (claims {one.claimed_mm:.0f})" for one in row))
measured = {f"{name} · {one.name} · mm": one.real_mm for name, row in answers for one in row}
measured |= {f"2 cameras · {name} · mm": float(mean) for name, mean in zip(names, means[0], strict=True)}
(out / "metrics.json").write_text(json.dumps(measured, indent=1))
print(f"written to {out / 'metrics.json'}")

# %% [markdown]
# The joint in space: where every method puts it, and the ellipsoid in which it says the joint is. Choose the lie at the
# upper right.

# %%
scene, firsts = uncertainty.draw_truth(new_scene(), alone.truth, joint), []
for one in lied:
    firsts.append(len(scene.data))
    found, weight = one.groups, trust.relative_trust(study.weigh_by("rays")(one.groups)[0])[:, at]
    pixel = torch.where(found.seen[0, :, at, None], found.xy_image[0, :, at], torch.nan)
    uncertainty.draw_trusted_rays(scene, rig, pixel, weight, true_mm, half_mm=500.0)
    for color, (name, way) in enumerate(zip(names, triangulators, strict=True)):
        said = uncertainty.claim_of(name, way(found), joint, color=color)
        off = f"{name}, off by {float((said.xyz_world - true_mm).norm()):.0f} mm"
        uncertainty.draw_claims(scene, [replace(said, name=off)])
uncertainty.offer_choice(scene, [lie.name for lie in told], firsts, chosen=2)
name_figure(uncertainty.look_closely(scene, true_mm, 500.0), "lies")

# %% [markdown]
# How far off may a view be before it is left out? Everybody of this moment, the keypoints of one view moved aside. A
# view that is a little off is worse than one that is far off: it is believed.

# %%
shifts = (0, 15, 30, 45, 60, 90, 120, 180, 240)
rows = [row for row in range(len(crowd.truth.id)) if int(crowd.groups.member[row, view]) >= 0]
moved = [[study.outlier(float(shift))(crowd, row, view) for row in rows] for shift in shifts]
figure, judged = new_figure(14.0, 5.2), []
for name, way in zip(names, triangulators, strict=True):
    judged.append([claims.answer_of(name, [study.said_of(way, one) for one in some]) for some in moved])
for column, (kind, label) in enumerate((("real_mm", "real error (mm)"), ("claimed_mm", "claimed error (mm)")), start=1):
    axes, values = figure.add_subplot(1, 2, column), np.array([[getattr(one, kind) for one in row] for row in judged])
    lines = [curves.Score(name, row) for name, row in zip(names, values, strict=True)]
    curves.draw_scores(axes, shifts, lines, xlabel="one view is off by (px)", ylabel=label)
    axes.set(yscale="log", ylim=(8, 1000))
    label_ratios(axes.yaxis, (8, 1000))
save_figure(figure, out / "moved")

# %% [markdown]
# ## Try next
#
# - `view = 3`, another `walker` or `frame`: is there a lie that rays believe? What do they claim then?
# - `shift_px = 30`: nobody notices. By how much do claims rise?
# - `picture = 6` and another `joint` in section 3: where is the cloud one heap?
# - `dispose predict MY_FOLDER --triangulator ransac`: any of these ways on a capture of your own, and
#   `dispose evaluate triangulators`: all of them on real people.

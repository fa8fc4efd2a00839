"""Where a point of one view may lie in the others: its ray, as every other camera sees it.

A lens bends the image of a ray, so it is drawn as a chain of points, and distances to it are distances to the bent
curve in pixels as they are in the image.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import TextArea, VPacker
from torch import Tensor

from dispose.errors import InputError
from dispose.geometry.pinhole import distort, project_points
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Frame
from dispose.tensors import ABSENT
from dispose_viz.image.canvas import add_box, columns_for, draw_canvas, zoom_to_people
from dispose_viz.image.view_panels import draw_detections, slot_names
from dispose_viz.style import color_of, panels, theme_of

SAMPLES = 1500
REACH_MM = 5000.0
"""Half of a ray's samples lie nearer than this to its camera, half beyond: out to infinity."""

WIDEST = 8.0
"""Tangent of the widest angle off a camera's axis that is looked at, 83 degrees."""

THIN = 1.3
LISTED = 5
"""Detections whose distance is written: more lines would hide the image."""

REFINEMENTS = 60
GOLDEN = (math.sqrt(5) - 1) / 2


Sight = Callable[[Float[Tensor, "*points"]], tuple[Float[Tensor, "*points 2"], Bool[Tensor, "*points"]]]
"""From shares of a ray to its image points, and which of them exist: in front of the camera, and not folded back.

A share of 0 is the camera whose ray it is, 1/2 is 5 m away from it, and 1 is infinitely far.
"""


def sight_of(cameras: Cameras, source: int, xy_image: Float[Tensor, " 2"], target: int) -> Sight:
    """The ray through a pixel of view `source` as view `target` looks at it.

    Raises `InputError` where source and target are the same view, or the pixel is not a number.
    """
    if source == target:
        raise InputError(f"camera {cameras.names[source]} sees its own ray as a point: choose another view.")
    if not bool(torch.isfinite(xy_image).all()):
        raise InputError(f"camera {cameras.names[source]}: {xy_image.tolist()} is no pixel, it has no ray.")
    rotation, lens = cameras.rotation[target], cameras.lens[target]
    direction = rotation @ cameras.select(views=[source]).directions(xy_image[None].double())[0]
    origin = rotation @ cameras.centres[source] + cameras.translation[target]
    widest = lens_reach(lens)

    def sight(share: Float[Tensor, "*points"]) -> tuple[Float[Tensor, "*points 2"], Bool[Tensor, "*points"]]:
        share = share[..., None]
        # Homogeneous: the same line of sight at any scale, so that infinity is a point like any other.
        xyz = (1 - share) * origin + share * REACH_MM * direction
        front = xyz[..., 2] > 1e-9 * REACH_MM
        ahead = torch.where(front[..., None], xyz, xyz.new_tensor([0.0, 0.0, 1.0]))
        narrow = ahead[..., :2].norm(dim=-1) < widest * ahead[..., 2]
        return project_points(ahead, cameras.matrix[target], lens), front & narrow

    return sight


def lens_reach(lens: Float[Tensor, " lens"]) -> float:
    """Tangent of the angle off the axis up to which a lens model moves points outwards as they go outwards.

    Beyond it a polynomial turns back and shows the edge of the world in the middle of the image.
    """
    tangent = torch.linspace(0, WIDEST, 4001, dtype=lens.dtype)
    image = distort(torch.stack([tangent, torch.zeros_like(tangent)], dim=-1), lens).norm(dim=-1)
    turns = (image.diff() <= 0).nonzero()
    return WIDEST if len(turns) == 0 else float(tangent[turns[0, 0]])


def epipolar_curve(
    cameras: Cameras, source: int, xy_image: Float[Tensor, " 2"], target: int
) -> Float[Tensor, "samples 2"]:
    """The ray through a pixel as another view sees it, from its camera to infinity; NaN where it is not to be seen.

    Raises `InputError` where source and target are the same view, or the pixel is not a number.
    """
    xy, there = sight_of(cameras, source, xy_image, target)(torch.linspace(0, 1, SAMPLES, dtype=torch.float64))
    inside = cameras.select(views=[target]).inside(xy[None])[0]
    # One sample beyond each edge stays, or the curve would end just before the edge of the image.
    near = inside.clone()
    near[1:] |= inside[:-1]
    near[:-1] |= inside[1:]
    return torch.where((near & there)[:, None], xy, torch.nan)


def nearest_on_curve(
    cameras: Cameras, source: int, xy_image: Float[Tensor, " 2"], target: int, points: Float[Tensor, "points 2"]
) -> Float[Tensor, "points 2"]:
    """Where the ray through a pixel comes nearest to points of another view; NaN where it is not seen at all.

    (Golden-section search on the ray.)
    """
    sight, points = sight_of(cameras, source, xy_image, target), points.double()

    def squared(share: Float[Tensor, "*points"], points: Float[Tensor, "*points 2"]) -> Float[Tensor, "*points"]:
        xy, there = sight(share)
        return torch.where(there, (points - xy).square().sum(-1), torch.inf)

    share = torch.linspace(0, 1, SAMPLES, dtype=torch.float64).expand(len(points), SAMPLES)
    coarse = squared(share, points[:, None].expand(-1, SAMPLES, -1)).min(dim=1)
    start = share[0, coarse.indices]
    low, high = (start - 1 / SAMPLES).clamp(min=0), (start + 1 / SAMPLES).clamp(max=1)
    for _ in range(REFINEMENTS):
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        first = squared(left, points) < squared(right, points)
        low, high = torch.where(first, low, left), torch.where(first, right, high)
    fine = (low + high) / 2
    xy, there = sight(torch.where(squared(fine, points) < coarse.values, fine, start))
    return torch.where(there[:, None], xy, torch.nan)


def nearest_on_curves(
    frame: Frame, view: int, slot: int, joints: Sequence[str], target: int
) -> Float[Tensor, "slots joints 2"]:
    """For the joints of every detection of a view, the nearest points of the curves of a chosen detection's joints.

    NaN where either does not have the joint.

    Raises:
        InputError: there is no such view, detection or joint.
    """
    rows, detections = _joint_rows(frame, view, slot, joints), frame.detections
    found = torch.full((detections.valid.shape[1], len(rows), 2), torch.nan, dtype=torch.float64)
    for column, row in enumerate(rows):
        has = detections.valid[target] & _shown(detections)[target, :, row]
        if bool(_shown(detections)[view, slot, row]) and bool(has.any()):
            start, others = detections.xy_image[view, slot, row], detections.xy_image[target, has, row]
            found[has, column] = nearest_on_curve(frame.cameras, view, start, target, others)
    return found


def draw_epipolar(
    axes: Axes, frame: Frame, view: int, slot: int, joints: Sequence[str], target: int, owners: Sequence[int]
) -> Axes:
    """The curves of a chosen detection's joints in another view, and how far every detection there is from them.

    A dotted line leads from each joint to its curve. The list in a free corner says the distances, nearest first, as
    means over the joints. In the chosen view itself the joints are ringed. `owners` gives every slot's person.
    """
    rows, detections, theme = _joint_rows(frame, view, slot, joints), frame.detections, theme_of(axes)
    seen = [row for row in rows if bool(_shown(detections)[view, slot, row])]
    if view == target:
        xy = detections.xy_image[view, slot, seen].numpy()
        axes.plot(*xy.T, "o", markersize=15, markerfacecolor="none", markeredgecolor=theme.ink, markeredgewidth=2.4)
        return axes
    for row in seen:
        curve = epipolar_curve(frame.cameras, view, detections.xy_image[view, slot, row], target)
        for color, width in ((theme.paper, 4.4), (theme.ink, 2.0)):
            axes.plot(*curve.T.numpy(), color=color, linewidth=width, zorder=3, scalex=False, scaley=False)
    near, own = nearest_on_curves(frame, view, slot, joints, target), detections.xy_image[target][:, rows].double()
    distance = (near - own).norm(dim=-1).nanmean(dim=1)
    names, words = slot_names(detections, target, owners), list[tuple[str, str]]()
    for other in distance.argsort().tolist():
        if math.isfinite(distance[other]):
            color = color_of(owners[other], theme)
            words.append((f"{names[other]} {float(distance[other]):.0f} px", color))
            for foot, joint in zip(near[other].numpy(), own[other].numpy(), strict=True):
                if np.isfinite(foot).all():
                    axes.plot(*joint, "o", color=color, markersize=7, zorder=4, scalex=False, scaley=False)
                    axes.plot(*np.stack([joint, foot]).T, color=color, linewidth=2.0, linestyle=(0, (1, 1)), zorder=4,
                              scalex=False, scaley=False)  # fmt: skip
    if len(words) > LISTED:
        words = [*words[:LISTED], (f"{len(words) - LISTED} farther", theme.ink)]
    words = words or [("nobody to compare", theme.ink)]
    weights = ["bold", *["normal"] * len(words)]
    lines: list[Artist] = [TextArea(text, textprops={"color": color, "fontsize": 12, "fontweight": weight})
             for (text, color), weight in zip(words, weights, strict=False)]  # fmt: skip
    return add_box(axes, VPacker(children=lines, pad=0, sep=2), detections, target, height=0.1 * len(words))


def draw_epipolar_views(
    figure: Figure,
    frame: Frame,
    view: int,
    slot: int,
    joints: Sequence[str],
    *,
    owners: Sequence[Sequence[int]] | None = None,
    images: Sequence[Float[np.ndarray, "height width 3"]] | None = None,
) -> Figure:
    """Every view of a frame with the curves of one detection's joints; `owners` gives every slot's person per view."""
    _joint_rows(frame, view, slot, joints)
    views, slots = frame.detections.valid.shape
    owners = [[ABSENT] * slots] * views if owners is None else owners
    columns = columns_for(frame.cameras)
    what = f"the {' and '.join(joints)} of {slot_names(frame.detections, view, owners[view])[slot]}"
    for target, axes in enumerate(panels(figure, views, 2 if (views, columns) == (4, 3) else columns)):
        name, image = frame.cameras.names[target], None if images is None else images[target]
        title = what if target == view else "its ray" if len(joints) < 2 else "its rays"
        draw_canvas(axes, frame.cameras.size[target], f"{name}: {title}", image=image)
        if image is None:
            zoom_to_people(axes, frame.detections, target)
        draw_detections(axes, frame.detections, target, owners[target], width=THIN)
        draw_epipolar(axes, frame, view, slot, joints, target, owners[target])
    return figure


def _shown(detections: Detections) -> Bool[Tensor, "views slots joints"]:
    """Which keypoints have a place in the image: visible, and numbers."""
    return detections.visible & torch.isfinite(detections.xy_image).all(-1)


def _joint_rows(frame: Frame, view: int, slot: int, joints: Sequence[str]) -> list[int]:
    """Array positions of joints that a chosen detection has, after a check that all of them can be meant."""
    detections, names = frame.detections, frame.cameras.names
    if not 0 <= view < len(names):
        raise InputError(f"frame {frame.number}: there is no view {view}, the rig has {len(names)}.")
    if not 0 <= slot < detections.valid.shape[1] or not bool(detections.valid[view, slot]):
        found = detections.valid[view].nonzero()[:, 0].tolist()
        raise InputError(f"frame {frame.number}, camera {names[view]}: no detection in slot {slot}, only in {found}.")
    rows = detections.skeleton.indices(tuple(joints))
    if not any(bool(_shown(detections)[view, slot, row]) for row in rows):
        what = " or ".join(joints) or "joint"
        raise InputError(f"frame {frame.number}, camera {names[view]}: the detection in slot {slot} shows no {what}.")
    return rows

"""Does a calibration fit its images? Floor, origin and the other cameras as one camera should see them."""

import numpy as np
import torch
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from torch import Tensor

from dispose.scene.cameras import Cameras
from dispose_viz.style import LIGHT, halo, person_color
from dispose_viz.words import tick_name

SAMPLES_MM = 50.0
"""Lines are drawn as chains of points this far apart: a lens bends them."""

FOLD = 1e-3
"""A point whose image leads back to a ray that differs by more is beyond the reach of the lens model."""

FLOOR = person_color(4)
OTHERS = person_color(3)


def seen_points(
    cameras: Cameras, view: int, xyz_world: Float[Tensor, "points 3"]
) -> tuple[Float[Tensor, "points 2"], Bool[Tensor, " points"]]:
    """Image points of one view, and which of them are truly there: in front, inside the image, and not folded.

    A polynomial lens folds far points back into the image; their ray is not the ray of their image point.
    """
    camera = cameras.select(views=[view])
    xy, front = camera.project(xyz_world)
    there = front & camera.inside(xy)
    rays = camera.directions(torch.where(there[..., None], xy, camera.size[:, None] / 2))
    true = torch.nn.functional.normalize(xyz_world - camera.centres, dim=-1)
    return xy[0], there[0] & ((rays[0] - true).norm(dim=-1) < FOLD)


def draw_line(axes: Axes, cameras: Cameras, view: int, ends: Float[Tensor, "2 3"], color: str, *, width: float) -> Axes:
    """A straight line of the world as one view sees it."""
    count = max(2, int(float((ends[1] - ends[0]).norm()) / SAMPLES_MM))
    share = torch.linspace(0, 1, count, dtype=torch.float64)[:, None]
    xy, there = seen_points(cameras, view, ends[0] + share * (ends[1] - ends[0]))
    pieces = torch.stack([xy[:-1], xy[1:]], 1)[there[:-1] & there[1:]]
    axes.add_collection(LineCollection(list(pieces.numpy()), colors=color, linewidths=width))
    return axes


def draw_floor(axes: Axes, cameras: Cameras, view: int, *, half_mm: float, step_mm: float) -> Axes:
    """A square grid on the floor (z = 0) about the origin, and the world's axes one step long: x, y, z in turn."""
    for at in np.arange(-half_mm, half_mm + step_mm / 2, step_mm).tolist():
        for ends in (((at, -half_mm, 0), (at, half_mm, 0)), ((-half_mm, at, 0), (half_mm, at, 0))):
            line = torch.tensor(ends, dtype=torch.float64)
            draw_line(axes, cameras, view, line, FLOOR, width=0.8)
    for axis in range(3):
        tip = torch.zeros(3, dtype=torch.float64)
        tip[axis] = step_mm
        draw_line(axes, cameras, view, torch.stack([torch.zeros_like(tip), tip]), person_color(axis), width=3.0)
        place, there = seen_points(cameras, view, 1.12 * tip[None])
        if bool(there[0]):
            axes.annotate("xyz"[axis], tuple(place[0].tolist()), color=person_color(axis), fontsize=14, ha="center",
                          va="center", fontweight="bold", path_effects=halo(LIGHT))  # fmt: skip
    return axes


def draw_cameras(axes: Axes, cameras: Cameras, view: int, others: Cameras) -> Axes:
    """The places of other cameras as one view sees them, each with its name."""
    xy, there = seen_points(cameras, view, others.centres)
    for number, name in enumerate(others.names):
        if bool(there[number]) and name != cameras.names[view]:
            place = tuple(xy[number].tolist())
            axes.plot(*place, "o", markersize=11, markerfacecolor="none", markeredgecolor=OTHERS)
            axes.annotate(tick_name(name), place, (7, 5), textcoords="offset points", color=OTHERS, fontsize=8)
    return axes

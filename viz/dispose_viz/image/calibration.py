"""What one camera does, and whether its calibration fits: the floor in its image, its pinhole, its lens."""

import numpy as np
import torch
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from torch import Tensor

from dispose.errors import InputError
from dispose.geometry.pinhole import distort
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Poses
from dispose_viz.image.canvas import draw_canvas
from dispose_viz.style import LIGHT, color_of, dress, halo, person_color, theme_of, write
from dispose_viz.words import tick_name, title_of

SAMPLES_MM = 50.0
"""Lines are drawn as chains of points this far apart: a lens bends them."""

FOLD = 1e-3
"""A point whose image leads back to a ray that differs by more is beyond the reach of the lens model."""

FLOOR = person_color(4)
OTHERS = person_color(3)

METRE = 1000.0
GRID_LINES = 9
GRID_SAMPLES = 60


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


def draw_section(axes: Axes, cameras: Cameras, view: int, poses: Poses, row: int) -> Axes:
    """A camera and one person from the side, in the camera's own coordinates: depth to the right, its y downwards.

    Rays lead from the highest and the lowest joint through the hole (the origin); where they cross the image plane,
    drawn one metre in front of the hole, stand the rows of pixels that see them. The lens is left out.

    Raises:
        InputError: the person has no two known joints in front of the camera.
    """
    camera = cameras.select(views=[view])
    xyz = camera.to_camera(poses.xyz_world[row].double())[0] / METRE
    seen = poses.valid[row] & (xyz[:, 2] > 0.1) & torch.isfinite(xyz).all(-1)
    if int(seen.sum()) < 2:
        number = int(poses.id[row])
        raise InputError(f"camera {cameras.names[view]} has no two joints of person {number} in front of it.")
    theme = theme_of(axes)
    color = color_of(int(poses.id[row]), theme)
    y, depth = xyz[:, 1].numpy(), xyz[:, 2].numpy()
    bones = [((depth[a], y[a]), (depth[b], y[b])) for a, b in poses.skeleton.bone_indices if seen[a] and seen[b]]
    axes.add_collection(LineCollection(bones, colors=color, linewidths=3, capstyle="round"))
    focal, middle, height = float(camera.matrix[0, 1, 1]), float(camera.matrix[0, 1, 2]), float(camera.size[0, 1])
    plane = [(edge - middle) / focal for edge in (-0.5, height - 0.5)]
    axes.plot([1, 1], plane, color=theme.ink, linewidth=5, solid_capstyle="butt")
    write(axes, f"image plane\n{height:.0f} rows of pixels", (1, plane[0]), (0, 10), align="center", base="bottom")
    known = np.flatnonzero(seen.numpy())
    for extreme, lift in ((known[y[known].argmin()], 8), (known[y[known].argmax()], -18)):
        joint = int(extreme)
        far, down = float(depth[joint]), float(y[joint])
        axes.plot([0, far], [0, down], color=theme.muted, linewidth=1.6, zorder=1)
        cut = down / far
        axes.plot(1, cut, "o", color=color, markersize=9, zorder=4)
        row_seen = focal * cut + middle
        words = f"row {row_seen:.0f}" + ("" if -0.5 <= row_seen <= height - 0.5 else ":\nbeside the picture")
        base = "bottom" if lift > 0 else "center"
        write(axes, words, (1, cut), (-9, lift), color, align="right", base=base)
        name = f"{poses.skeleton.joints[joint]}\nY = {down:.2f} m, Z = {far:.2f} m"
        write(axes, name, (far, down), (14, lift), color, base=base)
    axes.plot(0, 0, "s", color=theme.ink, markersize=9)
    write(axes, f"{tick_name(cameras.names[view])}\nthe hole", (0, 0), (0, 12), align="center", base="bottom")
    axes.axhline(0, color=theme.grid, linewidth=1.2, zorder=0)
    axes.set(xlabel="depth Z (m)", ylabel="Y, downwards (m)", aspect="equal")
    lowest, highest = max(y[known].max(), plane[1]), min(plane[0], y[known].min())
    axes.set(xlim=(-0.7, depth[known].max() + 1.9), ylim=(lowest + 0.4, highest - 0.6))
    axes.set_title(title_of(axes, f"{cameras.names[view]} from the side: focal length {focal:.0f} px"))
    return dress(axes)


def draw_lens(axes: Axes, cameras: Cameras, view: int) -> Axes:
    """Straight lines (pale) and the same lines through the lens (dark), in pixels; the longest shift in words."""
    camera = cameras.select(views=[view])
    width, height = camera.size[0].tolist()
    draw_canvas(axes, camera.size[0], cameras.names[view])
    theme = theme_of(axes)
    along = torch.linspace(0, 1, GRID_SAMPLES, dtype=torch.float64)
    steps = torch.linspace(0, 1, GRID_LINES, dtype=torch.float64)
    upright = torch.stack(torch.broadcast_tensors(steps[:, None] * width, along[None] * height), -1)
    level = torch.stack(torch.broadcast_tensors(along[None] * width, steps[:, None] * height), -1)
    straight = torch.cat([upright, level]) - 0.5
    bent = through_lens(camera, straight)
    for lines, color, thick in ((straight, theme.grid, 1.6), (bent, theme.ink, 1.8)):
        axes.add_collection(LineCollection(list(lines.numpy()), colors=color, linewidths=thick))
    shift = (bent - straight).norm(dim=-1)
    place = divmod(int(shift.argmax()), GRID_SAMPLES)
    (x, y), end = straight[place].tolist(), tuple(bent[place].tolist())
    axes.annotate("", end, (x, y), arrowprops={"arrowstyle": "-|>", "color": theme.alarm, "linewidth": 2.4}, zorder=5)
    axes.set_title(title_of(axes, f"{cameras.names[view]}: the lens moves pixels by up to {float(shift.max()):.0f} px"))
    return axes


def through_lens(camera: Cameras, xy_straight: Float[Tensor, "*points 2"]) -> Float[Tensor, "*points 2"]:
    """Where the first camera's lens puts the pixels of a camera without one."""
    matrix = camera.matrix[0]
    flat = torch.cat([xy_straight, torch.ones_like(xy_straight[..., :1])], dim=-1) @ torch.linalg.inv(matrix).T
    bent = distort(flat[..., :2], camera.lens[0])
    return (torch.cat([bent, torch.ones_like(bent[..., :1])], dim=-1) @ matrix.T)[..., :2]

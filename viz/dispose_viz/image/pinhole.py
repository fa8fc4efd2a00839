"""What one camera does: a section through its pinhole, and how its lens bends straight lines."""

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from torch import Tensor

from dispose.errors import InputError
from dispose.geometry.pinhole import distort
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Poses
from dispose_viz.image.canvas import draw_canvas
from dispose_viz.style import color_of, dress, theme_of, write
from dispose_viz.words import tick_name, title_of

METRE = 1000.0
GRID_LINES = 9
GRID_SAMPLES = 60


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
    bent = distort(flat[..., :2], camera.distortion[0])
    return (torch.cat([bent, torch.ones_like(bent[..., :1])], dim=-1) @ matrix.T)[..., :2]

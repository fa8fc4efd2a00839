"""One camera's image as an axes: its frame, skeletons and their names, the part of it that is shown, its free corner.

Pixel centres are at integers, so an image spans -0.5 … width - 0.5. Names stay apart where the people do not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.offsetbox import AnchoredOffsetbox, OffsetBox
from torch import Tensor

from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Poses
from dispose.skeletons.skeleton import Skeleton
from dispose_viz.scene.stage import known_joints
from dispose_viz.style import dress, halo, theme_of
from dispose_viz.words import length_of, size_of, title_of

DETECTION_WIDTH = 2.4
REPROJECTION_WIDTH = 1.2

BOX_WIDTH = 0.28
"""Of a box in a corner, as a share of the image's width."""

LEAST_PART = 0.1
"""The smallest share of an image that is zoomed to."""

LEAST, MOST, SHARE = 7.0, 12.0, 0.13
"""Smallest and largest type, points, and the share of an image's height in between."""

BOLD = 1.13
"""How much longer than in plain type a name is."""

GAP, LINE = 0.5, 1.15
"""Space beside a name and height of a line, in units of the type's size."""

RAISED = 4.0
"""Points between a head and its name."""

STEPS = 5
"""How many lines up or down, and half names aside, a name may give way."""


def draw_canvas(
    axes: Axes, size: Float[Tensor, " 2"], title: str, *, image: Float[np.ndarray, "height width 3"] | None = None
) -> Axes:
    """Prepare an axes as one camera's image: the real one (values in [0, 1]) or a blank one."""
    width, height = float(size[0]), float(size[1])
    if image is not None:
        axes.imshow(image, extent=(-0.5, width - 0.5, height - 0.5, -0.5))
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), aspect="equal", title=title_of(axes, title))
    axes.set(xlabel="x (px)", ylabel="y (px)")
    axes.locator_params(nbins=4)
    return dress(axes)


def columns_for(cameras: Cameras) -> int:
    """How many images of a rig stand side by side: three, or five where most of them are taller than wide."""
    upright = (cameras.size[:, 1] > cameras.size[:, 0]).double()
    return min(len(cameras), 5 if len(cameras) and float(upright.mean()) > 0.5 else 3)


def project_people(
    cameras: Cameras, view: int, poses: Poses
) -> tuple[Float[Tensor, "persons joints 2"], Bool[Tensor, "persons joints"]]:
    """Where a view sees the joints of people, and which of them are known and in front of the camera."""
    xy, front = cameras.select(views=[view]).project(poses.xyz_world.double())
    return xy[0], front[0] & torch.from_numpy(known_joints(poses))


def draw_skeleton(
    axes: Axes,
    xy_image: Float[Tensor, "joints 2"],
    visible: Bool[Tensor, " joints"],
    skeleton: Skeleton,
    color: str,
    *,
    width: float = DETECTION_WIDTH,
) -> Axes:
    """One 2-D skeleton as one line collection, with joints as dots.

    Bones with an unseen end are not drawn; a skeleton without a seen joint draws nothing. NaN is not seen.
    """
    xy = xy_image.detach().cpu().numpy()
    seen = visible.cpu().numpy() & np.isfinite(xy).all(-1)
    if not seen.any():
        return axes
    bones = [(xy[a], xy[b]) for a, b in skeleton.bone_indices if seen[a] and seen[b]]
    axes.add_collection(LineCollection(bones, colors=color, linewidths=width, capstyle="round"))
    axes.plot(*xy[seen].T, "o", color=color, markersize=1.6 * width, markeredgewidth=0)
    return axes


def zoom_to_people(axes: Axes, detections: Detections, view: int, *, margin: float = 0.12) -> Axes:
    """Show only the part of an image where people were found; a view without detections stays as it is."""
    return zoom_to_points(axes, _found(detections, view), margin=margin)


def zoom_to_points(axes: Axes, xy_image: Float[Tensor, "points 2"], *, margin: float = 0.12) -> Axes:
    """Show only the part of an image around some points, in the image's own proportions; all of it for no points.

    The margin is a share of that part; nothing outside the image is shown.
    """
    xy = xy_image[torch.isfinite(xy_image).all(-1)].numpy()
    if not len(xy):
        return axes
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    low, high = xy.min(0), xy.max(0)
    scale = max((high[0] - low[0]) / (right - left), (high[1] - low[1]) / (bottom - top)) * (1 + 2 * margin)
    return show_part(axes, 0.5 * (low + high), min(max(scale, LEAST_PART), 1.0))


def show_part(axes: Axes, middle: Float[np.ndarray, " 2"], share: float) -> Axes:
    """Show a share of an image's width and height about a point, and nothing outside the image."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    half = 0.5 * share * np.array([right - left, bottom - top])
    x, y = np.clip(middle, np.array([left, top]) + half, np.array([right, bottom]) - half)
    axes.set(xlim=(x - half[0], x + half[0]), ylim=(y + half[1], y - half[1]))
    return axes


def add_box(axes: Axes, content: OffsetBox, detections: Detections, view: int, *, height: float = 0.1) -> Axes:
    """A framed box of about this height (a share of the image's) in the corner where it hides fewest joints."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    xy, theme = _found(detections, view).numpy(), theme_of(axes)
    across, down = (xy[:, 0] - left) / (right - left), (xy[:, 1] - top) / (bottom - top)
    corners = {"upper right": (1, 0), "lower right": (1, 1), "upper left": (0, 0), "lower left": (0, 1)}
    hidden = {
        name: ((np.abs(across - x) < BOX_WIDTH) & (np.abs(down - y) < height + 0.05)).sum()
        for name, (x, y) in corners.items()
    }
    box = AnchoredOffsetbox(min(corners, key=lambda name: hidden[name]), child=content, pad=0.3, borderpad=0.2)
    box.patch.set(facecolor=theme.paper, edgecolor=theme.grid, alpha=0.85)
    box.set_zorder(7)
    axes.add_artist(box)
    return axes


def _found(detections: Detections, view: int) -> Float[Tensor, "points 2"]:
    """All keypoints of a view that are seen."""
    return detections.xy_image[view][detections.visible[view] & detections.valid[view, :, None]].double()


@dataclass(frozen=True)
class Name:
    """What is written above the top of somebody's head (px of the image), in the person's colour."""

    text: str
    x: float
    y: float
    color: str


def name_of(text: str, xy_image: Float[Tensor, "joints 2"], visible: Bool[Tensor, " joints"], color: str) -> list[Name]:
    """The name above the highest joint that is seen; none where nothing is. NaN is not seen."""
    seen = xy_image[visible & torch.isfinite(xy_image).all(-1)]
    if not len(seen):
        return []
    x, y = seen[seen[:, 1].argmin()].tolist()
    return [Name(text, x, y, color)]


def draw_names(axes: Axes, names: Sequence[Name]) -> Axes:
    """Write names above heads, beside them at the upper edge; one that would cover another gives way by a few lines.

    Heads outside the axes get no name. The axes must have its limits already: letters do not scale with the image.
    """
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    axes.apply_aspect()
    across, down = size_of(axes)
    size, room = min(max(SHARE * down, LEAST), MOST), np.array([across, down])
    # In points from the upper left corner, y down.
    heads = np.array([[(name.x - left) / (right - left), (name.y - top) / (bottom - top)] for name in names])
    heads = heads.reshape(-1, 2) * room
    inside = [row for row, head in enumerate(heads) if ((head >= 0) & (head <= room)).all()]
    if not inside:
        return axes
    shown, heads = [names[row] for row in inside], heads[inside]
    sizes = np.array([[BOLD * length_of(name.text, size) + GAP * size, LINE * size] for name in shown])
    at = heads - [0, RAISED]
    edge = at[:, 1] < 1.2 * sizes[:, 1]
    at[edge] = heads[edge] + np.stack([sizes[edge, 0] / 2 + RAISED, sizes[edge, 1]], -1)
    offsets = (separate(at, sizes, room) - heads) * [1, -1]
    for name, offset in zip(shown, offsets, strict=True):
        axes.annotate(name.text, (name.x, name.y), tuple(offset), textcoords="offset points", color=name.color,
                      fontsize=size, fontweight="bold", ha="center", va="bottom", zorder=6, clip_on=True,
                      path_effects=halo(theme_of(axes)), parse_math=False)  # fmt: skip
    return axes


def separate(
    at: Float[np.ndarray, "names 2"], sizes: Float[np.ndarray, "names 2"], room: Float[np.ndarray, " 2"]
) -> Float[np.ndarray, "names 2"]:
    """Where boxes that stand on points (middle of their lower edge) go so that none covers another, inside a room.

    Everything in points, from the upper left corner, y down; `sizes` and `room` are widths and heights.

    Who stands higher is placed first and stays where it is; the others go where it costs them least. Where there is no
    free place within reach, a box stays where it was.
    """
    reach = range(-STEPS, STEPS + 1)
    # A name may rather be aside than higher, and rather higher than on somebody's body.
    cost = {(across, up): abs(across) + (1.5 * up if up >= 0 else -2.5 * up) for up in reach for across in reach}
    steps = sorted(cost, key=lambda step: (cost[step], step))
    places = np.clip(at, [0, 0] + sizes * [0.5, 1], room - sizes * [0.5, 0])
    done: list[int] = []
    for one in sorted(range(len(at)), key=lambda row: (at[row, 1], row)):
        for across, up in steps:
            place = places[one] + sizes[one] * [0.5 * across, -up]
            inside = (place >= sizes[one] * [0.5, 1]).all() and (place <= room - sizes[one] * [0.5, 0]).all()
            if inside and not any(covers(place, sizes[one], places[other], sizes[other]) for other in done):
                places[one] = place
                break
        done.append(one)
    return places


def covers(
    one: Float[np.ndarray, " 2"],
    its_size: Float[np.ndarray, " 2"],
    other: Float[np.ndarray, " 2"],
    other_size: Float[np.ndarray, " 2"],
) -> bool:
    """Whether two boxes that stand on points share more than an edge."""
    aside = abs(one[0] - other[0]) < (its_size[0] + other_size[0]) / 2 - 1e-6
    return bool(aside and one[1] - its_size[1] < other[1] - 1e-6 and other[1] - other_size[1] < one[1] - 1e-6)

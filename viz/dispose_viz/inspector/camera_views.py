"""One frame under suspicion: its views, with a frame round every detection gone astray, and its people in space."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.patches import Rectangle
from mpl_toolkits.mplot3d.art3d import Line3DCollection
from mpl_toolkits.mplot3d.axes3d import Axes3D

from dispose.scene.cameras import Cameras
from dispose.scene.frame import Frame, Poses
from dispose.scene.results import Prediction
from dispose.tensors import ABSENT
from dispose_viz.image.canvas import Name, draw_canvas, draw_names, draw_skeleton, name_of, zoom_to_people
from dispose_viz.image.view_panels import draw_reprojection
from dispose_viz.inspector.competitors import IdentityMatch
from dispose_viz.scene.solids import METRE
from dispose_viz.scene.stage import Stage, known_joints
from dispose_viz.style import blend, color_of, label_of, theme_of
from dispose_viz.words import shorten

NO_VIEWS = "no views: these results come without cameras or without detections"
BESIDE, BELOW = 0.6, 0.55
"""Inches between views for the numbers at their edges."""

LARGE_ROWS = 2
"""In more rows than these the views are too small for numbers at their edges."""

NAMED = 12
"""So many cameras have room for their names in a scene."""


@dataclass(frozen=True)
class ViewGrid:
    """How views stand side by side, and the inches that they need."""

    columns: int
    rows: int
    width: float
    height: float


def grid_for(cameras: Cameras, width: float, height: float) -> ViewGrid:
    """The grid that shows the views of some cameras largest in a space of so many inches, and no larger than needed."""
    size = cameras.size.double().numpy()
    aspect, views = float(np.median(size[:, 0] / size[:, 1])), len(cameras)
    columns = columns_for(views, aspect, width, height)
    rows = -(-views // columns)
    tall = min((height - BELOW * (rows - 1)) / rows, (width - BESIDE * (columns - 1)) / columns / aspect)
    needed = columns * aspect * tall + BESIDE * (columns - 1), rows * tall + BELOW * (rows - 1)
    return ViewGrid(columns, rows, *needed)


def columns_for(views: int, aspect: float, width: float, height: float) -> int:
    """The number of columns that shows images of one aspect (width / height) largest in a space."""

    def size(columns: int) -> float:
        return min(width / columns, aspect * height / math.ceil(views / columns))

    return max(range(1, max(views, 1) + 1), key=size)


def draw_camera_views(
    figure: Figure, frame: Frame, prediction: Prediction, match: IdentityMatch, box: GridSpec
) -> Figure:
    """Every view in the cells of a grid; units stand at its left and lower edge only."""
    for view, name in enumerate(frame.cameras.names):
        axes = figure.add_subplot(box[view // box.ncols, view % box.ncols])
        draw_camera_view(axes, frame, prediction, match, view)
        if view % box.ncols:
            axes.set_ylabel("")
        if view + box.ncols < len(frame.cameras):
            axes.set_xlabel("")
        if box.nrows > LARGE_ROWS:
            axes.set(xticks=[], yticks=[], xlabel="", ylabel="")
            axes.set_title(shorten(name, 16), fontsize=9, pad=2, parse_math=False)
    return figure


def draw_camera_view(axes: Axes, frame: Frame, prediction: Prediction, match: IdentityMatch, view: int) -> Axes:
    """One view: detections under their owners, reprojections as light lines, ``P2 ≠ T1`` on what is T1's in truth."""
    theme = theme_of(axes)
    draw_canvas(axes, frame.cameras.size[view], frame.cameras.names[view])
    draw_reprojection(axes, frame, prediction, view)
    zoom_to_people(axes, frame.detections, view, margin=0.16)
    found, wrong = frame.detections, match.swapped | match.lost
    names: list[Name] = []
    for slot in np.flatnonzero(found.valid[view].numpy()).tolist():
        owner, xy, visible = int(match.owner[view, slot]), found.xy_image[view, slot], found.visible[view, slot]
        nobody = match.row[view, slot] == ABSENT
        color = blend(theme.ink, theme.paper, 0.5) if nobody else color_of(owner, theme)
        draw_skeleton(axes, xy, visible, found.skeleton, color)
        name = f"#{int(found.index[view, slot])}" if nobody else label_of(owner)
        if wrong[view, slot]:
            name, color = f"{name} ≠ T{match.identity[view, slot]}", theme.alarm
            _draw_alarm(axes, xy[visible].double().numpy())
        names += name_of(name, xy, visible, color)
    draw_names(axes, names)
    axes.set_title(shorten(frame.cameras.names[view], 28), fontsize=12, pad=4, parse_math=False)
    axes.tick_params(labelsize=11)
    return axes


def draw_sentence(axes: Axes, sentence: str) -> Axes:
    """One line instead of a drawing: what is not known."""
    theme = theme_of(axes)
    axes.set_axis_off()
    axes.text(0.5, 0.5, sentence, transform=axes.transAxes, ha="center", va="center", fontsize=13, color=theme.muted,
              wrap=True, parse_math=False)  # fmt: skip
    return axes


def _draw_alarm(axes: Axes, seen: Float[np.ndarray, "points 2"]) -> None:
    """A frame of dashes round a detection's visible joints."""
    if len(seen):
        left, right = axes.get_xlim()
        space = 0.015 * abs(right - left)
        low, high = seen.min(0) - space, seen.max(0) + space
        axes.add_patch(Rectangle((low[0], low[1]), *(high - low), fill=False, edgecolor=theme_of(axes).alarm,
                                 linewidth=2.4, linestyle=(0, (4, 2)), zorder=5, clip_on=True))  # fmt: skip


def draw_scene(axes: Axes3D, stage: Stage) -> Axes3D:
    """People in their colours and the truth as wide pale ghosts, seen from obliquely above; axes in metres.

    Cameras stand on the floor below their place, or at its edge in their direction where they are further off.
    """
    theme = theme_of(axes)
    middle, half, (floor, top) = _room(stage)
    # In the order drawn: a ghost must not hide whom it is compared with.
    axes.computed_zorder = False
    axes.set_xlim(middle[0] - half, middle[0] + half)
    axes.set_ylim(middle[1] - half, middle[1] + half)
    axes.set_zlim(floor, top)
    axes.set_box_aspect((1, 1, (top - floor) / (2 * half)))
    axes.view_init(elev=28, azim=-60)
    if stage.ghosts is not None:
        for row in range(len(stage.ghosts.id)):
            _draw_body(axes, stage.ghosts, row, blend(theme.muted, theme.paper, 0.5), 5.0)
    for row, number in enumerate(stage.people.id.tolist()):
        _draw_body(axes, stage.people, row, color_of(number, theme), 2.6)
    for number, body in zip(stage.people.id.tolist(), _bodies(stage.people), strict=True):
        if len(body):
            x, y, z = body[body[:, 2].argmax()]
            axes.text(x, y, min(z + 0.15, top), label_of(number), color=color_of(number, theme), fontsize=12,
                      fontweight="bold", ha="center", axlim_clip=True)  # fmt: skip
    if stage.cameras is not None:
        centres = stage.cameras.centres.double().numpy() / METRE
        for name, centre in zip(stage.cameras.names, centres, strict=True):
            # Of one further off the direction at the floor's edge.
            away = centre[:2] - middle
            x, y = middle + away * min(1.0, half / max(float(np.abs(away).max()), 1e-9))
            axes.plot([x], [y], [floor], "s", color=theme.ink, markersize=5)
            # Of many cameras the names would cover the people; their views name them.
            shown = name if len(centres) <= NAMED else ""
            axes.text(x, y, floor, f" {shown}", color=theme.ink, fontsize=11, parse_math=False)
    axes.set(xlabel="x (m)", ylabel="y (m)", zlabel="z (m)")
    return _dress_3d(axes)


def _room(stage: Stage) -> tuple[Float[np.ndarray, " 2"], float, tuple[float, float]]:
    """Middle of the floor, half its side, and the heights between which people are; metres.

    A joint thrown far away must not make everybody small: a person is where the median of the joints is.
    """
    sets = [stage.people, *(() if stage.ghosts is None else (stage.ghosts,))]
    bodies = [body for poses in sets for body in _bodies(poses) if len(body)]
    if not bodies:
        return np.zeros(2), 1.5, (0.0, 2.0)
    places, everything = np.array([np.median(xyz, axis=0) for xyz in bodies]), np.concatenate(bodies)
    low, high = places[:, :2].min(0), places[:, :2].max(0)
    half = float(np.clip((high - low).max() / 2 + 0.7, 1.2, 8.0))
    feet, heads = np.percentile(everything[:, 2], (3, 97))
    floor = 0.0 if 0 <= feet <= 0.8 else float(feet) - 0.1
    return (low + high) / 2, half, (floor, floor + float(np.clip(heads + 0.2 - floor, 1.8, 3.0)))


def _bodies(poses: Poses) -> list[Float[np.ndarray, "_ 3"]]:
    """The known joints of every person, metres."""
    known = known_joints(poses)
    return [xyz[row] / METRE for xyz, row in zip(poses.xyz_world.double().numpy(), known, strict=True)]


def _draw_body(axes: Axes3D, poses: Poses, row: int, color: str, width: float) -> None:
    xyz, known = poses.xyz_world[row].double().numpy() / METRE, known_joints(poses)[row]
    bones = [xyz[[a, b]] for a, b in poses.skeleton.bone_indices if known[a] and known[b]]
    if bones:
        lines = Line3DCollection(bones, colors=color, linewidths=width, capstyle="round", axlim_clip=True)
        axes.add_collection3d(lines, autolim=False)


def _dress_3d(axes: Axes3D) -> Axes3D:
    theme = theme_of(axes)
    axes.set_facecolor(theme.paper)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_pane_color(theme.paper)  # pyright: ignore[reportAttributeAccessIssue]
        axis.label.set(color=theme.ink, fontsize=11)
        axis.set_tick_params(colors=theme.ink, labelsize=11)
        axis._axinfo["grid"]["color"] = theme.grid  # pyright: ignore[reportAttributeAccessIssue]
    axes.locator_params(nbins=4)
    return axes

"""The views of one frame under suspicion: people in their colours, and a frame round every detection gone astray."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.patches import Rectangle

from dispose.scene.cameras import Cameras
from dispose.scene.frame import Frame
from dispose.scene.results import Prediction
from dispose.tensors import ABSENT
from dispose_viz.image.canvas import draw_canvas, draw_skeleton, zoom_to_people
from dispose_viz.image.person_labels import Name, draw_names, name_of
from dispose_viz.image.view_panels import draw_reprojection
from dispose_viz.inspector.identities import IdentityMatch
from dispose_viz.style import blend, color_of, label_of, theme_of
from dispose_viz.words import shorten

NO_VIEWS = "no views: these results come without cameras or without detections"
BESIDE, BELOW = 0.6, 0.55
"""Inches between views for the numbers at their edges."""

LARGE_ROWS = 2
"""In more rows than these the views are too small for numbers at their edges."""


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
            _draw_alarm(axes, xy[visible].double().numpy())
            name, color = f"{name} ≠ T{match.identity[view, slot]}", theme.alarm
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
    theme = theme_of(axes)
    if len(seen):
        left, right = axes.get_xlim()
        space = 0.015 * abs(right - left)
        low, high = seen.min(0) - space, seen.max(0) + space
        axes.add_patch(Rectangle((low[0], low[1]), *(high - low), fill=False, edgecolor=theme.alarm, linewidth=2.4,
                                 linestyle=(0, (4, 2)), zorder=5, clip_on=True))  # fmt: skip

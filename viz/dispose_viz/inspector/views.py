"""The views of one frame under suspicion: people in their colours, and a frame round every detection gone astray."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec, GridSpecFromSubplotSpec
from matplotlib.patches import Rectangle

from dispose.scene.detections import Detections
from dispose.scene.frame import Frame
from dispose.scene.prediction import Prediction
from dispose.tensors import ABSENT
from dispose_viz.image.canvas import REPROJECTION_WIDTH, draw_canvas, draw_skeleton, zoom_to_people
from dispose_viz.image.person_labels import Name, draw_names, name_of
from dispose_viz.inspector.contest import Verdict
from dispose_viz.scene.stage import known_joints
from dispose_viz.style import LIGHT, Theme, blend, color_of
from dispose_viz.words import shorter

LARGE_ROWS = 2
"""In more rows than these the pictures are too small for numbers at their edges."""


def columns_for(views: int, aspect: float, width: float, height: float) -> int:
    """The number of columns that shows pictures of one aspect (width / height) largest in a space."""

    def size(columns: int) -> float:
        return min(width / columns, aspect * height / math.ceil(views / columns))

    return max(range(1, max(views, 1) + 1), key=size)


def draw_case_views(
    figure: Figure,
    frame: Frame,
    prediction: Prediction,
    verdict: Verdict,
    box: GridSpec | GridSpecFromSubplotSpec,
    *,
    theme: Theme = LIGHT,
) -> list[Axes]:
    """Every view in the cells of a grid; units stand at its left and lower edge only."""
    drawn = []
    for view in range(len(frame.cameras)):
        axes = figure.add_subplot(box[view // box.ncols, view % box.ncols])
        draw_case_view(axes, frame, prediction, verdict, view, theme=theme)
        if view % box.ncols:
            axes.set_ylabel("")
        if view + box.ncols < len(frame.cameras):
            axes.set_xlabel("")
        if box.nrows > LARGE_ROWS:
            axes.set(xticks=[], yticks=[], xlabel="", ylabel="")
            axes.set_title(shorter(frame.cameras.names[view], 16), fontsize=9, pad=2, parse_math=False)
        drawn.append(axes)
    return drawn


def draw_case_view(
    axes: Axes, frame: Frame, prediction: Prediction, verdict: Verdict, view: int, *, theme: Theme = LIGHT
) -> Axes:
    """One view: detections under their owners, reprojections as light lines, ``P2 ≠ P1`` on what is P1's in truth."""
    draw_canvas(axes, frame.cameras.size[view], frame.cameras.names[view])
    _reprojected(axes, frame, prediction, view, theme)
    zoom_to_people(axes, frame.detections, view, margin=0.16)
    found, swapped, lost = frame.detections, verdict.swapped, verdict.lost
    names: list[Name] = []
    for slot in np.flatnonzero(found.valid[view].numpy()).tolist():
        owner = int(verdict.owner[view, slot])
        color = blend(theme.ink, theme.paper, 0.5) if owner == ABSENT else color_of(owner, theme)
        draw_skeleton(axes, found.xy_image[view, slot], found.visible[view, slot], found.skeleton, color)
        name = f"#{int(found.index[view, slot])}" if owner == ABSENT else verdict.person(owner).name
        if swapped[view, slot] or lost[view, slot]:
            truth = verdict.true_person(int(verdict.identity[view, slot]))
            _alarm(axes, found, view, slot, theme)
            name, color = f"{name} ≠ {truth.name}", theme.alarm
        names += name_of(name, found.xy_image[view, slot], found.visible[view, slot], color)
    draw_names(axes, names)
    axes.set_title(shorter(frame.cameras.names[view], 28), fontsize=12, pad=4, parse_math=False)
    axes.tick_params(labelsize=11)
    return axes


def _reprojected(axes: Axes, frame: Frame, prediction: Prediction, view: int, theme: Theme) -> None:
    """The predicted people as this view would see them, in thin light lines."""
    poses, known = prediction.poses, torch.from_numpy(known_joints(prediction.poses))
    xy, front = frame.cameras.select(views=[view]).project(torch.where(known[..., None], poses.xyz_world, 0.0).double())
    for row, number in enumerate(poses.id.tolist()):
        color = blend(color_of(number, theme), theme.paper, 0.45)
        draw_skeleton(axes, xy[0, row], front[0, row] & known[row], poses.skeleton, color, width=REPROJECTION_WIDTH)


def _extent(found: Detections, view: int, slot: int) -> tuple[np.ndarray, np.ndarray] | None:
    seen = found.visible[view, slot]
    if not bool(seen.any()):
        return None
    xy = found.xy_image[view, slot][seen].double().numpy()
    return xy.min(0), xy.max(0)


def _alarm(axes: Axes, found: Detections, view: int, slot: int, theme: Theme) -> None:
    """A frame of dashes round a detection."""
    extent = _extent(found, view, slot)
    if extent is not None:
        left, right = axes.get_xlim()
        space = 0.015 * abs(right - left)
        low, high = extent[0] - space, extent[1] + space
        axes.add_patch(Rectangle((low[0], low[1]), *(high - low), fill=False, edgecolor=theme.alarm, linewidth=2.4,
                                 linestyle=(0, (4, 2)), zorder=5, clip_on=True))  # fmt: skip


def say(axes: Axes, sentence: str, *, theme: Theme = LIGHT) -> Axes:
    """One line instead of a picture: what is not known."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, sentence, transform=axes.transAxes, ha="center", va="center", fontsize=13, color=theme.muted,
              wrap=True, parse_math=False)  # fmt: skip
    return axes


def unknown(names: Sequence[str]) -> str:
    """A sentence on what is missing."""
    return f"not known: {', '.join(names)}"

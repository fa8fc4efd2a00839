"""Names of people in an image that stay apart where the people do not."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from torch import Tensor

from dispose_viz.style import halo, theme_of
from dispose_viz.words import POINTS, length_of

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


@dataclass(frozen=True)
class Name:
    """A name above somebody.

    Attributes:
        text: what is written.
        x: the middle of the name, px of the image.
        y: the top of the head, px.
        color: the person's.
    """

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
    across, down = points_of(axes)
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


def points_of(axes: Axes) -> tuple[float, float]:
    """Width and height of an axes in points, with its aspect applied."""
    axes.apply_aspect()
    figure = axes.get_figure(root=True)
    assert figure is not None
    across, down = figure.get_size_inches() * POINTS
    place = axes.get_position()
    return float(place.width * across), float(place.height * down)


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

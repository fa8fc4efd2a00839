"""A polytope of any size in a true plane cut: what lies in the plane is exact, what lies off it is drawn paler."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.patches import Polygon
from matplotlib.text import Annotation

from dispose_kernels.sinkhorn import Marginals
from dispose_viz.polytope.geometry import Flat, flat_through, section, shadow
from dispose_viz.style import blend, dress, halo, theme_of

INTEGRAL = 1e-6
"""Masses this near to 0 or 1 make a corner an assignment."""
PALEST = 0.75
"""Share of the paper's colour in a point that lies `FAR` off the plane."""
FAR = 2.0
"""Distance from the plane (in units of one detection's mass) from which on points do not get paler."""

NAME_ROOM = 6.0
"""Pixels between a landmark's name and the frame."""


@dataclass(frozen=True, eq=False)
class Landmark:
    """A tensor with a name: the truth, a competitor, the start.

    Attributes:
        name: what is written beside it.
        mass: one number per tuple of the flat.
        color: of its dot.
    """

    name: str
    mass: Float[np.ndarray, " tuples"]
    color: str


@dataclass(frozen=True, eq=False)
class PlaneCut:
    """The plane through the middle of a polytope and two of its corners.

    Attributes:
        flat: the plane.
        outline: shadow of the whole polytope on it.
        landmarks: the two corners and the middle.
    """

    flat: Flat
    outline: Float[np.ndarray, "corners 2"]
    landmarks: tuple[Landmark, ...]


def cut_through(
    middle: Landmark, one: Landmark, other: Landmark, marginals: Marginals, shown: Int[np.ndarray, " tuples"]
) -> PlaneCut:
    """The plane through three landmarks; `shown` are the polytope's tuples that these speak of."""
    flat = plane_of_answers(middle.mass, one.mass, other.mass)
    return PlaneCut(flat, shadow(flat, marginals, shown), (one, other, middle))


def draw_section(axes: Axes, flat: Flat, *, outline: Float[np.ndarray, "corners 2"] | None = None) -> Axes:
    """The polytope cut by a plane: the filled polygon is exactly its points in that plane.

    Full corners are assignments (all masses 0 or 1), hollow ones have fractions.

    Args:
        flat: the plane (`dispose_viz.polytope.geometry.flat_through` three feasible points).
        outline: of the whole polytope's shadow on the plane (`dispose_viz.polytope.geometry.shadow`): points off the
            plane are drawn at their feet, which lie in there.
    """
    theme = theme_of(axes)
    corners = section(flat)
    if outline is not None:
        around = np.concatenate([outline, outline[:1]])
        axes.plot(*around.T, "--", color=theme.muted, linewidth=1.2, label="shadow of the whole polytope")
    fill = blend(theme.ink, theme.paper, 0.9)
    axes.add_patch(Polygon(corners, facecolor=fill, edgecolor=theme.ink, linewidth=1.6))
    integral = is_assignment(flat.point(corners))
    axes.plot(*corners[integral].T, "o", color=theme.ink, markersize=8, zorder=3)
    axes.plot(
        *corners[~integral].T, "o", markerfacecolor=theme.paper, markeredgecolor=theme.ink, markersize=7, zorder=3
    )
    axes.set(xlabel="mass (1 = one detection)", ylabel="mass (1 = one detection)", aspect="equal")
    seen = corners if outline is None else np.concatenate([corners, outline])
    low, high = seen.min(0), seen.max(0)
    wide, tall = (0.26, 0.13) * np.full(2, (high - low).max())
    axes.set(xlim=(low[0] - wide, high[0] + wide), ylim=(low[1] - tall, high[1] + tall))
    return dress(axes)


def is_assignment(mass: Float[np.ndarray, "points tuples"]) -> np.ndarray:
    """Which tensors have only zeros and ones."""
    return np.minimum(np.abs(mass), np.abs(mass - 1)).max(-1) < INTEGRAL


def plane_of_answers(
    start: Float[np.ndarray, " tuples"], one: Float[np.ndarray, " tuples"], other: Float[np.ndarray, " tuples"]
) -> Flat:
    """The plane through a start and two answers: to the right towards the answers, upwards from `other` to `one`.

    The origin is the start. Raises `ShapeError` where the three lie on one line.
    """
    spanned = flat_through(np.stack([start, (one + other) / 2, one]))
    return Flat(start, spanned.axes)


def draw_landmarks(axes: Axes, flat: Flat, landmarks: Sequence[Landmark]) -> Axes:
    """Named points as large dots, hollow where masses are not 0 or 1; names stand on the side away from the others.

    The frame is widened until every name lies inside it.
    """
    theme = theme_of(axes)
    places = [flat.place(mark.mass) for mark in landmarks]
    names = []
    for mark, place in zip(landmarks, places, strict=True):
        outward = place - np.mean(places, 0)
        outward = outward / max(float(np.linalg.norm(outward)), 1e-9)
        face, edge, width = mark.color, theme.paper, 1
        if not is_assignment(mark.mass[None])[0]:
            face, edge, width = theme.paper, mark.color, 3
        axes.plot(*place, "o", markersize=13, markerfacecolor=face, markeredgecolor=edge, markeredgewidth=width,
                  zorder=5)  # fmt: skip
        away = float(flat.distance(mark.mass))
        name = mark.name if away < 1e-6 else f"{mark.name}\n({away:.2g} off the plane)"
        words = axes.annotate(
            name, tuple(place), tuple(16 * outward), textcoords="offset points", fontsize=12, color=theme.ink,
            ha=_side(outward[0], "right", "left"), va=_side(outward[1], "top", "bottom"),
            path_effects=halo(theme), zorder=6,
        )  # fmt: skip
        names.append(words)
    _widen(axes, np.array(places).reshape(-1, 2), names)
    return axes


def draw_path(axes: Axes, flat: Flat, mass: Float[np.ndarray, "steps tuples"], *, color: str, label: str = "") -> Axes:
    """A trajectory at the feet of its states; the farther a state is from the plane, the paler its dot.

    A `label` makes it a line of the legend (`draw_key`).
    """
    theme = theme_of(axes)
    places, away = flat.place(mass), flat.distance(mass)
    shades = [blend(color, theme.paper, PALEST * min(a / FAR, 1.0)) for a in away.tolist()]
    axes.plot(*places.T, "-", color=blend(color, theme.paper, 0.35), linewidth=1.6, zorder=3.5)
    axes.scatter(*places.T, s=42, c=shades, edgecolors=color, linewidths=0.8, zorder=4)
    for here, after in pairwise(places):
        if np.linalg.norm(after - here) > 0.15:
            axes.annotate("", tuple(here + 0.6 * (after - here)), tuple(here + 0.4 * (after - here)),
                          arrowprops={"arrowstyle": "-|>", "color": color, "linewidth": 1.2}, zorder=4)  # fmt: skip
    if label:
        axes.plot([], [], "o-", color=color, label=label)
    return axes


def draw_plane_cut(
    axes: Axes,
    cut: PlaneCut,
    paths: Sequence[Float[np.ndarray, "steps tuples"]],
    colors: Sequence[str],
    labels: Sequence[str] | None = None,
) -> Axes:
    """The section of a plane with the shadow round it, paths in it, and its landmarks on top."""
    draw_section(axes, cut.flat, outline=cut.outline)
    for path, color, label in zip(paths, colors, labels or [""] * len(paths), strict=True):
        draw_path(axes, cut.flat, path, color=color, label=label)
    return draw_landmarks(axes, cut.flat, cut.landmarks)


def draw_key(axes: Axes) -> Axes:
    """What full and hollow dots mean, and the labelled paths, below the axes of a figure with constrained layout."""
    theme = theme_of(axes)
    axes.plot([], [], "o", color=theme.ink, markersize=8, label="corner: an assignment")
    axes.plot([], [], "o", markerfacecolor=theme.paper, markeredgecolor=theme.ink, markersize=7,
              label="corner: with fractions")  # fmt: skip
    handles, labels = axes.get_legend_handles_labels()
    axes.figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=11,
                       labelcolor=theme.ink)  # fmt: skip
    return axes


def _widen(axes: Axes, places: Float[np.ndarray, "names 2"], names: Sequence[Annotation]) -> None:
    """Limits in which names of a fixed size on the paper lie inside the frame of axes of equal aspect."""
    if not names:
        return
    room = np.array([axes.get_window_extent().width, axes.get_window_extent().height])
    anchors = axes.transData.transform(places)
    boxes = [name.get_window_extent() for name in names]
    least = np.array([box.min for box in boxes]) - anchors - NAME_ROOM
    most = np.array([box.max for box in boxes]) - anchors + NAME_ROOM
    # Names that are longer than this do not fit into any frame.
    least, most = np.maximum(least, -0.4 * room), np.minimum(most, 0.4 * room)
    low, high = np.array([axes.get_xlim(), axes.get_ylim()]).T
    for _ in range(30):  # wider limits make the scale smaller and the names larger in it
        unit = float(((high - low) / room).max())
        low = np.minimum(low, (places + unit * least).min(0))
        high = np.maximum(high, (places + unit * most).max(0))
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))


def _side(component: float, negative: str, positive: str) -> str:
    return "center" if abs(component) < 0.3 else positive if component > 0 else negative

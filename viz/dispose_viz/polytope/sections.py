"""Plane cuts of a polytope of assignment tensors, and its shadow: in the plane exact, off it drawn paler.

A polytope here is ``{x >= 0 : B x = b}``, B and b from its marginals. Affine combinations of feasible points keep all
marginals (``B x = b`` is linear and the weights add up to one), so on a flat through feasible points only ``x >= 0``
can be violated: the cut is an intersection of half-spaces, one per tuple.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.patches import Polygon
from matplotlib.text import Annotation
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import coo_matrix
from scipy.spatial import ConvexHull, HalfspaceIntersection

from dispose.association.decode import bin_numbers
from dispose.errors import ConvergenceError, ShapeError
from dispose.tensors import ABSENT
from dispose_kernels.sinkhorn import Marginals
from dispose_viz.style import add_legend, blend, dress, halo, theme_of

TINY = 1e-9
"""Lengths below this count as zero, in units of one detection's mass."""

INTEGRAL = 1e-6
"""Masses this near to 0 or 1 make a corner an assignment."""
PALEST = 0.75
"""Share of the paper's colour in a point that lies `FAR` off the plane."""
FAR = 2.0
"""Distance from the plane (in units of one detection's mass) from which on points do not get paler."""

NAME_ROOM = 6.0
"""Pixels between a landmark's name and the frame."""


@dataclass(frozen=True, eq=False)
class Flat:
    """A plane (or a space, or a line) in the space of all tensors: a point on it, and orthonormal directions in it."""

    origin: Float[np.ndarray, " tuples"]
    axes: Float[np.ndarray, "dims tuples"]

    def place(self, mass: Float[np.ndarray, "*batch tuples"]) -> Float[np.ndarray, "*batch dims"]:
        """Coordinates on the flat of the points' feet (their orthogonal projections)."""
        return (mass - self.origin) @ self.axes.T

    def distance(self, mass: Float[np.ndarray, "*batch tuples"]) -> Float[np.ndarray, "*batch"]:
        """How far the points are from the flat: what a drawing on it leaves out."""
        return np.asarray(np.linalg.norm(mass - self.point(self.place(mass)), axis=-1))

    def point(self, place: Float[np.ndarray, "*batch dims"]) -> Float[np.ndarray, "*batch tuples"]:
        """The tensor at coordinates on the flat."""
        return self.origin + place @ self.axes


def flat_through(points: Float[np.ndarray, "points tuples"]) -> Flat:
    """The flat through affinely independent points: its origin is their mean, its first axis runs from the first
    point to the second.

    Raises:
        ShapeError: the points lie on a smaller flat, such as three points on one line.
    """
    if len(points) < 2:
        raise ShapeError(f"a flat needs at least two points, got {len(points)}")
    directions = points[1:] - points[0]
    rank = int(np.linalg.matrix_rank(directions, tol=TINY))
    if rank < len(directions):
        raise ShapeError(f"{len(points)} points lie on a flat of {rank} dimensions, expected {len(directions)}")
    axes, along = np.linalg.qr(directions.T)
    return Flat(points.mean(0), (axes * np.sign(np.diag(along))).T)


def section(flat: Flat) -> Float[np.ndarray, "corners dims"]:
    """Corners of the polytope's cut by a plane or a space through feasible points, a plane's counter-clockwise.

    The half-spaces ``x_e >= 0`` of all tuples are intersected, seen from the middle of the largest ball inside.

    Raises:
        ShapeError: the cut is empty or not bounded, which no polytope's is.
    """
    used = np.linalg.norm(flat.axes, axis=0) > TINY
    slopes, heights = flat.axes.T[used], flat.origin[used]
    radius = np.linalg.norm(slopes, axis=1)[:, None]
    free = [(None, None)] * len(flat.axes)
    ball = linprog([0.0] * len(free) + [-1.0], np.hstack([-slopes, radius]), heights, bounds=[*free, (0, None)])
    if ball.x is None or ball.x[-1] <= TINY:
        raise ShapeError("the cut is empty or unbounded: are the points that span the flat feasible?")
    corners = HalfspaceIntersection(np.column_stack([-slopes, -heights]), ball.x[:-1]).intersections
    return _hull(np.unique(corners.round(9), axis=0))


def shadow(flat: Flat, marginals: Marginals, shown: Int[np.ndarray, " tuples"]) -> Float[np.ndarray, "corners 2"]:
    """Corners of the whole polytope's orthogonal projection onto a plane, counter-clockwise: where feet can lie.

    Every corner is the farthest one in some direction (a linear programme); starting from a few of them, each
    edge is pushed outwards until none moves: exact.
    `shown` are the polytope's tuples that the flat speaks of (the all-absent one is usually left out).
    """
    farthest = _farthest(flat, marginals, shown)
    across = np.stack([farthest(np.array([1.0, 0.1])), farthest(np.array([-1.0, -0.1]))])
    sideways = (across[1] - across[0])[::-1] * [1, -1]  # corners on both sides of that line: never all on one line
    known = np.concatenate([across, [farthest(sideways), farthest(-sideways)]])
    for _ in range(200):
        known = _hull(known)
        grown = False
        for here, after in zip(known, np.roll(known, -1, 0), strict=True):
            outward = np.array([after[1] - here[1], here[0] - after[0]])
            outward = outward / max(float(np.linalg.norm(outward)), TINY)
            corner = farthest(outward)
            if (corner - here) @ outward > 1e-6:
                known, grown = np.concatenate([known, corner[None]]), True
        if not grown:
            return known
    raise ConvergenceError(f"the polytope's shadow has more than {len(known)} corners")


def nearest_assignment(
    mass: Float[np.ndarray, " tuples"], members: Int[np.ndarray, "tuples views"]
) -> Float[np.ndarray, " tuples"]:
    """The integral assignment nearest to a tensor: every detection in exactly one tuple, masses 0 and 1.

    ``|x - y|^2 = |x|^2 + sum over e of y_e (1 - 2 x_e)`` for binary y: an exact cover of least cost (HiGHS). For two
    complete views it is the permutation matrix that linear assignment finds. With three views or more the polytope
    has fractional corners besides, which are not meant here. Without tuples there is one assignment, the empty one.

    Raises:
        ConvergenceError: no choice of tuples uses every detection exactly once.
    """
    if not len(mass):
        return np.zeros(0)  # SciPy's solver refuses a programme without variables
    number = bin_numbers(torch.from_numpy(members)).numpy()
    tuple_, view = np.nonzero(members != ABSENT)
    _, row = np.unique(number[tuple_, view], return_inverse=True)
    cover = coo_matrix((np.ones(len(row)), (row, tuple_)), shape=(int(row.max(initial=-1)) + 1, len(mass))).tocsr()
    found = milp(
        1 - 2 * mass,
        constraints=LinearConstraint(cover, 1.0, 1.0),  # pyright: ignore[reportArgumentType]
        integrality=np.ones(len(mass)),
        bounds=Bounds(0, 1),
    )
    if found.x is None:
        raise ConvergenceError(f"no choice among {len(mass)} tuples uses every detection exactly once: {found.message}")
    return np.round(found.x)


def distance_to_assignment(
    mass: Float[np.ndarray, "steps tuples"], members: Int[np.ndarray, "tuples views"]
) -> Float[np.ndarray, " steps"]:
    """Euclidean distance of every state from the integral assignment nearest to it; 0 = decided."""
    return np.array([float(np.linalg.norm(state - nearest_assignment(state, members))) for state in mass])


def _hull(points: Float[np.ndarray, "points dims"]) -> Float[np.ndarray, "corners dims"]:
    return points[ConvexHull(points).vertices]


def _farthest(
    flat: Flat, marginals: Marginals, shown: Int[np.ndarray, " tuples"]
) -> Callable[[Float[np.ndarray, " 2"]], Float[np.ndarray, " 2"]]:
    """The foot of the feasible tensor that lies farthest in a direction of the plane."""
    tuples, views = marginals.bins.shape
    rows, columns = marginals.bins.T.reshape(-1).numpy(), np.tile(np.arange(tuples), views)
    incidence = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(marginals.target), tuples)).tocsr()
    target = marginals.target.double().numpy()

    def farthest(direction: np.ndarray) -> np.ndarray:
        cost = np.zeros(tuples)
        cost[shown] = -(direction @ flat.axes)
        found = linprog(cost, A_eq=incidence, b_eq=target, bounds=(0, None), method="highs-ds")
        if found.x is None:
            raise ConvergenceError(f"the polytope's shadow over {tuples} tuples: {found.message}")
        return flat.place(found.x[shown])

    return farthest


@dataclass(frozen=True, eq=False)
class Landmark:
    """A tensor (mass of every tuple of the flat) with a name and a colour: the truth, a competitor, the start."""

    name: str
    mass: Float[np.ndarray, " tuples"]
    color: str


@dataclass(frozen=True, eq=False)
class PlaneCut:
    """The plane through the middle of a polytope and two of its corners, which are the landmarks.

    The outline is the shadow of the whole polytope on it.
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

    Full corners are assignments (all masses 0 or 1), hollow ones have fractions. The plane is `flat_through` three
    feasible points. Points off it are drawn at their feet, which lie in the outline, the polytope's `shadow` on it.
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
    return add_legend(axes, location="below", columns=3)


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

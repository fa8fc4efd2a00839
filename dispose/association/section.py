"""Plane cuts of a polytope of assignment tensors, and its shadow on the plane: what a picture can show exactly.

A polytope here is ``{x >= 0 : B x = b}``, B and b from its marginals. Affine combinations of feasible points keep all
marginals (``B x = b`` is linear and the weights add up to one), so on a flat through feasible points only ``x >= 0``
can be violated: the cut is an intersection of half-planes, one per tuple.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import coo_matrix
from scipy.spatial import ConvexHull, HalfspaceIntersection

from dispose.association.decode import bin_numbers
from dispose.errors import ConvergenceError, ShapeError
from dispose.tensors import ABSENT
from dispose_kernels.sinkhorn import Marginals

TINY = 1e-9
"""Lengths below this count as zero, in units of one detection's mass."""


@dataclass(frozen=True, eq=False)
class Flat:
    """A plane (or a space, or a line) in the space of all tensors.

    Attributes:
        origin: a point on it, one number per tuple.
        axes: orthonormal directions in it.
    """

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
    axes: list[np.ndarray] = []
    for point in points[1:]:
        rest = point - points[0]
        length = float(np.linalg.norm(rest))
        for _ in range(2):  # twice is enough for orthogonality to rounding
            for axis in axes:
                rest = rest - (rest @ axis) * axis
        if np.linalg.norm(rest) <= TINY * max(length, 1.0):
            raise ShapeError(
                f"{len(points)} points lie on a flat of {len(axes)} dimensions, expected {len(points) - 1}"
            )
        axes.append(rest / np.linalg.norm(rest))
    return Flat(points.mean(0), np.stack(axes))


def section(flat: Flat) -> Float[np.ndarray, "corners 2"]:
    """Corners of the polytope's cut by a plane through feasible points, counter-clockwise.

    A large square is clipped by the half-plane ``x_e >= 0`` of every tuple.

    Raises:
        ShapeError: the flat is no plane, or the cut is not bounded, which no polytope's is.
    """
    if len(flat.axes) != 2:
        raise ShapeError(f"a section is cut by a plane, this flat has {len(flat.axes)} dimensions")
    far = 1e3 * (1.0 + float(np.abs(flat.origin).sum()))
    corners = far * np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    for height, slope in zip(flat.origin, flat.axes.T, strict=True):
        if np.abs(slope).max() > TINY:
            corners = _clip(corners, height + corners @ slope)
    if not len(corners) or float(np.abs(corners).max()) > 0.5 * far:
        raise ShapeError("the cut is empty or unbounded: are the points that span the plane feasible?")
    return _distinct(corners)


def solid_section(flat: Flat) -> Float[np.ndarray, "corners 3"]:
    """Corners of the polytope's cut by a space through feasible points, in no order (their hull is the cut).

    Raises:
        ShapeError: the flat is no space, or its origin lies on the cut's boundary.
    """
    if len(flat.axes) != 3:
        raise ShapeError(f"a solid section is cut by a space, this flat has {len(flat.axes)} dimensions")
    used = np.abs(flat.axes).max(0) > TINY
    if not used.any() or float(flat.origin[used].min()) <= TINY:
        raise ShapeError("the mean of the points that span the space must lie inside the cut")
    halves = np.concatenate([-flat.axes.T, -flat.origin[:, None]], 1)[used]
    corners = HalfspaceIntersection(halves, np.zeros(3)).intersections
    kept: list[np.ndarray] = []
    for corner in corners:
        if all(np.linalg.norm(corner - other) > 1e-7 for other in kept):
            kept.append(corner)
    return np.stack(kept)


def shadow(flat: Flat, marginals: Marginals, shown: Int[np.ndarray, " tuples"]) -> Float[np.ndarray, "corners 2"]:
    """Corners of the whole polytope's orthogonal projection onto a plane, counter-clockwise: where feet can lie.

    Every corner is the farthest one in some direction (a linear programme); starting from a few of them, each
    edge is pushed outwards until none moves: exact.

    Args:
        marginals: the polytope.
        shown: which of its tuples the flat speaks of (the all-absent one is usually left out).
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


def _clip(corners: np.ndarray, height: np.ndarray) -> np.ndarray:
    """The part of a convex polygon where an affine function, given at its corners, is not negative."""
    kept = []
    for a, b, ha, hb in zip(corners, np.roll(corners, -1, 0), height, np.roll(height, -1), strict=True):
        if ha >= 0:
            kept.append(a)
        if (ha > 0 > hb) or (ha < 0 < hb):
            kept.append(a + (b - a) * (ha / (ha - hb)))
    return np.stack(kept) if kept else np.zeros((0, 2))


def _distinct(corners: np.ndarray) -> np.ndarray:
    """A polygon without repeated corners and without corners inside an edge."""
    apart = np.linalg.norm(corners - np.roll(corners, 1, 0), axis=1) > 1e-8
    corners = corners[apart]
    before, after = corners - np.roll(corners, 1, 0), np.roll(corners, -1, 0) - corners
    turn = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    scale = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    return corners[np.abs(turn) > 1e-8 * scale]


def _hull(points: np.ndarray) -> np.ndarray:
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

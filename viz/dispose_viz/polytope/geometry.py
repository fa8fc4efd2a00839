"""Plane cuts of a polytope of assignment tensors, and its shadow on the plane: what a drawing can show exactly.

A polytope here is ``{x >= 0 : B x = b}``, B and b from its marginals. Affine combinations of feasible points keep all
marginals (``B x = b`` is linear and the weights add up to one), so on a flat through feasible points only ``x >= 0``
can be violated: the cut is an intersection of half-spaces, one per tuple.
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

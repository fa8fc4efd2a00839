"""Birkhoff's polytope, the doubly stochastic matrices: two views that see everybody (`complete.everybody_once`).

Its corners are the permutation matrices, and that of three people can be drawn without loss.
"""

import numpy as np
from jaxtyping import Float

from dispose_viz.polytope.geometry import Flat, flat_through

EVEN = ((0, 1, 2), (1, 2, 0), (2, 0, 1))
"""The permutations of three that take an even number of exchanges: staying, and the two rotations."""
ODD = ((1, 0, 2), (2, 1, 0), (0, 2, 1))
"""The three exchanges of two."""


def permutation_matrix(permutation: tuple[int, ...]) -> Float[np.ndarray, "people people"]:
    """Row i has its one in column ``permutation[i]``."""
    return np.eye(len(permutation))[list(permutation)]


def permutation_name(permutation: tuple[int, ...]) -> str:
    """Cycles of people counted from 1, those who stay left out: ``(1 2 3)``, ``(1 2)(3 4)``, ``identity``."""
    cycles, left = [], set(range(len(permutation)))
    while left:
        start = min(left)
        cycle = [start]
        while permutation[cycle[-1]] != start:
            cycle.append(permutation[cycle[-1]])
        left -= set(cycle)
        if len(cycle) > 1:
            cycles.append("(" + " ".join(str(i + 1) for i in cycle) + ")")
    return "".join(cycles) or "identity"


def permutation_word(permutation: tuple[int, ...]) -> str:
    """Whom 1, 2, 3 … are matched with: ``213``."""
    return "".join(str(i + 1) for i in permutation)


def even_and_odd_planes() -> tuple[Flat, Flat]:
    """The planes of the three even and of the three odd permutations of three people.

    Both contain the centre (all thirds) as their origin and are orthogonal: ``<P, Q>`` is 1 for an even P and an odd
    Q. Doubly stochastic 3 x 3 matrices have four degrees of freedom, so their feet on both planes say everything.
    """
    even, odd = (np.stack([permutation_matrix(p).ravel() for p in group]) for group in (EVEN, ODD))
    return flat_through(even), flat_through(odd)


def reach(places: Float[np.ndarray, "*batch 2"], corners: Float[np.ndarray, "3 2"]) -> Float[np.ndarray, "*batch"]:
    """How far out a place lies in a triangle about the origin: 0 in the middle, 1 on its boundary.

    The polytope of 3 x 3 is the direct sum of its two triangles: two places belong to a doubly stochastic matrix
    exactly where ``reach(even) + reach(odd) <= 1``.
    """
    edge = np.roll(corners, -1, 0) - corners
    normal = np.stack([edge[:, 1], -edge[:, 0]], 1)
    offset = (normal * corners).sum(1)
    return np.asarray(((places @ normal.T) / offset).max(-1))


def symmetric_space() -> Flat:
    """The space of the symmetric matrices among the doubly stochastic 3 x 3 ones.

    The foot of a matrix X on it is ``(X + X')/2``, which is doubly stochastic too: the shadow is the section. The
    third axis points to the identity; the exchanges lie level below it.
    """
    symmetric = [*ODD, (0, 1, 2)]
    return flat_through(np.stack([permutation_matrix(p).ravel() for p in symmetric]))

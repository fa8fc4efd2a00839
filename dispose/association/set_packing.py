"""Disjoint sets of greatest total worth, exactly: most frames need no solver."""

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from dispose.errors import ConvergenceError

SLACK = 1e-9
"""Share of the total worth by which a certificate may be off: rounding."""


def pack_sets(worth: Float[np.ndarray, " sets"], member: Bool[np.ndarray, "sets items"]) -> Bool[np.ndarray, " sets"]:
    """Which sets to take: max ``w'y``, every item in at most one, y binary; worths are positive.

    Prices of the items that pay for every set bound the total from above (`pay_for_sets`). Where sets taken greedily,
    the exactly paid ones first, reach the bound they are the optimum; what is left of the frame, sets that share no
    item with the others, not even through more of them, is for HiGHS.

    Raises:
        ConvergenceError: the solver gives up.
    """
    chosen = np.zeros(len(worth), dtype=bool)
    if not len(worth):
        return chosen
    price = pay_for_sets(worth, member)
    free = np.ones(len(price), dtype=bool)
    for row in np.lexsort((-worth, (member @ price - worth).round(9))).tolist():
        if free[member[row]].all():
            chosen[row], free[member[row]] = True, False
    slack = SLACK * worth.sum()
    if price.sum() - worth[chosen].sum() <= slack:
        return chosen
    together = member.astype(np.float64)
    count, label = connected_components(csr_array(together @ together.T), directed=False)
    missing = np.array(
        [price[member[label == k].any(0)].sum() - worth[chosen & (label == k)].sum() for k in range(count)]
    )
    for component in np.flatnonzero(missing > slack):
        rows = np.flatnonzero(label == component)
        chosen[rows] = _solve(worth[rows], member[rows])
    return chosen


def pay_for_sets(
    worth: Float[np.ndarray, " sets"], member: Bool[np.ndarray, "sets items"]
) -> Float[np.ndarray, " items"]:
    """Prices of items, at least 0, that sum to its worth or more on every set: low ones, not the lowest.

    First the best worth per member of a set that holds the item; then every item, the cheapest first, gets as cheap as
    the others let it.
    """
    price = np.where(member, (worth / member.sum(1))[:, None], 0.0).max(0)
    excess = member @ price - worth
    for item in np.argsort(price, kind="stable").tolist():
        holding = member[:, item]
        less = min(price[item], excess[holding].min(initial=price[item]))
        price[item] -= less
        excess[holding] -= less
    return price


def _solve(worth: Float[np.ndarray, " sets"], member: Bool[np.ndarray, "sets items"]) -> Bool[np.ndarray, " sets"]:
    """One component by HiGHS."""
    used = member[:, member.any(0)]
    result = milp(
        -worth,
        constraints=LinearConstraint(csr_array(used.T.astype(np.float64)), ub=1.0),
        integrality=np.ones(len(worth)),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": 0.0},
    )
    if result.x is None:
        raise ConvergenceError(f"set packing over {len(worth)} tuples: {result.message}")
    return result.x > 0.5

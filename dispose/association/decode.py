"""From mass on candidate tuples to disjoint groups of detections.

What a tuple is worth and how disjoint tuples are picked are two choices: `mass_worth` or `pair_worth`, then
`greedy` (as released) or `set_packing` (exact, HiGHS).
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_matrix
from torch import Tensor

from dispose.errors import ConvergenceError
from dispose.tensors import ABSENT

Rounding = Callable[[Float[Tensor, " tuples"], Int[Tensor, "tuples views"]], Bool[Tensor, " tuples"]]


def bin_numbers(members: Int[Tensor, "tuples views"]) -> Int[Tensor, "tuples views"]:
    """One number per (view, slot), `ABSENT` stays."""
    slots = int(members.max()) + 1 if members.numel() else 1
    return torch.where(members == ABSENT, ABSENT, members + slots * torch.arange(members.shape[1]))


def pair_posterior(
    mass: Float[Tensor, " tuples"], members: Int[Tensor, "tuples views"]
) -> Float[Tensor, "detections detections"]:
    """Mass of all tuples that hold both detections: the probability that they are one person.

    Detections are numbered by `bin_numbers`; the diagonal is each detection's total mass.
    """
    number = bin_numbers(members)
    count = int(number.max()) + 1 if members.numel() else 0
    together = torch.zeros(count * count, dtype=torch.float64)
    views = members.shape[1]
    for a in range(views):
        for b in range(views):
            both = (number[:, a] != ABSENT) & (number[:, b] != ABSENT)
            together.index_add_(0, number[both, a] * count + number[both, b], mass[both].double())
    return together.view(count, count)


def mass_worth(
    mass: Float[Tensor, " tuples"], members: Int[Tensor, "tuples views"], *, threshold: float = 0.05
) -> Float[Tensor, " tuples"]:
    """A tuple is worth its mass above a threshold, for tuples of at least two members."""
    several = (members != ABSENT).sum(1) >= 2
    return torch.where(several, mass.double() - threshold, -1.0)


def pair_worth(
    mass: Float[Tensor, " tuples"], members: Int[Tensor, "tuples views"], *, threshold: float = 0.5
) -> Float[Tensor, " tuples"]:
    """A tuple is worth the sum over its pairs of (probability of being one person - threshold).

    With 0.5 the best disjoint tuples are the grouping with the fewest expected pair errors under the posterior:
    mass split between a person's complete tuple and its parts counts for both.
    """
    together = pair_posterior(mass, members)
    number = bin_numbers(members)
    worth = torch.zeros(members.shape[0], dtype=torch.float64)
    for a in range(members.shape[1]):
        for b in range(a):
            both = (number[:, a] != ABSENT) & (number[:, b] != ABSENT)
            worth[both] += together[number[both, a], number[both, b]] - threshold
    return torch.where((members != ABSENT).sum(1) >= 2, worth, -1.0)


def greedy(worth: Float[Tensor, " tuples"], members: Int[Tensor, "tuples views"]) -> Bool[Tensor, " tuples"]:
    """Take tuples of positive worth in falling order whose detections are all free (the released rounding)."""
    number = bin_numbers(members).tolist()
    chosen = torch.zeros(len(worth), dtype=torch.bool)
    used: set[int] = set()
    for row in torch.argsort(worth, descending=True, stable=True).tolist():
        if worth[row] <= 0:
            break
        mine = {n for n in number[row] if n != ABSENT}
        if not mine & used:
            used |= mine
            chosen[row] = True
    return chosen


def set_packing(worth: Float[Tensor, " tuples"], members: Int[Tensor, "tuples views"]) -> Bool[Tensor, " tuples"]:
    """The disjoint tuples of largest total worth, exactly: max w'y, every detection in at most one, y binary."""
    rows = (worth > 0).nonzero()[:, 0]
    chosen = torch.zeros(len(worth), dtype=torch.bool)
    if not len(rows):
        return chosen
    number = bin_numbers(members)[rows].numpy()
    column, view = np.nonzero(number != ABSENT)
    row = number[column, view]
    cover = coo_matrix((np.ones(len(row)), (row, column)), shape=(int(row.max()) + 1, len(rows))).tocsr()
    result = milp(
        -worth[rows].double().numpy(),
        constraints=LinearConstraint(cover, ub=1.0),  # pyright: ignore[reportArgumentType]
        integrality=np.ones(len(rows)),
        bounds=Bounds(0, 1),
    )
    if result.x is None:
        raise ConvergenceError(f"set packing over {len(rows)} tuples: {result.message}")
    chosen[rows[torch.from_numpy(result.x > 0.5)]] = True
    return chosen


def group_confidence(
    mass: Float[Tensor, " tuples"], members: Int[Tensor, "tuples views"], chosen: Bool[Tensor, " tuples"]
) -> Float[Tensor, " groups"]:
    """Mean over a group's pairs of the probability that they are one person."""
    together = pair_posterior(mass, members)
    number = bin_numbers(members)[chosen]
    confidence = []
    for row in number:
        mine = row[row != ABSENT]
        block = together[mine][:, mine]
        off = ~torch.eye(len(mine), dtype=torch.bool)
        confidence.append(block[off].mean() if len(mine) > 1 else block.new_zeros(()))
    return torch.stack(confidence).clamp(0, 1) if confidence else torch.zeros(0, dtype=torch.float64)

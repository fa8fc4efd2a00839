"""From mass on candidate tuples to disjoint groups of detections.

What a tuple is worth and how disjoint tuples are picked are two choices: `mass_worth` or `pair_worth`, then
`greedy` (as released) or `set_packing` (exact, HiGHS).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from dispose.errors import ConvergenceError
from dispose.scene.results import Association
from dispose.tensors import ABSENT

Rounding = Callable[[Float[Tensor, " tuples"], Int[Tensor, "tuples views"]], Bool[Tensor, " tuples"]]


def bin_numbers(members: Int[Tensor, "tuples views"]) -> Int[Tensor, "tuples views"]:
    """One number per (view, slot), `ABSENT` stays."""
    slots = int(members.max()) + 1 if members.numel() else 1
    return torch.where(
        members == ABSENT, ABSENT, members + slots * torch.arange(members.shape[1], device=members.device)
    )


def pair_posterior(
    mass: Float[Tensor, " tuples"], members: Int[Tensor, "tuples views"]
) -> Float[Tensor, "detections detections"]:
    """Mass of all tuples that hold both detections: the probability that they are one person.

    Detections are numbered by `bin_numbers`; the diagonal is each detection's total mass.
    """
    number = bin_numbers(members)
    count = int(number.max()) + 1 if members.numel() else 0
    both, key = _pairs(number, count)
    weight = mass.double()[:, None, None].expand(both.shape)[both]
    return weight.new_zeros(count * count).index_add(0, key[both], weight).view(count, count)


def _pairs(
    number: Int[Tensor, "tuples views"], count: int
) -> tuple[Bool[Tensor, "tuples views views"], Int[Tensor, "tuples views views"]]:
    """Where two views are both there, and the pair's place in the flattened table of detections."""
    there = number != ABSENT
    return there[:, :, None] & there[:, None], number[:, :, None] * count + number[:, None]


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
    both, key = _pairs(bin_numbers(members), len(together))
    gain = torch.where(both, together.flatten()[key.clamp(min=0)] - threshold, 0.0).tril(-1)
    return torch.where((members != ABSENT).sum(1) >= 2, gain.sum((1, 2)), -1.0)


def greedy(worth: Float[Tensor, " tuples"], members: Int[Tensor, "tuples views"]) -> Bool[Tensor, " tuples"]:
    """Take tuples of positive worth in falling order whose detections are all free (the released rounding)."""
    number = bin_numbers(members).tolist()
    chosen = torch.zeros_like(worth, dtype=torch.bool)
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
    """The disjoint tuples of largest total worth, exactly (`pack_sets`)."""
    rows = (worth > 0).nonzero()[:, 0]
    number = bin_numbers(members)[rows].cpu().numpy()
    member = (number[:, :, None] == np.arange(number.max(initial=-1) + 1)).any(1)
    taken = pack_sets(worth[rows].double().cpu().numpy(), member)
    chosen = torch.zeros_like(worth, dtype=torch.bool)
    chosen[rows[torch.from_numpy(taken).to(rows.device)]] = True
    return chosen


def group_confidence(
    mass: Float[Tensor, " tuples"], members: Int[Tensor, "tuples views"], chosen: Bool[Tensor, " tuples"]
) -> Float[Tensor, " groups"]:
    """Mean over a group's pairs of the probability that they are one person; 0 for a group of one."""
    together = pair_posterior(mass, members)
    both, key = _pairs(bin_numbers(members)[chosen], len(together))
    pairs = both.tril(-1)
    total = torch.where(pairs, together.flatten()[key.clamp(min=0)], 0.0).sum((1, 2))
    return (total / pairs.sum((1, 2)).clamp(min=1)).clamp(0, 1)


SLACK = 1e-9
"""Share of the total worth by which a certificate may be off: rounding."""


LEAST_BASELINE_MM = 50.0
"""Cameras nearer to each other than this see everybody from one place: what stands behind what they cannot tell."""

UNTRIED = 0.5
"""Most that a group can claim whose members were all seen from one place: their rays agree wherever the body is."""


def limit_untried(association: Association, centres: Float[Tensor, "views 3"]) -> Association:
    """The association with at most `UNTRIED` for groups seen from one place, whose agreement tries nothing."""
    there = association.members != ABSENT
    pairs = there[:, :, None] & there[:, None]
    baseline = torch.where(pairs, torch.cdist(centres.double(), centres.double()), 0.0).amax((1, 2))
    confidence = association.confidence
    return replace(
        association, confidence=torch.where(baseline < LEAST_BASELINE_MM, confidence.clamp(max=UNTRIED), confidence)
    )


@dataclass(frozen=True, eq=False)
class Packing:
    """Which sets are taken, and what no disjoint sets can be worth more than: their worth where that is the optimum."""

    chosen: Bool[np.ndarray, " sets"]
    bound: float


def pack_sets(worth: Float[np.ndarray, " sets"], member: Bool[np.ndarray, "sets items"]) -> Bool[np.ndarray, " sets"]:
    """Which sets to take: max ``w'y``, every item in at most one, y binary; worths are positive.

    Raises:
        ConvergenceError: the solver gives up.
    """
    return pack_sets_within(worth, member, None).chosen


def pack_sets_within(
    worth: Float[np.ndarray, " sets"], member: Bool[np.ndarray, "sets items"], nodes: int | None
) -> Packing:
    """`pack_sets` with at most so many nodes of branch and bound for a part of the problem; then the best so far.

    Nodes, not seconds: the answer must not depend on what else the machine does.

    Prices of the items that pay for every set bound the total from above (`pay_for_sets`). Where sets taken greedily,
    the exactly paid ones first, reach the bound they are the optimum; what is left of the frame, sets that share no
    item with the others, not even through more of them, is for HiGHS.
    """
    chosen = np.zeros(len(worth), dtype=bool)
    if not len(worth):
        return Packing(chosen, 0.0)
    price = pay_for_sets(worth, member)
    free = np.ones(len(price), dtype=bool)
    for row in np.lexsort((-worth, (member @ price - worth).round(9))).tolist():
        if free[member[row]].all():
            chosen[row], free[member[row]] = True, False
    slack, bound = SLACK * worth.sum(), 0.0
    if price.sum() - worth[chosen].sum() <= slack:
        return Packing(chosen, float(worth[chosen].sum()))
    together = member.astype(np.float64)
    count, of_item = connected_components(csr_array(together.T @ together), directed=False)
    label = of_item[member.argmax(1)]
    for component in range(count):
        rows = np.flatnonzero(label == component)
        found, most = worth[rows][chosen[rows]].sum(), price[of_item == component].sum()
        if most - found > slack:
            taken, most = _solve(worth[rows], member[rows], nodes)
            if worth[rows][taken].sum() > found:
                chosen[rows], found = taken, worth[rows][taken].sum()
        bound += max(most, found)
    return Packing(chosen, float(bound))


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


def _solve(
    worth: Float[np.ndarray, " sets"], member: Bool[np.ndarray, "sets items"], nodes: int | None
) -> tuple[Bool[np.ndarray, " sets"], float]:
    """One component by HiGHS: the sets taken, and what no others can be worth more than."""
    used = member[:, member.any(0)]
    limit = {} if nodes is None else {"node_limit": nodes}
    result = milp(
        -worth,
        constraints=LinearConstraint(csr_array(used.T.astype(np.float64)), ub=1.0),
        integrality=np.ones(len(worth)),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": 0.0, **limit},
    )
    if result.x is None and nodes is None:
        raise ConvergenceError(f"set packing over {len(worth)} tuples: {result.message}")
    taken = np.zeros(len(worth), dtype=bool) if result.x is None else result.x > 0.5
    if result.status == 0:
        return taken, float(worth[taken].sum())
    known = result.mip_dual_bound
    return taken, min(float(pay_for_sets(worth, member).sum()), np.inf if known is None else -float(known))

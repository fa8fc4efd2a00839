"""From mass on candidate tuples to disjoint groups of detections.

What a tuple is worth and how disjoint tuples are picked are two choices: `mass_worth` or `pair_worth`, then
`greedy` (as released) or `set_packing` (exact, HiGHS).
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.association.set_packing import pack_sets
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

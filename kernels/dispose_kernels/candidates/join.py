"""Candidate tuples by level-wise join: one view at a time, partial tuples that cannot be completed pruned."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose_kernels.candidates.evidence import ABSENT, Candidates, Evidence
from dispose_kernels.candidates.misfit import beliefs, misfit

CHUNK = 1 << 18
"""Extensions times joints evaluated at once (20 MiB of beliefs)."""


@dataclass(frozen=True, eq=False)
class _Partials:
    """Tuples decided in some views. `open`: the slots of every view that all members are allowed with."""

    members: Int[Tensor, "tuples views"]
    cost: Float[Tensor, " tuples"]
    belief: Float[Tensor, "tuples joints 10"]
    open: Bool[Tensor, "tuples views slots"]

    def __getitem__(self, rows: Tensor) -> "_Partials":
        return _Partials(self.members[rows], self.cost[rows], self.belief[rows], self.open[rows])


def join(
    evidence: Evidence,
    allowed: Bool[Tensor, "views slots views slots"],
    *,
    cap: float,
    limit: float,
    budget: int | None = None,
    gain: float | None = None,
) -> Candidates:
    """The tuples with pairwise allowed members and cost at most ``limit (members - 1)``, without trying all.

    The cost of a tuple is the sum over joints of the fused misfit, capped at `cap`; it never falls when a member is
    added. So a partial tuple is dropped once its cost exceeds ``limit (m - 1)``, m the most members it can still get:
    the result is the whole set that `reference.enumerate_product` finds. Singletons are always in it.

    With a budget B, after every view and at the end each detection names its B best tuples by value
    ``gain (m - 1) - cost`` (`gain` defaults to `limit`; a smaller one prefers a person's complete tuple to the same
    tuple with a stranger); a tuple stays if one of its members names it. So at most B tuples per detection (and the
    singletons) stay, and a tuple that is among the best of any member cannot be crowded out by another's. Views are
    taken fewest detections first, then by their evidence, so that the camera order does not matter; equal values are
    resolved by order of the slots.
    """
    gain = limit if gain is None else gain
    order = _view_order(evidence)
    table = beliefs(evidence)[order]
    pairs = allowed[order][:, :, order] & evidence.valid[order][:, :, None, None] & evidence.valid[order]
    partials = _start(table, evidence.valid[order])
    views = len(order)
    for view in range(views):
        partials = _extend(partials, view, table[view], pairs[view], cap, limit)
        partials = _budgeted(_completable(partials, view, limit), gain, budget)
    count = (partials.members != ABSENT).sum(1)
    kept = (count > 0) & (partials.cost <= limit * (count - 1).clamp(min=0))
    partials = _budgeted(partials[torch.nonzero(kept)[:, 0]], gain, budget)
    members = torch.empty_like(partials.members)
    members[:, order] = partials.members
    rows = _lexicographic(members)
    return Candidates(members[rows], partials.cost[rows])


def _view_order(evidence: Evidence) -> Tensor:
    """Fewest detections first; equally many by the sum of their constants: a property of the views, not their order."""
    weight = torch.where(evidence.valid[..., None], evidence.constant, 0.0).sum((1, 2))
    order = torch.argsort(weight, stable=True)
    return order[torch.argsort(evidence.valid.sum(1)[order], stable=True)]


def _start(table: Tensor, valid: Tensor) -> _Partials:
    """The tuple without members, from which all others grow."""
    views, _, joints, _ = table.shape
    members = torch.full((1, views), ABSENT, dtype=torch.long, device=table.device)
    return _Partials(members, table.new_zeros(1), table.new_zeros(1, joints, 10), valid[None].clone())


def _extend(partials: _Partials, view: int, detections: Tensor, pairs: Tensor, cap: float, limit: float) -> _Partials:
    """Every partial as it is (absent in this view) and with every open slot of this view."""
    rows, slots = torch.nonzero(partials.open[:, view], as_tuple=True)
    most = _most_members(partials, view - 1)[rows]
    cost = partials.cost.new_zeros(len(rows))
    size = max(1, CHUNK // max(1, detections.shape[1]))
    for first in range(0, len(rows), size):
        part = slice(first, first + size)
        fused = partials.belief[rows[part]] + detections[slots[part]]
        cost[part] = misfit(fused).clamp(max=cap).sum(-1)
    alone = (partials.members != ABSENT).sum(1)[rows] == 0
    cost = torch.where(alone, 0.0, cost)
    kept = torch.nonzero(cost <= _bound(limit, most))[:, 0]
    rows, slots = rows[kept], slots[kept]
    members = partials.members[rows]
    members[:, view] = slots
    return _Partials(
        torch.cat([partials.members, members]),
        torch.cat([partials.cost, cost[kept]]),
        torch.cat([partials.belief, partials.belief[rows] + detections[slots]]),
        torch.cat([partials.open, partials.open[rows] & pairs[slots]]),
    )


def _most_members(partials: _Partials, view: int) -> Tensor:
    """Members now plus the later views that still have an open slot."""
    return (partials.members != ABSENT).sum(1) + partials.open[:, view + 1 :].any(2).sum(1)


def _bound(limit: float, members: Tensor) -> Tensor:
    """Largest cost of a tuple of so many members, with room for the rounding of the misfit."""
    return limit * (members - 1).clamp(min=0) * (1 + 1e-9) + 1e-6


def _completable(partials: _Partials, view: int, limit: float) -> _Partials:
    return partials[torch.nonzero(partials.cost <= _bound(limit, _most_members(partials, view)))[:, 0]]


def _budgeted(partials: _Partials, gain: float, budget: int | None) -> _Partials:
    """The tuples named by one of their members, singletons and the empty tuple."""
    if budget is None or len(partials.cost) == 0:
        return partials
    count = (partials.members != ABSENT).sum(1)
    best_first = torch.argsort(gain * (count - 1) - partials.cost, descending=True, stable=True)
    ordered = partials.members[best_first]
    named = count[best_first] <= 1
    slots = partials.open.shape[2]
    for column in ordered.unbind(1):
        taken = torch.nonzero(column != ABSENT)[:, 0]
        if len(taken):
            chosen = torch.nn.functional.one_hot(column[taken], slots).to(torch.int32)
            rank = chosen.cumsum(0, dtype=torch.int32)[torch.arange(len(taken), device=taken.device), column[taken]]
            named[taken[rank <= budget]] = True
    return partials[best_first[named].sort().values]


def _lexicographic(members: Tensor) -> Tensor:
    order = torch.arange(len(members), device=members.device)
    for column in reversed(members.unbind(1)):
        order = order[torch.argsort(column[order], stable=True)]
    return order

"""Candidate tuples by level-wise join: one view at a time, partial tuples that cannot be completed pruned."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose_kernels.candidates.evidence import ABSENT, Candidates, Evidence, beliefs, misfit

CHUNK = 1 << 18
"""Extensions times joints evaluated at once (20 MiB of beliefs)."""


@dataclass(frozen=True, eq=False)
class _Partials:
    """Tuples decided in some views. `open`: the slots of every view that all members are allowed with."""

    frame: Int[Tensor, " tuples"]
    members: Int[Tensor, "tuples views"]
    cost: Float[Tensor, " tuples"]
    belief: Float[Tensor, "tuples joints 10"]
    open: Bool[Tensor, "tuples views slots"]

    def __getitem__(self, rows: Tensor) -> "_Partials":
        return _Partials(*(values[rows] for values in vars(self).values()))


def join(
    evidence: Evidence,
    allowed: Bool[Tensor, "*frames views slots views slots"],
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
    resolved by order of the slots. Frames are joined together and do not see each other.
    """
    gain = limit if gain is None else gain
    *frames, views, slots, joints = evidence.constant.shape
    valid = evidence.valid.view(math.prod(frames), views, slots)
    table, pairs = beliefs(evidence).view(*valid.shape, joints, 10), allowed.reshape(*valid.shape, views, slots)
    order = _view_order(table[..., 9], valid)
    frame = torch.arange(len(valid), device=valid.device)
    partials = _start(table, valid[frame[:, None], order])
    for column in range(views):
        view = order[:, column]
        fits = pairs[frame, view] & valid[:, None]
        fits = fits[frame[:, None], :, order].permute(0, 2, 1, 3)
        partials = _extend(partials, column, table[frame, view], fits, cap, limit)
        partials = _budgeted(_completable(partials, column, limit), gain, budget)
    count = (partials.members != ABSENT).sum(1)
    kept = (count > 0) & (partials.cost <= limit * (count - 1).clamp(min=0))
    partials = _budgeted(partials[torch.nonzero(kept)[:, 0]], gain, budget)
    members = torch.empty_like(partials.members).scatter_(1, order[partials.frame], partials.members)
    rows = _lexicographic(torch.cat([partials.frame[:, None], members], 1))
    return Candidates(members[rows], partials.cost[rows], partials.frame[rows])


def _view_order(constant: Tensor, valid: Tensor) -> Int[Tensor, "frames views"]:
    """Fewest detections first; equally many by the sum of their constants: a property of the views, not their order."""
    weight = constant.sum((2, 3))
    order = torch.argsort(weight, dim=1, stable=True)
    return order.gather(1, torch.argsort(valid.sum(2).gather(1, order), dim=1, stable=True))


def _start(table: Tensor, valid: Tensor) -> _Partials:
    """Every frame's tuple without members, from which all others grow."""
    frames, views, _ = valid.shape
    members = torch.full((frames, views), ABSENT, dtype=torch.long, device=table.device)
    belief = table.new_zeros(frames, table.shape[3], 10)
    return _Partials(torch.arange(frames, device=table.device), members, table.new_zeros(frames), belief, valid)


def _extend(partials: _Partials, view: int, detections: Tensor, pairs: Tensor, cap: float, limit: float) -> _Partials:
    """Every partial as it is (absent in this view) and with every open slot of this view."""
    rows, slots = torch.nonzero(partials.open[:, view], as_tuple=True)
    frame = partials.frame[rows]
    most = _most_members(partials, view - 1)[rows]
    cost = partials.cost.new_zeros(len(rows))
    size = max(1, CHUNK // max(1, detections.shape[2]))
    for first in range(0, len(rows), size):
        part = slice(first, first + size)
        fused = partials.belief[rows[part]] + detections[frame[part], slots[part]]
        cost[part] = misfit(fused).clamp(max=cap).sum(-1)
    alone = (partials.members != ABSENT).sum(1)[rows] == 0
    cost = torch.where(alone, 0.0, cost)
    kept = torch.nonzero(cost <= _bound(limit, most))[:, 0]
    rows, slots, frame = rows[kept], slots[kept], frame[kept]
    members = partials.members[rows]
    members[:, view] = slots
    return _Partials(
        torch.cat([partials.frame, frame]),
        torch.cat([partials.members, members]),
        torch.cat([partials.cost, cost[kept]]),
        torch.cat([partials.belief, partials.belief[rows] + detections[frame, slots]]),
        torch.cat([partials.open, partials.open[rows] & pairs[frame, slots]]),
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
    named = count[best_first] <= 1
    # Memberships one detection after the other, each one's tuples best first: their rank is their place in its run.
    ordered = partials.members[best_first]
    row, view = torch.nonzero(ordered != ABSENT, as_tuple=True)
    _, views, slots = partials.open.shape
    detection = (partials.frame[best_first[row]] * views + view) * slots + ordered[row, view]
    runs = torch.argsort(detection, stable=True)
    count = torch.bincount(detection)
    rank = torch.arange(len(runs), device=runs.device) - (count.cumsum(0) - count)[detection[runs]]
    named[row[runs[rank < budget]]] = True
    return partials[best_first[named].sort().values]


def _lexicographic(members: Tensor) -> Tensor:
    order = torch.arange(len(members), device=members.device)
    for column in reversed(members.unbind(1)):
        order = order[torch.argsort(column[order], stable=True)]
    return order

"""Candidate tuples: which combinations of detections could be one person, without enumerating the product.

A combination's misfit is a chi-square of fused Gaussian beliefs, 0 where all rays meet. `join` takes one view at a time
and prunes partial tuples that cannot be completed; `enumerate_product` is its definition.
"""

import itertools
import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

ABSENT = -1
"""Entry of a candidate tuple for a view in which nobody is taken."""
RANK_TOLERANCE = 1e-10
"""A pivot below this share of the trace counts as an unseen direction (what that drops is below it, times c)."""
CHUNK = 1 << 18
"""Extensions times joints evaluated at once (20 MiB of beliefs)."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Per detection and joint a Gaussian belief about the joint's place, in information form (float64).

    Beliefs fuse by adding precision, information and constant. A joint that was not seen has all three 0.
    Places should be centred near the scene: the misfit is a difference of numbers that grow with their square.
    One frame has no leading axis; several have one, padded to the most views and slots by slots that are not valid.

    Attributes:
        precision: P, symmetric positive semi-definite.
        information: ``b = P mean``.
        constant: ``c = mean . P mean``.
        valid: which slots hold a detection.
    """

    precision: Float[Tensor, "*frames views slots joints 3 3"]
    information: Float[Tensor, "*frames views slots joints 3"]
    constant: Float[Tensor, "*frames views slots joints"]
    valid: Bool[Tensor, "*frames views slots"]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Candidate tuples frame by frame in lexicographic order of their members, each with at least one.

    A tuple is the slot taken in every view, or `ABSENT`; its cost is the sum over joints of the capped misfit of the
    fused evidence, 0 for singletons.
    """

    members: Int[Tensor, "tuples views"]
    cost: Float[Tensor, " tuples"]
    frame: Int[Tensor, " tuples"]


def beliefs(evidence: Evidence) -> Float[Tensor, "*frames views slots joints 10"]:
    """Six entries of P, three of b and c side by side: fusing detections is adding these rows.

    An invalid slot is all 0.
    """
    p = evidence.precision
    rows = [p[..., 0, 0], p[..., 1, 0], p[..., 1, 1], p[..., 2, 0], p[..., 2, 1], p[..., 2, 2]]
    table = torch.cat([torch.stack(rows, -1), evidence.information, evidence.constant[..., None]], -1)
    return torch.where(evidence.valid[..., None, None], table, 0.0)


def misfit(belief: Float[Tensor, "*batch 10"]) -> Float[Tensor, "*batch"]:
    """``c - b . P^-1 b`` of fused beliefs, at least 0, by LDLt; directions without evidence are left out."""
    p00, p10, p11, p20, p21, p22, b0, b1, b2, c = belief.unbind(-1)
    floor = (p00 + p11 + p22) * RANK_TOLERANCE
    inverse0 = _reciprocal(p00, floor)
    l1, l2 = p10 * inverse0, p20 * inverse0
    q11, q21 = p11 - l1 * p10, p21 - l2 * p10
    inverse1 = _reciprocal(q11, floor)
    m2 = q21 * inverse1
    inverse2 = _reciprocal(p22 - l2 * p20 - m2 * q21, floor)
    y1 = b1 - l1 * b0
    y2 = b2 - l2 * b0 - m2 * y1
    return (c - b0 * b0 * inverse0 - y1 * y1 * inverse1 - y2 * y2 * inverse2).clamp(min=0.0)


def pair_cost(evidence: Evidence) -> Float[Tensor, "views slots views slots"]:
    """Mean misfit of two detections over the joints both have seen (0 if none).

    Infinite for two detections of one view and where a slot is invalid.
    """
    table = beliefs(evidence)
    views, slots = evidence.valid.shape
    seen = table[..., [0, 2, 5]].sum(-1) > 0
    out = table.new_full((views, slots, views, slots), torch.inf)
    for one in range(views - 1):
        # one view against all later ones: a chunk of slots x later views x slots x joints
        belief = table[one][:, None, None] + table[None, one + 1 :]
        both = seen[one][:, None, None] & seen[None, one + 1 :]
        mean = torch.where(both, misfit(belief), 0.0).sum(-1) / both.sum(-1).clamp(min=1)
        there = evidence.valid[one][:, None, None] & evidence.valid[None, one + 1 :]
        mean = torch.where(there, mean, torch.inf)
        out[one, :, one + 1 :] = mean
        out[one + 1 :, :, one] = mean.permute(1, 2, 0)
    return out


def _reciprocal(pivot: Tensor, floor: Tensor) -> Tensor:
    """``1 / pivot``, 0 for a direction without evidence."""
    filled = pivot > floor
    return torch.where(filled, 1.0 / torch.where(filled, pivot, 1.0), 0.0)


def enumerate_product(
    evidence: Evidence,
    allowed: Bool[Tensor, "views slots views slots"],
    *,
    cap: float,
    limit: float,
) -> Candidates:
    """Every tuple whose members are pairwise allowed and whose cost is at most ``limit (members - 1)``.

    The cost is the sum over joints of ``min(c - b . P^+ b, cap)`` of the summed beliefs; singletons cost 0.
    """
    views, slots = evidence.valid.shape
    options = [[ABSENT, *(s for s in range(slots) if evidence.valid[v, s])] for v in range(views)]
    members, costs = [], []
    for row in itertools.product(*options):
        chosen = [(v, s) for v, s in enumerate(row) if s != ABSENT]
        if not chosen or not all(allowed[a][b] for a, b in itertools.combinations(chosen, 2)):
            continue
        cost = _cost(evidence, chosen, cap) if len(chosen) > 1 else 0.0
        if len(chosen) == 1 or cost <= limit * (len(chosen) - 1):
            members.append(row)
            costs.append(cost)
    table = torch.tensor(members, dtype=torch.long).reshape(-1, views)
    return Candidates(table, torch.tensor(costs, dtype=torch.float64), torch.zeros_like(table[:, 0]))


def _cost(evidence: Evidence, chosen: list[tuple[int, int]], cap: float) -> float:
    precision = sum(evidence.precision[place] for place in chosen)
    information = sum(evidence.information[place] for place in chosen)
    constant = sum(evidence.constant[place] for place in chosen)
    assert isinstance(precision, Tensor) and isinstance(information, Tensor) and isinstance(constant, Tensor)
    inverse = torch.linalg.pinv(precision, rtol=1e-10, hermitian=True)
    misfit = constant - (information[:, None] @ inverse @ information[..., None])[:, 0, 0]
    return float(misfit.clamp(min=0.0, max=cap).sum())


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
    the result is the whole set that `enumerate_product` finds. Singletons are always in it.

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

"""What the join works on and what it returns, and the misfit of fused Gaussian beliefs: 0 where all rays meet."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

ABSENT = -1
"""Entry of a candidate tuple for a view in which nobody is taken."""
RANK_TOLERANCE = 1e-10
"""A pivot below this share of the trace counts as an unseen direction (what that drops is below it, times c)."""


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

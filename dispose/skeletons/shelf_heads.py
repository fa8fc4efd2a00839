"""Heads of the Shelf and Campus ground truth (chin and crown) from the face joints of a detector.

World +Z up, mm. All functions return the pair (bottom_head, top_head) and which of the two is known.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

CAMPUS_CROWN = 0.8 * 265.54 / 239.10
"""Height of the crown over the chin on Campus, in distances from neck to nose."""

HeadEnds = tuple[Float[Tensor, "persons 2 3"], Bool[Tensor, " persons"]]

NOSE_TO_TOP = (0.75, 0.75, 1.5)
"""Crown from mid-shoulders along the nose, per world axis."""


def mean_of_valid(
    points: Float[Tensor, "persons pair 3"], valid: Bool[Tensor, "persons pair"]
) -> tuple[Float[Tensor, "persons 3"], Bool[Tensor, " persons"]]:
    """The mean of the known points of a pair (one alone where the other is missing)."""
    weights = valid.to(points.dtype)[..., None]
    return (points * weights).sum(1) / weights.sum(1).clamp(min=1), valid.any(1)


def shelf_head(
    shoulders: Float[Tensor, "persons 2 3"],
    shoulders_valid: Bool[Tensor, "persons 2"],
    ears: Float[Tensor, "persons 2 3"],
    ears_valid: Bool[Tensor, "persons 2"],
    nose: Float[Tensor, "persons 3"],
    nose_valid: Bool[Tensor, " persons"],
) -> HeadEnds:
    """Chin and crown the same way for every actor: three parts nose to one part ears, either one alone.

    With ``s`` mid-shoulders, ``e`` mid-ears, ``n`` nose: ``bottom_e = (s + e) / 2``,
    ``top_e = bottom_e + 2 (e - bottom_e)``, ``bottom_n = s + (n - s) / 2``, ``top_n = s + (n - s) * NOSE_TO_TOP``.
    """
    s, s_valid = mean_of_valid(shoulders, shoulders_valid)
    s_valid = s_valid & shoulders_valid.all(1)
    e, e_valid = mean_of_valid(ears, ears_valid)
    bottom_ears = (s + e) / 2
    from_ears = torch.stack([bottom_ears, bottom_ears + 2 * (e - bottom_ears)], 1)
    tilt = nose.new_tensor(NOSE_TO_TOP)
    from_nose = torch.stack([s + 0.5 * (nose - s), s + tilt * (nose - s)], 1)
    share = torch.where(e_valid & nose_valid, 0.75, torch.where(nose_valid, 1.0, 0.0)).to(nose.dtype)
    ends = share[:, None, None] * from_nose + (1 - share)[:, None, None] * from_ears
    known = s_valid & (e_valid | nose_valid)
    return torch.where(known[:, None, None], ends, 0.0), known


def campus_head(
    neck: Float[Tensor, "persons 3"], nose: Float[Tensor, "persons 3"], valid: Bool[Tensor, " persons"]
) -> HeadEnds:
    """Chin and crown of Campus: straight up from the chin, the same way for every actor."""
    bottom = neck + 0.3 * (nose - neck)
    top = bottom.clone()
    top[:, 2] += CAMPUS_CROWN * (nose - neck).norm(dim=-1)
    ends = torch.stack([bottom, top], 1)
    return torch.where(valid[:, None, None], ends, 0.0), valid

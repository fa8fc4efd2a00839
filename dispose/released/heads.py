"""Heads of Shelf's actors as the released code makes them: the tilt depends on who the true actor is.

It looks at ground truth, so figures made with it do not compare with those of other methods.
"""

from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.scene.convert import HeadEnds, replace_head
from dispose.scene.frame import Poses

RELEASED_TILT = (10.0, 1.5, 0.375, 0.0)
"""Upward pull of the head direction for the true actors 0-3 in the released code."""


def shelf_head_released(
    neck: Float[Tensor, "persons 3"],
    nose: Float[Tensor, "persons 3"],
    valid: Bool[Tensor, " persons"],
    actor: Int[Tensor, " persons"],
) -> HeadEnds:
    """Chin and crown as the released DisPOSE does it: the tilt depends on which **true** actor it is."""
    bottom = neck + 0.3 * (nose - neck)
    pull = neck.new_tensor(RELEASED_TILT)[actor.clamp(0, len(RELEASED_TILT) - 1)]
    direction = torch.nn.functional.normalize(nose - bottom, dim=-1)
    up = torch.zeros_like(direction)
    up[:, 2] = pull
    top = bottom + 192.0 * torch.nn.functional.normalize(direction + up, dim=-1)
    ends = torch.stack([bottom, top], 1)
    return torch.where(valid[:, None, None], ends, 0.0), valid


def shelf_poses_released(poses: Poses, actor: Int[Tensor, " persons"]) -> Poses:
    """Poses as Shelf annotates them by the released head rule, given the true actors (`shelf_head_released`)."""
    return replace_head(poses, partial(shelf_head_released, actor=actor))

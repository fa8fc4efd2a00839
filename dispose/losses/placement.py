"""Loss of the depth network."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.association.evidence import Placement
from dispose.association.viewpoint import Viewpoints


def placement_loss(
    placement: Placement,
    seen: Viewpoints,
    xyz: Float[Tensor, "detections joints 3"],
    known: Bool[Tensor, "detections joints"],
) -> Float[Tensor, ""]:
    """Negative log-likelihood of the true bodies under the placements, with heavy tails.

    The depth of the reference point (the visible joints' mean), every joint's offset from it (z only where the
    joint is visible) and the angular error of the visible joints. Scales follow the bulk of the errors:
    ``rho(r) = sqrt(1 + r²) - 1`` grows linearly, so swapped limbs do not set them.

    Args:
        placement: the network's answer.
        seen: the detections.
        xyz: true joints in the viewpoints' axes, mm.
        known: which of them are known.
    """
    visible = seen.visible & known
    weight = visible.float()
    count = weight.sum(1).clamp(min=1)
    reference = (xyz * weight[..., None]).sum(1) / count[:, None]
    depth_error = (reference[:, 2].clamp(min=100.0).log() - placement.log_depth) / placement.log_depth_sigma
    depth = _rho(depth_error.square()) + placement.log_depth_sigma.log()

    middle = (seen.xy * seen.size[:, None, None] * seen.visible[..., None]).sum(1) / seen.visible.sum(1).clamp(min=1)[
        :, None
    ]
    axis = torch.cat([middle, torch.ones_like(middle[:, :1])], dim=1) * reference[:, 2:]
    error = (xyz - axis[:, None] - placement.offset) / placement.offset_sigma[..., None]
    hidden = (known & ~seen.visible).float()
    offset = weight * (_rho(error[..., 2].square()) + placement.offset_sigma.log())
    offset = offset + hidden * (_rho(error.square().sum(-1)) + 3 * placement.offset_sigma.log())

    true_xy = xyz[..., :2] / xyz[..., 2:].clamp(min=100.0)
    image_error = ((true_xy - seen.xy * seen.size[:, None, None]) / placement.image_sigma[..., None]).square().sum(-1)
    image = weight * (_rho(image_error) + 2 * placement.image_sigma.log())
    return (depth + (offset.sum(1) + image.sum(1)) / known.sum(1).clamp(min=1)).mean()


def _rho(squared: Float[Tensor, "*items"]) -> Float[Tensor, "*items"]:
    return (1 + squared).sqrt() - 1

"""Losses on the decoder's skeletons; people are packed, every loss is a sum over the decoder's layers.

What has weight 0 or is not valid enters neither the sum nor its divisor, whatever value it has; a loss over nothing
is 0.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.tensors import ABSENT


def reprojection_l1(
    xy_image: Float[Tensor, "layers persons views joints 2"],
    valid: Bool[Tensor, "layers persons views joints"],
    target: Float[Tensor, "persons views joints 2"],
    confidence: Float[Tensor, "persons views joints"],
) -> Float[Tensor, ""]:
    """Mean absolute coordinate error in pixels of the original images, weighted by confidence.

    Args:
        xy_image: reprojected joints.
        valid: those in front of their camera.
        target: curated labels.
        confidence: of the labels; 0 where there is none.
    """
    return _weighted_l1(xy_image - target, torch.where(valid, confidence, 0.0))


def anchor_l1(
    xyz_world: Float[Tensor, "layers persons joints 3"],
    target: Float[Tensor, "persons joints 3"],
    confidence: Float[Tensor, "persons joints"],
) -> Float[Tensor, ""]:
    """Mean absolute coordinate error in mm to triangulated labels, weighted by their confidence."""
    return _weighted_l1(xyz_world - target, confidence.expand(xyz_world.shape[:-1]))


def consistency_l1(
    xyz_world: Float[Tensor, "layers persons joints 3"],
    identity: Int[Tensor, " persons"],
    frame: Int[Tensor, " persons"],
) -> Float[Tensor, ""]:
    """Mean absolute difference in mm between the same person in several augmented copies of one frame.

    Args:
        xyz_world: joints; augmentation moves images, not the world, so copies should agree.
        identity: the person's number, `ABSENT` if unknown.
        frame: the frame of which the person's sample is a copy.
    """
    same = (identity[:, None] == identity) & (frame[:, None] == frame) & (identity != ABSENT)
    one, other = same.triu(1).nonzero().unbind(-1)
    difference = xyz_world[:, one] - xyz_world[:, other]
    return _weighted_l1(difference, torch.ones_like(difference[..., 0]))


def triangulation_residual(
    residual: Float[Tensor, "layers persons joints"], triangulated: Bool[Tensor, "layers persons joints"]
) -> Float[Tensor, ""]:
    """Mean residual (the smallest singular value) of the joints that were triangulated."""
    return _weighted_l1(residual[..., None], triangulated.to(residual.dtype))


def _weighted_l1(
    difference: Float[Tensor, "layers *items axes"], weight: Float[Tensor, "layers *items"]
) -> Float[Tensor, ""]:
    """``Σ w |d| / (axes Σ w)`` per layer, summed over layers."""
    size = torch.where(weight[..., None] > 0, difference, 0.0).abs().mean(-1)
    total = weight.flatten(1).sum(-1)
    return ((weight * size).flatten(1).sum(-1) / torch.where(total > 0, total, 1.0)).sum()

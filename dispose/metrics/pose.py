"""Errors of 3-D skeletons in mm."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.errors import ShapeError
from dispose.geometry.rigid import umeyama
from dispose.scene.frame import Poses


def mpjpe(
    predicted: Float[Tensor, "*#batch joints 3"],
    truth: Float[Tensor, "*#batch joints 3"],
    valid: Bool[Tensor, "*batch joints"],
) -> Float[Tensor, "*batch"]:
    """Mean distance over the valid joints, mm; NaN where there is none."""
    error = torch.linalg.vector_norm(predicted - truth, dim=-1)
    weight = valid.to(error.dtype)
    return torch.where(valid, error, 0.0).sum(-1) / weight.sum(-1)


def pa_mpjpe(
    predicted: Float[Tensor, "*batch joints 3"],
    truth: Float[Tensor, "*batch joints 3"],
    valid: Bool[Tensor, "*batch joints"],
) -> Float[Tensor, "*batch"]:
    """MPJPE after the best similarity (rotation, scale, shift) of the prediction onto the truth, mm.

    NaN with fewer than three valid joints, where the rotation is not determined.
    """
    aligned = umeyama(predicted, truth, valid.to(predicted.dtype)).apply(predicted)
    error = mpjpe(aligned, truth, valid)
    return torch.where(valid.sum(-1) >= 3, error, torch.nan)


def root_error(predicted: Float[Tensor, "*batch 3"], truth: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch"]:
    """Distance of the roots, mm; NaN where one of them is not known."""
    return torch.linalg.vector_norm(predicted - truth, dim=-1)


def pairwise_mpjpe(predicted: Poses, truth: Poses, *, min_joints: int = 1) -> Float[Tensor, "persons truths"]:
    """MPJPE of every prediction to every true person over the joints both have, mm.

    Infinite where they share fewer than `min_joints`. Raises `ShapeError` where the skeletons differ.
    """
    if predicted.skeleton != truth.skeleton:
        raise ShapeError(f"predictions have skeleton {predicted.skeleton.name}, truth {truth.skeleton.name}")
    common = predicted.valid[:, None] & truth.valid[None]
    error = mpjpe(predicted.xyz_world.to(torch.float64)[:, None], truth.xyz_world.to(torch.float64)[None], common)
    return torch.where(common.sum(-1) >= max(min_joints, 1), error, torch.inf)

"""Best similarity or rigid motion between matched point sets (Umeyama 1991)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.errors import ShapeError
from dispose.tensors import TensorStruct


@dataclass(frozen=True, eq=False)
class Similarity(TensorStruct):
    """``x ↦ scale · rotation @ x + translation``."""

    scale: Float[Tensor, "*batch"]
    rotation: Float[Tensor, "*batch 3 3"]
    translation: Float[Tensor, "*batch 3"]

    def apply(self, xyz: Float[Tensor, "*batch points 3"]) -> Float[Tensor, "*batch points 3"]:
        """Moved points."""
        return self.scale[..., None, None] * (xyz @ self.rotation.mT) + self.translation[..., None, :]


def umeyama(
    source: Float[Tensor, "*batch points 3"],
    target: Float[Tensor, "*batch points 3"],
    weights: Float[Tensor, "*batch points"] | None = None,
) -> Similarity:
    """The similarity that minimises ``Σ w |s R x + t − y|²`` (a rotation, never a reflection).

    Points with weight 0 do not count. Source points that all coincide give scale 0.
    """
    rotation, singular, source_mean, target_mean, spread = _procrustes(source, target, weights)
    scale = torch.where(spread > 0, singular.sum(-1) / torch.where(spread > 0, spread, 1.0), 0.0)
    shift = target_mean - scale[..., None] * (rotation @ source_mean[..., None])[..., 0]
    return Similarity(scale, rotation, shift)


def _procrustes(
    source: Float[Tensor, "*batch points 3"],
    target: Float[Tensor, "*batch points 3"],
    weights: Float[Tensor, "*batch points"] | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Rotation, signed singular values of the covariance, both means, and the variance of the source."""
    if source.shape != target.shape:
        raise ShapeError(f"{tuple(source.shape)} source points, {tuple(target.shape)} target points")
    if weights is None:
        weights = torch.ones_like(source[..., 0])
    share = (weights / weights.sum(-1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny))[..., None]
    source_mean, target_mean = (share * source).sum(-2), (share * target).sum(-2)
    centred = source - source_mean[..., None, :]
    covariance = (share * (target - target_mean[..., None, :])).mT @ centred
    left, singular, right = torch.linalg.svd(covariance)
    sign = torch.where(torch.linalg.det(left @ right) < 0, -1.0, 1.0).to(source.dtype)
    signs = torch.stack([torch.ones_like(sign), torch.ones_like(sign), sign], dim=-1)
    rotation = (left * signs[..., None, :]) @ right
    return rotation, singular * signs, source_mean, target_mean, (share * centred**2).sum((-1, -2))

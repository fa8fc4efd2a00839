"""Rotations, rigid motions and best similarities; `camera_from_world` is the pair ``R, t`` of ``R @ xyz_world + t``."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.errors import ShapeError
from dispose.tensors import TensorStruct


def cross_matrix(vector: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """The matrix ``[v]`` with ``[v] @ w = v × w``."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).reshape(*vector.shape[:-1], 3, 3)


def rodrigues(vector: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation vector (axis times angle in radians) to matrix: ``I + sinc θ [v] + (1 − cos θ)/θ² [v]²``.

    Differentiable everywhere, at the zero vector too.
    """
    squared = (vector * vector).sum(-1)[..., None, None]
    small = squared < 1e-8
    # The unused branch of `where` must stay finite, or its gradient would turn into NaN.
    angle = torch.where(small, torch.ones_like(squared), squared).sqrt()
    first = torch.where(small, 1 - squared / 6, torch.sin(angle) / angle)
    second = torch.where(small, 0.5 - squared / 24, (1 - torch.cos(angle)) / angle**2)
    cross = cross_matrix(vector)
    return torch.eye(3, dtype=vector.dtype, device=vector.device) + first * cross + second * (cross @ cross)


def quaternion(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 4"]:
    """Rotation matrix to the unit quaternion ``w x y z`` with ``w >= 0``."""
    r = rotation
    xx, yy, zz = r[..., 0, 0], r[..., 1, 1], r[..., 2, 2]
    yz, zx, xy = r[..., 2, 1] - r[..., 1, 2], r[..., 0, 2] - r[..., 2, 0], r[..., 1, 0] - r[..., 0, 1]
    pyz, pzx, pxy = r[..., 2, 1] + r[..., 1, 2], r[..., 0, 2] + r[..., 2, 0], r[..., 1, 0] + r[..., 0, 1]
    # Each row is 4 times one component of q times q; the row of the largest component is the accurate one.
    rows = torch.stack(
        [
            torch.stack([1 + xx + yy + zz, yz, zx, xy], -1),
            torch.stack([yz, 1 + xx - yy - zz, pxy, pzx], -1),
            torch.stack([zx, pxy, 1 - xx + yy - zz, pyz], -1),
            torch.stack([xy, pzx, pyz, 1 - xx - yy + zz], -1),
        ],
        dim=-2,
    )
    best = torch.diagonal(rows, dim1=-2, dim2=-1).argmax(-1)
    row = torch.take_along_dim(rows, best[..., None, None], dim=-2)[..., 0, :]
    row = row / row.norm(dim=-1, keepdim=True)
    return torch.where(row[..., :1] < 0, -row, row)


def rotation_vector(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """Rotation matrix to rotation vector with angle in [0, π] (inverse of `rodrigues`)."""
    q = quaternion(rotation)
    sine = q[..., 1:].norm(dim=-1, keepdim=True)
    angle = 2 * torch.atan2(sine, q[..., :1])
    small = sine < 1e-12
    return torch.where(small, 2 * q[..., 1:], q[..., 1:] * (angle / torch.where(small, 1.0, sine)))


def look_at(
    centre: Float[Tensor, "*batch 3"], target: Float[Tensor, "*batch 3"], up: Float[Tensor, "*#batch 3"]
) -> tuple[Float[Tensor, "*batch 3 3"], Float[Tensor, "*batch 3"]]:
    """``camera_from_world`` of a camera at `centre` that looks at `target` with `up` upwards in its image.

    Where the view direction is parallel to `up`, the world's +Y axis takes its place.
    """
    forward = target - centre
    forward = forward / forward.norm(dim=-1, keepdim=True)
    up = up.expand_as(forward)
    right = torch.linalg.cross(forward, up)
    y_axis = torch.tensor([0.0, 1.0, 0.0], dtype=centre.dtype, device=centre.device).expand_as(forward)
    right = torch.where(right.norm(dim=-1, keepdim=True) > 1e-6, right, torch.linalg.cross(forward, y_axis))
    right = right / right.norm(dim=-1, keepdim=True)
    down = torch.linalg.cross(forward, right)
    rotation = torch.stack([right, down, forward], dim=-2)
    return rotation, -(rotation @ centre[..., None])[..., 0]


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
    """The similarity that minimises ``Σ w |s R x + t − y|²`` (a rotation, never a reflection; Umeyama 1991).

    Points with weight 0 do not count. Source points that all coincide give scale 0.
    """
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
    spread = (share * centred**2).sum((-1, -2))
    scale = torch.where(spread > 0, (singular * signs).sum(-1) / torch.where(spread > 0, spread, 1.0), 0.0)
    shift = target_mean - scale[..., None] * (rotation @ source_mean[..., None])[..., 0]
    return Similarity(scale, rotation, shift)

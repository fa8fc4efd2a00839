"""What triangulation of one person is trained by: capped squares, absolute errors, the probability of the right voxel.

Iskakov et al. 2019. Joints that are not known count for nothing.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

CM_PER_MM = 0.1
CAP_CM2 = 400.0
"""Squared errors per coordinate grow with the power 0.1 from (20 cm)² on."""


def capped_squares(
    xyz: Float[Tensor, "samples joints 3"],
    truth: Float[Tensor, "samples joints 3"],
    known: Bool[Tensor, "samples joints"],
) -> Float[Tensor, ""]:
    """Mean squared error per coordinate, cm²; d where ``d ≤ 400``, else ``d^0.1 · 400^0.9``."""
    square = (_differences(xyz, truth, known) * CM_PER_MM).square()
    # The power's derivative is infinite at 0: it must not see small errors, not even to be thrown away.
    beyond = square.clamp(min=CAP_CM2) ** 0.1 * CAP_CM2**0.9
    return torch.where(square > CAP_CM2, beyond, square).sum() / _count(known)


def absolute_errors(
    xyz: Float[Tensor, "samples joints 3"],
    truth: Float[Tensor, "samples joints 3"],
    known: Bool[Tensor, "samples joints"],
) -> Float[Tensor, ""]:
    """Mean absolute error per coordinate, cm."""
    return (_differences(xyz, truth, known) * CM_PER_MM).abs().sum() / _count(known)


def surprise_of_voxels(
    log_probability: Float[Tensor, "samples joints cells cells cells"],
    voxel: Int[Tensor, "samples joints"],
    known: Bool[Tensor, "samples joints"],
) -> Float[Tensor, ""]:
    """Mean of ``-log p`` of the voxels in which the joints are (numbers in the flattened cube)."""
    surprise = -log_probability.flatten(2).gather(-1, voxel[..., None])[..., 0]
    return torch.where(known, surprise, 0.0).sum() / known.sum().clamp(min=1)


def relative_to_root(
    xyz: Float[Tensor, "samples joints 3"], root: int, alone: Bool[Tensor, " samples"]
) -> Float[Tensor, "samples joints 3"]:
    """Joints as seen from the root joint in the samples that one view alone shows: it cannot tell how far they are."""
    return torch.where(alone[:, None, None], xyz - xyz[:, root : root + 1], xyz)


def _differences(
    xyz: Float[Tensor, "samples joints 3"],
    truth: Float[Tensor, "samples joints 3"],
    known: Bool[Tensor, "samples joints"],
) -> Float[Tensor, "samples joints 3"]:
    """0 where the truth is not known: it may be no number there, and would spoil the gradient."""
    return torch.where(known[..., None], xyz - torch.where(known[..., None], truth, 0.0), 0.0)


def _count(known: Bool[Tensor, "samples joints"]) -> Float[Tensor, ""]:
    """Coordinates of all known joints, at least those of one."""
    return 3.0 * known.sum().clamp(min=1)

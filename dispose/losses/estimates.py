"""Losses of joints that come with covariances."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

DEGREES_OF_FREEDOM = 6.0
"""Of the Student t distribution that errors are taken to have: heavier tails than a Gaussian's, a finite variance."""

SMALLEST_M2 = 1e-8
"""Added to variances (0.1 mm squared): a perfect example must not make the likelihood infinite."""


def student_t_loss(
    xyz: Float[Tensor, "*batch 3"],
    covariance: Float[Tensor, "*batch 3 3"],
    truth: Float[Tensor, "*batch 3"],
    known: Bool[Tensor, "*batch"],
) -> Float[Tensor, ""]:
    """Mean of ``-log p(truth)``, without its constant, over the points that are known.

    ``log|L| + (ν + 3) / 2 · log(1 + |L⁻¹ e|² / ν)`` with ``L Lᵀ`` the covariance (the distribution's core, whose
    variance is ν / (ν - 2) times that) and e the error; places in metres.
    """
    eye = torch.eye(3, dtype=covariance.dtype, device=covariance.device)
    factor = torch.linalg.cholesky(covariance + SMALLEST_M2 * eye)
    error = torch.linalg.solve_triangular(factor, (truth - xyz).to(factor)[..., None], upper=False)[..., 0]
    distance = error.square().sum(-1)
    volume = torch.diagonal(factor, dim1=-2, dim2=-1).log().sum(-1)
    free = DEGREES_OF_FREEDOM
    loss = volume + (free + 3) / 2 * torch.log1p(distance / free)
    return mean_of(loss.to(xyz), known)


def distance_loss(
    xyz: Float[Tensor, "*batch 3"], truth: Float[Tensor, "*batch 3"], known: Bool[Tensor, "*batch"], *, most: float
) -> Float[Tensor, ""]:
    """Mean distance of the points that are known from the truth; nothing is learned from those farther off than most.

    Far beyond help are people in the wrong place as a whole: they would drown what can be learned.
    """
    distance = ((xyz - truth).square().sum(-1) + 1e-8).sqrt()
    return mean_of(distance.clamp(max=most), known)


def mean_of(values: Float[Tensor, "*batch"], known: Bool[Tensor, "*batch"]) -> Float[Tensor, ""]:
    """Mean over the known entries; 0 where there are none."""
    return torch.where(known, values, 0.0).sum() / known.sum().clamp(min=1)

"""What a covariance says in plain numbers: how far off a point probably is, and how probably it is near."""

import torch
from jaxtyping import Float
from torch import Tensor


def expected_error(covariance: Float[Tensor, "*points 3 3"]) -> Float[Tensor, "*points"]:
    """Mean distance of a point from the truth, in the unit whose square the covariance is in.

    The squared distance of a Gaussian point is a sum of three scaled chi-squares; a gamma distribution with its mean
    and variance stands for it (Welch and Satterthwaite), and the mean of the root follows. At most 2 % off.
    """
    shape, scale = _gamma_of(covariance)
    return (scale.sqrt().log() + torch.lgamma(shape + 0.5) - torch.lgamma(shape)).exp()


def round_covariance(error: Float[Tensor, "*points"]) -> Float[Tensor, "*points 3 3"]:
    """The covariance of a point that is equally uncertain in all directions, of which that is the expected error."""
    # The mean length of a normal vector in space is 2 sqrt(2 / pi) standard deviations.
    variance = error.square() * torch.pi / 8
    return variance[..., None, None] * torch.eye(3, dtype=error.dtype, device=error.device)


def probability_within(covariance: Float[Tensor, "*points 3 3"], radius: float) -> Float[Tensor, "*points"]:
    """Probability that a point lies within a distance of the truth, to 0.05; as for `expected_error`."""
    shape, scale = _gamma_of(covariance)
    return torch.special.gammainc(shape, radius**2 / scale)


def _gamma_of(covariance: Float[Tensor, "*points 3 3"]) -> tuple[Float[Tensor, "*points"], Float[Tensor, "*points"]]:
    """Shape and scale of the gamma distribution of the squared distance: mean ``tr C``, variance ``2 tr C²``."""
    mean = torch.diagonal(covariance, dim1=-2, dim2=-1).sum(-1)
    variance = 2 * covariance.square().sum((-2, -1))
    return mean.square() / variance, variance / mean

"""How uncertain a point is that several views see, and what its covariance says in plain numbers."""

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.geometry.pinhole import project_points


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


def projection_jacobian(
    xyz_world: Float[Tensor, "*points 3"],
    matrix: Float[Tensor, "views 3 3"],
    lens: Float[Tensor, "views lens"],
    rotation: Float[Tensor, "views 3 3"],
    translation: Float[Tensor, "views 3"],
) -> Float[Tensor, "*points views 2 3"]:
    """Derivative of every view's image point by the world point, pixels per mm, the lens included."""

    def projected(xyz: Tensor) -> Tensor:
        return project_points((rotation @ xyz) + translation, matrix, lens)

    flat = xyz_world.reshape(-1, 3)
    each = [torch.autograd.functional.jacobian(projected, point) for point in flat]
    stacked = torch.stack(each) if each else flat.new_zeros(0, len(matrix), 2, 3)  # type: ignore[arg-type]
    return stacked.reshape(*xyz_world.shape[:-1], len(matrix), 2, 3)


def point_covariance(
    jacobian: Float[Tensor, "*points views 2 3"], sigma_px: Float[Tensor, "*#points views"]
) -> Float[Tensor, "*points 3 3"]:
    """Covariance (mm²) of the best unbiased estimate of points: ``(Σ JᵀJ / σ²)⁻¹``, the Cramér-Rao bound.

    Args:
        jacobian: from `projection_jacobian`.
        sigma_px: standard deviation of every view's image point along x and y; infinite = not seen.

    A point that fewer than two views see has no covariance: NaN.
    """
    weight = 1 / sigma_px.square()
    information = torch.einsum("...vki,...vkj,...v->...ij", jacobian, jacobian, weight.expand(jacobian.shape[:-2]))
    enough = ((weight > 0).sum(-1) >= 2)[..., None, None].expand(information.shape)
    eye = torch.eye(3, dtype=jacobian.dtype, device=jacobian.device)
    covariance = torch.linalg.inv(torch.where(enough, information, eye))
    return torch.where(enough, covariance, torch.nan)

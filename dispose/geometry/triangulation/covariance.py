"""How uncertain a point is that several views see."""

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.geometry.pinhole import project_points


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

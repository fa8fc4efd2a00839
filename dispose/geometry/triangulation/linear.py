"""Points from linear equations: confidence-weighted DLT by Cholesky's formula or by SVD, and the midpoint of rays.

Many small products and systems at once: broadcasting is far faster than a loop of matrix calls.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def rotate(rotation: Float[Tensor, "*#batch 3 3"], vector: Float[Tensor, "*#batch 3"]) -> Float[Tensor, "*batch 3"]:
    """``rotation vector`` by broadcasting: many small matrix products are far slower."""
    x, y, z = vector[..., :1], vector[..., 1:2], vector[..., 2:]
    return rotation[..., 0] * x + rotation[..., 1] * y + rotation[..., 2] * z


def solve_symmetric(
    matrix: Float[Tensor, "*batch 3 3"], vector: Float[Tensor, "*batch 3"]
) -> Float[Tensor, "*batch 3"]:
    """``matrix⁻¹ vector`` of symmetric positive definite 3x3 systems by Cholesky's formula, without a LAPACK loop."""
    a, b, c = matrix[..., 0, 0], matrix[..., 1, 0], matrix[..., 2, 0]
    d, e, f = matrix[..., 1, 1], matrix[..., 2, 1], matrix[..., 2, 2]
    tiny = torch.finfo(matrix.dtype).tiny
    l1, l2 = b / a, c / a
    d2 = (d - l1 * b).clamp(min=tiny)
    l3 = (e - l1 * c) / d2
    d3 = (f - l2 * c - l3 * (e - l1 * c)).clamp(min=tiny)
    y1 = vector[..., 0]
    y2 = vector[..., 1] - l1 * y1
    y3 = vector[..., 2] - l2 * y1 - l3 * y2
    z = y3 / d3
    y = y2 / d2 - l3 * z
    x = y1 / a - l1 * y - l2 * z
    return torch.stack([x, y, z], dim=-1)


RIDGE = 1e-6
"""Share of the trace that is added to the normal equations: nothing is lost, and rays that coincide stay solvable."""


def triangulate_algebraic(
    xy_normalized: Float[Tensor, "*batch views 2"],
    rotation: Float[Tensor, "*#batch views 3 3"],
    translation: Float[Tensor, "*#batch views 3"],
    weights: Float[Tensor, "*batch views"],
) -> Float[Tensor, "*batch 3"]:
    """Confidence-weighted DLT: minimises ``Σ w² |x (r₃X + t₃) − (r₁X + t₁)|²``, and the same with y and row 2, over X.

    With weights 0 and 1 it is the plain direct linear transform over the views that see a point; with weights times the
    focal length the equations are those in pixels. (Iskakov et al. 2019.)

    The 3x3 normal equations are solved by Cholesky's formula around the middle of the cameras, with a ridge whose
    effect is taken back twice. Gradients stay finite for cameras that stand in one place, for weights near 0 and for
    parallel rays, whose point is a finite one. Rows are not normalised: that nearly doubles the error.

    Points are undistorted normalised coordinates (`normalize_points`), so the projection is ``[R | t]``.
    """
    centre, moved = _around_middle(rotation, translation)
    rows, target, enough = _equations(xy_normalized, rotation, moved, weights)
    normal = rows.mT @ rows
    trace = torch.diagonal(normal, dim1=-2, dim2=-1).sum(-1)[..., None, None]
    eye = torch.eye(3, dtype=rows.dtype, device=rows.device)
    # Without two views a harmless system: the gradient of what is not looked at must be finite too.
    normal = torch.where(enough[..., None], normal + RIDGE * trace * eye, eye)
    xyz = torch.zeros_like(normal[..., 0])
    for _ in range(3):
        left = target - (rows @ xyz[..., None])[..., 0]
        step = solve_symmetric(normal, (rows.mT @ left[..., None])[..., 0])
        xyz = xyz + torch.where(enough, step, 0.0)
    return torch.where(enough, xyz + centre, torch.nan)


def triangulate_algebraic_svd(
    xy_normalized: Float[Tensor, "*batch views 2"],
    rotation: Float[Tensor, "*#batch views 3 3"],
    translation: Float[Tensor, "*#batch views 3"],
    weights: Float[Tensor, "*batch views"],
) -> Float[Tensor, "*batch 3"]:
    """`triangulate_algebraic` by the smallest singular vector of the homogeneous equations, as published.

    The world is centred on the cameras and scaled by their spread. Slower, and where two singular values coincide
    (cameras in one place) its gradient is not finite: for comparison.
    """
    centre, moved = _around_middle(rotation, translation)
    centres = -rotate(rotation.mT, moved)
    # The root mean square distance of the cameras from their middle; 1 where they coincide.
    spread = centres.square().sum(-1).mean(-1)[..., None]
    spread = torch.where(spread > 0, spread, 1.0).sqrt()
    rows, target, enough = _equations(xy_normalized, rotation, moved / spread[..., None], weights)
    system = torch.cat([rows, -target[..., None]], dim=-1)
    # Without two views the null space is not one line and its gradient is infinite: a harmless system instead.
    ladder = torch.arange(1, 5, dtype=system.dtype, device=system.device)
    harmless = torch.eye(system.shape[-2], 4, dtype=system.dtype, device=system.device) * ladder
    system = torch.where(enough[..., None], system, harmless)
    solution = torch.linalg.svd(system, full_matrices=False).Vh[..., -1, :]
    return torch.where(enough, solution[..., :3] / solution[..., 3:] * spread + centre, torch.nan)


def _around_middle(
    rotation: Float[Tensor, "*batch views 3 3"], translation: Float[Tensor, "*#batch views 3"]
) -> tuple[Float[Tensor, "*batch 3"], Float[Tensor, "*batch views 3"]]:
    """The middle of the cameras, mm, and the translations of a world whose origin it is."""
    centre = -rotate(rotation.mT, translation).mean(-2)
    return centre, translation + rotate(rotation, centre[..., None, :])


def _equations(
    xy: Float[Tensor, "*batch views 2"],
    rotation: Float[Tensor, "*#batch views 3 3"],
    translation: Float[Tensor, "*#batch views 3"],
    weights: Float[Tensor, "*batch views"],
) -> tuple[Float[Tensor, "*batch rows 3"], Float[Tensor, "*batch rows"], Tensor]:
    """Weighted collinearity equations ``rows X = target``, two per view, and whether two views have a weight."""
    heaviest = weights.detach().amax(-1, keepdim=True)
    # Only ratios of weights matter; tiny ones must not underflow when they are squared.
    weight = (weights / torch.where(heaviest > 0, heaviest, 1.0))[..., None]
    rows = (xy[..., None] * rotation[..., 2:, :] - rotation[..., :2, :]) * weight[..., None]
    target = (translation[..., :2] - xy * translation[..., 2:]) * weight
    return rows.flatten(-3, -2), target.flatten(-2, -1), ((weights > 0).sum(-1) >= 2)[..., None]


def triangulate_midpoint(
    origins: Float[Tensor, "*#batch views 3"],
    directions: Float[Tensor, "*batch views 3"],
    weights: Float[Tensor, "*batch views"],
) -> Float[Tensor, "*batch 3"]:
    """The point nearest to the rays: minimises ``Σ w |(I - d dᵀ)(x - o)|²`` by its 3x3 normal equations.

    Centred on the weighted mean of the origins. For parallel rays the point at the foot of that mean is
    returned (finite); rays are lines here, the point may lie behind a camera.
    """
    total = weights.sum(-1, keepdim=True)
    enough = ((weights > 0).sum(-1) >= 2)[..., None]
    share = weights / torch.where(total > 0, total, 1.0)
    centre = (share[..., None] * origins).sum(-2)
    eye = torch.eye(3, dtype=directions.dtype, device=directions.device)
    across = share[..., None, None] * (eye - directions[..., :, None] * directions[..., None, :])
    offset = origins - centre[..., None, :]
    along = (directions * offset).sum(-1, keepdim=True)
    target = (share[..., None] * (offset - along * directions)).sum(-2)
    ridge = 4 * torch.finfo(directions.dtype).eps
    normal = torch.where(enough[..., None], across.sum(-3), eye) + ridge * eye
    return torch.where(enough, centre + solve_symmetric(normal, target), torch.nan)

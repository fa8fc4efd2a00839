"""Points and rays of several views: DLT, confidence-weighted (algebraic), midpoint, robust; distances; covariances.

All functions are batched over leading axes and differentiable. Triangulation ignores views whose weight is 0; a point
with fewer than two views of positive weight has no position: NaN, never a guess.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.geometry.pinhole import normalize_points, project_points
from dispose.tensors import TensorStruct

MIN_DEPTH_MM = 1.0


def triangulate_algebraic(
    xy_normalized: Float[Tensor, "*batch views 2"],
    rotation: Float[Tensor, "*#batch views 3 3"],
    translation: Float[Tensor, "*#batch views 3"],
    weights: Float[Tensor, "*batch views"],
) -> Float[Tensor, "*batch 3"]:
    """Confidence-weighted DLT: the smallest singular vector of the stacked, weighted collinearity equations.

    With weights 0 and 1 it is the plain direct linear transform over the views that see a point.

    Points are undistorted normalised coordinates (`normalize_points`), so the projection is ``[R | t]``.
    The world is centred on the cameras and scaled by their spread first, which keeps the system well
    conditioned for any units. (Iskakov et al. 2019.)
    """
    centres = -(rotation.mT @ translation[..., None])[..., 0]
    centre = centres.mean(-2, keepdim=True)
    # The root mean square distance of the cameras from their middle; 1 where they coincide.
    spread = (centres - centre).square().sum(-1).mean(-1, keepdim=True)
    spread = torch.where(spread > 0, spread, 1.0).sqrt()
    moved = (translation + (rotation @ centre[..., None])[..., 0]) / spread[..., None]
    pose = torch.cat([rotation, moved[..., None]], dim=-1)
    rows = xy_normalized[..., None] * pose[..., 2:3, :] - pose[..., :2, :]
    rows = rows / rows.norm(dim=-1, keepdim=True) * weights[..., None, None]
    system = rows.flatten(-3, -2)
    enough = ((weights > 0).sum(-1) >= 2)[..., None]
    # Without two views the null space is not one line and its gradient is infinite: a harmless system instead.
    ladder = torch.arange(1, 5, dtype=system.dtype, device=system.device)
    harmless = torch.eye(system.shape[-2], 4, dtype=system.dtype, device=system.device) * ladder
    system = torch.where(enough[..., None], system, harmless)
    solution = torch.linalg.svd(system, full_matrices=False).Vh[..., -1, :]
    xyz = solution[..., :3] / solution[..., 3:] * spread[..., 0, None] + centre[..., 0, :]
    return torch.where(enough, xyz, torch.nan)


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


@dataclass(frozen=True, eq=False)
class RobustPoints(TensorStruct):
    """What `triangulate_robust` found.

    Attributes:
        xyz_world: points, mm; NaN with fewer than two usable views.
        inlier: views within the threshold of the point (and in front of the camera).
        error_px: reprojection error of every view, pixels without distortion; infinite behind the camera,
            NaN where the view has no observation.
    """

    xyz_world: Float[Tensor, "*batch 3"]
    inlier: Bool[Tensor, "*batch views"]
    error_px: Float[Tensor, "*batch views"]


def joint_confidence(
    inlier: Bool[Tensor, "*batch views"], error: Float[Tensor, "*batch views"], score: Float[Tensor, "*batch views"]
) -> Float[Tensor, "*batch"]:
    """How far a triangulated point can be trusted, in [0, 1]: ``s · m/(m+1) · exp(−e²/2)``.

    s is the mean score and m the number of the views that agree with the point (`inlier`), e their root mean square
    reprojection error in units of the inlier bound.
    """
    weight = inlier.to(torch.float64)
    count = weight.sum(-1)
    mean = (weight * score).sum(-1) / count.clamp(min=1)
    square = torch.where(inlier, error, 0.0).square().sum(-1) / count.clamp(min=1)
    return (mean * count / (count + 1) * torch.exp(-square / 2)).clamp(0, 1)


def reprojection_error(
    xyz_world: Float[Tensor, "*batch 3"],
    xy_normalized: Float[Tensor, "*batch views 2"],
    focal_px: Float[Tensor, "*#batch views"],
    rotation: Float[Tensor, "*#batch views 3 3"],
    translation: Float[Tensor, "*#batch views 3"],
) -> Float[Tensor, "*batch views"]:
    """Distance between projected and observed points in pixels without distortion; infinite behind the camera."""
    xyz_camera = rotate(rotation, xyz_world[..., None, :]) + translation
    front = xyz_camera[..., 2] > 0
    ahead = torch.where(front[..., None], xyz_camera, 1.0)
    error = (ahead[..., :2] / ahead[..., 2:] - xy_normalized).norm(dim=-1) * focal_px
    return torch.where(front, error, torch.inf)


def triangulate_robust(
    xy_image: Float[Tensor, "*batch views 2"],
    weights: Float[Tensor, "*batch views"],
    matrix: Float[Tensor, "*#batch views 3 3"],
    distortion: Float[Tensor, "*#batch views 8"],
    rotation: Float[Tensor, "*#batch views 3 3"],
    translation: Float[Tensor, "*#batch views 3"],
    *,
    threshold_px: Float[Tensor, "*#batch views"] | float = 20.0,
    steps: int = 6,
) -> RobustPoints:
    """Robust triangulation over views, all points at once: exhaustive RANSAC over view pairs, then IRLS.

    Every pair of views proposes its midpoint; the proposal with the least truncated cost
    ``Σ w min(e², τ²)`` (MSAC) is refined by Gauss-Newton steps on the Geman-McClure cost with scale ``τ``.
    No randomness: the result does not depend on the order of the views or on the rest of the batch.

    Args:
        xy_image: pixels, as detected (distorted).
        weights: confidence of every view, 0 = not seen.
        matrix: as in `Cameras`, like the other camera tensors; the views axis is the points' last but one.
        threshold_px: the inlier bound τ, for instance three times the detector's noise for this person's size.
        steps: Gauss-Newton steps.
    """
    xy = normalize_points(torch.where(weights[..., None] > 0, xy_image, 0.0), matrix, distortion)
    xy = torch.where(weights[..., None] > 0, xy, 0.0)
    weights = weights.expand(xy.shape[:-1])
    focal = (matrix[..., 0, 0] + matrix[..., 1, 1]) / 2
    threshold = torch.as_tensor(threshold_px, dtype=xy.dtype, device=xy.device).expand(xy.shape[:-1])
    sights = _Sights(xy, weights, focal, rotation, translation, threshold)
    xyz = _best_pair(sights)
    for _ in range(steps):
        xyz = _irls_step(xyz, sights)
    error = sights.error(xyz)
    error = torch.where((weights > 0) & torch.isfinite(xyz[..., :1]), error, torch.nan)
    return RobustPoints(xyz, error <= threshold, error)


@dataclass(frozen=True, eq=False)
class _Sights:
    """Points as views see them: places without the lens, how much each counts, the views, inlier bounds in pixels."""

    xy: Float[Tensor, "*batch views 2"]
    weights: Float[Tensor, "*batch views"]
    focal: Float[Tensor, "*#batch views"]
    rotation: Float[Tensor, "*#batch views 3 3"]
    translation: Float[Tensor, "*#batch views 3"]
    threshold: Float[Tensor, "*batch views"]

    def error(self, xyz: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch views"]:
        """See `reprojection_error`."""
        return reprojection_error(xyz, self.xy, self.focal, self.rotation, self.translation)

    def cost(self, xyz: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch"]:
        """Geman-McClure's; a view behind which the point lies counts as fully lost."""
        ratio2 = (self.error(xyz) / self.threshold) ** 2
        share = torch.where(torch.isfinite(ratio2), ratio2 / (1 + ratio2), 1.0)
        return (self.weights * share).sum(-1)


def _best_pair(sights: _Sights) -> Float[Tensor, "*batch 3"]:
    """The midpoint of the pair of views with the least truncated cost; NaN where no pair is seen."""
    xy, weights, threshold = sights.xy, sights.weights, sights.threshold
    focal, rotation, translation = sights.focal, sights.rotation, sights.translation
    views = xy.shape[-2]
    origins = -(rotation.mT @ translation[..., None])[..., 0]
    ray = torch.cat([xy, torch.ones_like(xy[..., :1])], dim=-1)
    ray = rotate(rotation.mT, ray)
    ray = ray / ray.norm(dim=-1, keepdim=True)
    best = torch.full_like(xy[..., 0, 0], torch.inf)
    xyz = torch.full_like(ray[..., 0, :], torch.nan)
    seen = (weights > 0).to(xy.dtype)
    # One view against all later ones at a time: memory grows with views², not views³.
    for view in range(views - 1):
        others = slice(view + 1, views)
        pair_origin = torch.stack(
            torch.broadcast_tensors(origins[..., view : view + 1, :], origins[..., others, :]), -2
        )
        pair_ray = torch.stack([ray[..., view : view + 1, :].expand_as(ray[..., others, :]), ray[..., others, :]], -2)
        both = torch.stack([seen[..., view : view + 1].expand_as(seen[..., others]), seen[..., others]], dim=-1)
        proposal = triangulate_midpoint(pair_origin, pair_ray, both)
        usable = torch.isfinite(proposal[..., 0])
        point = torch.where(usable[..., None], proposal, 0.0)
        rig = focal[..., None, :], rotation[..., None, :, :, :], translation[..., None, :, :]
        error = reprojection_error(point, xy[..., None, :, :].expand(*point.shape[:-1], views, 2), *rig)
        # The untruncated tail, much reduced, breaks ties between proposals that nobody supports.
        cost = torch.minimum(error, threshold[..., None, :]) ** 2
        cost = cost + 1e-6 * torch.minimum(error, 1e3 * threshold[..., None, :]) ** 2
        cost = torch.where(usable, (weights[..., None, :] * cost).sum(-1), torch.inf)
        least = cost.min(dim=-1)
        chosen = torch.take_along_dim(proposal, least.indices[..., None, None], dim=-2)[..., 0, :]
        better = least.values < best
        xyz = torch.where(better[..., None], chosen, xyz)
        best = torch.where(better, least.values, best)
    return xyz


def _irls_step(xyz: Float[Tensor, "*batch 3"], sights: _Sights) -> Float[Tensor, "*batch 3"]:
    """One Gauss-Newton step on ``Σ w f(e)`` with Geman-McClure's f; a step that does not descend is not taken."""
    focal, rotation = sights.focal, sights.rotation
    known = torch.isfinite(xyz[..., :1])
    point = torch.where(known, xyz, 0.0)
    xyz_camera = rotate(rotation, point[..., None, :]) + sights.translation
    ahead = xyz_camera[..., 2:] > MIN_DEPTH_MM
    inverse = 1 / torch.where(ahead, xyz_camera[..., 2:], 1.0)
    projected = torch.where(ahead, xyz_camera[..., :2] * inverse, 0.0)
    residual = (projected - sights.xy) * focal[..., None]
    squared = residual.square().sum(-1)
    strength = torch.where(ahead[..., 0], sights.weights / (1 + squared / sights.threshold**2) ** 2, 0.0)
    # d(x/z) = (row_xy - (x/z) row_z) / z
    jacobian = rotation[..., :2, :] - projected[..., None] * rotation[..., 2:, :]
    jacobian = jacobian * (inverse * focal[..., None])[..., None]
    weighted = jacobian * strength[..., None, None]
    normal = torch.einsum("...vki,...vkj->...ij", weighted, jacobian)
    gradient = torch.einsum("...vki,...vk->...i", weighted, residual)
    trace = torch.diagonal(normal, dim1=-2, dim2=-1).sum(-1)[..., None, None]
    eye = torch.eye(3, dtype=xyz.dtype, device=xyz.device)
    solvable = (strength > 0).sum(-1)[..., None, None] >= 2
    normal = torch.where(solvable, normal + 1e-14 * trace * eye, eye)
    step = solve_symmetric(normal, torch.where(solvable[..., 0], gradient, 0.0))
    trial = point - step
    # Rounding must not stop the iteration: its last steps are what makes the gradient exact.
    descends = (sights.cost(trial) <= sights.cost(point) * (1 + 1e-9))[..., None]
    return torch.where(known & descends, trial, xyz)


def ray_distance(
    origin_a: Float[Tensor, "*#batch 3"],
    direction_a: Float[Tensor, "*#batch 3"],
    origin_b: Float[Tensor, "*#batch 3"],
    direction_b: Float[Tensor, "*#batch 3"],
) -> Float[Tensor, "*batch"]:
    """Shortest distance between two half-lines, mm; directions are unit vectors.

    Rays start at the camera: lines that meet only behind one of the cameras are as far apart as the rays are.
    All arguments broadcast against each other. Parallel rays are handled (any of their common perpendiculars).
    """
    offset = origin_b - origin_a
    dot = (direction_a * direction_b).sum(-1)
    along_a, along_b = (offset * direction_a).sum(-1), (offset * direction_b).sum(-1)
    # |a × b|² instead of 1 − (a·b)²: the difference of near-equal numbers would lose half the digits.
    cross = torch.linalg.cross(*torch.broadcast_tensors(direction_a, direction_b))
    sine2 = (cross * cross).sum(-1)
    # Below this angle the depths are rounding noise, and treating the rays as parallel is the smaller error.
    skew = sine2 > torch.finfo(sine2.dtype).eps
    safe = torch.where(skew, sine2, 1.0)
    depth_b = torch.where(skew, (dot * along_a - along_b) / safe, 0.0)
    # From the point on b, not from the formula for a: then the error of one depth does not become distance.
    depth_a = along_a + depth_b * dot
    # Where one depth is negative, the better of the two edges ``depth = 0`` of the half-lines.
    on_a, on_b = along_a.clamp(min=0), (-along_b).clamp(min=0)  # nearest to the other ray's origin
    # Squared distances along both edges, without their common |offset|².
    edge_a, edge_b = on_a * (on_a - 2 * along_a), on_b * (on_b + 2 * along_b)
    outside, take_a = (depth_a < 0) | (depth_b < 0), edge_a <= edge_b
    depth_a = torch.where(outside, torch.where(take_a, on_a, 0.0), depth_a)
    depth_b = torch.where(outside, torch.where(take_a, 0.0, on_b), depth_b)
    gap = offset + depth_b[..., None] * direction_b - depth_a[..., None] * direction_a
    return torch.linalg.vector_norm(gap, dim=-1)


def projection_jacobian(
    xyz_world: Float[Tensor, "*points 3"],
    matrix: Float[Tensor, "views 3 3"],
    distortion: Float[Tensor, "views 8"],
    rotation: Float[Tensor, "views 3 3"],
    translation: Float[Tensor, "views 3"],
) -> Float[Tensor, "*points views 2 3"]:
    """Derivative of every view's image point by the world point, pixels per mm, the lens included."""

    def projected(xyz: Tensor) -> Tensor:
        return project_points((rotation @ xyz) + translation, matrix, distortion)

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

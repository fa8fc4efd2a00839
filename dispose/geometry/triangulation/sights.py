"""Rays and points on them: distances, reprojection errors, and Gauss-Newton steps that outliers hardly move."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.geometry.pinhole import normalize_points, pixels_per_unit
from dispose.geometry.triangulation.linear import rotate, solve_symmetric
from dispose.tensors import TensorStruct


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


MIN_DEPTH_MM = 1.0

UPPER = (0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)
SYMMETRIC = 0, 1, 2, 1, 3, 4, 2, 4, 5
"""The upper half of a symmetric 3x3 matrix, and where its nine entries are found in it."""


@dataclass(frozen=True, eq=False)
class RobustPoints(TensorStruct):
    """What a robust triangulation found.

    Attributes:
        xyz_world: points, mm; NaN with fewer than two usable views.
        inlier: views within the threshold of the point (and in front of the camera).
        error_px: reprojection error of every view, pixels without distortion; infinite behind the camera,
            NaN where the view has no observation.
    """

    xyz_world: Float[Tensor, "*batch 3"]
    inlier: Bool[Tensor, "*batch views"]
    error_px: Float[Tensor, "*batch views"]


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


@dataclass(frozen=True, eq=False)
class Sights:
    """Places without the lens, how much each counts, the views, inlier bounds in pixels (`sights_of`)."""

    xy: Float[Tensor, "*batch views 2"]
    weights: Float[Tensor, "*batch views"]
    focal: Float[Tensor, "*#batch views"]
    rotation: Float[Tensor, "*#batch views 3 3"]
    translation: Float[Tensor, "*#batch views 3"]
    threshold: Float[Tensor, "*batch views"]

    def rays(self) -> tuple[Float[Tensor, "*#batch views 3"], Float[Tensor, "*batch views 3"]]:
        """Origins, mm, and unit directions of the rays in the world."""
        origins = -rotate(self.rotation.mT, self.translation)
        ray = rotate(self.rotation.mT, torch.cat([self.xy, torch.ones_like(self.xy[..., :1])], dim=-1))
        return origins, ray / ray.norm(dim=-1, keepdim=True)

    def error(self, xyz: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch views"]:
        """See `reprojection_error`."""
        return reprojection_error(xyz, self.xy, self.focal, self.rotation, self.translation)

    @torch.no_grad()
    def errors(self, xyz: Float[Tensor, "*batch hypotheses 3"]) -> Float[Tensor, "*batch hypotheses views"]:
        """`error` of several proposals for every point, to choose by: without derivatives."""
        views = self.xy.shape[-2]
        # One product for all views and proposals of a point: far faster than `rotate` where there are many.
        turned = (self.rotation.flatten(-3, -2) @ xyz.mT).unflatten(-2, (views, 3))
        x, y, z = (turned + self.translation[..., None]).unbind(-2)
        front = z > 0
        ahead = torch.where(front, z, 1.0)
        across, down = (x / ahead - self.xy[..., :1], y / ahead - self.xy[..., 1:])
        error = (across * across + down * down).sqrt() * self.focal[..., None]
        return torch.where(front, error, torch.inf).mT

    def cost(self, xyz: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch"]:
        """Geman-McClure's; a view behind which the point lies counts as fully lost."""
        ratio2 = (self.error(xyz) / self.threshold) ** 2
        share = torch.where(torch.isfinite(ratio2), ratio2 / (1 + ratio2), 1.0)
        return (self.weights * share).sum(-1)

    def judge(self, xyz: Float[Tensor, "*batch 3"]) -> RobustPoints:
        """Points with their errors and which views agree."""
        error = self.error(xyz)
        error = torch.where((self.weights > 0) & torch.isfinite(xyz[..., :1]), error, torch.nan)
        return RobustPoints(xyz, error <= self.threshold, error)


def sights_of(
    xy_image: Float[Tensor, "*batch views 2"],
    weights: Float[Tensor, "*batch views"],
    matrix: Float[Tensor, "*#batch views 3 3"],
    lens: Float[Tensor, "*#batch views lens"],
    rotation: Float[Tensor, "*#batch views 3 3"],
    translation: Float[Tensor, "*#batch views 3"],
    threshold_px: Float[Tensor, "*#batch views"] | float,
) -> Sights:
    """Image points as detected, of which those without weight may be anything, as sights."""
    xy = normalize_points(torch.where(weights[..., None] > 0, xy_image, 0.0), matrix, lens)
    xy = torch.where(weights[..., None] > 0, xy, 0.0)
    focal = pixels_per_unit(xy, matrix, lens)
    threshold = torch.as_tensor(threshold_px, dtype=xy.dtype, device=xy.device)
    # In one order of memory, which what follows is several times as fast with.
    weights, threshold = (one.expand(xy.shape[:-1]).contiguous() for one in (weights, threshold))
    return Sights(xy.contiguous(), weights, focal, rotation, translation, threshold)


BySights = Callable[[Sights], RobustPoints]
"""A way to triangulate points that several views see."""


def triangulate_points(
    xy_image: Float[Tensor, "*batch views 2"],
    weights: Float[Tensor, "*batch views"],
    matrix: Float[Tensor, "*#batch views 3 3"],
    lens: Float[Tensor, "*#batch views lens"],
    rotation: Float[Tensor, "*#batch views 3 3"],
    translation: Float[Tensor, "*#batch views 3"],
    *,
    threshold_px: Float[Tensor, "*#batch views"] | float = 20.0,
    by: BySights,
) -> RobustPoints:
    """Points by what views see of them, all at once; a point's result does not depend on the rest of the batch.

    Args:
        xy_image: pixels, as detected (distorted).
        weights: confidence of every view, 0 = not seen.
        matrix: as in `Cameras`, like the other camera tensors; the views axis is the points' last but one.
        lens: see there.
        rotation: see there.
        translation: see there.
        threshold_px: the inlier bound, for instance three times the detector's noise for this person's size.
        by: the way.
    """
    return by(sights_of(xy_image, weights, matrix, lens, rotation, translation, threshold_px))


Lines = tuple[Float[Tensor, "*#batch 3"], Float[Tensor, "*#batch 3"]]
"""Origins, mm, and unit directions."""


def pair_midpoints(one: Lines, other: Lines, both: Bool[Tensor, "*batch"]) -> Float[Tensor, "*batch 3"]:
    """Where pairs of lines pass nearest: the middle of the shortest way between them; NaN where `both` is false.

    Between parallel lines the way lies at the middle of their origins.
    """
    (origin, direction), (other_origin, other_direction) = one, other
    way = other_origin - origin
    cosine, along, other_along = (
        (a * b).sum(-1, keepdim=True)
        for a, b in ((direction, other_direction), (way, direction), (way, other_direction))
    )
    across = 1 - cosine * cosine
    parallel = across <= 4 * torch.finfo(across.dtype).eps
    across = torch.where(parallel, torch.inf, across)
    ahead = (along - cosine * other_along) / across * direction
    other_ahead = (cosine * along - other_along) / across * other_direction
    middle = (origin + other_origin + ahead + other_ahead) / 2
    return torch.where(both[..., None], middle, torch.nan)


def refine(xyz: Float[Tensor, "*batch 3"], sights: Sights, steps: int) -> Float[Tensor, "*batch 3"]:
    """Gauss-Newton steps on ``Σ w f(e)`` with Geman-McClure's f of scale `Sights.threshold`.

    A step that does not descend is not taken.
    """
    known = torch.isfinite(xyz[..., 0])
    point = torch.where(known[..., None], xyz, 0.0)
    cost = sights.cost(point)
    for _ in range(steps):
        trial = point - _step(point, sights)
        there = sights.cost(trial)
        # Rounding must not stop the iteration: its last steps are what makes the gradient exact.
        descends = known & (there <= cost * (1 + 1e-9))
        point, cost = torch.where(descends[..., None], trial, point), torch.where(descends, there, cost)
    return torch.where(known[..., None], point, xyz)


def _step(point: Float[Tensor, "*batch 3"], sights: Sights) -> Float[Tensor, "*batch 3"]:
    """What one Gauss-Newton step takes from finite points.

    Computed number by number: products of many tensors with two or three last entries take three times as long.
    """
    rows = [row.unbind(-1) for row in sights.rotation.unbind(-2)]
    x, y, z = point[..., None, :].unbind(-1)
    x, y, z = (a * x + b * y + c * z + t for (a, b, c), t in zip(rows, sights.translation.unbind(-1), strict=True))
    ahead = z > MIN_DEPTH_MM
    inverse = 1 / torch.where(ahead, z, 1.0)
    x, y = (torch.where(ahead, place * inverse, 0.0) for place in (x, y))
    right, below = ((a - b) * sights.focal for a, b in zip((x, y), sights.xy.unbind(-1), strict=True))
    ratio2 = (right * right + below * below) / sights.threshold**2
    strength = torch.where(ahead, sights.weights / (1 + ratio2) ** 2, 0.0)
    # d(x/z) = (row_x - (x/z) row_z) / z, in pixels
    scale = inverse * sights.focal
    across, down = ([a - place * c for a, c in zip(rows[k], rows[2], strict=True)] for k, place in enumerate((x, y)))
    weight = strength * scale
    right, below, weight = weight * right, weight * below, weight * scale
    gradient = torch.stack([(a * right + b * below).sum(-1) for a, b in zip(across, down, strict=True)], dim=-1)
    upper = [(weight * (across[i] * across[j] + down[i] * down[j])).sum(-1) for i, j in UPPER]
    normal = torch.stack([upper[k] for k in SYMMETRIC], dim=-1).unflatten(-1, (3, 3))
    trace = torch.diagonal(normal, dim1=-2, dim2=-1).sum(-1)[..., None, None]
    eye = torch.eye(3, dtype=point.dtype, device=point.device)
    solvable = (strength > 0).sum(-1)[..., None, None] >= 2
    normal = torch.where(solvable, normal + 1e-14 * trace * eye, eye)
    return solve_symmetric(normal, torch.where(solvable[..., 0], gradient, 0.0))

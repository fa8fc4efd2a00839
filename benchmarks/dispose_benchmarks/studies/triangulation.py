"""Four triangulations under the same conditions: angles, numbers of views, noise, and a view that is wrong."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.geometry.pinhole import normalize_points
from dispose.geometry.rigid import look_at
from dispose.geometry.triangulation import ray_distance, triangulate_algebraic, triangulate_midpoint, triangulate_robust
from dispose.geometry.uncertainty import point_covariance, projection_jacobian
from dispose.scene.cameras import Cameras

Pixels = Float[Tensor, "*points views 2"]
Weights = Float[Tensor, "*points views"]
Points = Float[Tensor, "*points 3"]

DISTANCE_MM = 4000.0
FOCAL_PX = 1000.0
THRESHOLD_PX = 15.0
"""What the robust triangulation takes for an outlier."""


def midpoint(cameras: Cameras, xy_image: Pixels, weights: Weights) -> Points:
    """The point nearest to the rays in space."""
    directions = cameras.directions(xy_image.movedim(-2, 0)).movedim(0, -2)
    return triangulate_midpoint(cameras.centres, directions, (weights > 0).to(weights.dtype))


def dlt(cameras: Cameras, xy_image: Pixels, weights: Weights) -> Points:
    """The linear solution of the projection equations, all views alike."""
    xy = normalize_points(xy_image, cameras.matrix, cameras.lens)
    return triangulate_algebraic(xy, cameras.rotation, cameras.translation, (weights > 0).to(xy.dtype))


def algebraic(cameras: Cameras, xy_image: Pixels, weights: Weights) -> Points:
    """The linear solution, every view as strong as the detector is sure of it."""
    xy = normalize_points(xy_image, cameras.matrix, cameras.lens)
    return triangulate_algebraic(xy, cameras.rotation, cameras.translation, weights)


def robust(cameras: Cameras, xy_image: Pixels, weights: Weights) -> Points:
    """The least truncated reprojection error: a view that contradicts the others is left out."""
    tensors = (cameras.matrix, cameras.lens, cameras.rotation, cameras.translation)
    return triangulate_robust(xy_image, weights, *tensors, threshold_px=THRESHOLD_PX).xyz_world


@dataclass(frozen=True)
class Triangulator:
    """A triangulation and its name: pixels (views) and confidences in, points in mm out."""

    name: str
    solve: Callable[[Cameras, Tensor, Tensor], Tensor]


METHODS = (
    Triangulator("midpoint", midpoint),
    Triangulator("DLT", dlt),
    Triangulator("weighted DLT", algebraic),
    Triangulator("robust", robust),
)


@dataclass(frozen=True, eq=False)
class Study:
    """Root mean square errors of several methods (mm) at the values of what varies, and what the covariance of the best
    estimate predicts (NaN where it does not apply).
    """

    methods: tuple[str, ...]
    at: Float[Tensor, " values"]
    rms_mm: Float[Tensor, "methods values"]
    predicted_mm: Float[Tensor, " values"]


def all_seen(xy_image: Pixels) -> Weights:
    """Confidence 1 for every view of every point."""
    return torch.ones_like(xy_image[..., 0])


def two_cameras(angle_deg: float, *, distance_mm: float = DISTANCE_MM) -> Cameras:
    """Two cameras that look at the origin from one height, their lines of sight at an angle."""
    half = math.radians(angle_deg) / 2
    return _looking_at_origin([(-half, 0.0), (half, 0.0)], distance_mm)


def ring_of(views: int, *, distance_mm: float = DISTANCE_MM) -> Cameras:
    """Cameras all around the origin, 20 degrees above the horizon."""
    return _looking_at_origin([(2 * math.pi * v / views, math.radians(20)) for v in range(views)], distance_mm)


def error_by_angle(angles_deg: Sequence[float], sigma_px: float, draws: int, generator: torch.Generator) -> Study:
    """Two views 4 m away whose angle varies."""
    rigs = [two_cameras(angle) for angle in angles_deg]
    return _study(angles_deg, rigs, [sigma_px] * len(rigs), draws, generator)


def error_by_views(counts: Sequence[int], sigma_px: float, draws: int, generator: torch.Generator) -> Study:
    """A growing ring of cameras; two of them stand at a right angle, not face to face."""
    rigs = [two_cameras(90.0) if count == 2 else ring_of(count) for count in counts]
    return _study([float(count) for count in counts], rigs, [sigma_px] * len(rigs), draws, generator)


def error_by_noise(sigmas_px: Sequence[float], views: int, draws: int, generator: torch.Generator) -> Study:
    """A ring of cameras whose detector gets worse."""
    return _study(sigmas_px, [ring_of(views)] * len(sigmas_px), sigmas_px, draws, generator)


def error_by_wrong_view(
    shifts_px: Sequence[float], views: int, sigma_px: float, draws: int, generator: torch.Generator
) -> Study:
    """A ring of cameras of which the first points beside the truth, and is only half as sure of it."""
    count = len(shifts_px)
    return _study(shifts_px, [ring_of(views)] * count, [sigma_px] * count, draws, generator, shifts_px)


def errors_by_method(
    cameras: Cameras, xy_image: Pixels, weights: Weights, truth: Points
) -> Float[Tensor, "methods *points"]:
    """Distance of every method's points from the truth, mm, in the order of `METHODS`; NaN below two views."""
    return torch.stack([(method.solve(cameras, xy_image, weights) - truth).norm(dim=-1) for method in METHODS])


def ray_gaps(
    cameras: Cameras, xy_image: Float[Tensor, "views 2"], weights: Float[Tensor, " views"]
) -> Float[Tensor, " pairs"]:
    """How far apart the rays through one pixel per view pass, mm, for every pair of views that see the point."""
    seen = (weights > 0).nonzero()[:, 0]
    rays = cameras.select(views=seen.tolist())
    directions, (first, second) = rays.directions(xy_image[seen]), torch.triu_indices(len(seen), len(seen), 1)
    return ray_distance(rays.centres[first], directions[first], rays.centres[second], directions[second])


def rms(found: Float[Tensor, "draws 3"], truth: Float[Tensor, " 3"]) -> float:
    """Root mean square distance from the truth, mm."""
    return float((found - truth).square().sum(-1).mean().sqrt())


def spread_of(
    cameras: Cameras, point: Float[Tensor, " 3"], sigma_px: float, draws: int, generator: torch.Generator
) -> Float[Tensor, "draws 3"]:
    """Where the robust triangulation puts a point whose image points are measured again and again, mm."""
    xy = _noisy(cameras, point, sigma_px, draws, generator)
    return robust(cameras, xy, all_seen(xy))


def covariance_at(cameras: Cameras, points: Points, sigma_px: float) -> Float[Tensor, "*points 3 3"]:
    """Covariance (mm²) of points that all cameras see."""
    tensors = (cameras.matrix, cameras.lens, cameras.rotation, cameras.translation)
    sigma = torch.full((len(cameras),), sigma_px, dtype=points.dtype)
    return point_covariance(projection_jacobian(points, *tensors), sigma)


def _study(
    at: Sequence[float],
    rigs: Sequence[Cameras],
    sigmas_px: Sequence[float],
    draws: int,
    generator: torch.Generator,
    shifts_px: Sequence[float] | None = None,
) -> Study:
    """Errors at the origin. A first view that is shifted is half as sure, and nothing is predicted of it."""
    point, columns, predicted = torch.zeros(3, dtype=torch.float64), [], []
    for place, (cameras, sigma) in enumerate(zip(rigs, sigmas_px, strict=True)):
        xy = _noisy(cameras, point, sigma, draws, generator)
        weights = all_seen(xy)
        if shifts_px is None:
            predicted.append(float(covariance_at(cameras, point, sigma).trace().sqrt()))
        else:
            angle = 2 * math.pi * torch.rand(draws, generator=generator, dtype=torch.float64)
            xy[:, 0] += shifts_px[place] * torch.stack([angle.cos(), angle.sin()], dim=-1)
            weights[:, 0] = 0.5
            predicted.append(math.nan)
        columns.append([rms(method.solve(cameras, xy, weights), point) for method in METHODS])
    values, spread = torch.tensor([list(at), predicted], dtype=torch.float64)
    return Study(tuple(m.name for m in METHODS), values, torch.tensor(columns, dtype=torch.float64).T, spread)


def _noisy(
    cameras: Cameras, point: Float[Tensor, " 3"], sigma_px: float, draws: int, generator: torch.Generator
) -> Float[Tensor, "draws views 2"]:
    xy, _ = cameras.project(point)
    return xy + sigma_px * torch.randn(draws, *xy.shape, generator=generator, dtype=xy.dtype)


def _looking_at_origin(directions: Sequence[tuple[float, float]], distance_mm: float) -> Cameras:
    """Cameras in given directions (azimuth and elevation, radians) from the origin."""
    places = [(math.cos(a) * math.cos(e), math.sin(a) * math.cos(e), math.sin(e)) for a, e in directions]
    centres = distance_mm * torch.tensor(places, dtype=torch.float64)
    rotation, translation = look_at(centres, torch.zeros_like(centres), centres.new_tensor([0.0, 0.0, 1.0]))
    matrix = centres.new_tensor([[FOCAL_PX, 0, 639.5], [0, FOCAL_PX, 359.5], [0, 0, 1]])
    count = len(places)
    return Cameras(
        tuple(f"cam{view + 1:02d}" for view in range(count)),
        centres.new_tensor([[1280.0, 720.0]]).expand(count, 2),
        matrix.expand(count, 3, 3),
        torch.zeros(count, 8, dtype=torch.float64),
        rotation,
        translation,
    )

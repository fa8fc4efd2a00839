"""Linear triangulations: what they minimise, that Cholesky is as good as the SVD, and finite gradients."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from dispose.geometry.triangulation import triangulate_algebraic, triangulate_algebraic_svd
from dispose.scene.cameras import Cameras
from dispose_benchmarks.studies.triangulation import ring_of, two_cameras

Rays = tuple[Tensor, Tensor, Tensor, Tensor]


def sights(cameras: Cameras, points: int = 200, noise_px: float = 2.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Points within a metre of the origin, and normalised coordinates of their noisy images (the lens is ideal)."""
    generator = torch.Generator().manual_seed(seed)
    xyz = 1000 * torch.randn(points, 3, dtype=torch.float64, generator=generator).clamp(-1, 1)
    xy = cameras.project(xyz)[0].movedim(0, -2)
    xy = xy + noise_px * torch.randn(xy.shape, dtype=torch.float64, generator=generator)
    middle, focal = cameras.matrix[:, :2, 2], cameras.matrix[:, 0, :1]
    return xyz, (xy - middle) / focal


def test_the_weighted_squares_of_the_equations_are_least() -> None:
    """Least squares by a general solver on equations that are written out, not normalised, weights 0.2 to 1."""
    cameras = ring_of(4)
    _, xy = sights(cameras, 50, noise_px=8.0)
    weights = 0.2 + 0.8 * torch.rand(50, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = triangulate_algebraic(xy, cameras.rotation, cameras.translation, weights)
    for point in range(50):
        rows, right = [], []
        for view in range(4):
            (r1, r2, r3), t = cameras.rotation[view], cameras.translation[view]
            x, y = xy[point, view]
            rows += [weights[point, view] * (x * r3 - r1), weights[point, view] * (y * r3 - r2)]
            right += [weights[point, view] * (t[0] - x * t[2]), weights[point, view] * (t[1] - y * t[2])]
        expected = torch.linalg.lstsq(torch.stack(rows), torch.stack(right)[:, None]).solution[:, 0]
        assert_close(found[point], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("views", [2, 3, 4, 8])
def test_cholesky_is_as_exact_as_the_svd(views: int) -> None:
    cameras = two_cameras(90.0) if views == 2 else ring_of(views)
    xyz, xy = sights(cameras)
    arguments = (xy, cameras.rotation, cameras.translation, torch.ones(xy.shape[:-1], dtype=torch.float64))
    errors = [
        (solve(*(a.to(kind) for a in arguments)).double() - xyz).norm(dim=-1).mean()
        for solve, kind in (
            (triangulate_algebraic_svd, torch.float64),
            (triangulate_algebraic, torch.float64),
            (triangulate_algebraic, torch.float32),
        )
    ]
    assert float(errors[1]) == pytest.approx(float(errors[0]), rel=0.02)
    assert float(errors[2]) == pytest.approx(float(errors[0]), rel=0.02)


@pytest.mark.parametrize(("angle", "kind", "within"), [(5.0, torch.float64, 0.01), (60.0, torch.float32, 0.1)])
def test_the_ridge_costs_nothing(angle: float, kind: torch.dtype, within: float) -> None:
    """Without noise the point is exact, also where two cameras see it from nearly the same side."""
    cameras = two_cameras(angle)
    xyz, xy = sights(cameras, noise_px=0.0)
    rig = cameras.rotation.to(kind), cameras.translation.to(kind)
    found = triangulate_algebraic(xy.to(kind), *rig, torch.ones(xy.shape[:-1], dtype=kind))
    assert float((found.double() - xyz).norm(dim=-1).max()) < within


def twice_the_same_camera(kind: torch.dtype) -> Rays:
    cameras = two_cameras(60.0).select(views=[0, 0])
    _, xy = sights(cameras)
    return xy.to(kind), cameras.rotation.to(kind), cameras.translation.to(kind), torch.ones(200, 2, dtype=kind)


def vanishing_weights(kind: torch.dtype) -> Rays:
    cameras = ring_of(4)
    _, xy = sights(cameras)
    weights = torch.tensor([1e-5, 1e-30, 1e-5, 1e-30], dtype=kind).expand(200, 4)
    return xy.to(kind), cameras.rotation.to(kind), cameras.translation.to(kind), weights


def parallel_rays(kind: torch.dtype) -> Rays:
    rotation = torch.eye(3, dtype=kind).expand(2, 3, 3)
    translation = torch.tensor([[500.0, 0, 0], [-500.0, 0, 0]], dtype=kind)
    return torch.zeros(3, 2, 2, dtype=kind), rotation, translation, torch.ones(3, 2, dtype=kind)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", [twice_the_same_camera, vanishing_weights, parallel_rays])
def test_points_and_gradients_are_finite(case, kind: torch.dtype) -> None:
    xy, rotation, translation, weights = case(kind)
    xy, weights = xy.clone().requires_grad_(), weights.clone().requires_grad_()
    found = triangulate_algebraic(xy, rotation, translation, weights)
    assert bool(torch.isfinite(found).all())
    slopes = torch.autograd.grad(found.sum(), (xy, weights))
    assert all(bool(torch.isfinite(slope).all()) for slope in slopes)


def test_the_svd_s_gradient_is_not_to_be_trained_with_where_cameras_coincide() -> None:
    """Why Cholesky is the default: the same loss, a slope a million times as steep and more."""
    slopes = []
    for solve in (triangulate_algebraic, triangulate_algebraic_svd):
        xy, rotation, translation, weights = twice_the_same_camera(torch.float64)
        # The same pixel in both: nothing says how far away.
        xy = xy[:, :1].expand(-1, 2, -1).clone().requires_grad_()
        found = solve(xy, rotation, translation, weights)
        slopes.append(torch.autograd.grad(found.sum(), xy)[0].abs().max())
    assert torch.isfinite(slopes[0])
    assert not torch.isfinite(slopes[1]) or slopes[1] > 1e6 * slopes[0]

"""Laws of the covariance: the Monte Carlo spread agrees, more views never hurt, the angle is what counts."""

import math

import pytest
import torch

from dispose.geometry.pinhole import project_points
from dispose.geometry.uncertainty import point_covariance, projection_jacobian
from dispose_benchmarks.studies.triangulation import all_seen, ring_of, robust, two_cameras

POINT = torch.tensor([100.0, -50.0, 1000.0], dtype=torch.float64)


def covariance(cameras, sigma_px: float = 1.0):
    tensors = (cameras.matrix, cameras.distortion, cameras.rotation, cameras.translation)
    return point_covariance(projection_jacobian(POINT, *tensors), POINT.new_full((len(cameras),), sigma_px))


def test_the_derivative_is_the_difference_quotient_with_a_lens() -> None:
    cameras = ring_of(4)
    lens = torch.tensor([-0.2, 0.05, 0.001, -0.002, 0, 0, 0, 0], dtype=torch.float64).expand(4, 8)
    jacobian = projection_jacobian(POINT, cameras.matrix, lens, cameras.rotation, cameras.translation)
    for axis in range(3):
        step = torch.zeros(3, dtype=torch.float64)
        step[axis] = 1e-3
        ends = [project_points(cameras.to_camera(POINT + s * step), cameras.matrix, lens) for s in (1, -1)]
        torch.testing.assert_close((ends[0] - ends[1]) / 2e-3, jacobian[..., axis], atol=1e-7, rtol=1e-6)


def test_repeated_measurement_spreads_as_predicted() -> None:
    cameras, draws = ring_of(4), 4000
    generator = torch.Generator().manual_seed(0)
    xy = cameras.project(POINT)[0] + torch.randn(draws, 4, 2, generator=generator, dtype=torch.float64)
    found = robust(cameras, xy, all_seen(xy))
    spread = torch.cov(found.T)
    expected = covariance(cameras)
    assert float((spread - expected).norm() / expected.norm()) < 0.06


def test_information_adds_up_and_noise_scales() -> None:
    cameras = ring_of(5)
    before, after = covariance(cameras.select(views=[0, 1, 2])), covariance(cameras)
    assert float(torch.linalg.eigvalsh(before - after).min()) > 0, "two more views shorten every axis"
    torch.testing.assert_close(covariance(cameras, 3.0), 9 * after)
    unseen = torch.tensor([1.0, 1, 1, math.inf, math.inf], dtype=torch.float64)
    jacobian = projection_jacobian(POINT, cameras.matrix, cameras.distortion, cameras.rotation, cameras.translation)
    torch.testing.assert_close(point_covariance(jacobian, unseen), before)
    alone = torch.tensor([1.0, math.inf, math.inf, math.inf, math.inf], dtype=torch.float64)
    assert bool(torch.isnan(point_covariance(jacobian, alone)).all()), "one view knows no depth"


@pytest.mark.parametrize("angle", [5.0, 20.0, 60.0])
def test_depth_of_two_views_is_as_unsure_as_their_angle_is_small(angle: float) -> None:
    cameras = two_cameras(angle)
    xyz = torch.zeros(3, dtype=torch.float64)
    jacobian = projection_jacobian(xyz, cameras.matrix, cameras.distortion, cameras.rotation, cameras.translation)
    spread = torch.linalg.eigvalsh(point_covariance(jacobian, torch.ones(2, dtype=torch.float64))).sqrt()
    pixel_mm = float(cameras.centres[0].norm() / cameras.matrix[0, 0, 0])
    assert float(spread.max()) == pytest.approx(pixel_mm / math.sqrt(2) / math.sin(math.radians(angle / 2)), rel=0.01)


def test_no_points_have_no_covariance() -> None:
    cameras = ring_of(3)
    tensors = (cameras.matrix, cameras.distortion, cameras.rotation, cameras.translation)
    assert projection_jacobian(torch.zeros(0, 3, dtype=torch.float64), *tensors).shape == (0, 3, 2, 3)

"""The lens model is OpenCV's, and `undistort` is its inverse."""

import cv2
import numpy as np
import pytest
import torch
from torch.testing import assert_close

from dispose.geometry.pinhole import distort, normalize_points, project_points, undistort

MATRIX = torch.tensor([[900.0, 0.0, 640.0], [0.0, 950.0, 360.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
LENSES = [
    [0.0] * 8,
    [-0.33, 0.12, -6e-4, 8e-4, 0.03, 0.0, 0.0, 0.0],  # a Panoptic VGA camera
    [0.6, -2.5, 3e-4, -2e-4, 1.4, 0.48, -2.3, 1.35],  # an Azure Kinect
    [-0.42, 0.2, 1e-3, -1e-3, -0.05, 0.0, 0.0, 0.0],
]


def grid(radius: float) -> torch.Tensor:
    axis = torch.linspace(-radius, radius, 15, dtype=torch.float64)
    return torch.cartesian_prod(axis, axis * 0.6)


@pytest.mark.parametrize("lens", LENSES)
def test_projection_is_opencvs(lens: list[float]) -> None:
    xyz = torch.cat([grid(0.6), torch.ones(225, 1, dtype=torch.float64)], -1) * torch.linspace(500, 9000, 225)[:, None]
    lens_tensor = torch.tensor(lens, dtype=torch.float64)
    expected, _ = cv2.projectPoints(xyz.numpy(), np.zeros(3), np.zeros(3), MATRIX.numpy(), np.array(lens))
    assert_close(project_points(xyz, MATRIX, lens_tensor), torch.from_numpy(expected[:, 0]), atol=1e-8, rtol=1e-10)


@pytest.mark.parametrize("lens", LENSES)
def test_normalization_is_opencvs_and_the_inverse(lens: list[float]) -> None:
    lens_tensor = torch.tensor(lens, dtype=torch.float64)
    xy = grid(0.5)
    pixels = project_points(torch.cat([xy, torch.ones(225, 1, dtype=torch.float64)], -1), MATRIX, lens_tensor)
    assert_close(normalize_points(pixels, MATRIX, lens_tensor), xy, atol=1e-11, rtol=0)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 500, 1e-14)
    theirs = cv2.undistortPoints(pixels.contiguous().numpy(), MATRIX.numpy(), np.array(lens), criteria=criteria)
    assert_close(normalize_points(pixels, MATRIX, lens_tensor), torch.from_numpy(theirs[:, 0]), atol=1e-8, rtol=0)


def test_newton_reaches_what_the_fixed_point_does_not() -> None:
    lens = torch.tensor([1.5, 2.0, 0, 0, 0, 0, 0, 0], dtype=torch.float64)
    xy = grid(0.8)
    assert_close(undistort(distort(xy, lens), lens), xy, atol=1e-11, rtol=0)


def test_points_beyond_the_lens_stay_finite() -> None:
    lens = torch.tensor(LENSES[3], dtype=torch.float64)
    assert torch.isfinite(undistort(torch.tensor([[3.0, 2.0], [50.0, -9.0]], dtype=torch.float64), lens)).all()


@pytest.mark.parametrize("times", [1.0, 10.0, 100.0])
def test_a_point_far_beyond_the_image_is_inverted(times: float) -> None:
    """From where it lies Newton's step goes a fifth of the way at a time, or ends beside another root."""
    lens = torch.tensor([-0.2, 0.168, -3.7e-4, -1.3e-4, 0, 0, 0, 0], dtype=torch.float64)
    far = times * torch.tensor([[20.0, 40.0], [-35.0, 12.0]], dtype=torch.float64)
    assert_close(distort(undistort(far, lens), lens), far, atol=0, rtol=1e-12)


@pytest.mark.parametrize("numbers", LENSES)
def test_a_result_does_not_depend_on_its_batch(numbers: list[float]) -> None:
    """Neither on points that are done earlier, nor on those that no step brings nearer."""
    lens = torch.tensor(numbers, dtype=torch.float64)
    xy = torch.cat([distort(grid(0.9), lens), torch.tensor([[3.0, 2.0], [50.0, -9.0], [0.0, 0.0]]).double()])
    together = undistort(xy, lens)
    apart = torch.stack([undistort(p, lens) for p in xy])
    assert torch.equal(together, apart)


def test_gradients() -> None:
    lens = torch.tensor(LENSES[2], dtype=torch.float64, requires_grad=True)
    xy = grid(0.4)[::20].clone().requires_grad_()
    assert torch.autograd.gradcheck(distort, (xy, lens))
    target = distort(xy, lens).detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda p: undistort(p, lens.detach(), steps=30), (target,), atol=1e-6)

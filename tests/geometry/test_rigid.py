"""Rotations agree with OpenCV's; a camera looks where it is told."""

import cv2
import numpy as np
import torch
from torch.testing import assert_close

from dispose.geometry.rigid import cross_matrix, look_at, rodrigues, rotation_vector


def vectors(count: int = 200, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_rodrigues_is_opencvs() -> None:
    for vector in [*vectors(20), torch.zeros(3, dtype=torch.float64), torch.full((3,), 1e-9, dtype=torch.float64)]:
        assert_close(rodrigues(vector), torch.from_numpy(cv2.Rodrigues(vector.numpy())[0]), atol=1e-14, rtol=0)


def test_there_and_back_also_near_zero_and_pi() -> None:
    axis = torch.nn.functional.normalize(vectors(), dim=-1)
    for angle in (0.0, 1e-9, 1e-5, 1.0, 3.0, np.pi - 1e-6, np.pi):
        rotation = rodrigues(axis * angle)
        assert_close(rodrigues(rotation_vector(rotation)), rotation, atol=1e-12, rtol=0)
        assert (rotation_vector(rotation).norm(dim=-1) <= np.pi + 1e-12).all()


def test_rodrigues_has_gradients_everywhere() -> None:
    for start in (torch.zeros(3, dtype=torch.float64), vectors(1)[0]):
        assert torch.autograd.gradcheck(rodrigues, (start.clone().requires_grad_(),))


def test_cross_matrix() -> None:
    a, b = vectors(seed=1), vectors(seed=2)
    assert_close((cross_matrix(a) @ b[..., None])[..., 0], torch.linalg.cross(a, b))


def test_look_at_puts_the_target_ahead_and_up_upwards() -> None:
    centre, target = vectors(seed=3) * 3000, vectors(seed=4) * 500
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    rotation, shift = look_at(centre, target, up)
    assert_close(torch.linalg.det(rotation), torch.ones(200, dtype=torch.float64))
    seen = (rotation @ target[..., None])[..., 0] + shift
    assert_close(seen[:, :2], torch.zeros(200, 2, dtype=torch.float64), atol=1e-8, rtol=0)
    assert (seen[:, 2] > 0).all()
    assert ((rotation @ up)[:, 1] < 0).all()
    straight_down, _ = look_at(torch.tensor([0.0, 0.0, 3000.0], dtype=torch.float64), torch.zeros(3).double(), up)
    assert_close(straight_down @ straight_down.T, torch.eye(3, dtype=torch.float64))

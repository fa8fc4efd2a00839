"""Epipolar geometry against OpenCV and against brute force."""

import cv2
import torch
from torch.testing import assert_close

from dispose.geometry.epipolar import epipolar_distance, fundamental_matrix, ray_distance
from dispose.geometry.pinhole import project_points
from dispose.geometry.rigid import look_at

UP = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)


def rig(views: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    angle = torch.arange(views, dtype=torch.float64) * 1.3
    centre = torch.stack([4000 * angle.cos(), 4000 * angle.sin(), 2000 + 100 * angle], -1)
    rotation, translation = look_at(centre, torch.tensor([[0.0, 0.0, 900.0]], dtype=torch.float64).expand(views, 3), UP)
    matrix = torch.tensor([[1100.0, 0, 960], [0, 1080, 540], [0, 0, 1]], dtype=torch.float64).repeat(views, 1, 1)
    return matrix, rotation, translation


def test_a_point_lies_on_its_epipolar_lines() -> None:
    matrix, rotation, translation = rig()
    xyz = torch.randn(60, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 500
    camera = xyz @ rotation.mT + translation[:, None]
    xy = project_points(camera, matrix[:, None], torch.zeros(4, 1, 8, dtype=torch.float64))
    fundamental = fundamental_matrix(matrix, rotation, translation)
    distance = epipolar_distance(xy[:, None].expand(4, 4, 60, 2), xy[None].expand(4, 4, 60, 2), fundamental[:, :, None])
    assert distance.max() < 1e-8
    shifted = xy[1] + torch.tensor([3.0, -4.0], dtype=torch.float64)
    lines = cv2.computeCorrespondEpilines(xy[0].numpy(), 1, fundamental[0, 1].numpy())[:, 0]
    in_b = (torch.from_numpy(lines) * torch.cat([shifted, torch.ones(60, 1, dtype=torch.float64)], -1)).sum(-1).abs()
    lines = cv2.computeCorrespondEpilines(shifted.numpy(), 2, fundamental[0, 1].numpy())[:, 0]
    in_a = (torch.from_numpy(lines) * torch.cat([xy[0], torch.ones(60, 1, dtype=torch.float64)], -1)).sum(-1).abs()
    # OpenCV returns its lines in single precision.
    assert_close(epipolar_distance(xy[0], shifted, fundamental[0, 1]), (in_a + in_b) / 2, atol=1e-3, rtol=1e-3)


def random_rays(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    origin = torch.randn(count, 3, dtype=torch.float64, generator=generator) * 1000
    direction = torch.randn(count, 3, dtype=torch.float64, generator=generator)
    return origin, torch.nn.functional.normalize(direction, dim=-1)


def test_ray_distance_is_the_minimum_over_both_half_lines() -> None:
    origin_a, direction_a = random_rays(300, 0)
    origin_b, direction_b = random_rays(300, 1)
    found = ray_distance(origin_a, direction_a, origin_b, direction_b)
    depth = torch.cat([torch.zeros(1), torch.logspace(-1, 5, 2000)]).double()
    on_a = origin_a[:, None] + depth[:, None] * direction_a[:, None]
    along = ((on_a - origin_b[:, None]) * direction_b[:, None]).sum(-1).clamp(min=0)
    brute = (on_a - origin_b[:, None] - along[..., None] * direction_b[:, None]).norm(dim=-1).amin(-1)
    assert (found <= brute + 1e-9).all()
    assert_close(found, brute, atol=0.5, rtol=2e-3)


def test_ray_distance_is_symmetric_and_broadcasts() -> None:
    origin_a, direction_a = random_rays(5, 2)
    origin_b, direction_b = random_rays(7, 3)
    table = ray_distance(origin_a[:, None], direction_a[:, None], origin_b[None], direction_b[None])
    assert table.shape == (5, 7)
    back = ray_distance(origin_b[:, None], direction_b[:, None], origin_a[None], direction_a[None])
    assert_close(back, table.T)
    one = ray_distance(origin_a[0], direction_a[:, None], origin_b[0], direction_b[None])
    assert_close(one[2, 3], ray_distance(origin_a[0], direction_a[2], origin_b[0], direction_b[3]))


def test_parallel_and_nearly_parallel_rays_have_their_plain_distance() -> None:
    ahead = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    zero, beside = torch.zeros(3, dtype=torch.float64), torch.tensor([30.0, 40.0, 500.0], dtype=torch.float64)
    assert_close(ray_distance(zero, ahead, beside, ahead), torch.tensor(50.0, dtype=torch.float64))
    for angle in (1e-4, 1e-7, 1e-9, 1e-12, 1e-15):
        tilted = torch.tensor([0.8 * angle, -0.6 * angle, 1.0], dtype=torch.float64)
        tilted = tilted / tilted.norm()
        found = ray_distance(zero, ahead, beside, tilted)
        assert_close(found, torch.tensor(50.0, dtype=torch.float64), atol=1e-3, rtol=0)


def test_gradient() -> None:
    origin_a, direction_a = random_rays(6, 4)
    origin_b, direction_b = random_rays(6, 5)
    inputs = tuple(t.requires_grad_() for t in (origin_a, direction_a, origin_b, direction_b))
    assert torch.autograd.gradcheck(ray_distance, inputs)

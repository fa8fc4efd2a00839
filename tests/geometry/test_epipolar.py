"""Distances between rays against brute force."""

import torch
from torch.testing import assert_close

from dispose.geometry.triangulation import ray_distance


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

"""Alignment recovers what was applied, never reflects, and ignores points without weight."""

import torch
from torch.testing import assert_close

from dispose.geometry.rigid import rodrigues, umeyama


def cloud(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_a_similarity_is_recovered() -> None:
    source, rotation = cloud(0, 40, 12) * 300, rodrigues(cloud(1, 40) * 2)
    target = 1.7 * source @ rotation.mT + cloud(2, 40)[:, None] * 1000
    found = umeyama(source, target)
    assert_close(found.scale, torch.full((40,), 1.7, dtype=torch.float64))
    assert_close(found.rotation, rotation)
    assert_close(found.apply(source), target)


def test_a_mirror_image_is_not_fitted_by_a_reflection() -> None:
    source = cloud(3, 10, 15)
    mirrored = source * torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    found = umeyama(source, mirrored)
    assert_close(torch.linalg.det(found.rotation), torch.ones(10, dtype=torch.float64))
    assert (found.apply(source) - mirrored).norm(dim=-1).mean() > 0.1


def test_the_optimum_beats_its_neighbours() -> None:
    source, target = cloud(4, 9), cloud(5, 9)
    best = umeyama(source, target)
    cost = (best.apply(source) - target).square().sum()
    for seed in range(50):
        tilt = rodrigues(cloud(seed, 1)[0] * 0.05)
        centre = target.mean(0)
        other = (best.apply(source) - centre) @ tilt.mT + centre
        assert (other - target).square().sum() >= cost


def test_weightless_points_do_not_count() -> None:
    source = cloud(6, 8)
    rotation = rodrigues(cloud(7, 1)[0])
    target = source @ rotation.mT + 5
    target[3] += 1000
    weights = torch.ones(8, dtype=torch.float64)
    weights[3] = 0
    assert_close(umeyama(source, target, weights).rotation, rotation)


def test_gradient() -> None:
    source, target = cloud(8, 6).requires_grad_(), cloud(9, 6)
    assert torch.autograd.gradcheck(lambda s: umeyama(s, target).apply(s), (source,))

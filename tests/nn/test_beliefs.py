"""Samples of where keypoints may be: drawn as maps of any shape say, on the right pixel, and as channels."""

import math

import pytest
import torch

from dispose.errors import InputError
from dispose.nn.beliefs import Samples, channels, sample_heatmaps, sample_keypoints


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_single_hot_pixel_of_a_wide_map_is_where_it_is():
    maps = torch.full((1, 2, 3, 8), -1.0)
    maps[0, 0, 2, 7], maps[0, 1, 0, 1] = 0.7, 0.3
    found = sample_heatmaps(maps, 5, generator())
    assert found.xy.shape == (1, 1, 2, 5, 2)
    torch.testing.assert_close(found.xy[0, 0, 0], torch.tensor([2 * 3 / 8, 2 * 0.5 / 8]).expand(5, 2))
    torch.testing.assert_close(found.xy[0, 0, 1], torch.tensor([2 * -3 / 8, 2 * -1.5 / 8]).expand(5, 2))
    torch.testing.assert_close(found.likelihood[0, 0], torch.tensor([[0.7], [0.3]]).expand(2, 5))


def test_a_square_map_spans_minus_one_to_one():
    maps = torch.zeros(1, 1, 64, 64)
    maps[0, 0, 63, 0] = 1.0
    assert sample_heatmaps(maps, 1, generator()).xy.flatten().tolist() == [-1.0, 62 / 64]


def test_pixels_are_drawn_in_proportion_with_replacement_and_negative_ones_never():
    maps = torch.tensor([[[[1.0, 3.0], [-5.0, 0.0]]]])
    found = sample_heatmaps(maps, 4000, generator(), peak=False)
    values, counts = found.likelihood.flatten().unique(return_counts=True)
    assert values.tolist() == [1.0, 3.0]
    assert float(counts[1]) / 4000 == pytest.approx(0.75, abs=0.03)


def test_the_peak_is_the_first_of_every_hypothesis_and_the_others_differ():
    maps = torch.rand(3, 4, 9, 7, generator=generator(1))
    found = sample_heatmaps(maps, 6, generator(), hypotheses=5)
    top = maps.flatten(2).amax(-1)
    torch.testing.assert_close(found.likelihood[..., 0], top[:, None].expand(3, 5, 4))
    assert len({tuple(one.flatten().tolist()) for one in found.xy[0, :, :, 1:]}) == 5
    without = sample_heatmaps(maps, 6, generator(), hypotheses=5, peak=False)
    assert bool((without.likelihood[..., 0] != top[:, None]).any())
    again = sample_heatmaps(maps, 6, generator(), hypotheses=5)
    assert torch.equal(found.xy, again.xy)


@pytest.mark.parametrize(
    ("value", "says"),
    [(0.0, "joint 1 of person 2 is empty"), (-1.0, "is empty"), (math.nan, "joint 1 of person 2 holds values that")],
)
def test_a_map_that_says_nothing_is_refused(value: float, says: str):
    maps = torch.rand(3, 2, 4, 5) + 0.1
    maps[2, 1] = value
    with pytest.raises(InputError, match=says):
        sample_heatmaps(maps, 4, generator())


def test_samples_round_keypoints_are_those_of_a_gaussian_map():
    """Places, and the likelihood ``c exp(-r² / 2 sigma²)``, whose mean under the map itself is c / 2."""
    xy, sigma = torch.tensor([[[0.3, -0.2], [0.5, 0.5]]]), torch.tensor([[0.1, 0.2]])
    confidence, seen = torch.tensor([[0.8, 0.9]]), torch.tensor([[True, False]])
    found = sample_keypoints(xy, sigma, confidence, seen, 5000, generator())
    assert torch.equal(found.xy[:, :, 0], xy) and float(found.likelihood[0, 0, 0]) == pytest.approx(0.8)
    off = found.xy[0, 0, 1:] - xy[0, 0]
    torch.testing.assert_close(off.std(0), torch.tensor([0.1, 0.1]), rtol=0.05, atol=0)
    expected = 0.8 * torch.exp(-off.square().sum(-1) / (2 * 0.1**2))
    torch.testing.assert_close(found.likelihood[0, 0, 1:], expected)
    assert float(found.likelihood[0, 0, 1:].mean()) == pytest.approx(0.4, abs=0.02)
    assert float(found.likelihood[0, 1].abs().max()) == 0.0


def test_no_sample_need_be_the_keypoint():
    one = torch.zeros(1, 1, 2), torch.ones(1, 1), torch.ones(1, 1), torch.ones(1, 1, dtype=torch.bool)
    assert float(sample_keypoints(*one, 3, generator(), peak=False).xy.norm(dim=-1).min()) > 0
    assert float(sample_keypoints(*one, 3, generator()).xy.norm(dim=-1).min()) == 0


@pytest.mark.parametrize(("count", "reach"), [(64, 1.0), (24, 2.0), (9, 0.7)])
def test_channels_are_the_squared_cosines_of_their_definition(count: int, reach: float):
    place = 2.6 * reach * torch.rand(4, 6, generator=generator(2), dtype=torch.float64) - 1.3 * reach
    weight = torch.rand(4, 6, generator=generator(3), dtype=torch.float64)
    distance = place[..., None] - torch.linspace(-reach, reach, count, dtype=torch.float64)
    each = torch.cos(math.pi * count / (8 * reach) * distance) ** 2
    each[distance.abs() > 4 * reach / count] = 0.0
    torch.testing.assert_close(channels(place, weight, count, reach), (weight[..., None] * each).sum(1))
    assert int((channels(place[:1, :1] * 0 + 0.01, weight[:1, :1], count, reach) > 0).sum()) in (3, 4)


def test_the_likeliest_samples_come_first():
    samples = Samples(torch.arange(6.0).view(1, 3, 2)[None], torch.tensor([[[0.1, 0.7, 0.3]]]))
    found = samples.falling()
    torch.testing.assert_close(found.likelihood, torch.tensor([[[0.7, 0.3, 0.1]]]))
    assert found.xy[0, 0].tolist() == [[2.0, 3.0], [4.0, 5.0], [0.0, 1.0]]

"""Laws of peaks, targets and readings of heat maps."""

import pytest
import torch
from torch.testing import assert_close

from dispose.errors import InputError
from dispose.nn.heatmaps import inside_map, integer_peaks, render_gaussians, subpixel_peaks

SIZE = (30, 22)


def one_gaussian_per_map(count: int, sigma: float, generator: torch.Generator, margin: float = 0.0) -> tuple:
    """Maps of one person with one joint, and the points drawn into them."""
    span = torch.tensor(SIZE, dtype=torch.float64) - 1 - 2 * margin
    xy = margin + span * torch.rand(count, 1, 2, dtype=torch.float64, generator=generator)
    drawn = torch.ones(count, 1, dtype=torch.bool)
    return render_gaussians(xy, drawn, torch.arange(count), count, size=SIZE, sigma=sigma), xy


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.0])
def test_subpixel_peaks_find_gaussians_wherever_they_fall(sigma: float, generator: torch.Generator):
    maps, xy = one_gaussian_per_map(300, sigma, generator)
    peaks = subpixel_peaks(maps, 4, 0.2)
    assert bool(peaks.valid[..., 0].all()) and not bool(peaks.valid[..., 1:].any())
    assert float((peaks.xy_map[:, :, 0] - xy).abs().max()) < 1e-4
    integer = integer_peaks(maps, 4, 0.2)
    assert_close(integer.xy_map[:, :, 0], xy.round())


@pytest.mark.parametrize("sigma", [2.0, 3.0])
def test_subpixel_peaks_hold_under_noise_and_float32(sigma: float, generator: torch.Generator):
    maps, xy = one_gaussian_per_map(300, sigma, generator, margin=3)
    noisy = (0.7 * maps + 0.01 * torch.randn(maps.shape, dtype=maps.dtype, generator=generator)).float()
    found = subpixel_peaks(noisy, 1, 0.2).xy_map[:, :, 0]
    assert float((found - xy).square().mean().sqrt()) < 0.1
    integer = integer_peaks(noisy, 1, 0.2).xy_map[:, :, 0]
    assert float((found - xy).square().mean()) < 0.2 * float((integer - xy).square().mean())


def test_a_gaussian_between_two_pixels_is_one_peak():
    xy = torch.tensor([[[10.5, 7.0]], [[10.5, 7.5]]])
    maps = render_gaussians(xy, torch.ones(2, 1, dtype=torch.bool), torch.arange(2), 2, size=SIZE, sigma=2.0)
    peaks = subpixel_peaks(maps, 8, 0.2)
    assert peaks.valid.sum(-1).flatten().tolist() == [1, 1]
    assert_close(peaks.xy_map[:, :, 0], xy, atol=1e-3, rtol=0)


def test_peaks_are_the_local_maxima_of_a_brute_force_search(generator: torch.Generator):
    maps = torch.randn(3, 2, 13, 11, generator=generator)
    peaks = integer_peaks(maps, 200, 0.3)
    for m in range(3):
        for j in range(2):
            wanted = []
            for y in range(13):
                for x in range(11):
                    window = maps[m, j, max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
                    if maps[m, j, y, x] == window.max() and maps[m, j, y, x] > 0.3:
                        wanted.append((float(maps[m, j, y, x]), (float(x), float(y))))
            found = peaks.xy_map[m, j][peaks.valid[m, j]].tolist()
            assert [tuple(xy) for xy in found] == [xy for _, xy in sorted(wanted, reverse=True)]


@pytest.mark.parametrize("find", [integer_peaks, subpixel_peaks])
def test_strange_maps_have_no_peaks_or_fewer(find):
    maps = torch.zeros(3, 1, 4, 3)
    maps[1] = torch.nan
    maps[2, 0, 2, 1] = 0.9
    peaks = find(maps, 20, 0.2)
    assert peaks.xy_map.shape == (3, 1, 20, 2)
    assert peaks.valid.sum((1, 2)).tolist() == [0, 0, 1]
    assert bool(peaks.xy_map.isfinite().all()) and bool(peaks.score.isfinite().all())
    assert float(peaks.xy_map[~peaks.valid].abs().sum()) == 0 and float(peaks.score[~peaks.valid].abs().sum()) == 0
    assert find(maps[:0], 2, 0.2).valid.shape == (0, 1, 2)
    with pytest.raises(InputError, match="0 peaks"):
        find(maps, 0, 0.2)


def test_a_peak_moves_one_pixel_at_most_and_gradients_are_finite(generator: torch.Generator):
    maps = torch.rand(8, 3, 16, 16, generator=generator, requires_grad=True)
    peaks, base = subpixel_peaks(maps, 10, 0.1), integer_peaks(maps, 10, 0.1)
    assert float((peaks.xy_map - base.xy_map)[peaks.valid].detach().abs().max()) <= 1
    peaks.xy_map.square().sum().backward()
    assert maps.grad is not None and bool(maps.grad.isfinite().all()) and bool((maps.grad != 0).any())


def test_rendered_target_is_the_formula_and_the_maximum_over_people(generator: torch.Generator):
    xy = 25 * torch.rand(5, 3, 2, dtype=torch.float64, generator=generator)
    visible = torch.rand(5, 3, generator=generator) > 0.3
    map_of = torch.tensor([0, 2, 0, 2, 2])
    found = render_gaussians(xy, visible, map_of, 3, size=SIZE, sigma=1.7)
    x, y = torch.arange(SIZE[0]).double(), torch.arange(SIZE[1]).double()
    wanted = torch.zeros(3, 3, SIZE[1], SIZE[0], dtype=torch.float64)
    for item in range(5):
        for joint in range(3):
            square = (x - xy[item, joint, 0]) ** 2 + (y[:, None] - xy[item, joint, 1]) ** 2
            drawn = torch.exp(-square / (2 * 1.7**2)) * visible[item, joint]
            wanted[map_of[item], joint] = torch.maximum(wanted[map_of[item], joint], drawn)
    assert_close(found, wanted)
    assert float(found[1].abs().max()) == 0


def test_rendering_nothing_is_empty_maps():
    nobody = torch.zeros(0, 2, 2)
    none, map_of = torch.zeros(0, 2, dtype=torch.bool), torch.zeros(0, dtype=torch.long)
    assert float(render_gaussians(nobody, none, map_of, 3, size=SIZE, sigma=2.0).abs().sum()) == 0
    assert render_gaussians(nobody, none, map_of, 0, size=SIZE, sigma=2.0).shape == (0, 2, SIZE[1], SIZE[0])


def test_a_point_is_inside_a_map_where_it_falls_on_a_pixel():
    points = torch.tensor([[0.0, 0], [-0.5, 0], [-0.6, 0], [29.5, 21.5], [29.6, 0], [0, 21.6], [torch.nan, 0]])
    assert inside_map(points, SIZE).tolist() == [True, True, False, True, False, False, False]

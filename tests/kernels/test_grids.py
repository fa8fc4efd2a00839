"""Places from -1 to 1 on maps: what they read, by hand and by grid_sample, in values and in gradients."""

import pytest
import torch

from dispose_kernels.deformable_attention.grids import (
    border,
    fraction_of_grid,
    sample_grid,
    sample_grid_plainly,
    zeros,
)
from dispose_kernels.deformable_attention.reference import read_level as read_by_definition

# y runs over three rows, x over five columns: whoever exchanges them reads other numbers.
MAP = torch.tensor([[0.0, 1.0, 4.0, 9.0, 16.0], [10.0, 20.0, 40.0, 80.0, 160.0], [-1.0, -2.0, -3.0, -4.0, -5.0]])
MAP = MAP.double()[None, None]
# One place, x and y in pixels of the map, and the value between its four pixels, by hand.
BY_HAND = [
    ((0.0, 0.0), 0.0),
    ((4.0, 2.0), -5.0),
    ((3.0, 1.0), 80.0),
    ((2.5, 1.0), 60.0),
    ((3.0, 0.5), 44.5),
    ((1.25, 0.5), 0.5 * (0.75 * 1 + 0.25 * 4) + 0.5 * (0.75 * 20 + 0.25 * 40)),
]


def grid_of(pixel, align_corners):
    """Pixels to places by the definition of grid_sample, written out."""
    x, y = pixel
    if align_corners:
        return torch.tensor([2 * x / 4 - 1, 2 * y / 2 - 1], dtype=torch.float64)
    return torch.tensor([(2 * x + 1) / 5 - 1, (2 * y + 1) / 3 - 1], dtype=torch.float64)


def read(grid, *, align_corners, padding, level=MAP):
    place = grid.reshape(1, 1, 1, -1, 2)
    return sample_grid(level, place, torch.ones_like(place[..., 0]), align_corners=align_corners, padding=padding)


@pytest.mark.parametrize("padding", [zeros, border])
@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize(("pixel", "value"), BY_HAND)
def test_what_is_read_within_a_map_that_is_no_square_is_the_bilinear_value_by_hand(
    pixel, value, align_corners, padding
):
    found = read(grid_of(pixel, align_corners), align_corners=align_corners, padding=padding)
    torch.testing.assert_close(found, torch.full_like(found, value))


@pytest.mark.parametrize("align_corners", [True, False])
def test_beyond_the_map_is_zero_or_what_lies_on_its_border(align_corners):
    outside = grid_of((6.0, 1.0), align_corners)
    assert read(outside, align_corners=align_corners, padding=zeros).item() == 0
    torch.testing.assert_close(read(outside, align_corners=align_corners, padding=border).item(), 160.0)
    half = grid_of((4.5, 1.0), align_corners)
    torch.testing.assert_close(read(half, align_corners=align_corners, padding=zeros).item(), 80.0)
    torch.testing.assert_close(read(half, align_corners=align_corners, padding=border).item(), 160.0)


def operands(dtype=torch.float64):
    random = torch.Generator().manual_seed(3)
    level = torch.randn(3, 5, 4, 7, generator=random, dtype=dtype)
    grid = 2.6 * torch.rand(3, 6, 2, 4, 2, generator=random, dtype=dtype) - 1.3
    return level, grid, torch.randn(3, 6, 2, 4, generator=random, dtype=dtype)


@pytest.mark.parametrize("padding", [zeros, border])
@pytest.mark.parametrize("align_corners", [True, False])
def test_samples_and_their_gradients_are_those_of_grid_sample(align_corners, padding):
    found, expected = [], []
    for sample, out in ((sample_grid, found), (sample_grid_plainly, expected)):
        level, grid, weight = (operand.requires_grad_() for operand in operands())
        read = sample(level, grid, weight, align_corners=align_corners, padding=padding)
        out += [read, *torch.autograd.grad(read.sin().sum(), (level, grid, weight))]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("padding", [zeros, border])
@pytest.mark.parametrize("align_corners", [True, False])
def test_the_gradient_of_places_is_that_of_finite_differences(align_corners, padding):
    level, grid, weight = operands()

    def at(place):
        return sample_grid(level, place, weight, align_corners=align_corners, padding=padding)

    assert torch.autograd.gradcheck(at, grid.requires_grad_())


def test_every_backend_reads_the_same():
    level, grid, weight = operands()
    expected = sample_grid(level, grid, weight, align_corners=True, padding=border)
    found = sample_grid(level, grid, weight, align_corners=True, padding=border, read=read_by_definition)
    torch.testing.assert_close(found, expected)


def test_the_middles_of_the_outermost_pixels_are_where_they_are_said_to_be():
    corner = torch.tensor([1.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(fraction_of_grid(corner, (5, 3), align_corners=False), corner)
    inner = torch.tensor([4.5 / 5, 2.5 / 3], dtype=torch.float64)
    torch.testing.assert_close(fraction_of_grid(corner, (5, 3), align_corners=True), inner)

"""Losses on heat maps: hand-computed cases, and the windowed loss against the sum over whole maps."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from dispose.losses.heatmaps import asymmetric_mse, supervised_maps
from dispose.losses.objective import reprojection_heatmap_loss

SIZES = [(37, 23), (50, 40), (9, 64)]


def test_asymmetric_error_of_a_case_by_hand():
    target = torch.tensor([[[[1.0, 0.0]], [[0.5, 0.0]]]])
    found = torch.tensor([[[[0.5, 0.4]], [[9.0, 9.0]]]])
    supervised = torch.tensor([[True, False]])
    assert_close(asymmetric_mse(found, target, supervised), torch.tensor((0.25 + 0.1 * 0.16) / 2))
    assert_close(asymmetric_mse(found, target, supervised, excess=1.0), torch.tensor((0.25 + 0.16) / 2))
    weight = torch.tensor([[[[3.0, 1.0]], [[1.0, 1.0]]]])
    weighted = asymmetric_mse(found, target, supervised, weight=weight)
    assert_close(weighted, torch.tensor((3 * 0.25 + 0.1 * 0.16) / 4))


def test_asymmetric_error_of_the_target_and_of_nothing_is_zero(generator: torch.Generator):
    target = torch.rand(2, 3, 5, 4, generator=generator)
    everything, nothing = torch.ones(2, 3, dtype=torch.bool), torch.zeros(2, 3, dtype=torch.bool)
    assert float(asymmetric_mse(target, target, everything)) == 0
    found = torch.full_like(target, torch.inf).requires_grad_()
    value = asymmetric_mse(found, target, nothing)
    assert float(value.detach()) == 0
    value.backward()
    assert found.grad is not None


def test_maps_without_a_label_get_no_gradient(generator: torch.Generator):
    target, found = torch.rand(2, 3, 5, 4, generator=generator), torch.rand(2, 3, 5, 4, generator=generator)
    supervised = torch.tensor([[True, False, True], [False, False, True]])
    found.requires_grad_()
    asymmetric_mse(found, target, supervised).backward()
    assert found.grad is not None
    assert_close(found.grad.abs().sum((-1, -2)) > 0, supervised)


def test_maps_are_supervised_where_a_person_is_visible():
    visible = torch.tensor([[True, False], [False, False], [False, True]])
    assert supervised_maps(visible, torch.tensor([0, 1, 0]), 3).tolist() == [[True, True], [False, False], [False] * 2]


def dense(xy: Tensor, valid: Tensor, target: Tensor, confidence: Tensor, size: tuple[int, int], sigma: float) -> Tensor:
    """The definition: whole maps, pixel by pixel."""
    x, y = torch.arange(size[0]).to(xy), torch.arange(size[1]).to(xy)

    def drawn(p: Tensor) -> Tensor:
        square = (x - p[..., 0, None, None]) ** 2 + (y[:, None] - p[..., 1, None, None]) ** 2
        return torch.exp(-square / (2 * sigma**2))

    result = xy.new_zeros(())
    for layer, known in zip(xy, valid, strict=True):
        weight = confidence * known
        error = (confidence[..., None, None] * drawn(target) - drawn(layer)).relu().square().sum((-1, -2))
        result = result + (weight * error).sum() / (weight.sum() * size[0] * size[1])
    return result


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("spread", [0.3, 4.0, 200.0])
def test_windows_equal_whole_maps_in_value_and_gradient(
    size: tuple[int, int], spread: float, generator: torch.Generator
):
    shape = (3, 4, 5, 6)  # layers persons views joints
    limit = torch.tensor(size).double()
    target = limit * (1.3 * torch.rand(*shape[1:], 2, dtype=torch.float64, generator=generator) - 0.15)
    xy = target + spread * torch.randn(*shape, 2, dtype=torch.float64, generator=generator)
    confidence = torch.rand(shape[1:], dtype=torch.float64, generator=generator)
    confidence = torch.where(confidence < 0.3, 0.0, confidence)
    valid = torch.rand(shape, generator=generator) > 0.2
    xy.requires_grad_()
    wanted = dense(xy, valid, target, confidence, size, 2.0)
    found = reprojection_heatmap_loss(xy, valid, target, confidence, size=size, sigma=2.0)
    assert abs(float(found.detach() / wanted.detach()) - 1) < 5e-8
    slopes = [torch.autograd.grad(value, xy)[0] for value in (found, wanted)]
    assert float((slopes[0] - slopes[1]).abs().max()) < 5e-8 * float(slopes[1].abs().max())


def test_every_row_of_every_data_sets_maps_counts():
    # The released code took Panoptic's 240 x 128 maps for all: rows below the 128th never counted.
    valid, sure = torch.ones(1, 1, 1, 1, dtype=torch.bool), torch.ones(1, 1, 1)
    for size in [(200, 152), (200, 160), (192, 144)]:
        low, middle = (torch.tensor(p).view(1, 1, 1, 2) for p in ([size[0] - 6.0, size[1] - 6.0], [100.0, 70.0]))
        values = [
            float(reprojection_heatmap_loss((aim - 60)[None], valid, aim, sure, size=size, sigma=2.0))
            for aim in (low, middle)
        ]
        assert values[0] > 0.95 * values[1]


def test_heat_map_loss_is_one_sided_and_survives_anything(generator: torch.Generator):
    target = 10 + torch.rand(2, 1, 3, 2, generator=generator)
    valid = torch.ones(1, 2, 1, 3, dtype=torch.bool)
    half = torch.full((2, 1, 3), 0.5)
    assert float(reprojection_heatmap_loss(target[None], valid, target, half, size=(30, 20), sigma=2.0)) == 0
    wild = torch.full_like(target, torch.nan)[None].requires_grad_()
    for value in (
        reprojection_heatmap_loss(wild, ~valid, target, half, size=(30, 20), sigma=2.0),
        reprojection_heatmap_loss(wild, valid, target, 0 * half, size=(30, 20), sigma=2.0),
        reprojection_heatmap_loss(wild[:, :0], valid[:, :0], target[:0], half[:0], size=(30, 20), sigma=2.0),
    ):
        assert float(value.detach()) == 0
        assert bool(torch.autograd.grad(value, wild)[0].isfinite().all())

"""The depth network's answers are in millimetres and radians, whatever its weights are."""

import math
from dataclasses import replace

import pytest
import torch

from dispose.association.viewpoint import Viewpoints
from dispose.models.dispose.placement import PlacementConfig, PlacementNet, placement_features

JOINTS = 3


def seen(size: float = 0.2) -> Viewpoints:
    """One detection of three joints, the last of which is hidden, seen from 30 degrees above."""
    tilt = math.radians(-30)
    axes = torch.tensor(
        [[[0, 1, 0], [math.sin(tilt), 0, -math.cos(tilt)], [-math.cos(tilt), 0, math.sin(tilt)]]], dtype=torch.float64
    )
    return Viewpoints(
        centre=torch.zeros(1, 3, dtype=torch.float64),
        axes=axes,
        xy=torch.tensor([[[1.0, -2.0], [9.0, 0.5], [0.0, 0.0]]], dtype=torch.float64),
        size=torch.tensor([size], dtype=torch.float64),
        pixel=torch.tensor([1e-3], dtype=torch.float64),
        visible=torch.tensor([[True, True, False]]),
        confidence=torch.tensor([[0.9, 0.4, 0.0]], dtype=torch.float64),
        score=torch.tensor([0.7], dtype=torch.float64),
    )


def saying(bias: dict[int, float]) -> PlacementNet:
    """A network whose last layer says this and nothing else."""
    network = PlacementNet(PlacementConfig(JOINTS, 8, 1))
    torch.nn.init.zeros_(network.outward.weight)
    for place, value in bias.items():
        network.outward.bias.data[place] = value
    return network.requires_grad_(False)


def test_a_silent_network_means_a_body_of_usual_size() -> None:
    """e^5.8 mm (about 330) over the angular size; 22 % unsure, offsets 150 mm, image 5 % of the size."""
    placement = saying({})(seen(0.2))
    assert float(placement.log_depth[0].exp()) == pytest.approx(math.exp(5.8) / 0.2, rel=1e-4)
    assert float(placement.log_depth_sigma[0]) == pytest.approx(math.exp(-1.5), rel=1e-5)
    assert placement.offset.abs().sum() == 0
    torch.testing.assert_close(placement.offset_sigma, torch.full((1, JOINTS), 150.0))
    torch.testing.assert_close(placement.image_sigma, torch.full((1, JOINTS), 0.05 * 0.2))


def test_half_the_angular_size_is_twice_the_depth() -> None:
    one, other = (saying({})(seen(size)).log_depth[0] for size in (0.2, 0.1))
    assert float(other - one) == pytest.approx(math.log(2), abs=1e-5)


def test_outputs_are_in_their_units() -> None:
    """Output 0 is the logarithm of the body's length, 1 its spread, then offsets xyz, their and the image's spreads."""
    network = saying({0: 0.1, 1: 0.5, 2: 1.0, 7: -2.0, 2 + 9: 1.0, 2 + 12 + 2: -1.0})
    placement = network(seen(0.2))
    assert float(placement.log_depth[0]) == pytest.approx(5.9 - math.log(0.2), abs=1e-5)
    assert float(placement.log_depth_sigma[0]) == pytest.approx(math.exp(-1.0), rel=1e-5)
    offset = torch.tensor([[[300.0, 0, 0], [0, 0, -600], [0, 0, 0]]])
    torch.testing.assert_close(placement.offset, offset)
    torch.testing.assert_close(placement.offset_sigma, torch.tensor([[150 * math.e, 150, 150]]))
    torch.testing.assert_close(placement.image_sigma, torch.tensor([[0.01, 0.01, 0.01 / math.e]]))


def test_spreads_are_bounded() -> None:
    """Whatever the network says, no spread is 0 or without end."""
    for sign, ends in ((-9.0, (-4.5, -3.5, -3.5)), (9.0, (2.0, 2.5, 3.5))):
        placement = saying(dict.fromkeys(range(1, 2 + 5 * JOINTS), sign))(seen(0.2))
        found = (placement.log_depth_sigma, placement.offset_sigma / 150, placement.image_sigma / 0.01)
        for value, end in zip(found, ends, strict=True):
            torch.testing.assert_close(value, torch.full_like(value, math.exp(end)), rtol=1e-4, atol=0)


def test_what_the_network_sees() -> None:
    """Places (at most 6 sizes away), visible, scores, sure joints, elevation, size, share seen, score, pixel."""
    places, scores = [1, -2, 6, 0.5, 0, 0], [0.9, 0.4, 0, 1, 0, 0]
    expected = [*places, 1, 1, 0, *scores, -0.5, math.log(0.2) + 2, 2 / 3, 0.7, 10 * 1e-3 / 0.2]
    torch.testing.assert_close(placement_features(seen(0.2)), torch.tensor([expected]))
    tiny = replace(seen(1e-4), pixel=torch.tensor([1e-3], dtype=torch.float64))
    assert float(placement_features(tiny)[0, -1]) == 10

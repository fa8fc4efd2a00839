"""What a detection says of its joints, computed by hand: where they are, how sure that is, and how it is written."""

import math

import pytest
import torch

from dispose.association.evidence import (
    EvidenceConfig,
    Placement,
    fuse_ready,
    inverse_3x3,
    joint_beliefs,
    pair_misfit,
    widen,
)
from dispose.association.viewpoint import Viewpoints

# The viewpoint's x runs along the world's y, its y downwards, its z along the world's x.
AXES = torch.tensor([[[0, 1, 0], [0, 0, -1], [1, 0, 0]]], dtype=torch.float64)
CENTRE = torch.tensor([[10, 20, 30]], dtype=torch.float64)
SIZE = 0.25


def doubles(*values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def beliefs_of(depth_offset: float = 500.0) -> tuple[torch.Tensor, torch.Tensor]:
    """A body 2 m away: two joints that are seen, at x = 0.75 and -0.25 of the plane z = 1, and one that is not."""
    visible = torch.tensor([[True, True, False]])
    seen = Viewpoints(
        centre=CENTRE,
        axes=AXES,
        xy=doubles([[0.75 / SIZE, 0], [-0.25 / SIZE, 0], [0, 0]]),
        size=doubles(SIZE),
        pixel=doubles(1e-3),
        visible=visible,
        confidence=torch.ones(1, 3, dtype=torch.float64),
        score=doubles(1),
    )
    placement = Placement(
        log_depth=doubles(math.log(2000)),
        log_depth_sigma=doubles(0.05),
        offset=doubles([[0, 0, depth_offset], [0, 0, 0], [100, -200, -500]]),
        offset_sigma=doubles([40, 40, 40]),
        image_sigma=doubles([0.01, 0.01, 0.01]),
    )
    mean, covariance = joint_beliefs(seen, placement, EvidenceConfig(2e-3, 1.0, 17.0, 4.0))
    return mean[0], covariance[0]


def along_and_across(direction: torch.Tensor, along: float, across: float) -> torch.Tensor:
    outer = direction[:, None] * direction
    return across * (torch.eye(3, dtype=torch.float64) - outer) + along * outer


def test_a_seen_joint_lies_on_its_ray_and_an_unseen_one_about_the_middle():
    """Seen: 0.75 · 2500 aside and 2500 deep. Unseen: the rays' middle 0.25 · 2000, then the pose's offset."""
    mean, _ = beliefs_of()
    torch.testing.assert_close(mean[0], doubles(10 + 2500, 20 + 1875, 30))
    torch.testing.assert_close(mean[1], doubles(10 + 2000, 20 - 500, 30))
    torch.testing.assert_close(mean[2], doubles(10 + 2000 - 500, 20 + 500 + 100, 30 + 200))


def test_a_joint_is_never_behind_its_camera():
    mean, _ = beliefs_of(depth_offset=-9e3)
    torch.testing.assert_close(mean[0], doubles(10 + 100, 20 + 75, 30))


def test_a_seen_joint_is_as_sure_across_its_ray_as_pixels_are_and_along_it_as_size_and_pose_are():
    """Along: 17 (2000 · 0.05)² + 40². Across: (0.01² + 0.002² + 0.001²) times the depth squared."""
    _, covariance = beliefs_of()
    expected = along_and_across(doubles(0.8, 0.6, 0), along=170_000 + 1600, across=1.05e-4 * 2500**2)
    torch.testing.assert_close(covariance[0], expected)


def test_an_unseen_joint_is_as_sure_as_its_pose():
    """Across: 4 · 40². Along: that, and the depth."""
    mean, covariance = beliefs_of()
    direction = (mean[2] - CENTRE[0]) / (mean[2] - CENTRE[0]).norm()
    torch.testing.assert_close(covariance[2], along_and_across(direction, along=170_000 + 6400, across=6400))


def test_small_inverses_are_the_general_ones(generator: torch.Generator):
    factor = torch.randn(40, 3, 3, generator=generator, dtype=torch.float64)
    matrix = factor @ factor.mT + 0.1 * torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(inverse_3x3(matrix), torch.linalg.inv(matrix))


def test_information_form():
    """Variances 4, 2 and 1 and a mean 8, 2, 3 from the origin: b = 2, 1, 3 and c = 16 + 2 + 9; empty slots are 0."""
    covariance = torch.diag(doubles(4, 2, 1))[None, None]
    valid = torch.tensor([[False, True]])
    evidence = fuse_ready(doubles([[9, 3, 4]]), covariance, valid, doubles([1, 1, 1]))
    torch.testing.assert_close(evidence.precision[0, 1, 0], torch.diag(doubles(0.25, 0.5, 1)))
    torch.testing.assert_close(evidence.information[0, 1, 0], doubles(2, 1, 3))
    torch.testing.assert_close(evidence.constant[0, :, 0], doubles(0, 27))
    assert float(evidence.precision[0, 0].abs().sum()) == 0


def test_the_misfit_of_a_pair_is_its_squared_distance_over_both_variances():
    """Two joints, 4 and 20 apart, variances 1 and 3: chi-squares 4 and 100, of which 25 count; of wider ones half."""
    means = torch.zeros(2, 2, 3, dtype=torch.float64)
    means[1, :, 1] = doubles(4, 20)
    covariance = doubles(1, 3)[:, None, None, None] * torch.eye(3, dtype=torch.float64)
    valid = torch.tensor([[True, False], [True, False]])
    evidence = fuse_ready(means, covariance.expand(2, 2, 3, 3), valid, torch.zeros(1, 3, dtype=torch.float64))
    misfit = pair_misfit(evidence, cap=25.0)
    assert float(misfit[0, 0, 1, 0]) == float(misfit[1, 0, 0, 0]) == pytest.approx((4 + 25) / 2)
    assert int(misfit.isfinite().sum()) == 2
    framed = type(evidence)(*(value[None] for value in vars(evidence).values()))
    assert float(pair_misfit(widen(framed, doubles(2)), cap=1e9)[0, 0, 0, 1, 0]) == pytest.approx((2 + 50) / 2)

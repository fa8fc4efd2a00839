"""What covariances say, against draws from them."""

import pytest
import torch

from dispose.geometry.uncertainty import expected_error, probability_within


@pytest.mark.parametrize("sigmas", [(20.0, 20.0, 20.0), (5.0, 10.0, 60.0), (1.0, 1.0, 80.0)])
def test_both_agree_with_draws_from_the_distribution(sigmas):
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)).Q
    spread = torch.tensor(sigmas, dtype=torch.float64)
    covariance = turn @ torch.diag(spread**2) @ turn.T
    draws = torch.randn(400_000, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * spread @ turn.T
    distance = draws.norm(dim=-1)
    assert float(expected_error(covariance)) == pytest.approx(float(distance.mean()), rel=0.02)
    for radius in (15.0, 50.0):
        near = float((distance < radius).double().mean())
        assert float(probability_within(covariance, radius)) == pytest.approx(near, abs=0.05)


def test_one_direction_alone_counts_as_such():
    # A point that is uncertain along one line only: mean distance sigma times the root of 2 over pi.
    covariance = torch.zeros(1, 3, 3, dtype=torch.float64)
    covariance[0, 2, 2] = 30.0**2
    assert float(expected_error(covariance)[0]) == pytest.approx(30 * (2 / torch.pi) ** 0.5, rel=1e-6)
    assert float(probability_within(covariance, 30.0)[0]) == pytest.approx(0.6827, abs=1e-3)

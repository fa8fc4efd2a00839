"""The likelihood of errors: what it fits is the distribution that the errors have."""

import math

import torch
from torch.testing import assert_close

from dispose.losses.confidence import CENSOR_MM, censored_likelihood, error_likelihood, logit_below


def sampled(scale: float, shape: float, count: int = 4000) -> torch.Tensor:
    """Errors at equal steps of probability."""
    probability = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    return scale * (probability / (1 - probability)) ** (1 / shape)


def fit(loss) -> torch.Tensor:
    """The scale and shape (logarithms) of least loss."""
    parameters = torch.tensor([3.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([parameters], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        value = loss(parameters)
        value.backward()
        return value

    optimiser.step(closure)
    return parameters.detach()


def test_the_fit_recovers_the_distribution_and_the_confidence_is_the_share_below():
    errors = sampled(40.0, 3.0)
    ones = torch.ones_like(errors)
    found = fit(lambda p: error_likelihood(p[0] * ones, p[1] * ones, errors, ones))
    assert_close(found.exp(), torch.tensor([40.0, 3.0], dtype=torch.float64), rtol=1e-2, atol=0)
    confidence = logit_below(found[:1], found[1:], math.log(50.0)).sigmoid()
    assert_close(confidence[0], (errors < 50).double().mean(), rtol=0, atol=5e-3)


def test_weights_of_zero_leave_out_and_errors_are_targets():
    errors = torch.tensor([10.0, 1e9], requires_grad=True)
    scale = torch.tensor([3.0, 3.0], requires_grad=True)
    error_likelihood(scale, torch.zeros(2), errors, torch.tensor([1.0, 0.0])).backward()
    assert errors.grad is None and scale.grad is not None and scale.grad[1] == 0
    assert error_likelihood(scale, torch.zeros(2), errors, torch.zeros(2)) == 0


def test_proposals_that_are_nobody_have_a_large_error_of_unknown_size():
    errors = sampled(30.0, 4.0)
    real = torch.arange(len(errors)) % 2 == 0
    ones = torch.ones_like(errors)
    found = fit(lambda p: censored_likelihood(p[0] * ones, p[1] * ones, errors, real))
    below = logit_below(found[:1], found[1:], math.log(CENSOR_MM)).sigmoid()
    assert 0.4 < float(below[0]) < 0.85
    nobody = censored_likelihood(
        torch.full((1,), 20.0), torch.ones(1), torch.tensor([torch.nan]), torch.tensor([False])
    )
    assert_close(nobody, torch.zeros(()), atol=1e-6, rtol=0)

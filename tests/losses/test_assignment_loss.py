"""The loss of the denoiser is zero at the truth, and its gradient is that of the projected divergence."""

import torch

from dispose.association.polytope import feasible_marginals
from dispose.losses.associator import projected_divergence, released_errors
from dispose.tensors import ABSENT
from dispose_kernels.sinkhorn import newton_projection

MEMBERS = torch.tensor([[0, ABSENT], [1, ABSENT], [ABSENT, 0], [ABSENT, 1], [0, 0], [0, 1], [1, 1]])
VALID = torch.ones(2, 2, dtype=torch.bool)
TRUTH = torch.tensor([0, 0, 0, 0, 1, 0, 1, 3], dtype=torch.float64)
SAMPLE = torch.zeros(8, dtype=torch.long)


def loss_at(logits):
    mass = newton_projection(logits, feasible_marginals(MEMBERS, VALID), tolerance=1e-12).mass
    return projected_divergence(logits, mass, TRUTH, SAMPLE, 1)[0]


def test_the_truth_is_feasible():
    bins = feasible_marginals(MEMBERS, VALID)
    carried = torch.zeros_like(bins.target).index_add(0, bins.bins.flatten(), TRUTH.repeat_interleave(2))
    torch.testing.assert_close(carried, bins.target)


def test_it_falls_to_zero_as_the_truth_is_predicted():
    sure = torch.tensor([-30.0, -30, -30, -30, 30, -30, 30, 30], dtype=torch.float64)
    assert float(loss_at(sure)) < 1e-6
    assert float(loss_at(torch.zeros(8, dtype=torch.float64))) > 0.5


def test_its_gradient_is_the_derivative_through_the_converged_projection():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(8, generator=generator, dtype=torch.float64).requires_grad_()
    (slope,) = torch.autograd.grad(loss_at(logits), logits)
    through = newton_projection(logits, feasible_marginals(MEMBERS, VALID), tolerance=1e-12).mass
    divergence = (torch.xlogy(TRUTH, TRUTH) - TRUTH * through.log() + through - TRUTH).sum()
    (expected,) = torch.autograd.grad(divergence, logits)
    torch.testing.assert_close(slope, expected, rtol=1e-6, atol=1e-8)
    step = torch.zeros(8, dtype=torch.float64)
    step[5] = 1e-5
    measured = (loss_at(logits.detach() + step) - loss_at(logits.detach() - step)) / 2e-5
    torch.testing.assert_close(slope[5], measured, rtol=1e-4, atol=1e-7)


def test_adding_potentials_of_the_bins_changes_nothing():
    logits = torch.randn(8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    potential = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    first_view = torch.cat([MEMBERS[:, 0], torch.tensor([ABSENT])])
    torch.testing.assert_close(loss_at(logits), loss_at(logits + potential[first_view]), rtol=1e-6, atol=1e-9)


def test_the_released_errors_are_those_of_mass_and_latent():
    mass = torch.tensor([0.1, 0.2])
    truth = torch.tensor([0.1, 0.1])
    of_mass, of_latent = released_errors(mass, truth)
    torch.testing.assert_close(of_mass, torch.tensor(0.01 / 2))
    torch.testing.assert_close(of_latent, torch.tensor(2.0).log() ** 2 / 2)

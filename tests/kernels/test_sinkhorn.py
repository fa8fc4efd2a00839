"""Laws of the projection onto the polytope: feasible, unique, blind to gauge, order and company, differentiable."""

import pytest
import torch

from dispose_benchmarks.kernels import ProblemInstance, random_capture
from dispose_kernels.errors import OperandError
from dispose_kernels.sinkhorn import (
    Marginals,
    carried_mass,
    marginal_residual,
    newton_projection,
    pack,
    sweep_projection,
    sweep_steps,
)


def captures(count: int, seed: int, confidence: float = 5.0, false_people: int | None = None) -> list[ProblemInstance]:
    random = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (1,), generator=random))

    return [
        random_capture(
            random,
            views=draw(2, 6),
            people=draw(0, 8),
            false_people=draw(0, 5) if false_people is None else false_people,
            wrong=draw(0, 150),
            confidence=confidence,
        )
        for _ in range(count)
    ]


def together(parts: list[ProblemInstance]) -> tuple[torch.Tensor, Marginals]:
    return torch.cat([c.logits for c in parts]), pack([c.marginals for c in parts])


def small(seed: int, confidence: float = 2.0) -> tuple[torch.Tensor, Marginals]:
    random = torch.Generator().manual_seed(seed)
    parts = [random_capture(random, views=v, people=2, false_people=1, wrong=8, confidence=confidence) for v in (3, 2)]
    return together(parts)


@pytest.mark.parametrize(
    ("count", "false_people", "confidence"), [(60, None, 5.0), (24, 50, 5.0), (30, None, 30.0), (4, 50, 30.0)]
)
def test_every_marginal_is_met(count, false_people, confidence):
    logits, marginals = together(captures(count, seed=count, confidence=confidence, false_people=false_people))
    projection = newton_projection(logits, marginals)
    assert float(projection.residual.max()) <= 1e-9
    assert float(marginal_residual(projection.mass, marginals).max()) <= 1e-6
    assert bool((projection.mass >= 0).all())


@pytest.mark.slow
def test_every_marginal_is_met_on_a_thousand_captures():
    random = torch.Generator().manual_seed(7)
    parts = [random_capture(random, views=3 + k % 4, people=1 + k % 9, false_people=50, wrong=300) for k in range(1000)]
    assert float(newton_projection(*together(parts)).residual.max()) <= 1e-6


def test_structural_extremes_are_met():
    parts = captures(20, seed=3)
    logits, marginals = together(parts)
    random = torch.Generator().manual_seed(5)
    for low, high in ((-30.0, 30.0), (-60.0, 30.0), (-400.0, 400.0)):
        extreme = torch.where(torch.rand(len(logits), generator=random) < 0.5, low, high).double()
        assert float(newton_projection(extreme, marginals).residual.max()) <= 1e-6


def test_the_steps_of_the_sweeps_end_in_their_projection_and_each_meets_its_view():
    logits, marginals = small(2)
    steps = list(sweep_steps(logits, marginals, 3))
    views = marginals.bins.shape[1]
    assert len(steps) == 3 * views + 1
    torch.testing.assert_close(steps[0], logits.exp())
    torch.testing.assert_close(steps[-1], sweep_projection(logits, marginals, 3))
    for number, mass in enumerate(steps[1:]):
        bins = marginals.bins[:, number % views]
        own = torch.zeros(len(marginals.target), dtype=torch.bool).index_fill(0, bins, True)
        torch.testing.assert_close(carried_mass(mass, marginals)[own], marginals.target[own])


def test_a_step_that_ends_far_away_still_meets_the_last_view():
    """Every step far from the end is followed by a sweep over all views, so that an overshoot is tamed."""
    logits, marginals = together(captures(20, seed=6, confidence=30.0, false_people=20))
    early = newton_projection(logits, marginals, max_iterations=1)
    far = early.residual[marginals.sample_of_bin] > 0.1
    last = torch.zeros_like(far).index_fill(0, marginals.bins[:, -1], True) & far
    assert int(far.sum()) > 50 and int(last.sum()) > 10
    torch.testing.assert_close(carried_mass(early.mass, marginals)[last], marginals.target[last])


def test_newton_is_the_limit_of_the_sweeps():
    logits, marginals = small(1)
    torch.testing.assert_close(
        newton_projection(logits, marginals).mass, sweep_projection(logits, marginals, 1500), rtol=0, atol=1e-9
    )


def test_a_feasible_mass_is_its_own_projection():
    logits, marginals = together(captures(8, seed=2, confidence=2.0))
    mass = newton_projection(logits, marginals, tolerance=1e-12).mass
    torch.testing.assert_close(newton_projection(mass.log(), marginals).mass, mass, rtol=0, atol=1e-10)


def test_the_projection_is_the_nearest_feasible_mass():
    """Moving along any direction that keeps the marginals does not lower the divergence to exp(logits)."""
    logits, marginals = small(4)
    mass = newton_projection(logits, marginals, tolerance=1e-12).mass
    incidence = torch.zeros(len(logits), len(marginals.target), dtype=torch.float64)
    incidence.scatter_(1, marginals.bins, 1.0)
    kernel = torch.linalg.svd(incidence.T)[2][torch.linalg.matrix_rank(incidence) :]
    assert len(kernel) > 3
    slope = kernel @ (mass.log() - logits)  # gradient of sum x (log x - u) - x along feasible directions
    torch.testing.assert_close(slope, torch.zeros_like(slope), rtol=0, atol=1e-8)


def test_per_view_potentials_change_nothing():
    logits, marginals = together(captures(12, seed=6))
    gauge = torch.randn(len(marginals.target), generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 5
    moved = logits + gauge[marginals.bins].sum(1)
    one, two = newton_projection(logits, marginals), newton_projection(moved, marginals)
    torch.testing.assert_close(one.mass, two.mass, rtol=0, atol=2e-9)


def test_the_order_of_the_cameras_does_not_matter():
    for part in captures(6, seed=8):
        flip = torch.arange(part.marginals.bins.shape[1] - 1, -1, -1)
        other = Marginals(
            part.marginals.bins[:, flip],
            part.marginals.target,
            part.marginals.sample,
            part.marginals.sample_of_bin,
            1,
        )
        one, two = newton_projection(part.logits, part.marginals), newton_projection(part.logits, other)
        torch.testing.assert_close(one.mass, two.mass, rtol=0, atol=2e-9)


def test_the_company_in_the_batch_does_not_matter():
    parts = captures(10, seed=9) + captures(2, seed=10, confidence=25.0) + captures(1, seed=11, false_people=40)
    logits, marginals = together(parts)
    packed = newton_projection(logits, marginals)
    alone = torch.cat([newton_projection(c.logits, c.marginals).mass for c in parts])
    torch.testing.assert_close(packed.mass, alone, rtol=0, atol=1e-9)
    swept = sweep_projection(logits, marginals, 3)
    apart = torch.cat([sweep_projection(c.logits, c.marginals, 3) for c in parts])
    torch.testing.assert_close(swept, apart, rtol=1e-9, atol=1e-12)


def test_a_warm_start_saves_steps_and_changes_nothing():
    part = captures(1, seed=13, confidence=10.0)[0]
    cold = newton_projection(part.logits, part.marginals)
    near = part.logits + 0.01 * torch.sin(torch.arange(len(part.logits)))
    warm = newton_projection(near, part.marginals, warm_start=cold.duals)
    fresh = newton_projection(near, part.marginals)
    torch.testing.assert_close(warm.mass, fresh.mass, rtol=0, atol=2e-9)
    assert warm.iterations < fresh.iterations
    assert not warm.duals.requires_grad


def test_gradcheck():
    logits, marginals = small(21)
    assert torch.autograd.gradcheck(
        lambda u: newton_projection(u, marginals, tolerance=1e-12).mass, (logits.requires_grad_(),)
    )


def test_gradcheck_of_the_sweeps():
    logits, marginals = small(22)
    assert torch.autograd.gradcheck(lambda u: sweep_projection(u, marginals, 2), (logits.requires_grad_(),))


def test_the_implicit_gradient_equals_that_of_unrolled_sweeps():
    logits, marginals = small(23)
    weight = torch.randn(len(logits), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gradients = []
    for project in (lambda u: newton_projection(u, marginals).mass, lambda u: sweep_projection(u, marginals, 600)):
        u = logits.clone().requires_grad_()
        (project(u) * weight).sum().backward()
        gradients.append(u.grad)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("confidence", [6.0, 15.0])
def test_the_gradient_is_the_slope_of_confident_projections(confidence):
    logits, marginals = small(24, confidence)
    random = torch.Generator().manual_seed(2)
    weight, direction = torch.randn(2, len(logits), generator=random, dtype=torch.float64)
    u = logits.clone().requires_grad_()
    (newton_projection(u, marginals).mass * weight).sum().backward()
    ahead, behind = (newton_projection(logits + h * direction, marginals, tolerance=1e-13).mass for h in (1e-5, -1e-5))
    slope = ((ahead - behind) * weight).sum() / 2e-5
    assert u.grad is not None
    torch.testing.assert_close((u.grad * direction).sum(), slope, rtol=1e-4, atol=1e-7)


def test_a_bin_shared_by_two_views_is_refused():
    logits, marginals = small(5)
    bins = marginals.bins.clone()
    bins[0, 0] = bins[1, 1]
    with pytest.raises(OperandError, match="used in view 0 and in a later one"):
        newton_projection(logits, Marginals(bins, marginals.target, marginals.sample, marginals.sample_of_bin, 2))


def test_the_gradient_is_feasible_and_finite_at_extremes():
    logits, marginals = together(captures(10, seed=31, confidence=30.0))
    u = logits.float().requires_grad_()
    mass = newton_projection(u, marginals).mass
    assert mass.dtype == torch.float32
    (mass * torch.randn(len(u), generator=torch.Generator().manual_seed(1))).sum().backward()
    assert u.grad is not None
    assert bool(torch.isfinite(u.grad).all())
    per_bin = torch.zeros_like(marginals.target)
    for bins in marginals.bins.unbind(1):
        per_bin = per_bin.index_add(0, bins, u.grad.double())
    assert float(per_bin.abs().max()) < 1e-4  # gauge directions have no gradient


def test_minus_infinity_and_empty_bins_mean_no_mass():
    logits, marginals = small(5)
    last = torch.nonzero(marginals.sample == 0)[-1]
    multiple = int(torch.nonzero(marginals.sample == 0)[0])
    logits[multiple] = -torch.inf
    mass = newton_projection(logits, marginals).mass
    assert float(mass[multiple]) == 0.0 and float(mass[last]) > 0
    lonely = Marginals(
        torch.tensor([[0, 3], [1, 2], [1, 3]]),
        torch.tensor([0.0, 1.0, 0.0, 1.0], dtype=torch.float64),
        torch.zeros(3, dtype=torch.long),
        torch.zeros(4, dtype=torch.long),
        1,
    )
    for mass in (
        newton_projection(torch.zeros(3), lonely).mass,
        sweep_projection(torch.zeros(3), lonely, 2),
    ):
        torch.testing.assert_close(mass, torch.tensor([0.0, 0.0, 1.0]))


def test_an_empty_polytope_ends_with_its_honest_residual():
    marginals = Marginals(
        torch.tensor([[0, 2], [1, 3]]),
        torch.tensor([1.0, 1.0, 0.5, 1.5], dtype=torch.float64),
        torch.zeros(2, dtype=torch.long),
        torch.zeros(4, dtype=torch.long),
        1,
    )
    projection = newton_projection(torch.zeros(2), marginals, max_iterations=40)
    assert 0.2 <= float(projection.residual) <= 0.6


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_logit_without_meaning_is_refused(bad):
    logits, marginals = small(5)
    logits[3] = bad
    with pytest.raises(OperandError, match="logit 3"):
        newton_projection(logits, marginals)


def test_samples_out_of_order_are_refused():
    logits, marginals = small(5)
    mixed = Marginals(marginals.bins, marginals.target, marginals.sample.flip(0), marginals.sample_of_bin, 2)
    with pytest.raises(OperandError, match="sample decreases"):
        newton_projection(logits, mixed)


def test_a_sample_without_people_is_all_absent():
    capture = random_capture(torch.Generator().manual_seed(0), views=3, people=0, false_people=0, wrong=0)
    assert len(capture.members) == 0
    projection = newton_projection(capture.logits, capture.marginals)
    torch.testing.assert_close(projection.mass, torch.ones(1, dtype=torch.float64))
    with pytest.raises(OperandError, match="0 were given"):
        pack([])

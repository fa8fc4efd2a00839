"""Losses of joints with covariances, against SciPy's distribution and by hand."""

import pytest
import torch
from scipy.stats import multivariate_t

from dispose.losses.estimates import DEGREES_OF_FREEDOM, SMALLEST_M2, distance_loss, mean_of, student_t_loss


def test_the_likelihood_is_the_students_t_of_scipy():
    generator = torch.Generator().manual_seed(3)
    root = torch.randn(2, 3, 3, generator=generator, dtype=torch.float64)
    covariance = root @ root.mT + 0.1 * torch.eye(3, dtype=torch.float64)
    xyz, truth = torch.randn(2, 2, 3, generator=generator, dtype=torch.float64)
    known = torch.tensor([True, True])
    core = (covariance + SMALLEST_M2 * torch.eye(3, dtype=torch.float64)).numpy()
    at_centre = [multivariate_t(shape=c, df=int(DEGREES_OF_FREEDOM)) for c in core]
    constant = [one.logpdf([0, 0, 0]) + 0.5 * torch.logdet(torch.tensor(c)) for one, c in zip(at_centre, core)]
    wanted = [float(constant[k]) - one.logpdf((truth[k] - xyz[k]).numpy()) for k, one in enumerate(at_centre)]
    assert float(student_t_loss(xyz, covariance, truth, known)) == pytest.approx(sum(wanted) / 2, abs=1e-6)


def test_only_known_points_are_learned_from():
    xyz = torch.zeros(2, 3, requires_grad=True)
    truth, known = torch.tensor([[0.3, 0.0, 0.0], [torch.nan, 0.0, 0.0]]), torch.tensor([True, False])
    loss = student_t_loss(xyz, torch.eye(3).expand(2, 3, 3), truth.nan_to_num(9.0), known)
    (loss + distance_loss(xyz, truth.nan_to_num(9.0), known, most=5.0)).backward()
    assert xyz.grad is not None and float(xyz.grad[1].abs().sum()) == 0 and float(xyz.grad[0, 0]) < 0


def test_points_far_beyond_help_pull_at_nothing():
    xyz = torch.tensor([[6.0, 0.0, 0.0], [1.0, 0.0, 0.0]], requires_grad=True)
    loss = distance_loss(xyz, torch.zeros(2, 3), torch.tensor([True, True]), most=5.0)
    loss.backward()
    assert float(loss) == pytest.approx(3.0, abs=1e-4)
    assert xyz.grad is not None and xyz.grad[:, 0].tolist() == pytest.approx([0.0, 0.5], abs=1e-4)


def test_the_mean_of_nothing_is_zero():
    assert float(mean_of(torch.tensor([torch.inf]), torch.tensor([False]))) == 0.0

"""Losses of triangulation: against the published formulas in plain Python, and what they ignore."""

import pytest
import torch

from dispose.losses.triangulation import absolute_errors, capped_squares, relative_to_root, surprise_of_voxels

TRUTH = torch.zeros(1, 3, 3, dtype=torch.float64)
KNOWN = torch.ones(1, 3, dtype=torch.bool)


def plain_capped(differences_mm: list[float], joints: int) -> float:
    """As published: centimetres, squares above 400 to the power 0.1 times 400 to the power 0.9."""
    total = 0.0
    for difference in differences_mm:
        square = (difference * 0.1) ** 2
        total += square if square <= 400 else square**0.1 * 400**0.9
    return total / (3 * joints)


def test_squares_are_capped_as_published():
    xyz = TRUTH.clone()
    xyz[0, 0], xyz[0, 1, 2], xyz[0, 2, 0] = torch.tensor([10.0, -30.0, 199.0]), 201.0, -5000.0
    expected = plain_capped([10.0, -30.0, 199.0, 201.0, -5000.0], 3)
    assert float(capped_squares(xyz, TRUTH, KNOWN)) == pytest.approx(expected)
    # At the bound both pieces agree.
    xyz = TRUTH.clone()
    xyz[0, 0, 0] = 200.0
    assert float(capped_squares(xyz, TRUTH, KNOWN)) == pytest.approx(400 / 9)


def test_a_perfect_answer_has_a_gradient_of_zero_and_a_wild_one_a_small_one():
    xyz = TRUTH.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(capped_squares(xyz, TRUTH, KNOWN), xyz)
    assert bool((gradient == 0).all())
    wild = (TRUTH + torch.tensor([1e6, 100.0, 0.0])).requires_grad_()
    (gradient,) = torch.autograd.grad(capped_squares(wild, TRUTH, KNOWN), wild)
    assert bool(gradient.isfinite().all())
    assert float(gradient[0, 0, 0]) < float(gradient[0, 0, 1]) / 100


def test_absolute_errors_are_in_centimetres_per_coordinate():
    xyz = TRUTH.clone()
    xyz[0, 1] = torch.tensor([30.0, -60.0, 0.0])
    assert float(absolute_errors(xyz, TRUTH, KNOWN)) == pytest.approx(9 / 9)


@pytest.mark.parametrize("loss", [capped_squares, absolute_errors])
def test_what_is_not_known_counts_for_nothing(loss):
    xyz = TRUTH.clone()
    xyz[0, 0, 0] = 50.0
    truth, known = TRUTH.clone(), KNOWN.clone()
    known[0, 2] = False
    truth[0, 2] = torch.nan
    xyz.requires_grad_()
    value = loss(xyz, truth, known)
    assert value.item() == pytest.approx(loss(xyz[:, :2], TRUTH[:, :2], KNOWN[:, :2]).item())
    (gradient,) = torch.autograd.grad(value, xyz)
    assert bool((gradient[0, 2] == 0).all())
    assert loss(xyz, truth, torch.zeros_like(known)).item() == 0


def test_surprise_is_the_mean_of_minus_log_p_of_the_chosen_voxels(generator):
    logits = torch.randn(2, 3, 2, 2, 2, generator=generator)
    log_p = logits.flatten(2).log_softmax(-1).view_as(logits)
    voxel = torch.tensor([[0, 7, 3], [1, 2, 5]])
    known = torch.tensor([[True, True, False], [True, False, False]])
    chosen = [log_p[0, 0, 0, 0, 0], log_p[0, 1, 1, 1, 1], log_p[1, 0, 0, 0, 1]]
    torch.testing.assert_close(surprise_of_voxels(log_p, voxel, known), -torch.stack(chosen).mean())


def test_only_samples_seen_by_one_view_are_taken_relative_to_their_root(generator):
    xyz = torch.randn(2, 4, 3, generator=generator)
    found = relative_to_root(xyz, 1, torch.tensor([True, False]))
    torch.testing.assert_close(found[0], xyz[0] - xyz[0, 1])
    assert torch.equal(found[1], xyz[1])

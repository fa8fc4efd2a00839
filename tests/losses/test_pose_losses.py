"""Losses on skeletons: hand-computed cases, and what must not count."""

import torch
from torch.testing import assert_close

from dispose.losses.objective import consistency_l1, weighted_l1


def test_reprojection_error_of_a_case_by_hand():
    target = torch.zeros(2, 1, 2, 2)
    confidence = torch.tensor([[[1.0, 0.5]], [[0.0, 0.3]]])
    xy = torch.tensor([[[[[3.0, -1.0], [2.0, 2.0]]], [[[99.0, 99.0], [99.0, 99.0]]]]])
    valid = torch.tensor([[[[True, True]], [[True, False]]]])
    one = (1.0 * 4 + 0.5 * 4) / (2 * 1.5)
    assert_close(weighted_l1(xy - target, torch.where(valid, confidence, 0.0)), torch.tensor(one))
    # Layers are summed, each with a divisor of its own.
    both, seen = torch.cat([xy, 2 * xy]), torch.cat([valid, valid & (confidence == 1)])
    assert_close(weighted_l1(both - target, torch.where(seen, confidence, 0.0)), torch.tensor(one + 4.0))


def test_anchor_error_of_a_case_by_hand():
    target = torch.tensor([[[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]])
    found = torch.tensor([[[[4.0, 2.0, 0.0], [500.0, 500.0, 500.0]]]])
    assert_close(weighted_l1(found - target, torch.tensor([[0.4, 0.0]])), torch.tensor(2.0))


def test_copies_of_a_person_are_compared_in_pairs():
    # Person 7 of frame 0 in three copies, another 7 in frame 1, two unknown people, one person once.
    identity, frame = torch.tensor([7, 7, 7, 7, -1, -1, 3]), torch.tensor([0, 0, 0, 1, 0, 0, 0])
    xyz = torch.zeros(1, 7, 1, 3)
    xyz[0, :, 0, 0] = torch.tensor([0.0, 3.0, 9.0, 1e6, 1e7, -1e7, 1e8])
    assert_close(consistency_l1(xyz, identity, frame), torch.tensor((3 + 9 + 6) / 3 / 3))
    alone = torch.arange(7)
    assert float(consistency_l1(xyz, alone, frame)) == 0


def test_consistency_is_zero_exactly_for_equal_copies_and_independent_of_order(generator: torch.Generator):
    person = torch.randn(2, 3, 5, 3, generator=generator)
    xyz = person.repeat(1, 3, 1, 1)
    identity, frame = torch.arange(3).repeat(3), torch.zeros(9, dtype=torch.long)
    assert float(consistency_l1(xyz, identity, frame)) == 0
    moved = xyz + torch.randn(xyz.shape, generator=generator)
    order = torch.randperm(9, generator=generator)
    shuffled = consistency_l1(moved[:, order], identity[order], frame[order])
    assert_close(consistency_l1(moved, identity, frame), shuffled)


def test_residual_is_the_mean_over_what_was_triangulated():
    residual = torch.tensor([[[0.2, 5.0]], [[0.4, 0.8]]])
    done = torch.tensor([[[True, False]], [[True, True]]])
    assert_close(weighted_l1(residual[..., None], done.float()), torch.tensor(0.2 + 0.6))


def test_what_does_not_count_gives_no_value_and_no_gradient(generator: torch.Generator):
    xyz = torch.full((2, 3, 4, 3), torch.nan, requires_grad=True)
    xy = torch.full((2, 3, 2, 4, 2), torch.inf, requires_grad=True)
    values = [
        weighted_l1(xyz, torch.zeros(3, 4)),
        weighted_l1(xy, torch.zeros(2, 3, 2, 4)),
        weighted_l1(xyz[..., :1], torch.zeros(2, 3, 4)),
        consistency_l1(xyz, torch.tensor([-1, -1, 0]), torch.zeros(3, dtype=torch.long)),
        consistency_l1(xyz[:, :0], torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long)),
    ]
    assert [float(value.detach()) for value in values] == [0.0] * 5
    grads = torch.autograd.grad(torch.stack(values).sum(), (xyz, xy))
    assert all(float(grad.abs().max()) == 0 for grad in grads)

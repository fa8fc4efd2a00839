"""Everybody is seen once in every view: for two views, Birkhoff's polytope."""

import itertools

import pytest
import torch

from dispose.association.polytope import every_tuple, everybody_once
from dispose.errors import ShapeError
from dispose_kernels.sinkhorn import marginal_residual, newton_projection


@pytest.mark.parametrize(("people", "views"), [(1, 2), (3, 2), (4, 3)])
def test_mass_is_a_tensor_whose_indices_are_the_detections(people: int, views: int) -> None:
    members = every_tuple(people, views)
    assert members.shape == (people**views, views)
    assert torch.equal(members.T, torch.stack([i.flatten() for i in torch.meshgrid(
        *[torch.arange(people)] * views, indexing="ij")]))  # fmt: skip


@pytest.mark.parametrize("views", [2, 3])
def test_the_corners_are_those_who_give_everybody_one_partner_in_every_view(views: int) -> None:
    marginals, members = everybody_once(3, views), every_tuple(3, views)
    orders = itertools.product(itertools.permutations(range(3)), repeat=views - 1)
    for others in orders:
        mass = torch.zeros((3,) * views, dtype=torch.float64)
        mass[(torch.arange(3), *(torch.tensor(other) for other in others))] = 1
        assert float(marginal_residual(mass.flatten(), marginals)) == 0
    wrong = torch.zeros(len(members), dtype=torch.float64)
    wrong[:3] = 1
    assert float(marginal_residual(wrong, marginals)) > 0


def test_a_projected_matrix_is_doubly_stochastic() -> None:
    logits = 3 * torch.randn(16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    table = newton_projection(logits, everybody_once(4, 2)).mass.view(4, 4)
    assert bool((table > 0).all())
    for axis in (0, 1):
        torch.testing.assert_close(table.sum(axis), torch.ones(4, dtype=torch.float64))


@pytest.mark.parametrize(("people", "views"), [(0, 2), (3, 1)])
def test_nobody_and_a_single_view_are_refused(people: int, views: int) -> None:
    with pytest.raises(ShapeError, match=f"{people} and {views}"):
        every_tuple(people, views)

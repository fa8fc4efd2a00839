"""Laws of the two polytopes: the released fixture, an interior whatever is detected, and clear refusals."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dispose.association.polytope import (
    Marginals,
    feasible_marginals,
    is_fallback,
    newton_projection,
    pack,
    sweep_projection,
)
from dispose.errors import ShapeError
from dispose.released.candidates import released_logits, released_marginals
from dispose.tensors import ABSENT

FIXTURE = Path(__file__).parents[2].parent / "shared" / "data" / "released_weights" / "fixture.npz"


def singletons(valid: torch.Tensor) -> torch.Tensor:
    views, slots = torch.nonzero(valid, as_tuple=True)
    members = torch.full((len(views), valid.shape[0]), ABSENT)
    members[torch.arange(len(views)), views] = slots
    return members


def slots(counts: list[int]) -> torch.Tensor:
    return torch.arange(max(counts))[None] < torch.tensor(counts)[:, None]


@pytest.fixture(scope="module")
def released() -> tuple[torch.Tensor, Marginals, np.lib.npyio.NpzFile]:
    if not FIXTURE.exists():
        pytest.skip("needs ../shared/data/released_weights/fixture.npz")
    arrays = np.load(FIXTURE)
    tuples, valid = torch.tensor(arrays["edge_tuples"]), torch.tensor(arrays["score"][..., 0, 0] > 0)
    logits, problems = [], []
    for sample in range(len(valid)):
        rows = tuples[:, 0] == sample
        members = torch.where(tuples[rows, 1:] == valid.shape[-1], ABSENT, tuples[rows, 1:])
        problems.append(released_marginals(members, valid[sample]))
        logits.append(released_logits(torch.tensor(arrays["sinkhorn_logits"])[rows], members))
    return torch.cat(logits), pack(problems), arrays


@pytest.mark.parametrize("sweeps", [2, 4, 200])
def test_the_released_sweeps_are_reproduced(released, sweeps):
    logits, marginals, arrays = released
    mass = sweep_projection(logits, marginals, sweeps)[~is_fallback(marginals)]
    torch.testing.assert_close(mass, torch.tensor(arrays[f"sinkhorn_{sweeps}"]), rtol=0, atol=1e-6)


def test_the_converged_projection_is_what_the_released_sweeps_approach(released):
    logits, marginals, arrays = released
    projection = newton_projection(logits, marginals)
    assert float(projection.residual.max()) <= 1e-9
    mass = projection.mass[~is_fallback(marginals)]
    gaps = [float((mass - torch.tensor(arrays[f"sinkhorn_{n}"])).abs().max()) for n in (2, 4, 200)]
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 1e-5


def test_alpha_changes_the_truncated_sweeps_and_not_the_projection():
    valid = slots([2, 3, 1])
    members = torch.cat([singletons(valid), torch.tensor([[0, 0, 0], [1, 1, ABSENT], [0, 2, ABSENT]])])
    logits = torch.linspace(-2, 3, len(members), dtype=torch.float64)
    marginals = released_marginals(members, valid)
    plain, shifted = (released_logits(logits, members, alpha) for alpha in (0.0, 3.0))
    torch.testing.assert_close(
        newton_projection(plain, marginals).mass, newton_projection(shifted, marginals).mass, rtol=0, atol=1e-9
    )
    difference = sweep_projection(plain, marginals, 2) - sweep_projection(shifted, marginals, 2)
    assert float(difference.abs().max()) > 1e-3


def test_released_targets_are_those_of_the_paper_code():
    valid = slots([2, 3])
    marginals = released_marginals(singletons(valid), valid)
    expected = torch.tensor([0.1, 0.1, 0.8001, 0.1, 0.1, 0.1, 0.7001], dtype=torch.float64)
    torch.testing.assert_close(marginals.target, expected, rtol=0, atol=1e-15)


def test_with_one_view_the_released_mass_is_all_on_the_fallback():
    valid = slots([3, 0, 0])
    members = singletons(valid)
    marginals = released_marginals(members, valid)
    logits = released_logits(torch.randn(3, generator=torch.Generator().manual_seed(0)), members)
    for mass in (sweep_projection(logits, marginals, 2), newton_projection(logits, marginals).mass):
        torch.testing.assert_close(mass, torch.tensor([0.0, 0, 0, 1]))
    torch.testing.assert_close(sweep_projection(logits, marginals, 2), newton_projection(logits, marginals).mass)


@pytest.mark.parametrize("counts", [[1, 0], [0, 0], [3, 1, 2], [50, 50, 50, 50], [0, 7, 1]])
def test_ours_holds_the_state_in_which_nobody_belongs_together(counts):
    valid = slots(counts) if max(counts) else torch.zeros(len(counts), 1, dtype=torch.bool)
    marginals = feasible_marginals(singletons(valid), valid)
    mass = newton_projection(torch.zeros(len(marginals.sample)), marginals).mass
    torch.testing.assert_close(mass, torch.ones_like(mass))


def test_ours_holds_every_partition_and_the_released_one_does_not():
    """Four people and three false detections per view are twenty tracklets: more than the capacity of ten."""
    valid = slots([7, 7, 7, 7])
    people = torch.arange(4)[:, None].expand(4, 4)
    wrong = torch.randint(0, 7, (60, 4), generator=torch.Generator().manual_seed(1))
    members = torch.unique(torch.cat([people, singletons(valid), wrong]), dim=0)
    right = ((members[:, :1] == members) & (members < 4)).all(1)
    false = (members != ABSENT).sum(1) == 1
    false &= members.max(1).values >= 4
    logits = torch.where(right | false, 15.0, -15.0).double()
    ours = newton_projection(torch.cat([logits, torch.zeros(1).double()]), feasible_marginals(members, valid)).mass[:-1]
    assert float((ours - (right | false).double()).abs().max()) < 1e-3
    theirs = newton_projection(released_logits(logits, members), released_marginals(members, valid)).mass[:-1] * 10
    assert float((theirs - (right | false).double()).abs().max()) > 0.2


def test_the_fallback_is_the_last_tuple_of_each_sample():
    problems = [feasible_marginals(singletons(slots(c)), slots(c)) for c in ([1, 2], [2, 2, 1], [1, 1])]
    packed = pack(problems)
    expected = torch.cumsum(torch.tensor([len(p.sample) for p in problems]), 0) - 1
    assert torch.nonzero(is_fallback(packed))[:, 0].tolist() == expected.tolist()


def test_the_company_of_another_rig_changes_nothing():
    random = torch.Generator().manual_seed(3)
    problems, logits = [], []
    for counts in ([2, 3], [3, 1, 2, 2, 3], [1, 2, 0]):
        valid = slots(counts)
        members = torch.cat([singletons(valid), torch.tensor([[c - 1 for c in counts]])])
        problems.append(feasible_marginals(members, valid))
        logits.append(4 * torch.randn(len(members) + 1, generator=random, dtype=torch.float64))
    packed = newton_projection(torch.cat(logits), pack(problems)).mass
    alone = torch.cat([newton_projection(u, m).mass for u, m in zip(logits, problems)])
    torch.testing.assert_close(packed, alone, rtol=0, atol=1e-9)


def test_wrong_tuples_are_refused():
    valid = slots([2, 1])
    with pytest.raises(ShapeError, match=r"tuple 0 is \[1, 1\]"):
        feasible_marginals(torch.tensor([[1, 1]]), valid)
    with pytest.raises(ShapeError, match="11 detections in one view"):
        released_marginals(singletons(slots([11, 1])), slots([11, 1]))

"""Laws of the level-wise join: the set brute force finds, in any camera order, and never more than the budget."""

import pytest
import torch

from dispose_benchmarks.kernels import random_evidence
from dispose_kernels.candidates import (
    ABSENT,
    Candidates,
    Evidence,
    beliefs,
    enumerate_product,
    join,
    misfit,
    pair_cost,
)

RIGS = [(2, 4, 1, 6), (3, 3, 1, 5), (4, 2, 1, 3), (5, 1, 1, 4)]


def scene(seed: int, views: int, people: int, false_people: int, joints: int) -> Evidence:
    random = torch.Generator().manual_seed(seed)
    return random_evidence(random, views=views, people=people, false_people=false_people, joints=joints)


def rows(candidates: Candidates) -> list[tuple[int, ...]]:
    return [tuple(row) for row in candidates.members.tolist()]


@pytest.mark.parametrize("rig", RIGS)
@pytest.mark.parametrize(("cap", "strict"), [(16.0, 1.0), (9.0, 5.0), (25.0, 0.3), (1e9, 400.0)])
def test_the_join_equals_brute_force(rig, cap, strict):
    for seed in range(2):
        evidence = scene(seed, *rig)
        for allowed in (pair_cost(evidence) < 30.0, pair_cost(evidence) < torch.inf):
            limit = strict * rig[3]
            expected = enumerate_product(evidence, allowed, cap=cap, limit=limit)
            found = join(evidence, allowed, cap=cap, limit=limit)
            assert sorted(rows(found)) == sorted(rows(expected))
            assert rows(found) == sorted(rows(found))
            lookup = dict(zip(rows(expected), expected.cost.tolist(), strict=True))
            torch.testing.assert_close(
                found.cost, torch.tensor([lookup[r] for r in rows(found)]).double(), rtol=1e-6, atol=1e-6
            )


def test_frames_joined_together_are_as_one_by_one():
    """Rigs of different sizes padded to the largest; with and without a budget."""
    scenes = [scene(seed, *rig) for seed, rig in enumerate([(4, 3, 1, 5), (2, 2, 0, 5), (3, 4, 1, 5), (4, 2, 2, 5)])]
    views, slots = (max(each.valid.shape[axis] for each in scenes) for axis in (0, 1))

    def padded(values: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        out = values.new_zeros(*shape, *values.shape[len(shape) :])
        out[tuple(slice(length) for length in values.shape[: len(shape)])] = values
        return out

    fields = zip(*(vars(each).values() for each in scenes), strict=True)
    together = Evidence(*(torch.stack([padded(value, (views, slots)) for value in column]) for column in fields))
    allowed = [pair_cost(each) < 30.0 for each in scenes]
    wide = torch.stack([padded(each, (views, slots, views, slots)) for each in allowed])
    for budget in (None, 3):
        found = join(together, wide, cap=16.0, limit=10.0, budget=budget)
        assert (found.frame.diff() >= 0).all()
        for frame, (each, pairs) in enumerate(zip(scenes, allowed, strict=True)):
            alone, mine = join(each, pairs, cap=16.0, limit=10.0, budget=budget), found.frame == frame
            count = alone.members.shape[1]
            assert torch.equal(found.members[mine][:, :count], alone.members)
            assert (found.members[mine][:, count:] == ABSENT).all()
            torch.testing.assert_close(found.cost[mine], alone.cost, rtol=0, atol=1e-9)
            if budget is None:
                assert sorted(rows(alone)) == sorted(rows(enumerate_product(each, pairs, cap=16.0, limit=10.0)))


def test_a_generous_budget_changes_nothing_and_a_small_one_keeps_the_best():
    evidence = scene(1, 4, 3, 1, 5)
    allowed = pair_cost(evidence) < torch.inf
    everything = join(evidence, allowed, cap=25.0, limit=20.0)
    assert rows(join(evidence, allowed, cap=25.0, limit=20.0, budget=10_000)) == rows(everything)
    costs = zip(rows(everything), everything.cost.tolist(), strict=True)
    value = {row: 20.0 * (sum(s != ABSENT for s in row) - 1) - cost for row, cost in costs}
    for budget in (1, 2, 5):
        some = rows(join(evidence, allowed, cap=25.0, limit=20.0, budget=budget))
        assert set(some) <= set(value)
        detections = int(evidence.valid.sum())
        assert len(some) <= detections * (budget + 1)
        singles = [r for r in some if sum(s != ABSENT for s in r) == 1]
        assert len(singles) == detections
        # the best tuple of all is the best of each of its members
        assert max(value, key=lambda r: value[r]) in some


def test_the_true_tuples_survive_a_budget():
    random = torch.Generator().manual_seed(2)
    evidence = random_evidence(random, views=6, people=6, false_people=2, joints=12)
    allowed = pair_cost(evidence) < 20.0
    found = set(rows(join(evidence, allowed, cap=16.0, limit=36.0, budget=8)))
    for person in range(6):
        true = tuple(person if bool(evidence.valid[v, person]) else ABSENT for v in range(6))
        assert true in found


@pytest.mark.parametrize("budget", [None, 3])
def test_the_camera_order_does_not_matter(budget):
    evidence = scene(5, 5, 4, 2, 5)
    order = torch.tensor([3, 0, 4, 2, 1])
    turned = Evidence(
        evidence.precision[order], evidence.information[order], evidence.constant[order], evidence.valid[order]
    )
    one = join(evidence, pair_cost(evidence) < 40.0, cap=16.0, limit=20.0, budget=budget)
    two = join(turned, pair_cost(turned) < 40.0, cap=16.0, limit=20.0, budget=budget)
    back = torch.empty_like(two.members)
    back[:, order] = two.members
    costs = dict(zip((tuple(r) for r in back.tolist()), two.cost.tolist(), strict=True))
    assert costs == dict(zip(rows(one), one.cost.tolist(), strict=True))


def test_the_cost_never_falls_when_a_member_is_added():
    evidence = scene(7, 4, 3, 1, 6)
    everything = join(evidence, pair_cost(evidence) < torch.inf, cap=50.0, limit=1e9)
    cost = dict(zip(rows(everything), everything.cost.tolist(), strict=True))
    assert len(cost) == int((evidence.valid.sum(1) + 1).prod()) - 1
    for row, value in cost.items():
        for view, slot in enumerate(row):
            part = (*row[:view], ABSENT, *row[view + 1 :])
            if slot != ABSENT and part in cost:
                assert cost[part] <= value + 1e-5


def test_one_ray_fits_itself_and_meeting_rays_fit_each_other():
    exact = random_evidence(
        torch.Generator().manual_seed(1), views=5, people=2, false_people=0, joints=7, noise_mm=1e-3
    )
    sharp = Evidence(exact.precision * 1e-8, exact.information * 1e-8, exact.constant * 1e-8, exact.valid)
    table = beliefs(sharp)
    scale = float(sharp.constant.max())
    assert float(misfit(table).max()) < 1e-9 * scale
    assert float(misfit(table.sum(0)).max()) < 1e-7 * scale


def test_the_misfit_is_the_least_squares_residual():
    evidence = scene(9, 3, 2, 0, 4)
    total = beliefs(evidence).sum((0, 1))
    p = evidence.precision.double() * evidence.valid[..., None, None, None]
    matrix = p.sum((0, 1))
    right = (evidence.information * evidence.valid[..., None, None]).sum((0, 1))
    mean = torch.linalg.lstsq(matrix, right[..., None], driver="gelsd").solution[..., 0]
    energy = (mean * (matrix @ mean[..., None])[..., 0]).sum(-1) - 2 * (right * mean).sum(-1)
    expected = energy + (evidence.constant * evidence.valid[..., None]).sum((0, 1))
    torch.testing.assert_close(misfit(total), expected.clamp(min=0), rtol=1e-5, atol=1e-4)


def test_the_pair_cost_is_symmetric_and_the_mean_over_shared_joints():
    evidence = scene(3, 3, 3, 1, 5)
    cost = pair_cost(evidence)
    torch.testing.assert_close(cost, cost.permute(2, 3, 0, 1))
    assert bool(torch.isinf(torch.diagonal(cost, dim1=0, dim2=2)).all())
    assert bool(torch.isinf(cost[~evidence.valid]).all())
    a, b = (torch.nonzero(evidence.valid[v])[0, 0] for v in (0, 1))
    table = beliefs(evidence)
    each = misfit(table[0, a] + table[1, b])
    both = (evidence.constant[0, a] > 0) & (evidence.constant[1, b] > 0)
    torch.testing.assert_close(cost[0, a, 1, b], each[both].mean())


def test_nobody_and_one_view_are_legal():
    nobody = scene(1, 3, 0, 0, 4)
    assert len(join(nobody, pair_cost(nobody) < 1.0, cap=1.0, limit=1.0).cost) == 0
    alone = scene(1, 1, 4, 0, 4)
    found = join(alone, pair_cost(alone) < 1.0, cap=1.0, limit=1.0, budget=2)
    assert len(found.cost) == int(alone.valid.sum())


def test_many_views_and_people_stay_small():
    evidence = scene(4, 12, 10, 2, 8)
    found = join(evidence, pair_cost(evidence) < torch.inf, cap=16.0, limit=30.0, budget=8)
    assert len(found.cost) <= int(evidence.valid.sum()) * 9

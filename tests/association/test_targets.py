"""The clean assignment is a vertex of the polytope that says what the labels say."""

import torch

from dispose.association.polytope import true_tuples
from dispose.tensors import ABSENT

N = ABSENT
MEMBERS = torch.tensor(
    [[0, N, N], [1, N, N], [N, 0, N], [N, 1, N], [N, N, 0], [0, 0, N], [0, 0, 0], [1, 1, N], [0, 1, N], [N, 0, 0]]
)


def chosen(identity, members=MEMBERS, cost=None):
    cost = torch.arange(len(members), dtype=torch.float64) if cost is None else cost
    mass = true_tuples(members, cost, torch.tensor(identity))
    assert set(mass.tolist()) <= {0.0, 1.0}
    return {tuple(row) for row in members[mass > 0].tolist()}


def test_complete_tuples_of_people_and_nothing_else():
    assert chosen([[3, 4], [3, 4], [3, N]]) == {(0, 0, 0), (1, 1, N)}


def test_detections_of_nobody_stand_alone():
    assert chosen([[3, N], [3, N], [N, N]]) == {(0, 0, N), (1, N, N), (N, 1, N), (N, N, 0)}


def test_two_detections_of_nobody_are_not_one_person():
    assert chosen([[N, N], [N, N], [N, N]]) == {(0, N, N), (1, N, N), (N, 0, N), (N, 1, N), (N, N, 0)}


def test_a_pruned_person_keeps_its_largest_part():
    without = MEMBERS[(torch.tensor([0, 0, 0]) != MEMBERS).any(1)]
    cost = torch.zeros(len(without), dtype=torch.float64)
    cost[(without == torch.tensor([0, 0, N])).all(1)] = 5.0
    assert (N, 0, 0) in chosen([[3, 4], [3, 4], [3, N]], without, cost)
    assert (0, N, N) in chosen([[3, 4], [3, 4], [3, N]], without, cost)


def test_every_detection_is_covered_once():
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        identity = torch.randint(-1, 3, (3, 2), generator=generator)
        for view in range(3):
            if identity[view, 0] == identity[view, 1]:
                identity[view, 1] = N
        identity[2, 1] = N
        mass = true_tuples(MEMBERS, torch.zeros(len(MEMBERS), dtype=torch.float64), identity)
        for view, slots in ((0, 2), (1, 2), (2, 1)):
            for slot in range(slots):
                assert float(mass[MEMBERS[:, view] == slot].sum()) == 1.0

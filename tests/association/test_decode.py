"""Laws of rounding: disjoint groups, never worse than greedy, the optimum on small problems."""

from itertools import combinations

import numpy as np
import torch

from dispose.association import decode
from dispose.association.decode import (
    bin_numbers,
    greedy,
    group_confidence,
    mass_worth,
    pair_posterior,
    pair_worth,
    set_packing,
)
from dispose.tensors import ABSENT


def random_tuples(generator, tuples=12, views=3, slots=3):
    members = torch.randint(-1, slots, (tuples, views), generator=generator)
    members = members[(members != ABSENT).any(1)].unique(dim=0)
    return members, torch.rand(len(members), generator=generator, dtype=torch.float64) - 0.2


def total(worth, chosen):
    return float(worth[chosen].sum())


def disjoint(members):
    number = bin_numbers(members)
    used = number[number != ABSENT]
    return len(used) == len(used.unique())


def brute_force(worth, members):
    best = 0.0
    for size in range(len(worth) + 1):
        for rows in combinations(range(len(worth)), size):
            if disjoint(members[list(rows)]):
                best = max(best, float(worth[list(rows)].sum()))
    return best


def test_set_packing_is_the_optimum():
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):
        members, worth = random_tuples(generator, tuples=9)
        chosen = set_packing(worth, members)
        assert disjoint(members[chosen])
        assert abs(total(worth, chosen) - brute_force(worth, members)) < 1e-9


def test_greedy_is_disjoint_and_never_better():
    generator = torch.Generator().manual_seed(1)
    gaps = []
    for _ in range(30):
        members, worth = random_tuples(generator, tuples=30, views=4, slots=4)
        quick, exact = greedy(worth, members), set_packing(worth, members)
        assert disjoint(members[quick])
        gaps.append(total(worth, exact) - total(worth, quick))
    assert min(gaps) > -1e-9
    assert max(gaps) > 1e-3


def test_nothing_worth_taking_is_nothing_taken():
    members = torch.tensor([[0, 0], [1, ABSENT]])
    for rounding in (greedy, set_packing):
        assert not rounding(torch.tensor([-1.0, 0.0]), members).any()


def test_pair_posterior_sums_the_tuples_that_hold_a_pair():
    members = torch.tensor([[0, 0, 0], [0, 0, ABSENT], [ABSENT, 1, 0]])
    together = pair_posterior(torch.tensor([0.5, 0.3, 0.2]), members)
    number = bin_numbers(members)
    a, b, c = number[0].tolist()
    assert abs(float(together[a, b]) - 0.8) < 1e-6
    assert abs(float(together[a, c]) - 0.5) < 1e-6
    assert abs(float(together[c, c]) - 0.7) < 1e-6
    torch.testing.assert_close(together, together.T)


def test_mass_split_over_parts_of_a_person_still_makes_one_group():
    """Half of the mass on three views, a quarter on each of two pairs: no tuple is certain, every pair is."""
    members = torch.tensor([[0, 0, 0], [0, 0, ABSENT], [ABSENT, 0, 0], [1, 1, ABSENT]])
    mass = torch.tensor([0.5, 0.25, 0.25, 0.2])
    chosen = set_packing(pair_worth(mass, members), members)
    assert chosen.tolist() == [True, False, False, False]


def test_lone_detections_are_never_groups():
    members = torch.tensor([[0, ABSENT], [ABSENT, 0]])
    for worth in (mass_worth, pair_worth):
        assert (worth(torch.ones(2), members) < 0).all()


def test_confidence_is_the_mean_pair_probability():
    members = torch.tensor([[0, 0, 0], [0, 0, ABSENT]])
    mass = torch.tensor([0.6, 0.3])
    confidence = group_confidence(mass, members, torch.tensor([True, False]))
    assert abs(float(confidence[0]) - (0.9 + 0.6 + 0.6) / 3) < 1e-6


def test_a_pair_is_worth_its_probability_above_the_threshold_and_a_tuple_its_pairs():
    """0.8 of mass on a pair and 0.4 on a third with both: 0.8 + 0.4 + 0.4, less one half for each of three pairs."""
    members = torch.tensor([[0, 0, 0], [0, 0, ABSENT], [0, ABSENT, ABSENT]])
    mass = torch.tensor([0.4, 0.4, 0.2], dtype=torch.float64)
    torch.testing.assert_close(pair_worth(mass, members), torch.tensor([0.1, 0.3, -1.0], dtype=torch.float64))
    torch.testing.assert_close(mass_worth(mass, members), torch.tensor([0.35, 0.35, -1.0], dtype=torch.float64))


def test_what_the_solver_could_not_finish_is_worth_no_more_than_the_bound(monkeypatch):
    """Three sets of which any two collide; the solver gives up with the worst of them, and with nothing known."""
    member = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1]], dtype=bool)
    worth = np.array([1.0, 0.9, 0.8])
    for taken in ([False, False, True], [False, False, False]):
        monkeypatch.setattr(decode, "_solve", lambda *_, taken=taken: (np.array(taken), 1.35))
        packing = decode.pack_sets_within(worth, member, 1)
        assert packing.chosen.tolist() == [True, False, False] and packing.bound == 1.35

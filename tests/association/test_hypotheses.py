"""What is kept of the candidates: everything that ever mattered, and a count of the rest."""

import torch

from dispose.scene.results import Hypotheses, prune_hypotheses
from dispose.tensors import ABSENT


def weighed(generator: torch.Generator, tuples: int = 200) -> Hypotheses:
    members = torch.randint(-1, 4, (tuples, 3), generator=generator).unique(dim=0)
    members = members[(members != ABSENT).any(1)]
    count = len(members)
    mass = torch.rand(4, count, generator=generator) ** 8
    mass[0] = 0.5
    cost, cue, marginal = torch.rand(3, count, generator=generator)
    return Hypotheses(members, cost, cue, marginal**8, torch.linspace(1, 0, 4), mass)


def rows(hypotheses: Hypotheses) -> set[tuple[int, ...]]:
    return {tuple(row) for row in hypotheses.members.tolist()}


def test_nothing_with_mass_is_dropped_and_the_rest_is_counted(generator: torch.Generator) -> None:
    every = weighed(generator)
    kept = prune_hypotheses(every, floor=0.1, cheapest=1)
    assert 0 < len(kept.members) < len(every.members)
    assert len(kept.members) + kept.dropped == len(every.members)
    mattered = (every.marginal > 0.1) | (every.mass[1:] > 0.1).any(0)
    assert {tuple(row) for row in every.members[mattered].tolist()} <= rows(kept)
    assert kept.mass.shape == (4, len(kept.members))


def test_groups_asked_for_and_the_cheapest_of_every_detection_stay(generator: torch.Generator) -> None:
    every = weighed(generator)
    asked = every.members[7:9]
    foreign = torch.full((1, 3), 9)
    kept = prune_hypotheses(every, [asked, foreign], floor=2.0, cheapest=1)
    assert {tuple(row) for row in asked.tolist()} <= rows(kept)
    size = (every.members != ABSENT).sum(1)
    several = size >= 2
    for view in range(3):
        for slot in range(4):
            mine = (several & (every.members[:, view] == slot)).nonzero()[:, 0]
            best = mine[(every.cost / (size - 1).clamp(min=1))[mine].argmin()]
            assert tuple(every.members[best].tolist()) in rows(kept)


def test_keeping_twice_keeps_the_same(generator: torch.Generator) -> None:
    once = prune_hypotheses(weighed(generator), floor=0.1)
    twice = prune_hypotheses(once, floor=0.1)
    assert torch.equal(once.members, twice.members) and once.dropped == twice.dropped

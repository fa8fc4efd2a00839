"""Pairs and exact groups, counted by hand."""

import math

import pytest
import torch

from dispose.errors import ShapeError
from dispose.metrics.association import PairCounts, count_pairs
from dispose.scene.results import Association

# Three views; person 7 is seen in all of them, person 8 in two, and view 0 holds somebody unlabelled.
IDENTITY = torch.tensor([[7, 8, -1], [8, 7, -1], [7, -1, -1]])


def grouped(*rows: tuple[int, int, int]) -> Association:
    members = torch.tensor(rows, dtype=torch.long).reshape(-1, 3)
    return Association(members, torch.ones(len(rows), dtype=torch.float64))


def test_the_truth_is_perfect() -> None:
    counts = count_pairs(grouped((0, 1, 0), (1, 0, -1)), IDENTITY)
    assert counts == PairCounts(4, 4, 4, 2, 2)
    assert counts.f1 == counts.exact_rate == 1.0


def test_a_split_and_a_swap() -> None:
    split = count_pairs(grouped((0, 1, -1), (1, 0, -1)), IDENTITY)
    assert (split.correct, split.predicted, split.actual, split.exact) == (2, 2, 4, 1)
    assert split.f1 == pytest.approx(2 / 3)
    # views 1 exchanged: only the pair of views 0 and 2 of person 7 is right
    swap = count_pairs(grouped((0, 0, 0), (1, 1, -1)), IDENTITY)
    assert (swap.correct, swap.predicted, swap.exact) == (1, 4, 0)


def test_unlabelled_detections_do_not_count() -> None:
    counts = count_pairs(grouped((0, 1, 0), (1, 0, 1), (2, 2, -1)), IDENTITY)
    assert counts == PairCounts(4, 4, 4, 2, 2)


def test_a_stranger_in_the_group_is_not_exact() -> None:
    identity = torch.tensor([[7, 8], [7, 8], [7, -1]])
    counts = count_pairs(grouped((0, 0, 0), (1, 1, -1)), identity)
    assert counts.exact == 2
    counts = count_pairs(grouped((0, 0, -1), (1, 1, 0)), identity)
    assert counts.exact == 0 and counts.correct == 2


def test_nobody_and_nothing() -> None:
    empty = count_pairs(grouped(), IDENTITY)
    assert empty.recall == 0.0 and math.isnan(empty.precision) and empty.exact_rate == 0.0
    assert count_pairs(grouped(), torch.full((3, 0), -1)) == PairCounts()
    with pytest.raises(ShapeError, match="3 views in the association, 2"):
        count_pairs(grouped(), IDENTITY[:2])


def test_order_of_views_and_groups_does_not_matter(generator: torch.Generator) -> None:
    identity = torch.randint(-1, 4, (4, 6), generator=generator)
    members = torch.stack([torch.randperm(6, generator=generator) for _ in range(4)], 1)
    whole = count_pairs(Association(members, torch.ones(6)), identity)
    views, rows = torch.randperm(4, generator=generator), torch.randperm(6, generator=generator)
    assert count_pairs(Association(members[rows][:, views], torch.ones(6)), identity[views]) == whole

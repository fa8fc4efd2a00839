"""The programme is the best partition there is, by enumeration; frames around a frame speak for the same people."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from dispose.preparation.programme import (
    PairGains,
    ProgrammeConfig,
    group_by_programme,
    improved,
    nearness,
    solve_partition,
    with_neighbours,
)
from dispose.scene.frame import Detections
from dispose.skeletons.catalog import COCO_17
from dispose_benchmarks.association import bench_frame


def partitions(views: list[int], groups: tuple[tuple[int, ...], ...] = ()) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Every way to put detections into groups with at most one of each view."""
    done = sum(len(group) for group in groups)
    if done == len(views):
        yield groups
        return
    for row, group in enumerate(groups):
        if views[done] not in [views[one] for one in group]:
            yield from partitions(views, (*groups[:row], (*group, done), *groups[row + 1 :]))
    yield from partitions(views, (*groups, (done,)))


def worth_of(groups: tuple[tuple[int, ...], ...], gain: np.ndarray) -> float:
    return sum(gain[np.ix_(group, group)].sum() / 2 for group in groups)


def random_gains(generator: np.random.Generator, most: int) -> tuple[np.ndarray, np.ndarray]:
    views = int(generator.integers(2, 5))
    view = np.repeat(np.arange(views), generator.integers(0, 4, views))[:most]
    gain = generator.normal(-0.1, 1.0, (len(view), len(view))) * (generator.random((len(view), len(view))) < 0.8)
    gain = np.triu(gain, 1) + np.triu(gain, 1).T
    gain[view[:, None] == view] = 0.0
    return gain, view


def test_the_programme_is_the_best_of_all_partitions_on_500_random_frames() -> None:
    generator = np.random.default_rng(14)
    for _ in range(500):
        gain, view = random_gains(generator, 8)
        found = solve_partition(gain, view, budget=10_000)
        most = max(worth_of(groups, gain) for groups in partitions(view.tolist()))
        told = tuple(tuple(np.flatnonzero(found.group == number).tolist()) for number in np.unique(found.group))
        assert found.worth == pytest.approx(most, abs=1e-7)
        assert found.gap == pytest.approx(0.0, abs=1e-7)
        assert worth_of(told, gain) == pytest.approx(most, abs=1e-7)
        assert all(len({int(view[one]) for one in group}) == len(group) for group in told)


def test_where_tuples_are_cut_the_gap_bounds_what_is_lost() -> None:
    generator, cut = np.random.default_rng(15), 0
    for _ in range(60):
        gain, view = random_gains(generator, 8)
        most = solve_partition(gain, view, budget=10_000).worth
        found = solve_partition(gain, view, budget=1)
        cut += found.gap > 0
        assert found.worth <= most + 1e-9
        assert most <= found.bound + 1e-9
        assert found.worth == pytest.approx((1 - found.gap) * found.bound, abs=1e-9)
    assert cut > 5


def test_ten_views_of_ten_people_take_a_second_or_say_that_they_stopped_early() -> None:
    frame = bench_frame(10, 10, torch.Generator().manual_seed(0))
    (found,) = group_by_programme([frame], ProgrammeConfig())
    assert len(found.association) >= 9
    # Twice the second: other tests may run beside this one.
    assert found.seconds < 2.0
    assert 0 <= found.gap < 0.5


def test_frames_around_a_frame_speak_for_the_same_people() -> None:
    view, slot = np.array([0, 1]), np.array([0, 0])
    compared = ~np.eye(2, dtype=bool)

    def pair(gain: float) -> PairGains:
        return PairGains(view, slot, np.array([[0.0, gain], [gain, 0.0]]), compared)

    here, sure = pair(-0.1), np.ones((2, 1, 1))
    joined = with_neighbours(here, [(pair(0.6), sure), (pair(0.4), sure)], 0.5)
    assert joined.gain[0, 1] == pytest.approx(-0.1 + 0.5 * 0.5)
    strangers = with_neighbours(here, [(pair(0.6), 0 * sure)], 0.5)
    assert strangers.gain[0, 1] == pytest.approx(-0.1)


def test_who_moves_little_is_near_and_who_moves_far_is_nobody() -> None:
    def seen(shift: float) -> Detections:
        xy = torch.stack([torch.linspace(0, 100, 17), torch.linspace(0, 200, 17)], -1).double() + shift
        return Detections.from_lists(COCO_17, [[torch.cat([xy, torch.ones(17, 1)], -1)]])

    assert nearness(seen(0), seen(0), 0.1)[0, 0, 0] == pytest.approx(1.0)
    half = 0.1 * (100**2 + 200**2) ** 0.5 / 2**0.5
    assert nearness(seen(0), seen(half), 0.1)[0, 0, 0] == pytest.approx(0.5)
    assert nearness(seen(0), seen(300), 0.1)[0, 0, 0] == 0


def test_moves_end_where_none_helps_and_never_put_two_of_a_view_together() -> None:
    generator = np.random.default_rng(16)
    for _ in range(40):
        gain, view = random_gains(generator, 8)
        group, worth = improved(np.arange(len(view)), gain, view)
        assert worth == pytest.approx(gain[group[:, None] == group].sum() / 2)
        assert worth <= solve_partition(gain, view, budget=10_000).worth + 1e-9
        for one in range(len(view)):
            here = gain[one, group == group[one]].sum()
            assert here >= -1e-9
            assert len(np.unique(view[group == group[one]])) == (group == group[one]).sum()
            for other in np.unique(group):
                if view[one] not in view[group == other]:
                    assert gain[one, group == other].sum() <= here + 1e-9

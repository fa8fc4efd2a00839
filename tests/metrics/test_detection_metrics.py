"""Average precision and recall against figures worked out by hand."""

import math

import pytest
import torch

from dispose.errors import InputError
from dispose.metrics.detection import NearestTruths, average_precision, found_mpjpe, nearest_truths, pool, recall
from dispose.scene.frame import Poses
from dispose.skeletons.catalog import COCO_17


def matches(truths: int, *rows: tuple[float, float, int]) -> NearestTruths:
    """Predictions as (score, error, true person)."""
    table = torch.tensor([row[:2] for row in rows], dtype=torch.float64).reshape(-1, 2)
    return NearestTruths(truths, table[:, 0], table[:, 1], torch.tensor([row[2] for row in rows], dtype=torch.long))


def people(*offsets_mm: float) -> Poses:
    xyz = torch.zeros(len(offsets_mm), 17, 3, dtype=torch.float64)
    xyz[:, :, 0] = torch.tensor(offsets_mm, dtype=torch.float64)[:, None]
    valid = torch.ones(len(offsets_mm), 17, dtype=torch.bool)
    return Poses(COCO_17, xyz, valid.double(), valid, torch.arange(len(offsets_mm)))


def test_everybody_found_at_once_is_perfect() -> None:
    perfect = matches(2, (0.9, 5.0, 0), (0.4, 12.0, 1))
    assert average_precision(perfect, threshold_mm=25.0) == 1.0
    assert recall(perfect, threshold_mm=25.0) == 1.0
    assert found_mpjpe(perfect) == pytest.approx(8.5)


def test_a_duplicate_is_a_false_positive_and_costs_where_it_ranks() -> None:
    # order: hit (P=1), duplicate, hit (P=2/3): recall steps of a half each
    between = matches(2, (0.9, 5.0, 0), (0.8, 3.0, 0), (0.7, 5.0, 1))
    assert average_precision(between, threshold_mm=25.0) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    last = matches(2, (0.9, 5.0, 0), (0.6, 3.0, 0), (0.7, 5.0, 1))
    assert average_precision(last, threshold_mm=25.0) == 1.0
    # the error is that of the best-scored detection, not of the nearest
    assert found_mpjpe(between) == pytest.approx(5.0)


def test_the_envelope_is_monotone() -> None:
    # false, hit, hit: precisions 0, 1/2, 2/3 -> envelope 2/3 at both recall steps
    assert average_precision(matches(2, (0.9, 99.0, 0), (0.8, 1.0, 0), (0.7, 1.0, 1)), threshold_mm=25.0) == (
        pytest.approx(2 / 3)
    )


def test_ties_keep_the_order_of_the_input() -> None:
    one = average_precision(matches(1, (0.5, 1.0, 0), (0.5, 99.0, 0)), threshold_mm=25.0)
    other = average_precision(matches(1, (0.5, 99.0, 0), (0.5, 1.0, 0)), threshold_mm=25.0)
    assert (one, other) == (1.0, 0.5)


def test_missing_people_and_empty_frames_count() -> None:
    assert average_precision(matches(4, (0.9, 1.0, 0)), threshold_mm=25.0) == 0.25
    assert average_precision(matches(3), threshold_mm=25.0) == 0.0
    assert math.isnan(average_precision(matches(0, (0.9, math.inf, -1)), threshold_mm=25.0))
    pooled = pool([matches(1, (0.9, 1.0, 0)), matches(1), matches(0, (0.95, math.inf, -1)), matches(1, (0.8, 1.0, 0))])
    assert pooled.truths == 3 and pooled.truth.tolist() == [0, -1, 2]
    # false positive first, then two hits of three people: envelope 2/3
    assert average_precision(pooled, threshold_mm=25.0) == pytest.approx(2 / 3 * 2 / 3)


def test_thresholds_are_strict_and_monotone() -> None:
    some = matches(2, (0.9, 25.0, 0), (0.8, 60.0, 1))
    values = [average_precision(some, threshold_mm=mm) for mm in (25.0, 50.0, 75.0)]
    assert values == [0.0, 0.5, 1.0]


def test_the_nearest_person_is_found_and_a_score_that_is_no_number_is_refused() -> None:
    found = nearest_truths(people(90.0, 10.0), torch.tensor([0.5, 0.6], dtype=torch.float64), people(0.0, 100.0))
    assert found.truth.tolist() == [1, 0] and found.error_mm.tolist() == [10.0, 10.0]
    with pytest.raises(InputError, match="predicted person 1 is nan"):
        nearest_truths(people(0.0, 1.0), torch.tensor([0.5, math.nan], dtype=torch.float64), people(0.0))


def test_predictions_with_too_few_joints_do_not_count() -> None:
    two = people(0.0, 100.0)
    two.valid[0, 2:] = False
    found = nearest_truths(two, torch.ones(2, dtype=torch.float64), people(0.0), min_joints=3)
    assert found.truth.tolist() == [0] and found.error_mm.tolist() == [100.0]


def test_nobody_predicted_and_nobody_there() -> None:
    assert nearest_truths(people(), torch.zeros(0, dtype=torch.float64), people(0.0)).truths == 1
    alone = nearest_truths(people(0.0), torch.ones(1, dtype=torch.float64), people())
    assert alone.truth.tolist() == [-1] and alone.error_mm.isinf().all()

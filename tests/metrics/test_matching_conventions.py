"""One-to-one and released counting on cases worked out by hand: duplicates, ties, missing actors, NaN scores."""

import math

import pytest
import torch

from dispose.errors import InputError
from dispose.metrics.detection import (
    PairErrors,
    average_precision,
    average_precision_one_to_one,
    best_pairs,
    claimed,
    nearest_truths,
    pair_errors,
    recall_one_to_one,
)
from dispose.released.metrics import (
    EPSILON,
    released_average_precision,
    released_matches,
    released_mpjpe,
    released_order,
    released_recall,
)
from dispose.scene.frame import Poses
from dispose.skeletons.catalog import PANOPTIC_15
from dispose.tensors import ABSENT

NAN = math.nan


def people(*x_mm: float) -> Poses:
    """Skeletons that are one point each, on a line: MPJPE is the distance on it."""
    xyz = torch.zeros(len(x_mm), 15, 3, dtype=torch.float64)
    xyz[:, :, 0] = torch.tensor(x_mm, dtype=torch.float64)[:, None] if x_mm else 0.0
    valid = torch.ones(len(x_mm), 15, dtype=torch.bool)
    return Poses(PANOPTIC_15, xyz, valid.double(), valid, torch.arange(len(x_mm)))


def scores(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_a_duplicate_is_a_false_positive_in_both():
    predicted, score, truth = people(0, 10), scores(0.9, 0.8), people(0)
    assert average_precision_one_to_one([pair_errors(predicted, score, truth)], threshold_mm=50.0) == 1.0
    matches = released_matches(predicted, score, truth)
    assert released_average_precision(matches, threshold_mm=50.0) == pytest.approx(1.0, abs=3e-5)
    # The duplicate first: precision 1 at full recall all the same, by score.
    assert claimed(pair_errors(predicted, scores(0.1, 0.8), truth), 50.0).truth.tolist() == [ABSENT, 0]


def test_a_neighbour_found_by_the_second_prediction_counts_one_to_one_only():
    """Both predictions are nearest to the person at 0; the other person is 40 mm away from the second."""
    predicted, score, truth = people(0, 30), scores(0.9, 0.8), people(0, 70)
    frame = pair_errors(predicted, score, truth)
    assert frame.error_mm.tolist() == [[0, 70], [30, 40]]
    assert recall_one_to_one([frame], threshold_mm=50.0) == 1.0
    assert average_precision_one_to_one([frame], threshold_mm=50.0) == 1.0
    matches = released_matches(predicted, score, truth)
    assert released_recall(matches, threshold_mm=50.0) == pytest.approx(1 / (2 + EPSILON))
    assert average_precision(nearest_truths(predicted, score, truth), threshold_mm=50.0) == 0.5


def test_ties_keep_the_order_of_the_input():
    frame = PairErrors(scores(0.5, 0.5), torch.tensor([[30.0], [10.0]], dtype=torch.float64))
    assert claimed(frame, 50.0).truth.tolist() == [0, ABSENT]
    assert released_order(released_matches(people(30, 10), scores(0.5, 0.5), people(0))) == [0, 1]
    assert released_mpjpe(released_matches(people(30, 10), scores(0.5, 0.5), people(0))) == 30


def test_the_threshold_itself_is_not_near_enough():
    for threshold, value in ((50.0, 0.0), (50.001, 1.0)):
        frame = pair_errors(people(50), scores(1.0), people(0))
        assert average_precision_one_to_one([frame], threshold_mm=threshold) == value
        matches = released_matches(people(50), scores(1.0), people(0))
        assert released_average_precision(matches, threshold_mm=threshold) == pytest.approx(value, abs=3e-5)


def test_a_miss_lowers_precision_below_it():
    """False, true, true of three people: precisions 0, 1/2, 2/3, envelope 2/3, recall 2/3."""
    frame = pair_errors(people(900, 0, 300), scores(0.9, 0.8, 0.7), people(0, 300, 600))
    assert average_precision_one_to_one([frame], threshold_mm=50.0) == pytest.approx(2 / 3 * 2 / 3)
    matches = released_matches(people(900, 0, 300), scores(0.9, 0.8, 0.7), people(0, 300, 600))
    expected = 2 / (3 + EPSILON) * 2 / (3 + EPSILON)
    assert released_average_precision(matches, threshold_mm=50.0) == pytest.approx(expected, rel=1e-9)


def test_a_score_that_is_not_a_number():
    with pytest.raises(InputError, match="predicted person 1 is nan"):
        pair_errors(people(0, 10), scores(0.9, NAN), people(0))
    matches = released_matches(people(400, 0), scores(NAN, 0.9), people(0))
    assert len(matches.score) == 2, "it is kept, as released"
    # Nothing is greater than NaN: it stays first and is a false positive before the hit.
    assert released_order(matches) == [0, 1]
    assert released_average_precision(matches, threshold_mm=50.0) == pytest.approx(0.5, abs=3e-5)


def test_scores_of_zero_are_left_out_as_released_only():
    assert len(released_matches(people(0, 10), scores(0.0, -1.0), people(0)).score) == 0
    assert average_precision_one_to_one([pair_errors(people(0), scores(0.0), people(0))], threshold_mm=50.0) == 1.0


def test_nobody():
    for predicted, truth in ((people(), people(0)), (people(0), people()), (people(), people())):
        frame = pair_errors(predicted, torch.ones(len(predicted.id)).double(), truth)
        rows, columns = best_pairs(frame.error_mm)
        assert len(rows) == len(columns) == 0
        matches = released_matches(predicted, torch.ones(len(predicted.id)).double(), truth)
        assert released_average_precision(matches, threshold_mm=50.0) == 0 and math.isnan(released_mpjpe(matches))
        value = average_precision_one_to_one([frame], threshold_mm=50.0)
        assert math.isnan(value) if not len(truth.id) else value == 0


def test_the_best_pairs_are_as_many_as_can_be():
    """Greedy by error would take (0, 0) with 10 mm and leave the other prediction alone."""
    error = torch.tensor([[10.0, 300.0], [200.0, 900.0]], dtype=torch.float64)
    rows, columns = best_pairs(error)
    assert sorted(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 1), (1, 0)]
    assert best_pairs(torch.full((1, 1), torch.inf, dtype=torch.float64))[0].tolist() == []


def test_a_missing_joint_is_left_out_of_the_error():
    predicted = people(0)
    predicted.valid[0, 3] = False
    predicted.xyz_world[0, 3] = 5000.0
    assert float(pair_errors(predicted, scores(1.0), people(10)).error_mm) == 10

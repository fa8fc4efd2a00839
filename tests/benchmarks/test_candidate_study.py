"""What the study of candidates counts: every possible tuple once, right and whole ones as the truth says."""

import itertools
import math

import numpy as np
import pytest
import torch

from dispose.datasets.samples import sample_folder
from dispose.formats.predictions import read_predictions
from dispose.inference.capture import read_capture, read_frame
from dispose.scene.labels import identities
from dispose.zoo.checkpoints import load_associator
from dispose_benchmarks.studies.candidates import judge, pair_table, purity, separation, stages


@pytest.fixture(scope="module")
def study():
    folder = sample_folder("crossing")
    frame = read_frame(read_capture(folder), 25).frame
    truth = [t for t in read_predictions(folder / "truth" / "predictions.jsonl").frames if t.number == 25]
    return frame, truth, load_associator()


def test_a_tuple_is_pure_if_it_is_one_person_and_whole_if_nothing_of_the_person_is_missing() -> None:
    identity = torch.tensor([[0, 1, -1], [1, 0, -1], [0, -1, -1]])
    members = torch.tensor([[0, 1, 0], [0, 1, -1], [0, 0, 0], [1, 0, -1], [2, 2, -1]])
    pure, whole = purity(members, identity)
    assert pure.tolist() == [True, True, False, True, False]
    assert whole.tolist() == [True, False, False, True, False]


def test_every_possible_tuple_is_judged_once(study) -> None:
    frame, truth, associator = study
    judged, left = judge([frame], truth, associator), stages(frame, associator)
    assert left is not None and len(judged.size) == left.possible
    counts = frame.detections.counts.tolist()
    assert left.possible == math.prod(c + 1 for c in counts) - 1 - sum(counts)
    assert left.possible > left.paired >= left.fitting >= left.kept > 0
    of_size = [sum(math.prod(some) for some in itertools.combinations(counts, m)) for m in range(2, 6)]
    assert [int((judged.size == m).sum()) for m in range(2, 6)] == of_size


def test_whole_tuples_are_the_people_seen_twice(study) -> None:
    frame, truth, associator = study
    judged = judge([frame], truth, associator)
    identity = identities(frame, truth[0])
    views = [int((identity == person).any(1).sum()) for person in truth[0].poses.id.tolist()]
    assert judged.whole.sum() == sum(v >= 2 for v in views) and (judged.pure >= judged.whole).all()
    # Every part with two members at least of a person seen in v views is pure.
    assert judged.pure.sum() == sum(2**v - 1 - v for v in views)
    assert separation(judged.cue, judged.pure) > 0.98


def test_pairs_stand_in_the_order_of_the_frame(study) -> None:
    frame, truth, associator = study
    misfit, identity = pair_table(frame, truth[0], associator)
    torch.testing.assert_close(misfit, misfit.T)
    expected = identities(frame, truth[0])[frame.detections.valid]
    assert identity.tolist() == expected.tolist()
    same = (identity[:, None] == identity) & (identity != -1)[:, None] & torch.isfinite(misfit)
    other = ~same & torch.isfinite(misfit)
    assert float(misfit[same].median()) < 0.3 * float(misfit[other].median())


def test_separation_is_the_share_of_pairs_in_the_right_order() -> None:
    score = np.array([0.9, 0.5, 0.5, 0.1, np.nan])
    right = np.array([True, True, False, False, True])
    assert separation(score, right) == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    assert math.isnan(separation(score, np.zeros(5, dtype=bool)))


def test_no_frames_are_no_tuples(study) -> None:
    assert len(judge([], [], study[2]).size) == 0

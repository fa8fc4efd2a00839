"""The truth scores itself perfectly, and every kind of mistake moves its own figure."""

from dataclasses import replace

import pytest
import torch

from dispose.datasets.samples import sample_folder
from dispose.errors import InputError, ShapeError
from dispose.evaluation.against_truth import count_results, f1_by_group, score_frames, score_people, total
from dispose.formats.predictions import read_predictions
from dispose.inference.capture import read_capture, read_frame
from dispose.metrics.association import PairCounts
from dispose.scene.frame import Labels
from dispose.scene.labels import identities
from dispose.scene.results import Association, FrameResult
from dispose.tensors import ABSENT

NUMBERS = (0, 20, 40)


@pytest.fixture(scope="module")
def sample():
    capture = read_capture(sample_folder("crossing"))
    truth = read_predictions(sample_folder("crossing") / "truth" / "predictions.jsonl").frames
    return [read_frame(capture, n).frame for n in NUMBERS], [truth[n] for n in NUMBERS]


def test_the_truth_scores_itself_perfectly(sample) -> None:
    frames, truth = sample
    figures = score_frames(frames, truth, truth[::-1])
    assert (figures.pair_f1, figures.exact, figures.found, figures.mpjpe_mm) == (100, 100, 100, 0)


def test_a_shift_is_its_own_error_and_leaves_the_pairs(sample) -> None:
    frames, truth = sample
    moved = [
        replace(t, poses=replace(t.poses, xyz_world=t.poses.xyz_world + torch.tensor([30.0, 0, 0]))) for t in truth
    ]
    figures = score_frames(frames, moved, truth)
    assert figures.mpjpe_mm == pytest.approx(30) and figures.pair_f1 == 100 and figures.found == 100


def test_a_swapped_detection_costs_pairs_but_no_joint(sample) -> None:
    frames, truth = sample
    members = truth[0].association.members.clone()
    view = int((members != ABSENT).all(0).nonzero()[0, 0])
    members[:2, view] = members[[1, 0], view]
    wrong = replace(truth[0], association=Association(members, truth[0].association.confidence))
    figures = score_frames(frames[:1], [wrong], truth)
    assert figures.pair_f1 < 100 and figures.exact == pytest.approx(50) and figures.mpjpe_mm == 0


def test_identities_are_found_by_position_in_the_file(sample) -> None:
    frames, truth = sample
    identity = identities(frames[0], truth[0])
    for person, members in zip(truth[0].poses.id.tolist(), truth[0].association.members.tolist(), strict=True):
        for view, source in enumerate(members):
            rows = (identity[view] == person).nonzero()[:, 0]
            assert frames[0].detections.index[view, rows].tolist() == ([] if source == ABSENT else [source])


def test_people_of_pictures_are_scored_without_their_members(sample) -> None:
    _, truth = sample
    perfect = score_people(truth[::-1], truth)
    assert (perfect.found, perfect.nobody, perfect.mpjpe_mm) == (100, 0, 0)
    people = len(truth[0].association)
    twice, rows = truth[0], torch.tensor([*range(people), 0])
    poses = replace(twice.poses, **{k: vars(twice.poses)[k][rows] for k in ("xyz_world", "confidence", "valid", "id")})
    both = Association(twice.association.members[rows], twice.association.confidence[rows])
    again = score_people([replace(twice, poses=poses, association=both, root=twice.root[rows])], truth)
    assert again.found == 100 and again.nobody == pytest.approx(100 / (people + 1))
    with pytest.raises(InputError, match="frame 20"):
        score_people(truth, truth[:1])


def test_missing_truth_and_other_cameras_are_said(sample) -> None:
    frames, truth = sample
    with pytest.raises(InputError, match="frame 20"):
        score_frames(frames, truth, truth[:1])
    with pytest.raises(ShapeError, match="4 views, 5"):
        identities(frames[0].select(views=[0, 1, 2, 3]), truth[0])


def test_counts_add_up_over_frames_and_groups(sample) -> None:
    frames, truth = sample
    labels = [Labels.of_detections(identities(f, t), t.poses) for f, t in zip(frames, truth, strict=True)]
    counts = count_results([FrameResult(t, f, labels=known) for f, t, known in zip(frames, truth, labels, strict=True)])
    assert total(counts).f1 == 1.0 and total([]) == PairCounts()
    best, none = f1_by_group(counts, [2, 2, 3], [3, 9])
    assert best == 100.0 and none != none

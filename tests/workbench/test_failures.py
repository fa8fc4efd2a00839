"""What went wrong in constructed frames whose mistake is known, counted and said."""

from dataclasses import replace

import pytest
import torch

from dispose.association.reconstruct import reconstruct_frame
from dispose.geometry.rigid import look_at
from dispose.metrics.association import count_pairs
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Frame, Labels, Poses
from dispose.scene.results import Association, FrameResult, Hypotheses
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import ABSENT
from dispose_workbench.failures.facts import FrameFacts, failure_of
from dispose_workbench.failures.measures import (
    MEASURES,
    Failure,
    Sighting,
    WrongPair,
    disagreement,
    entropy_bits,
    known_measures,
    rank,
    trouble,
    undecided_pairs,
    wrong_pairs_of,
)
from dispose_workbench.failures.reasons import explain

NAMES = ("north", "east", "south", "west")
BODY = torch.randn(17, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64) * 150


def rig(names: tuple[str, ...] = NAMES) -> Cameras:
    views = len(names)
    angle = torch.arange(views, dtype=torch.float64) * 1.3 + 0.2
    centre = torch.stack([4000 * angle.cos(), 4000 * angle.sin(), 1500 + 200 * angle], -1)
    target = torch.tensor([0.0, 0.0, 900.0], dtype=torch.float64).expand(views, 3)
    rotation, translation = look_at(centre, target, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    matrix = torch.tensor([[1000.0, 0, 960], [0, 1000, 540], [0, 0, 1]], dtype=torch.float64).repeat(views, 1, 1)
    size = torch.tensor([1920.0, 1080.0], dtype=torch.float64).repeat(views, 1)
    return Cameras(names, size, matrix, torch.zeros(views, 8).double(), rotation, translation)


def truth(*places: tuple[float, float], ids: tuple[int, ...] = (1, 2, 3, 4)) -> Poses:
    feet = torch.tensor([[x, y, 900.0] for x, y in places], dtype=torch.float64).reshape(-1, 3)
    xyz = BODY + feet[:, None]
    valid = torch.ones(xyz.shape[:2], dtype=torch.bool)
    return Poses(COCO_17, xyz, valid.double(), valid, torch.tensor(ids[: len(places)], dtype=torch.long))


def frame_of(poses: Poses, cameras: Cameras, *, number: int = 7) -> Frame:
    """Everybody seen exactly in every view; slot = row, and files count from 10 on."""
    xy, _ = cameras.project(poses.xyz_world)
    seen = torch.cat([xy, torch.full_like(xy[..., :1], 0.9)], -1)
    index = [[10 + s for s in range(len(view))] for view in seen]
    return Frame(number, cameras, Detections.from_lists(COCO_17, [list(view) for view in seen], index=index))


def groups(*rows: tuple[int, ...], views: int = 4) -> Association:
    members = torch.tensor(rows, dtype=torch.long).reshape(-1, views)
    return Association(members, torch.full((len(rows),), 0.61, dtype=torch.float64))


def result_of(poses: Poses, association: Association, *, unlabelled: tuple[int, ...] = ()) -> FrameResult:
    """A frame whose labels know everybody but some rows of the truth."""
    frame = frame_of(poses, rig())
    identity = poses.id.expand(4, -1).clone()
    identity[:, list(unlabelled)] = ABSENT
    known = [row for row in range(len(poses.id)) if row not in unlabelled]
    labelled = replace(
        poses,
        xyz_world=poses.xyz_world[known],
        confidence=poses.confidence[known],
        valid=poses.valid[known],
        id=poses.id[known],
    )
    return FrameResult(reconstruct_frame(frame, association), frame, labels=Labels.of_detections(identity, labelled))


def said(result: FrameResult) -> str:
    return explain(FrameFacts(result))


NEAR = ((0.0, 0.0), (400.0, 0.0))
ALL = ((0, 0, 0, 0), (1, 1, 1, 1))


def test_nothing_is_wrong_with_the_truth() -> None:
    failure = failure_of(result_of(truth(*NEAR), groups(*ALL)))
    assert (failure.wrong_pairs, failure.missed, failure.extra) == ((), (), ())
    assert failure.joint_error_mm == pytest.approx(0, abs=1e-3)
    assert failure.reprojection_px == pytest.approx(0, abs=1e-3)
    assert trouble(failure) == pytest.approx(0, abs=1e-3)


def test_wrong_pairs_are_those_that_precision_and_recall_lose(generator: torch.Generator) -> None:
    for _ in range(20):
        identity = torch.stack([torch.randperm(5, generator=generator) - 1 for _ in range(4)])
        members = torch.stack([torch.randperm(5, generator=generator) for _ in range(4)], 1)
        members[torch.rand(members.shape, generator=generator) < 0.3] = ABSENT
        association = Association(members, torch.ones(5, dtype=torch.float64))
        counts, wrong = count_pairs(association, identity), wrong_pairs_of(association, identity)
        assert sum(pair.joined for pair in wrong) == counts.predicted - counts.correct
        assert sum(not pair.joined for pair in wrong) == counts.actual - counts.correct


def test_two_people_exchanged_in_one_view() -> None:
    result = result_of(truth(*NEAR), groups((0, 0, 1, 0), (1, 1, 0, 1)))
    failure = failure_of(result)
    # Three false pairs and three lost ones for each of the two.
    assert failure.wrong_pairs is not None and len(failure.wrong_pairs) == 12
    assert WrongPair(Sighting(0, 0), Sighting(2, 1), True) in failure.wrong_pairs
    sentence = said(result)
    assert "South's detection #11 was put to person 1 (0.61), it is person 2's" in sentence
    assert "both stand 0.4 m apart" in sentence
    assert "the rays pass person 1's at" in sentence and "and person 2's at 0 mm" in sentence
    assert "South's detection #10 was put to person 2 (0.61), it is person 1's" in sentence


def test_the_price_of_the_right_tuple_is_told() -> None:
    result = result_of(truth(*NEAR), groups((0, 0, 1, 0), (1, 1, -1, 1)))
    hypotheses = Hypotheses(
        members=torch.tensor([(0, 0, 1, 0), (1, 1, 1, 1), (1, 1, -1, 1)]),
        cost=torch.tensor([167.4, 212.2, 80.0]),
        cue=torch.tensor([0.5, 0.4, 0.6]),
        marginal=torch.tensor([0.6, 0.3, 0.6]),
        time=torch.tensor([1.0, 0.0]),
        mass=torch.tensor([[0.3, 0.3, 0.3], [0.97, 0.02, 0.97]]),
    )
    sentence = said(replace(result, hypotheses=hypotheses, reference=groups(*ALL)))
    assert "person 2's own tuple costs 212 against 167 (mass" in sentence
    assert "mass 0.30 against 0.60 before sampling, 0.02 against 0.97 after" in sentence
    assert "The integer programme gets this right." in sentence
    assert "rays pass person" not in sentence
    gone = replace(hypotheses, members=torch.tensor([(0, 0, 1, 0), (1, 1, 1, 0), (1, 1, -1, 1)]))
    assert "person 2's own tuple is not among the candidates." in said(replace(result, hypotheses=gone))
    some = replace(gone, dropped=3)
    assert "own tuple is not among the candidates that were kept" in said(replace(result, hypotheses=some))


def test_a_person_in_two_parts() -> None:
    sentence = said(result_of(truth((0, 0)), groups((0, 0, -1, -1), (-1, -1, 0, 0))))
    assert "Person 1 was taken for two, seen by north, east and by south, west: the rays of the two parts" in sentence
    assert "more mistake" not in sentence


def test_a_detection_left_alone_and_a_fragment() -> None:
    result = result_of(truth((0, 0)), groups((0, 0, 0, -1)))
    assert result.frame is not None
    assert "West's detection #10, person 1's, was put to nobody: the rays pass the others at 0 mm" in said(result)
    visible = result.frame.detections.visible.clone()
    visible[3, 0, 3:] = False
    frame = replace(result.frame, detections=replace(result.frame.detections, visible=visible))
    assert "it is a fragment of 3 joints" in said(replace(result, frame=frame))


def test_a_detection_put_to_somebody_without_label() -> None:
    result = result_of(truth((0, 0), (1500, 0)), groups((0, 0, -1, -1), (1, 1, 0, 1)), unlabelled=(1,))
    sentence = said(result)
    assert "South's detection #10, person 1's, was put to id 1 with north's detection #11" in sentence
    assert "none of them labelled" in sentence and "so rays alone prefer it" not in sentence


def test_missed_for_want_of_views() -> None:
    result = result_of(truth((0, 0), (1500, 0)), groups((0, 0, 0, 0)))
    assert result.labels is not None
    identity = result.labels.identity.clone()
    identity[1:, 1] = ABSENT
    result = replace(result, labels=replace(result.labels, identity=identity))
    failure = failure_of(result)
    assert failure.missed == (2,) and failure.wrong_pairs == ()
    assert "Person 2 is missed: only north's detection #11 shows them, and one view places nobody" in said(result)


def test_somebody_the_truth_does_not_know_is_no_mistake() -> None:
    result = result_of(truth((0, 0), (1500, 0)), groups(*ALL), unlabelled=(1,))
    failure = failure_of(result)
    assert failure.extra == failure.unannotated == (1,)
    assert trouble(failure) == pytest.approx(0, abs=1e-3)
    assert "The truth has no skeleton for 1 person found (id 1, seen by 4 cameras)" in said(result)


def test_somebody_found_twice_is_one_too_many() -> None:
    result = result_of(truth((0, 0)), groups((0, 0, 0, 0)))
    prediction = result.prediction
    # As of an associator that gives its second person no detections of their own but a label's.
    poses = prediction.poses
    twice = replace(
        poses.select(persons=[0, 0]),
        xyz_world=poses.xyz_world.repeat(2, 1, 1) + torch.tensor([[[0.0]], [[50.0]]], dtype=torch.float64),
        id=torch.tensor([5, 6]),
    )
    both = groups((0, 0, -1, -1), (-1, -1, 0, 0))
    result = replace(
        result, prediction=replace(prediction, association=both, poses=twice, root=prediction.root.repeat(2, 1))
    )
    failure = failure_of(result)
    assert (failure.extra, failure.unannotated, failure.missed) == ((1,), (), ())
    assert "Person 1 was taken for two" in said(result)


def with_doubles(result: FrameResult, rows: tuple[int, ...], *, shift: float, members: tuple[int, ...]) -> FrameResult:
    """The result with copies of some found people, beside them by a distance, made of these detections."""
    prediction = result.prediction
    poses = prediction.poses
    copies = replace(
        poses.select(persons=[*range(len(poses.id)), *rows]),
        xyz_world=torch.cat([poses.xyz_world, poses.xyz_world[[*rows]] + shift]),
        id=torch.arange(len(poses.id) + len(rows)),
    )
    both = torch.cat([prediction.association.members, torch.tensor([members] * len(rows)).reshape(len(rows), -1)])
    association = Association(both, torch.ones(len(both), dtype=torch.float64))
    root = torch.cat([prediction.root, prediction.root[[*rows]]])
    return replace(result, prediction=replace(prediction, association=association, poses=copies, root=root))


def test_a_body_found_twice_is_too_many_whoever_made_it() -> None:
    # Of unlabelled detections that show the same body: the truth knows who stands there.
    whole = result_of(truth((0, 0), (1500, 0)), groups((0, 0, 0, 0)), unlabelled=(1,))
    result = with_doubles(whole, (0,), shift=20.0, members=(1, 1, -1, -1))
    failure = failure_of(result)
    assert (failure.extra, failure.unannotated) == ((1,), ())
    assert trouble(failure) == pytest.approx(3, abs=0.1 + (failure.reprojection_px or 0) / 100)
    sentence = said(result)
    assert "Id 1, seen by 2 cameras (north, east), is one too many: it lies 35 mm from person 1, whom" in sentence
    assert "The truth has no skeleton" not in sentence
    far = failure_of(with_doubles(whole, (0,), shift=400.0, members=(1, 1, -1, -1)))
    assert far.extra == far.unannotated == (1,)


def test_a_truth_that_labels_no_detection_says_nothing_of_pairs_and_all_of_people() -> None:
    right = result_of(truth((0, 0)), groups((0, 0, 0, 0)))
    assert right.labels is not None
    nobody = replace(right.labels, identity=torch.full((4, 1), ABSENT))
    alone = Labels.of_detections(nobody.identity[:0, :0], nobody.poses)
    for labels, frame in ((nobody, right.frame), (alone, None)):
        plain = replace(right, labels=labels, frame=frame)
        assert failure_of(plain).wrong_pairs is None
        assert "verybody is found, the joints are 0 mm off" in said(plain)
        ghost = with_doubles(plain, (0,), shift=2000.0, members=(-1, -1, -1, -1))
        failure = failure_of(ghost)
        assert (failure.extra, failure.unannotated) == ((1,), ())
        assert trouble(failure) == pytest.approx(3, abs=0.01)
        assert said(ghost) == "Id 1 is one too many: the nearest person of the truth, 1, is 3.5 m off."
        missed = replace(plain, prediction=result_of(truth((9000, 0)), groups()).prediction)
        assert said(missed) == "Person 1 is missed."


def test_the_worst_frames_are_those_with_the_worst_mistakes() -> None:
    near = truth(*NEAR)
    results = (
        result_of(near, groups(*ALL)),
        result_of(near, groups((0, 0, 1, 0), (1, 1, 0, 1))),  # exchanged in one view
        result_of(near, groups((0, 0, 0, -1), (1, 1, 1, 1))),  # one detection left out
        result_of(near, groups((0, 0, 0, 0))),  # somebody missed
        result_of(near, groups((0, 0, -1, -1), (-1, -1, 0, 0), (1, 1, 1, 1))),  # somebody found twice
        result_of(near, groups((0, 0, 1, 1), (1, 1, 0, 0))),  # exchanged in two views
    )
    failures = [failure_of(result) for result in results]
    assert [len(f.wrong_pairs or ()) for f in failures] == [0, 12, 3, 6, 4, 16]
    assert [len(f.missed or ()) for f in failures[:5]] == [0, 0, 0, 1, 0]
    assert [len(f.extra or ()) for f in failures[:5]] == [0, 0, 0, 0, 1]
    assert rank(failures) == (5, 1, 3, 4, 2, 0)


def test_a_fellow_with_another_label_is_not_called_unlabelled() -> None:
    # The third group is half of person 1 and half of person 2, who have groups of their own.
    people = truth((0, 0), (1500, 0))
    result = result_of(people, groups((0, 0, -1, -1), (1, 1, -1, -1), (-1, -1, 0, 1)))
    sentence = said(result)
    assert "West's detection #11 was put to person 1" in sentence
    assert "South's detection #10, person 1's, was put to id 2 with west's detection #11, person 2's" in sentence
    assert "nobody labelled" not in sentence


def test_somebody_seen_twice_in_one_view_has_no_whole_tuple() -> None:
    people = truth((0, 0))
    frame = frame_of(people, rig())
    xy = torch.cat([frame.detections.xy_image, torch.full((4, 1, 17, 1), 0.9).double()], -1)
    seen = [[view[0]] for view in xy]
    seen[3].append(xy[3, 0] + torch.tensor([3.0, 0.0, 0.0], dtype=torch.float64))
    frame = replace(frame, detections=Detections.from_lists(COCO_17, seen))
    identity = torch.full((4, 2), ABSENT)
    identity[:, 0], identity[3, 1] = 1, 1
    right = groups((0, 0, 0, 0))
    weighed = Hypotheses(right.members, torch.ones(1), torch.ones(1), torch.ones(1), torch.zeros(1), torch.ones(1, 1))
    result = FrameResult(reconstruct_frame(frame, right), frame, weighed, labels=Labels.of_detections(identity, people))
    sentence = said(result)
    assert "West's detection #1, person 1's, was put to nobody: west has two detections of the same body" in sentence
    assert "not among the candidates" not in sentence


def test_the_worst_joint_is_named_where_nobody_is_confused() -> None:
    result = result_of(truth((0, 0)), groups((0, 0, 0, 0)))
    xyz = result.prediction.poses.xyz_world.clone()
    xyz[0, COCO_17.index("l_wrist"), 2] += 170
    moved = replace(result.prediction, poses=replace(result.prediction.poses, xyz_world=xyz))
    result = replace(result, prediction=moved)
    assert failure_of(result).joint_error_mm == pytest.approx(10, abs=0.1)
    assert "the worst is l_wrist of person 1, seen by 4 cameras (170 mm)" in said(result)


def test_without_truth_doubts_are_told() -> None:
    result = replace(result_of(truth(*NEAR), groups(*ALL)), labels=None, reference=groups((0, 0, 1, 0), (1, 1, 0, 1)))
    failure = failure_of(result)
    assert (failure.wrong_pairs, failure.missed, failure.joint_error_mm) == (None, None, None)
    assert failure.disagreement == 12
    assert "The integer programme differs in 12 pairs: north's detection #10 and south's detection #10" in said(result)


def test_what_no_file_says_is_none() -> None:
    prediction = result_of(truth((0, 0)), groups((0, 0, 0, 0))).prediction
    failure = failure_of(FrameResult(prediction))
    assert failure == Failure(prediction.number)
    assert known_measures([failure]) == () and trouble(failure) is None
    assert said(FrameResult(prediction)) == "Nothing is known to be wrong."


def test_other_peoples_skeletons_are_judged_without_cameras() -> None:
    result = result_of(truth((0, 0), (3000, 0)), groups((0, 0, 0, 0)))
    assert result.labels is not None
    alone = replace(
        result, frame=None, labels=Labels.of_detections(torch.zeros(0, 0, dtype=torch.long), result.labels.poses)
    )
    failure = failure_of(alone)
    assert (failure.wrong_pairs, failure.missed, failure.extra) == (None, (2,), ())
    assert "Person 2 is missed: the nearest skeleton is 3.0 m off" in said(alone)


def test_one_view_and_an_empty_frame_are_legal() -> None:
    nobody = result_of(truth(), groups())
    assert trouble(failure_of(nobody)) == 0
    cameras = rig().select(views=[0])
    frame = frame_of(truth((0, 0)), cameras)
    labels = Labels.of_detections(torch.tensor([[1]]), truth((0, 0)))
    single = FrameResult(reconstruct_frame(frame, groups(views=1)), frame, labels=labels)
    failure = failure_of(single)
    assert failure.wrong_pairs == () and failure.missed == (1,)
    assert "one view places nobody" in said(single)


def test_entropy_and_undecided_pairs_by_hand() -> None:
    members = torch.tensor([(0, 0), (0, 1), (1, 1)])
    time, mass = torch.tensor([0.0]), torch.zeros(1, 3)
    sure = Hypotheses(members, torch.zeros(3), torch.zeros(3), torch.tensor([1.0, 0.0, 1.0]), time, mass)
    assert entropy_bits(sure) == undecided_pairs(sure) == 0
    torn = replace(sure, marginal=torch.tensor([0.5, 0.5, 0.25]))
    assert entropy_bits(torn) == pytest.approx(0.5 + 0.5 + 0.5)
    assert undecided_pairs(torn) == pytest.approx(0.5 + 0.5 + 0.25)


def test_disagreement_is_a_distance() -> None:
    some = (groups(*ALL), groups((0, 0, 1, 0), (1, 1, 0, 1)), groups((0, 0, -1, -1)), groups())
    for a in some:
        assert disagreement(a, a) == 0
        for b in some:
            assert disagreement(a, b) == disagreement(b, a)
            assert all(disagreement(a, c) <= disagreement(a, b) + disagreement(b, c) for c in some)


def test_ranking_puts_the_worst_first_and_the_unknown_last() -> None:
    pair = WrongPair(Sighting(0, 0), Sighting(1, 1), True)
    failures = (
        Failure(0),
        Failure(1, wrong_pairs=(), joint_error_mm=40.0),
        Failure(2, wrong_pairs=(pair, pair), joint_error_mm=40.0),
        Failure(3, wrong_pairs=(), missed=(1,), extra=(0, 1), unannotated=(1,)),
        Failure(4, wrong_pairs=(), joint_error_mm=40.0),
    )
    assert rank(failures) == (3, 2, 1, 4, 0)
    by = {measure.key: measure for measure in MEASURES}
    assert rank(failures, by["wrong_pairs"]) == (2, 1, 3, 4, 0)
    assert rank(failures, by["extra"])[0] == 3
    assert [m.key for m in known_measures(failures)] == ["trouble", "wrong_pairs", "missed", "extra", "joint_error_mm"]

"""Measures of triangulators on people whose figures one can work out by hand, and the reference on real motion."""

import json
import math
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch

from dispose.association.packing import GroupKeypoints
from dispose.association.reconstruct import dlt
from dispose.cli.evaluate import EvaluateCommand
from dispose.errors import InputError
from dispose.evaluation.claims import AskedPeople, Claims, claim_rows, claims_of, groups_of
from dispose.evaluation.joints import (
    AskedJoints,
    asked_joints,
    bone_figures,
    coverage,
    evidence_scores,
    joint_figures,
    quantile,
    ranking_figures,
)
from dispose.evaluation.protocols import Protocol
from dispose.evaluation.reports import Figure
from dispose.evaluation.score import gather
from dispose.evaluation.triangulators import (
    Trial,
    chosen_trials,
    compare,
    everybody_seen,
    found_groups,
    human36m_trial,
    humaneva_trial,
    labelled_groups,
    medians,
)
from dispose.evaluation.view_trials import fewer_views, panoptic_views, synthetic_views
from dispose.geometry.rigid import look_at
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Frame, Labels, Poses
from dispose.scene.results import Association, AssociationResult, FrameResult, Prediction
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT
from dispose_synthetic.detectors.points import PointNoise, detect_points
from tests.datasets.lifting_files import recordings, write_npz

STICK = Skeleton("stick_2", ("foot", "head"), (("foot", "head"),), ("foot",))
EXACT = PointNoise(0.0, 0.0, 0.0)


def three_cameras() -> Cameras:
    centres = torch.tensor([[4000.0, 0, 1000], [0, 4000, 1500], [-3000, -3000, 1200]], dtype=torch.float64)
    target = torch.tensor([0.0, 0.0, 900.0], dtype=torch.float64).expand(3, 3)
    rotation, translation = look_at(centres, target, centres.new_tensor([0.0, 0.0, 1.0]))
    matrix = centres.new_tensor([[1000, 0, 500], [0, 1000, 400], [0, 0, 1]]).expand(3, 3, 3)
    size = centres.new_tensor([[1000.0, 800.0]]).expand(3, 2)
    return Cameras(("a", "b", "c"), size, matrix, torch.zeros(3, 8, dtype=torch.float64), rotation, translation)


def people(*places: tuple[float, float], valid: bool = True) -> Poses:
    """Sticks of half a metre that stand at (x, y)."""
    xyz = torch.tensor([[[x, y, 900.0], [x, y, 1400.0]] for x, y in places], dtype=torch.float64).reshape(-1, 2, 3)
    known = torch.full(xyz.shape[:2], valid)
    return Poses(STICK, xyz, known.double(), known, 10 + torch.arange(len(places)))


def seen(truth: Poses, number: int = 0) -> tuple[Frame, Labels]:
    """Everybody as a perfect detector sees them."""
    views = 3
    frame = Frame(number, three_cameras(), Detections.from_lists(STICK, [[]] * views))
    labels = Labels.of_detections(torch.zeros(views, 0, dtype=torch.long), truth)
    return detect_points(frame, labels, EXACT, torch.Generator().manual_seed(0))


def result(truth: Poses, found: Poses, number: int = 0) -> FrameResult:
    """What somebody said of the true people, row by row."""
    frame, labels = seen(truth, number)
    members = torch.arange(len(truth.id))[:, None].expand(-1, 3)
    association = Association(members, torch.ones(len(members), dtype=torch.float64))
    return FrameResult(Prediction(number, association, found, found.xyz_world[:, 0]), frame, labels=labels)


def value(figures: tuple[Figure, ...], name: str) -> float:
    (one,) = (figure.value for figure in figures if figure.name == name)
    assert isinstance(one, float)
    return one


def moved(truth: Poses, offsets: list[list[tuple[float, float, float]]]) -> Poses:
    return replace(truth, xyz_world=truth.xyz_world + torch.tensor(offsets, dtype=torch.float64))


def test_errors_of_joints_are_those_one_works_out() -> None:
    truth = people((0, 0), (800, 0))
    found = moved(truth, [[(3, 4, 0), (0, 0, 10)], [(0, 0, -15), (500, 0, 0)]])
    found = replace(found, valid=torch.tensor([[True, True], [True, False]]))
    figures = joint_figures([result(truth, found)], joints=STICK.joints)
    assert value(figures, "joint_mm") == pytest.approx(10.0)  # 5, 10, 15
    assert value(figures, "median_mm") == pytest.approx(10.0)
    assert value(figures, "p95_mm") == pytest.approx(14.5)
    assert value(figures, "joints") == pytest.approx(75.0)
    # Rays that meet exactly: where nothing was said the plain triangulation is right.
    assert value(figures, "all_mm") == pytest.approx(7.5, abs=1e-6)
    alone = joint_figures([result(truth, found)], joints=("head",))
    assert value(alone, "joint_mm") == pytest.approx(10.0) and value(alone, "joints") == pytest.approx(50.0)


def test_what_nobody_said_is_charged_with_the_plain_triangulation() -> None:
    truth = people((0, 0))
    silent = replace(truth, valid=torch.zeros(1, 2, dtype=torch.bool))
    one = result(truth, silent)
    assert one.frame is not None
    bent = one.frame.detections.xy_image.clone()
    bent[0, 0, 0, 0] += 40.0
    frame = replace(one.frame, detections=replace(one.frame.detections, xy_image=bent))
    asked = asked_joints([replace(one, frame=frame)], STICK.joints)
    foot, head = asked.all_errors().tolist()
    assert foot > 20.0 and head == pytest.approx(0.0, abs=1e-6)
    assert len(asked.errors()) == 0


def test_groups_are_compared_with_the_person_they_are_labelled_as() -> None:
    truth = people((0, 0), (800, 0))
    one = result(truth, truth.select(persons=[1, 0]))
    swapped = replace(one.prediction, association=one.prediction.association.select(persons=[1, 0]))
    assert value(joint_figures([replace(one, prediction=swapped)], joints=STICK.joints), "joint_mm") == 0.0
    nobodys = replace(one, labels=replace(truth_labels(one), identity=torch.full((3, 2), ABSENT)))
    with pytest.raises(InputError, match="nobody's"):
        asked_joints([nobodys], STICK.joints)


def truth_labels(one: FrameResult) -> Labels:
    assert one.labels is not None
    return one.labels


def test_claims_cover_by_axis() -> None:
    offset = torch.tensor([[6.0, 7.0, 16.0], [-6.7, 6.7, -16.5], [1.0, 1.0, 1.0]], dtype=torch.float64)
    covariance = torch.diag(torch.tensor([100.0, 100.0, 100.0], dtype=torch.float64)).expand(3, 3, 3).clone()
    covariance[2] = torch.nan
    # A half of a normal distribution lies within 0.674, nine tenths within 1.645 standard deviations.
    assert coverage(offset, covariance, 0.5) == (100.0, 50.0, 0.0)
    assert coverage(offset, covariance, 0.9) == (100.0, 100.0, 50.0)
    assert all(math.isnan(share) for share in coverage(offset, covariance * torch.nan, 0.5))


def test_right_claims_of_normal_errors_cover_what_they_say() -> None:
    generator = torch.Generator().manual_seed(1)
    root = torch.randn(3, 3, generator=generator, dtype=torch.float64)
    offset = torch.randn(20_000, 3, generator=generator, dtype=torch.float64) @ root.T
    covariance = (root @ root.T).expand(len(offset), 3, 3)
    for share in (0.5, 0.9):
        assert coverage(offset, covariance, share) == pytest.approx((100 * share,) * 3, abs=1.5)


def test_quantiles_are_torch_s(generator: torch.Generator) -> None:
    values = torch.randn(101, generator=generator, dtype=torch.float64)
    for share in (0.0, 0.33, 0.95, 1.0):
        assert quantile(values, share) == pytest.approx(float(values.quantile(share)))
    assert math.isnan(quantile(values[:0], 0.5))


def test_long_bones_are_counted_by_person_and_known_joints() -> None:
    truth = people((0, 0), (800, 0), (1600, 0))
    found = moved(truth, [[(0, 0, 0), (0, 0, 101)], [(0, 0, 0), (0, 0, 99)], [(0, 0, 0), (0, 0, 900)]])
    found = replace(found, valid=torch.tensor([[True, True], [True, True], [True, False]]))
    (share,) = bone_figures([result(truth, found)])
    assert share.value == pytest.approx(100 / 3)


def test_the_said_score_ranks_and_so_does_the_evidence() -> None:
    truth = people((0, 0), (3000, 0))
    found = moved(truth, [[(400, 0, 0)] * 2, [(10, 0, 0)] * 2])
    one = result(truth, found)
    assert torch.equal(evidence_scores(one), torch.tensor([6.0, 6.0], dtype=torch.float64))
    right = replace(one, prediction=replace(one.prediction, poses=replace(found, score=torch.tensor([0.1, 0.9]))))
    wrong = replace(one, prediction=replace(one.prediction, poses=replace(found, score=torch.tensor([0.9, 0.1]))))
    by = {"prepare": lambda poses: poses, "min_joints": 1}
    assert value(ranking_figures([right], **by), "ranked") == pytest.approx(100.0)
    assert value(ranking_figures([wrong], **by), "ranked") == pytest.approx(50.0)
    # Both are seen alike, and the wrong one comes first.
    assert value(ranking_figures([right], **by), "ranked_evidence") == pytest.approx(50.0)
    assert value(ranking_figures([right], **by), "ap_150_evidence") == pytest.approx(25.0)


def test_several_draws_give_the_median_of_every_figure() -> None:
    draws = [(Figure("a", float(n)), Figure("b", (float(n), float(-n)))) for n in (5, 1, 2)]
    assert medians(draws) == (Figure("a", 2.0), Figure("b", (2.0, -2.0)))
    assert math.isnan(medians([(Figure("a", math.nan),), (Figure("a", 1.0),)])[0].value)  # type: ignore[arg-type]


def stick_trial(group) -> Trial:
    """Two frames of two people, by a perfect detector."""
    pairs = [seen(people((0, 0), (800, 0)), number) for number in (3, 7)]
    measures = (lambda results: joint_figures(results, joints=STICK.joints),)
    return Trial("sticks", "", (Protocol("sticks", "sticks", "sticks", lambda _: pairs, measures),), group)


def test_every_triangulator_gets_the_same_groups(tmp_path: Path) -> None:
    shown: list[torch.Tensor] = []

    def half(evidence: GroupKeypoints) -> Poses:
        shown.append(evidence.member)
        poses = dlt(evidence)
        return replace(poses, valid=torch.tensor([[True, False]]).expand_as(poses.valid))

    one, other = compare(stick_trial(labelled_groups), tmp_path, (("dlt", dlt), ("half", half))).rows
    assert (one.method, other.method, one.frames) == ("dlt", "half", 2)
    assert one.value("joint_mm") == pytest.approx(0.0, abs=1e-6) and one.value("joints") == 100.0
    assert other.value("joints") == 50.0 and one.seconds > 0
    assert len(torch.cat(shown)) == 4


def test_an_associator_is_asked_once_for_all_triangulators(tmp_path: Path) -> None:
    asked = []

    def associate(frames):
        asked.extend(frame.number for frame in frames)
        rows = torch.tensor([[0, 0, 0]])
        return [AssociationResult(Association(rows, torch.ones(1, dtype=torch.float64))) for _ in frames]

    rows = compare(stick_trial(found_groups(associate)), tmp_path, (("dlt", dlt), ("again", dlt))).rows
    assert asked == [3, 7]
    assert [row.value("joints") for row in rows] == [100.0, 100.0]


def test_human36m_is_triangulated_from_the_detections_of_its_four_views(tmp_path: Path) -> None:
    (tmp_path / "human36m").mkdir()
    write_npz(tmp_path / "human36m", recordings())
    (row,) = compare(human36m_trial(), tmp_path, (("dlt", dlt),)).rows
    # Nobody has limbs as these people do, so that some joints are not taken; what is, is where it should be.
    assert row.frames == 2 and row.value("joints") > 50 and row.value("median_mm") < 0.1


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"humaneva: not there"):
        compare(humaneva_trial(3), tmp_path, (("dlt", dlt),))
    with pytest.raises(InputError, match=r"--protocols shelf.*humaneva_3"):
        chosen_trials((humaneva_trial(3),), ("shelf",))


def test_the_command_leaves_out_what_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="none of the data are there"):
        EvaluateCommand(
            "triangulators", data=tmp_path, protocols=("shelf", "panoptic_views"), out=tmp_path / "x.json"
        ).run()
    assert capsys.readouterr().out.count("left out: ") == 2
    with pytest.raises(InputError, match="--protocols and --triangulators are for triangulators"):
        EvaluateCommand("shelf", protocols=("humaneva_3",), out=tmp_path / "x.json").run()
    with pytest.raises(InputError, match="no triangulator named 'magic'"):
        EvaluateCommand("triangulators", triangulators=("magic",), out=tmp_path / "x.json").run()
    with pytest.raises(InputError, match="not for triangulators"):
        EvaluateCommand("triangulators", views=(0, 1), out=tmp_path / "x.json").run()


def claimed(count: int, sigma: float, claim: float, views: float, seed: int) -> Claims:
    """Joints with normal errors of one width that claim another, and people of whom half are right."""
    generator = torch.Generator().manual_seed(seed)
    offset = sigma * torch.randn(count, 3, generator=generator, dtype=torch.float64)
    covariance = (claim**2 * torch.eye(3, dtype=torch.float64)).expand(count, 3, 3)
    known = torch.ones(count, dtype=torch.bool)
    many = torch.full((count,), views, dtype=torch.float64)
    joints = AskedJoints(offset, known, offset, covariance, many)
    error = torch.where(torch.arange(count) % 2 == 0, 149.0, 151.0).double()
    return Claims(joints, AskedPeople(torch.full((count,), 0.25, dtype=torch.float64), error, many))


def test_claimed_and_real_errors_stand_beside_each_other() -> None:
    rows = list(claim_rows("x", "y", 9, [claimed(600, 10.0, 20.0, 2.0, 0), claimed(600, 10.0, 10.0, 5.0, 1)]))
    joints, people = [row for row in rows if len(row.figures) and row.figures[3].name == "claimed_mm"], rows[20:]
    assert [row.value("views") for row in joints] == [2.0] * 10 + [4.0] * 10
    assert {row.value("count") for row in joints} == {60.0} and {row.frames for row in rows} == {9}
    # The mean length of three normal errors of 10 mm is 16 mm.
    real = [sum(row.value("real_mm") for row in some) / 10 for some in (joints[:10], joints[10:])]
    assert real == pytest.approx([16.0, 16.0], rel=0.05)
    assert joints[0].value("claimed_mm") == pytest.approx(32.0, rel=0.02)
    assert joints[10].value("claimed_mm") == pytest.approx(16.0, rel=0.02)
    assert {row.value("claimed") for row in people} == {25.0}
    assert sum(row.value("real") for row in people) / len(people) == pytest.approx(50.0)


def test_groups_are_equally_large_and_in_order_of_what_is_claimed() -> None:
    claim = torch.arange(100, dtype=torch.float64).flip(0)
    asked = torch.arange(100) < 95
    groups = groups_of(claim, asked)
    assert [len(group) for group in groups] == [32, 32, 31]
    assert torch.equal(torch.cat(groups), torch.arange(94, -1, -1))
    assert groups_of(claim, torch.arange(100) < 29) == []


def test_what_claims_nothing_has_no_rows() -> None:
    silent = claimed(300, 10.0, math.nan, 2.0, 0)
    people = replace(silent.people, score=torch.full((300,), math.nan, dtype=torch.float64))
    assert list(claim_rows("x", "y", 1, [replace(silent, people=people)])) == []


def test_claims_are_read_off_what_was_said_of_known_people() -> None:
    truth = people((0, 0), (800, 0))
    found = moved(truth, [[(100, 0, 0), (220, 0, 0)], [(0, 0, 30)] * 2])
    found = replace(found, score=torch.tensor([0.3, 0.8], dtype=torch.float64))
    told = claims_of([result(truth, found)], ("foot",))
    assert told.people.error_mm.tolist() == [160.0, 30.0] and told.people.score.tolist() == [0.3, 0.8]
    assert told.people.views.tolist() == [3.0, 3.0] and told.joints.errors().tolist() == [100.0, 30.0]
    assert told.joints.views.tolist() == [3.0, 3.0] and told.joints.covariance.isnan().all()


def test_cameras_are_added_to_those_before_and_tables_are_by_their_number(tmp_path: Path) -> None:
    scenes = [seen(people((0, 0), (800, 0)), number) for number in (3, 7)]
    shown = list(fewer_views(scenes, (1, 2, 3), torch.Generator().manual_seed(2)))
    assert [frame.number for frame, _ in shown] == list(range(6))
    names = [frame.cameras.names for frame, _ in shown]
    assert [len(some) for some in names] == [1, 1, 2, 2, 3, 3]
    assert names[4][:1] == names[0] and names[4][:2] == names[2] and names[0] != names[1]
    measures = (lambda results: joint_figures(results, joints=STICK.joints),)
    draws = (Protocol("x", "x", "sticks", lambda _: shown, measures),)
    trial = Trial("x", "", draws, everybody_seen, joints=STICK.joints)
    found = compare(trial, tmp_path, (("dlt", dlt),))
    assert found.rows == () and [row.value("views") for row in found.by_views] == [1.0, 2.0, 3.0]
    assert [row.value("joints") for row in found.by_views] == [0.0, 100.0, 100.0]
    assert {row.frames for row in found.by_views} == {2}


@pytest.mark.slow
def test_synthetic_people_are_seen_by_one_camera_to_ten() -> None:
    drawn = list(synthetic_views(Path(), seed=0))
    assert len(drawn) == 10 * 48
    assert [len(frame.cameras) for frame, _ in drawn[::48]] == list(range(1, 11))


@pytest.mark.slow
def test_panoptic_s_people_are_seen_by_two_cameras_to_ten(shared_data: Path) -> None:
    drawn = list(panoptic_views(shared_data, seed=0))
    assert [len(frame.cameras) for frame, _ in drawn[::20]] == list(range(2, 11))
    assert len({frame.cameras.names for frame, _ in drawn[:20]}) > 15


@pytest.mark.slow
def test_humaneva_gives_the_reference_of_the_data(shared_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.json"
    EvaluateCommand("triangulators", data=shared_data, protocols=("humaneva_3",), triangulators=("dlt",), out=out).run()
    (row,) = json.loads(out.read_text())["rows"]
    assert row["frames"] == 843
    # Joints that a body cannot have are not placed; the reference is over all of them.
    assert row["all_mm"] == pytest.approx(47.6, abs=1.0)
    assert row["median_mm"] == pytest.approx(24.0, abs=0.5)
    assert row["all_p95_mm"] == pytest.approx(176.0, abs=4.0)


def test_two_views_of_humaneva_are_all_pairs_in_turn(shared_data: Path) -> None:
    protocol = humaneva_trial(2).draws[0]
    source = gather(islice(protocol.read(shared_data), 4))
    first = [source.read(number) for number in source.numbers]
    names = [one.frame.cameras.names for one in first if one]
    assert names == [("C1", "C2"), ("C1", "C3"), ("C2", "C3"), ("C1", "C2")]
    ((whole, _),) = islice(humaneva_trial(3).draws[0].read(shared_data), 1)
    assert first[0]
    # The same noise as before all cameras.
    assert torch.equal(first[0].frame.detections.xy_image, whole.detections.xy_image[:2])


def test_every_draw_has_noise_of_its_own(shared_data: Path) -> None:
    noise = []
    for protocol in humaneva_trial(3).draws:
        ((frame, labels),) = islice(protocol.read(shared_data), 1)
        xy, _ = frame.cameras.project(labels.poses.xyz_world)
        noise.append(frame.detections.xy_image[:, 0] - xy[:, 0])
        assert 1.0 < float(noise[-1].abs().median()) < 4.0
    assert not torch.allclose(noise[0], noise[1])

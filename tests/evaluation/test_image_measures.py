"""Perfect answers about pictures are perfect in both conventions, which differ where they say they do."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch

from dispose.errors import InputError
from dispose.evaluation.measures import (
    campus_released,
    clean_parts,
    clean_roots,
    clean_skeletons,
    released_parts,
    released_roots,
    released_skeletons,
    root_identities,
    root_pairs,
)
from dispose.evaluation.protocols import SUITES, protocols_of
from dispose.evaluation.reports import Figure, figures_of
from dispose.evaluation.score import Method, answers, drawn, score
from dispose.geometry.rigid import look_at
from dispose.models.dispose.model import FrameByFrame
from dispose.released.metrics import shelf_poses_released
from dispose.scene.cameras import Cameras
from dispose.scene.convert import campus_poses, shelf_poses
from dispose.scene.frame import Detections, Frame, Images, Labels, Poses
from dispose.scene.peaks import JointPeaks, root_frame
from dispose.scene.results import Association, FrameResult, Prediction
from dispose.skeletons.catalog import PANOPTIC_15
from dispose.tensors import ABSENT

SIZE = (1280, 960)
SPACING = torch.full((3,), 4.0, dtype=torch.float64)
ROOT = PANOPTIC_15.index("mid_hip")
UP = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)


def cameras(views: int = 3) -> Cameras:
    angle = 2 * math.pi * torch.arange(views, dtype=torch.float64) / views
    centre = torch.stack([4000 * angle.cos(), 4000 * angle.sin(), torch.full_like(angle, 2000)], 1)
    rotation, translation = look_at(centre, torch.tensor([0.0, 0.0, 1000.0], dtype=torch.float64).expand(views, 3), UP)
    matrix = torch.tensor([[900.0, 0, 640], [0, 900, 480], [0, 0, 1]], dtype=torch.float64).repeat(views, 1, 1)
    size = torch.tensor([[1280.0, 960.0]], dtype=torch.float64).repeat(views, 1)
    zeros = torch.zeros(views, 8, dtype=torch.float64)
    return Cameras(tuple(f"c{v}" for v in range(views)), size, matrix, zeros, rotation, translation)


def people(count: int, *, seed: int = 0) -> Poses:
    generator = torch.Generator().manual_seed(seed)
    body = torch.rand(count, 15, 3, generator=generator, dtype=torch.float64) * 300
    body = body + torch.arange(count)[:, None, None] * torch.tensor([900.0, 300.0, 0.0], dtype=torch.float64)
    valid = torch.ones(count, 15, dtype=torch.bool)
    return Poses(PANOPTIC_15, body + 600 * UP, valid.double(), valid, torch.arange(count))


def said(poses: Poses, score: float = 0.9, views: int = 3) -> Prediction:
    count = len(poses.id)
    members = torch.arange(count)[:, None].expand(count, views).clone()
    sure = torch.full((count,), score, dtype=torch.float64)
    return Prediction(0, Association(members, sure), poses, poses.xyz_world[:, ROOT].clone())


def known(truth: Poses) -> Labels:
    return Labels.of_detections(torch.zeros(3, 0, dtype=torch.long), truth)


def outcome_of(rig: Cameras, truth: Poses, prediction: Prediction) -> FrameResult:
    frame = Frame(0, rig, Detections.from_lists(PANOPTIC_15, [[]] * len(rig)))
    return FrameResult(prediction, frame, labels=known(truth))


def with_roots(rig: Cameras, truth: Poses, prediction: Prediction) -> FrameResult:
    """The answer with the true roots as peaks of heat maps whose pixels are four of the images'."""
    xy, _ = rig.project(truth.xyz_world)
    xy = xy.transpose(1, 2)
    score = torch.full(xy.shape[:-1], 0.9, dtype=torch.float64)
    peaks = JointPeaks(PANOPTIC_15, xy, score, score > 0, SPACING)
    return FrameResult(prediction, root_frame(0, rig, peaks), labels=known(truth))


def with_peaks(result: FrameResult, found: Detections) -> FrameResult:
    assert result.frame is not None
    return replace(result, frame=replace(result.frame, detections=found))


def value(figures: tuple[Figure, ...], name: str) -> float:
    return next(f.value for f in figures if f.name == name)  # type: ignore[return-value]


def test_a_perfect_answer_is_perfect():
    rig, truth = cameras(), people(3)
    outcome = with_roots(rig, truth, said(truth))
    clean = figures_of([outcome], (clean_skeletons, clean_roots, partial(root_pairs, input_size=SIZE)))
    for name in ("map", "ap_25", "recall_500", "joints", "root_map", "root_recall_500", "pair_f1", "exact"):
        assert value(clean, name) == 100, name
    assert value(clean, "mpjpe_mm") == value(clean, "joint_mm") == value(clean, "root_mm") == 0
    released = figures_of([outcome], (released_skeletons, released_roots))
    for name in ("map", "recall_500", "root_map", "root_recall_500"):
        assert value(released, name) == pytest.approx(100, abs=2e-3), name


def test_errors_are_in_mm_and_over_the_joints_there_are():
    truth = people(2)
    moved = replace(truth, xyz_world=truth.xyz_world + torch.tensor([30.0, 0, 40], dtype=torch.float64))
    valid = truth.valid.clone()
    valid[0, 5:] = False
    outcome = outcome_of(cameras(), truth, said(replace(moved, valid=valid)))
    figures = figures_of([outcome], (clean_skeletons, clean_roots))
    assert value(figures, "mpjpe_mm") == pytest.approx(50) and value(figures, "root_mm") == pytest.approx(50)
    assert value(figures, "joints") == pytest.approx(100 * 20 / 30)
    assert value(figures, "ap_50") == 0 and value(figures, "ap_75") == 100
    assert value(figures, "map") == pytest.approx(100 * 4 / 6)


def test_a_nan_score_is_refused_clean_and_counted_released():
    truth = people(1)
    outcome = outcome_of(cameras(), truth, said(truth, math.nan))
    with pytest.raises(InputError, match="not a number"):
        clean_skeletons([outcome])
    assert value(released_skeletons([outcome]), "ap_25") == pytest.approx(100, abs=2e-3)


def test_roots_belong_to_the_nearest_person_within_the_gate_and_to_one_alone():
    rig, truth = cameras(), people(2)
    given = with_roots(rig, truth, said(truth))
    roots = given.frame.detections  # type: ignore[union-attr]
    assert root_identities(given, truth, SPACING).tolist() == [[0, 1]] * 3
    xy = roots.xy_image.clone()
    xy[0, 1, ROOT] = xy[0, 0, ROOT] + 3.0  # a double of the first person's peak
    xy[1, 0, ROOT] += 17.0  # just beyond four heat-map pixels of four
    moved = replace(roots, xy_image=xy)
    identity = root_identities(with_peaks(given, moved), truth, SPACING)
    assert identity[0, 0] == 0 and identity[0, 1] >= 2 and identity[1, 0] >= 2
    assert len({int(i) for i in identity.flatten() if i >= 2}) == 2, "false peaks are nobody together"
    nothing = with_peaks(given, replace(moved, valid=moved.valid & False))
    assert root_identities(nothing, truth, SPACING).eq(ABSENT).all()


def test_a_group_with_a_false_peak_is_wrong():
    rig, truth = cameras(), people(1)
    given = with_roots(rig, truth, said(truth))
    roots = given.frame.detections  # type: ignore[union-attr]
    xy = roots.xy_image.clone()
    xy[0, 0, ROOT] += 100.0
    figures = root_pairs([with_peaks(given, replace(roots, xy_image=xy))], input_size=SIZE)
    assert value(figures, "pair_precision") == pytest.approx(100 / 3) and value(figures, "pair_recall") == 100


def test_heads_of_shelf_depend_on_the_actor_as_released_only():
    """Released heads know the true actor: their own tilt makes a head right that another tilt makes wrong."""
    predicted = people(1, seed=2)
    for actor in (0, 3):
        told = torch.tensor([actor])
        truth = replace(shelf_poses_released(predicted, told), id=told)
        outcome = outcome_of(cameras(), truth, said(predicted))
        score = released_parts([outcome], prepare=shelf_poses_released)
        if actor < 3:
            assert value(score, "pcp_actors")[actor] == 100  # type: ignore[index]
    truth = replace(shelf_poses(predicted), id=torch.tensor([0]))
    agnostic = clean_parts([outcome_of(cameras(), truth, said(predicted))], prepare=shelf_poses)
    assert value(agnostic, "pcp_actors")[0] == 100  # type: ignore[index]


def test_one_prediction_serves_two_actors_as_released_only():
    """Two actors 80 mm apart, one prediction: released both have it, clean the nearer one alone."""
    body = people(1, seed=3)
    shift = torch.tensor([80.0, 0, 0], dtype=torch.float64)
    both = Poses(
        PANOPTIC_15, torch.cat([body.xyz_world, body.xyz_world + shift]), body.confidence.repeat(2, 1),
        body.valid.repeat(2, 1), torch.tensor([0, 1]),
    )  # fmt: skip
    outcome = outcome_of(cameras(), campus_poses(both), said(body))
    released = value(released_parts([outcome], prepare=campus_released), "pcp_actors")
    clean = value(clean_parts([outcome], prepare=campus_poses), "pcp_actors")
    assert clean[0] == 100 and clean[1] == 0  # type: ignore[index]
    assert released[0] == 100 and released[1] > 0  # type: ignore[index]
    assert math.isnan(clean[2]) and math.isnan(released[2])  # type: ignore[index]


def test_two_protocols_stand_side_by_side_for_every_data_set():
    for name, protocols in SUITES:
        if not name.endswith("_images"):
            continue
        assert len(protocols) == 2
        released, clean = protocols
        assert released.name.endswith("released") and clean.name.endswith("clean")
        assert released.test is clean.test is released.selection, "released chooses by the test"
        assert clean.test is not None and clean.selection is not None and clean.selection is not clean.test
        blocks = {(b.sequence, n) for b in clean.test.blocks for n in range(b.first, (b.last or b.first) + 1)}
        chosen = {(b.sequence, n) for b in clean.selection.blocks for n in range(b.first, (b.last or b.first) + 1)}
        assert not blocks & chosen
    with pytest.raises(InputError, match=r"known: .*panoptic_images"):
        protocols_of("h36m")


def test_a_protocol_scores_what_a_run_says_and_the_method_never_sees_the_truth():
    truth, rig = people(2), cameras()
    images = Images(torch.zeros(3, 3, 8, 8), torch.eye(2, 3).repeat(3, 1, 1), torch.ones(3).bool())
    frame = Frame.of_images(0, rig, images)
    seen: list[Frame] = []

    def see(one: Frame) -> Prediction:
        seen.append(one)
        return said(truth)

    model = FrameByFrame(see, PANOPTIC_15)
    method = Method("ours", model.associate, model.reconstruct)
    found = answers(drawn(iter([(frame, known(truth))]), 5), method)
    row = score(protocols_of("panoptic_images")[0], found)
    assert (row.method, row.detections, row.frames) == ("ours", "panoptic, released", 1)
    assert value(row.figures, "recall_500") == pytest.approx(100, abs=2e-3)
    assert len(seen) == 1 and seen[0] is frame

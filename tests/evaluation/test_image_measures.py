"""Perfect answers about pictures are perfect in both conventions, which differ where they say they do."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch

from dispose.errors import InputError
from dispose.evaluation.image_measures import (
    campus_released,
    clean_parts,
    clean_roots,
    clean_skeletons,
    figures_of,
    released_parts,
    released_roots,
    released_skeletons,
    root_pairs,
)
from dispose.evaluation.image_protocols import IMAGE_PROTOCOLS, image_protocols_of
from dispose.evaluation.image_scenes import (
    ImageAnswer,
    ImageMethod,
    ImageOutcome,
    ImageScene,
    answer_all,
    root_identities,
)
from dispose.evaluation.scenes import Figure
from dispose.geometry.rigid import look_at
from dispose.released.heads import shelf_poses_released
from dispose.scene.cameras import Cameras
from dispose.scene.convert import campus_poses, shelf_poses
from dispose.scene.frame import Frame
from dispose.scene.images import Images
from dispose.scene.peaks import JointPeaks, root_detections
from dispose.scene.poses import Poses
from dispose.scene.prediction import Association, Prediction
from dispose.skeletons.catalog import PANOPTIC_15
from dispose.tensors import ABSENT

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


def answer(poses: Poses, score: float = 0.9, views: int = 3) -> ImageAnswer:
    count = len(poses.id)
    members = torch.arange(count)[:, None].expand(count, views).clone()
    sure = torch.full((count,), score, dtype=torch.float64)
    return ImageAnswer(Prediction(0, Association(members, sure), poses, poses.xyz_world[:, ROOT].clone()))


def with_roots(rig: Cameras, truth: Poses, given: ImageAnswer) -> ImageAnswer:
    xy, _ = rig.project(truth.xyz_world)
    xy = xy.transpose(1, 2)
    score = torch.full(xy.shape[:-1], 0.9, dtype=torch.float64)
    spacing = torch.full((len(rig),), 4.0, dtype=torch.float64)
    peaks = JointPeaks(PANOPTIC_15, xy, score, score > 0, spacing)
    return replace(given, roots=root_detections(peaks), spacing_px=spacing)


def value(figures: tuple[Figure, ...], name: str) -> float:
    return next(f.value for f in figures if f.name == name)  # type: ignore[return-value]


def test_a_perfect_answer_is_perfect():
    rig, truth = cameras(), people(3)
    outcome = ImageOutcome(rig, truth, with_roots(rig, truth, answer(truth)))
    clean = figures_of([outcome], (clean_skeletons, clean_roots, root_pairs))
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
    outcome = ImageOutcome(cameras(), truth, answer(replace(moved, valid=valid)))
    figures = figures_of([outcome], (clean_skeletons, clean_roots))
    assert value(figures, "mpjpe_mm") == pytest.approx(50) and value(figures, "root_mm") == pytest.approx(50)
    assert value(figures, "joints") == pytest.approx(100 * 20 / 30)
    assert value(figures, "ap_50") == 0 and value(figures, "ap_75") == 100
    assert value(figures, "map") == pytest.approx(100 * 4 / 6)


def test_a_nan_score_is_refused_clean_and_counted_released():
    truth = people(1)
    outcome = ImageOutcome(cameras(), truth, answer(truth, math.nan))
    with pytest.raises(InputError, match="not a number"):
        clean_skeletons([outcome])
    assert value(released_skeletons([outcome]), "ap_25") == pytest.approx(100, abs=2e-3)


def test_roots_belong_to_the_nearest_person_within_the_gate_and_to_one_alone():
    rig, truth = cameras(), people(2)
    given = with_roots(rig, truth, answer(truth))
    assert given.roots is not None and given.spacing_px is not None
    assert root_identities(rig, truth, given.roots, given.spacing_px).tolist() == [[0, 1]] * 3
    xy = given.roots.xy_image.clone()
    xy[0, 1, ROOT] = xy[0, 0, ROOT] + 3.0  # a double of the first person's peak
    xy[1, 0, ROOT] += 17.0  # just beyond four heat-map pixels of four
    moved = replace(given.roots, xy_image=xy)
    identity = root_identities(rig, truth, moved, given.spacing_px)
    assert identity[0, 0] == 0 and identity[0, 1] >= 2 and identity[1, 0] >= 2
    assert len({int(i) for i in identity.flatten() if i >= 2}) == 2, "false peaks are nobody together"
    assert root_identities(rig, truth, replace(moved, valid=moved.valid & False), given.spacing_px).eq(ABSENT).all()


def test_a_group_with_a_false_peak_is_wrong():
    rig, truth = cameras(), people(1)
    given = with_roots(rig, truth, answer(truth))
    assert given.roots is not None
    xy = given.roots.xy_image.clone()
    xy[0, 0, ROOT] += 100.0
    outcome = ImageOutcome(rig, truth, replace(given, roots=replace(given.roots, xy_image=xy)))
    figures = root_pairs([outcome])
    assert value(figures, "pair_precision") == pytest.approx(100 / 3) and value(figures, "pair_recall") == 100


def test_heads_of_shelf_depend_on_the_actor_as_released_only():
    """Released heads know the true actor: his own tilt makes a head right that another tilt makes wrong."""
    predicted = people(1, seed=2)
    for actor in (0, 3):
        told = torch.tensor([actor])
        truth = replace(shelf_poses_released(predicted, told), id=told)
        outcome = ImageOutcome(cameras(), truth, answer(predicted))
        score = released_parts([outcome], prepare=shelf_poses_released)
        if actor < 3:
            assert value(score, "pcp_actors")[actor] == 100  # type: ignore[index]
    truth = replace(shelf_poses(predicted), id=torch.tensor([0]))
    agnostic = clean_parts([ImageOutcome(cameras(), truth, answer(predicted))], prepare=shelf_poses)
    assert value(agnostic, "pcp_actors")[0] == 100  # type: ignore[index]


def test_one_prediction_serves_two_actors_as_released_only():
    """Two actors 80 mm apart, one prediction: released both have it, clean the nearer one alone."""
    body = people(1, seed=3)
    shift = torch.tensor([80.0, 0, 0], dtype=torch.float64)
    both = Poses(
        PANOPTIC_15, torch.cat([body.xyz_world, body.xyz_world + shift]), body.confidence.repeat(2, 1),
        body.valid.repeat(2, 1), torch.tensor([0, 1]),
    )  # fmt: skip
    outcome = ImageOutcome(cameras(), campus_poses(both), answer(body))
    released = value(released_parts([outcome], prepare=campus_released), "pcp_actors")
    clean = value(clean_parts([outcome], prepare=campus_poses), "pcp_actors")
    assert clean[0] == 100 and clean[1] == 0  # type: ignore[index]
    assert released[0] == 100 and released[1] > 0  # type: ignore[index]
    assert math.isnan(clean[2]) and math.isnan(released[2])  # type: ignore[index]


def test_methods_never_see_the_truth_and_scenes_are_read_once():
    rig, truth = cameras(), people(1)
    frame = Frame.of_images(
        4, rig, Images(torch.zeros(3, 3, 8, 8), torch.eye(2, 3).repeat(3, 1, 1), torch.ones(3).bool())
    )
    seen: list[Frame] = []

    def predict(one: Frame) -> ImageAnswer:
        seen.append(one)
        return answer(truth)

    scenes = iter([ImageScene(frame, truth)])
    answers = answer_all(scenes, [ImageMethod("a", predict), ImageMethod("b", predict)])
    assert [mine.method for mine in answers] == ["a", "b"] and len(seen) == 2 and all(one is frame for one in seen)


def test_two_protocols_stand_side_by_side_for_every_data_set():
    for name, protocols in IMAGE_PROTOCOLS:
        released, clean = image_protocols_of(name)
        assert (released, clean) == protocols
        assert (released.convention, clean.convention) == ("released", "clean")
        assert released.test is clean.test is released.selection, "released chooses by the test (B9)"
        assert clean.selection is not clean.test
        blocks = {(b.sequence, n) for b in clean.test.blocks for n in range(b.first, (b.last or b.first) + 1)}
        chosen = {(b.sequence, n) for b in clean.selection.blocks for n in range(b.first, (b.last or b.first) + 1)}
        assert not blocks & chosen
    with pytest.raises(InputError, match="known: panoptic_images"):
        image_protocols_of("h36m")


def test_a_protocol_scores_answers():
    truth = people(2)
    protocol = image_protocols_of("panoptic_images")[0]
    method = ImageMethod("ours", partial(lambda frame, given: given, given=answer(truth)))
    rig = cameras()
    frame = Frame.of_images(
        0, rig, Images(torch.zeros(3, 3, 8, 8), torch.eye(2, 3).repeat(3, 1, 1), torch.ones(3).bool())
    )
    row = protocol.score(answer_all([ImageScene(frame, truth)], [method])[0])
    assert (row.method, row.detections, row.frames) == ("ours", "panoptic, released", 1)
    assert row.value("map") == pytest.approx(100, abs=2e-3)

"""Correct parts, by hand and against a published result."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dispose.datasets.tables.reading import poses_of, read_poses
from dispose.datasets.tables.shelf import read_shelf
from dispose.errors import ShapeError
from dispose.metrics.pcp import PARTS, correct_parts, pcp, pcp_of_actor, pcp_of_part, pool_parts
from dispose.scene.convert import shelf_poses
from dispose.scene.frame import Poses
from dispose.skeletons.catalog import COCO_17, SHELF_14
from dispose.skeletons.skeleton import Skeleton

PLACES = {
    "r_ankle": [0, -100, 100], "r_knee": [0, -100, 500], "r_hip": [0, -100, 900],
    "l_ankle": [0, 100, 100], "l_knee": [0, 100, 500], "l_hip": [0, 100, 900],
    "r_wrist": [0, -200, 900], "r_elbow": [0, -200, 1150], "r_shoulder": [0, -200, 1400],
    "l_wrist": [0, 200, 900], "l_elbow": [0, 200, 1150], "l_shoulder": [0, 200, 1400],
    "bottom_head": [0, 0, 1500], "top_head": [0, 0, 1700],
}  # fmt: skip


STORED_JOINTS = Skeleton(
    name="shelf_stored_19",
    joints=(
        "mid_hip", "neck", "r_hip", "l_hip", "nose", "r_shoulder", "l_shoulder", "r_knee", "l_knee", "r_ear",
        "l_ear", "r_elbow", "l_elbow", "r_ankle", "l_ankle", "r_wrist", "l_wrist", "l_big_toe", "r_big_toe",
    ),
    bones=(("mid_hip", "neck"), ("neck", "nose")),
    root_of=("mid_hip",),
)  # fmt: skip
"""Joints of a published method's 3-D output on Shelf."""


def person(*, shift_mm: float = 0.0, actor: int = 0) -> Poses:
    xyz = torch.tensor([[PLACES[joint] for joint in SHELF_14.joints]], dtype=torch.float64)
    xyz[..., 0] += shift_mm
    valid = torch.ones(1, 14, dtype=torch.bool)
    return Poses(SHELF_14, xyz, valid.double(), valid, torch.tensor([actor]))


def both(a: Poses, b: Poses) -> Poses:
    return Poses(SHELF_14, *(torch.cat([x, y]) for x, y in zip(
        (a.xyz_world, a.confidence, a.valid, a.id), (b.xyz_world, b.confidence, b.valid, b.id), strict=True
    )))  # fmt: skip


def test_a_part_is_right_up_to_half_its_length() -> None:
    lengths = {"head": 200.0, "lower arm l": 250.0, "upper leg r": 400.0, "torso": 600.0}
    for name, length in lengths.items():
        column = [part for part, *_ in PARTS].index(name)
        for shift, right in ((length / 2 - 0.5, True), (length / 2 + 0.5, False)):
            assert correct_parts(person(shift_mm=shift), person()).correct[0, column].item() is right


def test_a_missing_joint_makes_its_parts_wrong() -> None:
    prediction = person()
    prediction.valid[0, SHELF_14.index("l_hip")] = False
    correct = correct_parts(prediction, person()).correct[0]
    assert {part[0] for part, right in zip(PARTS, correct, strict=True) if not right} == {"upper leg l", "torso"}


def test_the_nearest_prediction_is_taken_and_needs_six_joints() -> None:
    near = person()
    near.valid[0, 5:] = False
    results = correct_parts(both(person(shift_mm=1000.0), near), person())
    assert results.correct.sum() == 0
    near.valid[0, 5] = True
    assert correct_parts(both(person(shift_mm=1000.0), near), person()).correct.sum() == 4


def test_a_missing_actor_is_all_wrong_and_one_prediction_may_serve_two() -> None:
    two = both(person(actor=0), person(shift_mm=50.0, actor=2))
    nobody = replace(person(), **{k: v[:0] for k, v in vars(person()).items() if isinstance(v, torch.Tensor)})
    assert correct_parts(nobody, two).correct.shape == (2, 10) and not correct_parts(nobody, two).correct.any()
    assert correct_parts(person(), two).correct.all()


def test_means_are_over_actors_not_over_people() -> None:
    right, wrong = correct_parts(person(), person(actor=0)), correct_parts(person(shift_mm=2000.0), person(actor=1))
    pooled = pool_parts([right, right, right, wrong])
    assert pcp(pooled, actors=(0, 1)) == 0.5 and pcp_of_actor(pooled, 0) == 1.0
    assert pcp_of_part(pooled, "head", actors=(0, 1)) == 0.75
    assert math.isnan(pcp_of_actor(pooled, 3))


def test_other_skeletons_are_refused() -> None:
    poses = Poses(COCO_17, torch.zeros(1, 17, 3), torch.zeros(1, 17), torch.zeros(1, 17) > 0, torch.zeros(1).long())
    with pytest.raises(ShapeError, match="shelf_14"):
        correct_parts(poses, person())


def test_the_stored_result_scores_what_it_is_known_to_score(shared_data: Path) -> None:
    table = read_poses(shared_data / "shelf" / "result_4dassociation.npz")
    parts = [
        correct_parts(shelf_poses(poses_of(table.at(frame.number), STORED_JOINTS)), labels.poses)
        for frame, labels in read_shelf(shared_data / "shelf")
    ]
    assert 100 * pcp(pool_parts(parts)) == pytest.approx(97.15, abs=0.1)

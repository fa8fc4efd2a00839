"""Laws of the skeleton catalogue and of the conversions between its members."""

import itertools

import pytest
import torch

from dispose.errors import InputError
from dispose.released.metrics import shelf_poses_released
from dispose.scene.convert import convert_detections, convert_poses, shelf_poses
from dispose.scene.frame import Detections, Poses
from dispose.skeletons.catalog import (
    BODY_25,
    CATALOG,
    COCO_17,
    MVOR_10,
    PANOPTIC_15,
    PANOPTIC_19,
    SHELF_14,
    by_name,
)
from dispose.skeletons.skeleton import Skeleton

PAIRS = list(itertools.product(CATALOG, CATALOG))


def random_poses(skeleton: Skeleton, *, persons: int = 4, missing: float = 0.3, seed: int = 0) -> Poses:
    generator = torch.Generator().manual_seed(seed)
    shape = (persons, len(skeleton))
    valid = torch.rand(shape, generator=generator) > missing
    xyz = torch.where(valid[..., None], torch.randn(*shape, 3, generator=generator, dtype=torch.float64) * 500, 0.0)
    confidence = torch.where(valid, torch.rand(shape, generator=generator, dtype=torch.float64), 0.0)
    return Poses(skeleton, xyz, confidence, valid, torch.arange(persons))


@pytest.mark.parametrize("skeleton", CATALOG, ids=lambda s: s.name)
def test_a_name_finds_its_skeleton(skeleton: Skeleton) -> None:
    number = int(skeleton.name.split("_")[-1].rstrip("b"))
    assert by_name(skeleton.name) is skeleton and len(skeleton) == number


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="coco_17"):
        by_name("coco")


@pytest.mark.parametrize("skeleton", CATALOG, ids=lambda s: s.name)
def test_mirror_is_an_involution_that_swaps_left_and_right(skeleton: Skeleton) -> None:
    mirror = skeleton.mirror
    assert [mirror[m] for m in mirror] == list(range(len(skeleton)))
    for joint, other in zip(skeleton.joints, mirror, strict=True):
        assert (skeleton.joints[other] != joint) == joint.startswith(("l_", "r_"))


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=lambda s: s.name)
def test_conversion_keeps_same_names_and_commutes_with_rigid_motion(source: Skeleton, target: Skeleton) -> None:
    poses = random_poses(source)
    converted = convert_poses(poses, target)
    shared = [joint for joint in target.joints if joint in source.joints]
    at, origin = target.indices(tuple(shared)), source.indices(tuple(shared))
    seen = poses.valid[:, origin]
    assert torch.equal(converted.xyz_world[:, at][seen], poses.xyz_world[:, origin][seen])

    rotation = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64))[0]
    offset = torch.tensor([10.0, -300.0, 70.0], dtype=torch.float64)
    moved = Poses(source, poses.xyz_world @ rotation.T + offset, poses.confidence, poses.valid, poses.id)
    expected = converted.xyz_world @ rotation.T + offset
    again = convert_poses(moved, target)
    assert torch.equal(again.valid, converted.valid)
    torch.testing.assert_close(again.xyz_world[again.valid], expected[again.valid])


def test_neck_of_panoptic_is_between_the_shoulders_with_the_lesser_score() -> None:
    keypoints = torch.zeros(17, 3, dtype=torch.float64)
    keypoints[COCO_17.index("l_shoulder")] = torch.tensor([10.0, 20.0, 0.9])
    keypoints[COCO_17.index("r_shoulder")] = torch.tensor([30.0, 60.0, 0.4])
    keypoints[COCO_17.index("l_hip")] = torch.tensor([12.0, 90.0, 0.8])
    detections = Detections.from_lists(COCO_17, [[keypoints]])
    converted = convert_detections(detections, PANOPTIC_15)
    neck = PANOPTIC_15.index("neck")
    assert converted.xy_image[0, 0, neck].tolist() == [20.0, 40.0]
    assert converted.confidence[0, 0, neck].item() == pytest.approx(0.4)
    assert not converted.visible[0, 0, PANOPTIC_15.index("mid_hip")]
    assert torch.equal(converted.index, detections.index) and torch.equal(converted.score, detections.score)


def test_head_of_mvor_is_eyes_else_ears_else_nose() -> None:
    poses = random_poses(COCO_17, persons=3, missing=0.0)
    valid = poses.valid.clone()
    valid[1:, COCO_17.indices(("l_eye", "r_eye"))] = False
    valid[2, COCO_17.indices(("l_ear", "r_ear"))] = False
    head = convert_poses(Poses(COCO_17, poses.xyz_world, poses.confidence, valid, poses.id), MVOR_10).xyz_world[:, 0]
    eyes, ears = COCO_17.indices(("l_eye", "r_eye")), COCO_17.indices(("l_ear", "r_ear"))
    torch.testing.assert_close(head[0], poses.xyz_world[0, eyes].mean(0))
    torch.testing.assert_close(head[1], poses.xyz_world[1, ears].mean(0))
    torch.testing.assert_close(head[2], poses.xyz_world[2, COCO_17.index("nose")])


def test_detours_over_richer_skeletons_change_nothing() -> None:
    poses = random_poses(PANOPTIC_19)
    direct = convert_poses(poses, PANOPTIC_15)
    through = convert_poses(convert_poses(poses, BODY_25), PANOPTIC_15)
    assert torch.equal(direct.valid, through.valid)
    torch.testing.assert_close(direct.xyz_world, through.xyz_world)


def upright_head() -> Poses:
    places = {
        "l_shoulder": [0, 200, 1400], "r_shoulder": [0, -200, 1400], "nose": [100, 0, 1600],
        "l_ear": [0, 80, 1620], "r_ear": [0, -80, 1620],
    }  # fmt: skip
    xyz = torch.zeros(1, 17, 3, dtype=torch.float64)
    valid = torch.zeros(1, 17, dtype=torch.bool)
    for joint, place in places.items():
        xyz[0, COCO_17.index(joint)] = torch.tensor(place, dtype=torch.float64)
        valid[0, COCO_17.index(joint)] = True
    return Poses(COCO_17, xyz, valid.double(), valid, torch.zeros(1, dtype=torch.long))


def test_head_of_shelf_by_hand() -> None:
    poses = upright_head()
    rows = SHELF_14.indices(("bottom_head", "top_head"))
    # ears alone: chin (0, 0, 1510), crown 1510 + 2 * 110; nose alone: chin (50, 0, 1500), crown (75, 0, 1700)
    expected = torch.tensor([[37.5, 0, 1502.5], [56.25, 0, 0.75 * 1700 + 0.25 * 1730]], dtype=torch.float64)
    torch.testing.assert_close(shelf_poses(poses).xyz_world[0, rows], expected)
    poses.valid[0, COCO_17.indices(("l_ear", "r_ear"))] = False
    expected = torch.tensor([[50.0, 0, 1500], [75.0, 0, 1700]], dtype=torch.float64)
    torch.testing.assert_close(shelf_poses(poses).xyz_world[0, rows], expected)
    poses.valid[0, COCO_17.index("nose")] = False
    assert not shelf_poses(poses).valid[0, rows].any()


def test_released_head_is_192_mm_long_and_depends_on_the_true_actor() -> None:
    rows = SHELF_14.indices(("bottom_head", "top_head"))
    tops = []
    for actor in range(4):
        ends = shelf_poses_released(upright_head(), torch.tensor([actor])).xyz_world[0, rows]
        assert (ends[1] - ends[0]).norm().item() == pytest.approx(192.0)
        tops.append(ends[1, 2].item())
    assert tops == sorted(tops, reverse=True) and len(set(tops)) == 4

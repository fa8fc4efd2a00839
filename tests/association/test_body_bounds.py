"""What a body allows: neighbours within reach, the wrong one of two told by the rest of the body."""

import pytest
import torch

from dispose.association.body_bounds import (
    LONGEST_MM,
    bone_excess,
    bone_limits,
    impossible_joints,
    reach,
    without_impossible,
)
from dispose.scene.frame import Poses
from dispose.skeletons.catalog import BODY_25B, CATALOG, COCO_17
from dispose.skeletons.skeleton import Skeleton
from tests.association.people_seen import STANDING

WRIST, ELBOW, SHOULDER = COCO_17.indices(("l_wrist", "l_elbow", "l_shoulder"))
CPU = torch.device("cpu")


def person(**moved: tuple[float, float, float]) -> Poses:
    """The standing person with some joints elsewhere, all equally trusted."""
    xyz = STANDING.clone()
    for joint, by in moved.items():
        xyz[COCO_17.index(joint)] += torch.tensor(by, dtype=torch.float64)
    valid = torch.ones(1, 17, dtype=torch.bool)
    covariance = torch.eye(3, dtype=torch.float64).expand(1, 17, 3, 3)
    return Poses(COCO_17, xyz[None], valid.double() * 0.5, valid, torch.zeros(1, dtype=torch.long), covariance)


def lost(poses: Poses) -> set[str]:
    """The joints that are not known after what cannot be is gone."""
    return {COCO_17.joints[row] for row in (~without_impossible(poses).valid[0]).nonzero()[:, 0].tolist()}


def test_a_person_loses_nothing() -> None:
    poses = person()
    assert lost(poses) == set()
    assert (bone_excess(poses) == 0).all()


@pytest.mark.parametrize("joint", ["l_wrist", "l_elbow", "nose", "r_knee", "l_hip", "l_shoulder"])
def test_the_wrong_one_of_two_neighbours_goes(joint: str) -> None:
    """Ends of limbs and joints between: the rest of the body decides, though the wrong one is trusted more."""
    poses = person(**{joint: (1200.0, 900.0, 300.0)})
    poses.confidence[0, COCO_17.index(joint)] = 0.9
    assert lost(poses) == {joint}


def test_two_wrong_joints_of_one_limb_go_and_the_shoulder_stays() -> None:
    # Without its elbow no bone speaks of the wrist: the rest of the body does.
    poses = person(l_elbow=(0.0, 1500.0, 0.0), l_wrist=(1500.0, 0.0, 0.0))
    assert lost(poses) == {"l_elbow", "l_wrist"}


def test_of_two_that_the_body_cannot_tell_the_less_trusted_goes() -> None:
    """Only an elbow and a wrist are known."""
    for sure in (ELBOW, WRIST):
        poses = person(l_wrist=(900.0, 0.0, 0.0))
        known = torch.zeros_like(poses.valid)
        known[0, [ELBOW, WRIST]] = True
        confidence = torch.zeros_like(poses.confidence)
        confidence[0, [ELBOW, WRIST]], confidence[0, sure] = 0.4, 0.6
        kept = without_impossible(Poses(COCO_17, poses.xyz_world, confidence, known, poses.id, poses.covariance))
        assert kept.valid[0].nonzero()[:, 0].tolist() == [sure]
        other = WRIST if sure == ELBOW else ELBOW
        assert kept.covariance is not None
        assert float(kept.xyz_world[0, other].abs().sum() + kept.confidence[0, other]) == 0
        assert float(kept.covariance[0, other].abs().sum()) == 0 and float(kept.covariance[0, sure].abs().sum()) == 3


def test_the_bound_is_six_tenths_of_a_metre() -> None:
    for length, torn in ((LONGEST_MM - 0.1, False), (LONGEST_MM + 0.1, True)):
        xyz = STANDING.clone()
        xyz[WRIST] = xyz[ELBOW] + torch.tensor([0.0, 0.0, -length], dtype=torch.float64)
        poses = Poses(COCO_17, xyz[None], torch.ones(1, 17).double(), torch.ones(1, 17).bool(), torch.zeros(1).long())
        assert impossible_joints(poses)[0].nonzero()[:, 0].tolist() == (sorted([ELBOW, WRIST]) if torn else [])
        assert bool(without_impossible(poses).valid[0, WRIST]) == (not torn)


def test_an_elbow_has_two_neighbours_to_speak_for_it_and_a_wrist_one() -> None:
    excess = bone_excess(person(l_wrist=(0.0, 1000.0, 0.0)))[0]
    length = torch.tensor([30.0, 1010.0, -240.0]).norm()
    assert float(excess[WRIST]) == pytest.approx(float(length) / 350 - 1, rel=1e-6)
    assert float(excess[ELBOW]) == 0 and float(excess[SHOULDER]) == 0


def test_reach_adds_bones_up() -> None:
    span = reach(COCO_17, CPU)
    assert float(span[WRIST, ELBOW]) == 350 and float(span[ELBOW, SHOULDER]) == 400
    assert float(span[WRIST, SHOULDER]) == 750 and torch.equal(span, span.T)
    boneless = reach(Skeleton("points", ("a", "b"), ()), CPU)
    assert boneless.diagonal().tolist() == [0, 0] and bool(boneless[0, 1].isinf())


def test_every_bone_of_the_catalogue_is_bounded() -> None:
    for skeleton in CATALOG:
        limits = bone_limits(skeleton)
        assert len(limits) == len(skeleton.bones) and max(limits) <= LONGEST_MM, skeleton.name
    named = dict(zip(BODY_25B.bones, bone_limits(BODY_25B), strict=True))
    assert named["l_ankle", "l_heel"] == 130 and named["nose", "r_eye"] == 90 and named["l_knee", "l_ankle"] == 540

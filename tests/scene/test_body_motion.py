"""Laws of motions made of joints: positions come back, bones turn to where they are, people face where they do."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dispose.scene.motion import Y_UP, motion_of, rest_offsets
from dispose.skeletons.catalog import BODY_25B, CATALOG, COCO_17, H36M_17
from dispose.skeletons.skeleton import Skeleton
from dispose.skeletons.tree import body_tree
from dispose.tensors import ABSENT


def standing(skeleton: Skeleton) -> np.ndarray:
    """The T-pose of a skeleton, mm, z up, facing +x."""
    tree = body_tree(skeleton)
    rows = [tree.joints.index(joint) for joint in skeleton.joints]
    y_up = np.array([tree.rest[row] for row in rows], dtype=float)
    return y_up[:, np.argsort(Y_UP)]


def forward(motion, frames: int) -> np.ndarray:
    """Where the joints are by local rotations and translations alone."""
    poses = motion.poses(0, frames)
    turn, place = poses.rotation.copy(), poses.translation.copy()
    for joint, parent in enumerate(motion.tree.parents):
        if parent != ABSENT:
            turn[:, joint] = turn[:, parent] @ poses.rotation[:, joint]
            place[:, joint] = place[:, parent] + (turn[:, parent] @ poses.translation[:, joint][..., None])[..., 0]
    return place


@pytest.mark.parametrize("skeleton", CATALOG, ids=lambda skeleton: skeleton.name)
def test_forward_kinematics_gives_the_joints_back(skeleton: Skeleton) -> None:
    random = np.random.default_rng(4)
    xyz = standing(skeleton) + random.normal(0, 60, (12, len(skeleton), 3)) + random.normal(0, 900, (12, 1, 3))
    motion = motion_of(skeleton, xyz)
    assert motion is not None and motion.known.all()
    rows = [motion.tree.joints.index(joint) for joint in skeleton.joints]
    place = forward(motion, 12)
    np.testing.assert_allclose(place[:, rows], xyz[..., Y_UP], atol=1e-8)
    rotation = motion.poses(0, 12).rotation
    np.testing.assert_allclose(
        rotation @ rotation.swapaxes(-1, -2), np.broadcast_to(np.eye(3), rotation.shape), atol=1e-9
    )
    assert (np.linalg.det(rotation) > 0).all()
    assert all(parent < joint for joint, parent in enumerate(motion.tree.parents))
    assert motion.tree.parents.count(ABSENT) == 1


@pytest.mark.parametrize("skeleton", [COCO_17, BODY_25B, H36M_17], ids=lambda skeleton: skeleton.name)
def test_a_person_who_turns_has_every_joint_turned(skeleton: Skeleton) -> None:
    yaw = np.radians(np.arange(0, 360, 15))
    turns = Rotation.from_euler("z", yaw[:, None]).as_matrix()
    xyz = standing(skeleton) @ turns.swapaxes(-1, -2)
    motion = motion_of(skeleton, xyz)
    assert motion is not None
    poses = motion.poses(0, len(yaw))
    # The root turns about the axis that is up, by the yaw; nothing else turns.
    wanted = Rotation.from_euler("y", yaw[:, None]).as_matrix()
    np.testing.assert_allclose(poses.rotation[:, 0], wanted, atol=2e-3)
    assert np.abs(poses.rotation[:, 1:] - np.eye(3)).max() < 2e-3
    np.testing.assert_allclose(poses.translation[0, 1:], motion.offset[1:], atol=1)


def test_a_bent_arm_turns_its_elbow_alone() -> None:
    xyz = np.repeat(standing(COCO_17)[None], 4, 0)
    elbow, wrist = COCO_17.indices(("l_elbow", "l_wrist"))
    length = np.linalg.norm(xyz[0, wrist] - xyz[0, elbow])
    angle = np.radians([0, 30, 60, 90])
    # From pointing to the left (+y here) to pointing to the front (+x).
    xyz[:, wrist] = xyz[:, elbow] + length * np.stack([np.sin(angle), np.cos(angle), 0 * angle], -1)
    motion = motion_of(COCO_17, xyz)
    assert motion is not None
    turned = Rotation.from_matrix(motion.poses(0, 4).rotation.reshape(-1, 3, 3)).magnitude().reshape(4, -1)
    joints = motion.tree.joints
    np.testing.assert_allclose(turned[:, joints.index("l_elbow")], angle, atol=3e-3)
    assert turned[:, [row for row, joint in enumerate(joints) if joint != "l_elbow"]].max() < 3e-3


def test_bones_are_as_long_as_the_persons() -> None:
    xyz = np.repeat(1.2 * standing(COCO_17)[None], 9, 0)
    xyz[0] *= 3  # one frame that is wrong decides nothing
    tree = body_tree(COCO_17)
    seen = np.ones(len(tree.joints), bool)
    places = np.stack([xyz[:, list(rows)].mean(1) for rows in tree.made_of], 1)[..., Y_UP]
    offset = rest_offsets(tree, places, seen)
    rest = np.array(tree.rest, dtype=float)
    shin = tree.joints.index("l_ankle")
    assert np.linalg.norm(offset[shin]) == pytest.approx(1.2 * np.linalg.norm(rest[shin] - rest[tree.parents[shin]]))


def test_what_is_not_known_is_filled_and_said() -> None:
    random = np.random.default_rng(1)
    xyz = standing(COCO_17) + random.normal(0, 5, (7, 17, 3))
    wrist, ear = COCO_17.indices(("r_wrist", "l_ear"))
    xyz[2:4, wrist], xyz[:, ear], xyz[5] = np.nan, np.nan, np.nan
    motion = motion_of(COCO_17, xyz)
    assert motion is not None and np.isfinite(motion.xyz).all()
    row = motion.tree.joints.index("r_wrist")
    line = xyz[1, wrist] + np.outer([1 / 3, 2 / 3], xyz[4, wrist] - xyz[1, wrist])
    np.testing.assert_allclose(motion.xyz[2:4, row], line[:, Y_UP], atol=1e-9)
    assert not motion.known[2:4, row].any() and not motion.known[5].any()
    ears = motion.xyz[:, motion.tree.joints.index("l_ear")] - motion.xyz[:, motion.tree.joints.index("nose")]
    assert (np.abs(np.linalg.norm(ears, axis=-1) - 125) < 60).all(), "carried by the head as at rest"
    assert motion_of(COCO_17, np.full((3, 17, 3), np.nan)) is None


def test_strange_joints_hang_on_their_neighbours() -> None:
    strange = Skeleton("hand", ("palm", "tip", "l_hip", "r_hip", "lost"), (("palm", "l_hip"), ("palm", "tip")))
    tree = body_tree(strange)
    above = {joint: tree.joints[parent] for joint, parent in zip(tree.joints, tree.parents, strict=True) if parent >= 0}
    assert above == {"l_hip": "mid_hip", "r_hip": "mid_hip", "palm": "l_hip", "tip": "palm", "lost": "mid_hip"}
    xyz = np.random.default_rng(3).normal(0, 500, (6, 5, 3))
    motion = motion_of(strange, xyz)
    assert motion is not None
    rows = [tree.joints.index(joint) for joint in strange.joints]
    np.testing.assert_allclose(forward(motion, 6)[:, rows], xyz[..., Y_UP], atol=1e-8)


def test_who_turns_their_head_does_not_turn_their_shoulders() -> None:
    xyz = standing(COCO_17)[None].repeat(2, 0)
    head = COCO_17.indices(("nose", "l_eye", "r_eye", "l_ear", "r_ear"))
    xyz[1, head] = xyz[1, head] @ Rotation.from_euler("z", np.radians(60)).as_matrix().T
    motion = motion_of(COCO_17, xyz)
    assert motion is not None
    turned = Rotation.from_matrix(motion.poses(1, 2).rotation[0]).magnitude()
    joints = motion.tree.joints
    assert turned[joints.index("mid_shoulders")] < 3e-3 and turned[joints.index("nose")] > np.radians(50)

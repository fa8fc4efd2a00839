"""A person over time as a tree of joints that turn and move: what animation programs play.

Joints alone do not say how bones are twisted. A joint's rotation is the one that brings the directions to its children
from the T-pose to where they are (Wahba's problem, solved by an SVD [markley1988attitude]); where they leave a twist
open, as one bone does, it is the parent's. Positions are kept exactly, because every joint has its own translation.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from dispose.skeletons.skeleton import Skeleton
from dispose.skeletons.tree import BodyTree, body_tree
from dispose.tensors import ABSENT

Y_UP = (1, 2, 0)
"""Our x, y, z (z up) as the axes of animation programs (y up): y, z, x."""

LEAN = 1e-3
"""How much the parent's rotation counts beside a bone's direction: enough to settle what that leaves open."""

BLOCK = 4096
"""So many frames are worked on together."""

SHOULDERS_CARRY = ("neck", "thorax", "mid_shoulders")


@dataclass(frozen=True, eq=False)
class BodyMotion:
    """One person over evenly spaced frames.

    Attributes:
        tree: the joints and what they hang on.
        offset: from every joint's parent to it at rest (a T-pose with the person's bone lengths), mm, y up; the root's
            is 0.
        xyz: where the joints are, mm, y up; never NaN: what is not known is filled.
        known: which of them are known and not filled.
    """

    tree: BodyTree
    offset: Float[np.ndarray, "joints 3"]
    xyz: Float[np.ndarray, "frames joints 3"]
    known: Bool[np.ndarray, "frames joints"]

    def poses(self, start: int, stop: int) -> "LocalPoses":
        """Some frames as rotations and translations in the axes of every joint's parent."""
        xyz = self.xyz[start:stop]
        world = world_rotations(self.tree, self.offset, xyz)
        rotation, translation = world.copy(), xyz.copy()
        for joint, parent in enumerate(self.tree.parents):
            if parent != ABSENT:
                back = world[:, parent].swapaxes(-1, -2)
                rotation[:, joint] = back @ world[:, joint]
                translation[:, joint] = (back @ (xyz[:, joint] - xyz[:, parent])[..., None])[..., 0]
        return LocalPoses(rotation, translation)


@dataclass(frozen=True, eq=False)
class LocalPoses:
    """Joints in the axes of their parents, the root in the world's: place = parent's rotation @ translation + parent's
    place (mm, y up), rotation = parent's rotation @ rotation.
    """

    rotation: Float[np.ndarray, "frames joints 3 3"]
    translation: Float[np.ndarray, "frames joints 3"]


def motion_of(skeleton: Skeleton, xyz_world: Float[np.ndarray, "frames joints 3"]) -> BodyMotion | None:
    """The motion of one person; None where no joint is known in any frame.

    Args:
        skeleton: of the joints.
        xyz_world: evenly spaced frames, mm, z up; NaN where a joint is not known. Such a place is filled: on the line
            between the known ones before and after it, at the ends as the nearest, and as at rest where it is never
            known.
    """
    tree = body_tree(skeleton)
    joints = [list(rows) for rows in tree.made_of]
    places = np.stack([xyz_world[:, rows].mean(1) for rows in joints], 1)[..., Y_UP]
    known = np.asarray(np.isfinite(places).all(-1))
    if not known.any():
        return None
    xyz = filled(places, known)
    seen = np.asarray(known.any(0))
    offset = rest_offsets(tree, xyz[:: 1 + len(xyz) // 2000], seen)
    for start in range(0, len(xyz) if not seen.all() else 0, BLOCK):
        keep_at_rest(tree, offset, xyz[start : start + BLOCK], seen)
    return BodyMotion(tree, offset, xyz, known)


def keep_at_rest(
    tree: BodyTree,
    offset: Float[np.ndarray, "joints 3"],
    xyz: Float[np.ndarray, "frames joints 3"],
    seen: Bool[np.ndarray, " joints"],
) -> None:
    """Put joints that are never known where they are at rest, carried by their parents (in place)."""
    for joint in np.flatnonzero(~seen).tolist():  # parents come first
        parent = tree.parents[joint]
        if parent == ABSENT:
            xyz[:, joint] = np.nanmean(xyz[:, seen], 1)
        else:
            turn = world_rotations(tree, offset, xyz)[:, parent]
            xyz[:, joint] = xyz[:, parent] + turn @ offset[joint]


def filled(
    xyz: Float[np.ndarray, "frames joints 3"], known: Bool[np.ndarray, "frames joints"]
) -> Float[np.ndarray, "frames joints 3"]:
    """Places with unknown ones on straight lines between known ones; NaN stays where a joint is never known."""
    frames, xyz = np.arange(len(xyz)), xyz.copy()
    for joint in np.flatnonzero(known.any(0) & ~known.all(0)).tolist():
        there = known[:, joint]
        for axis in range(3):
            xyz[:, joint, axis] = np.interp(frames, frames[there], xyz[there, joint, axis])
    return xyz


def rest_offsets(
    tree: BodyTree, xyz: Float[np.ndarray, "frames joints 3"], seen: Bool[np.ndarray, " joints"]
) -> Float[np.ndarray, "joints 3"]:
    """From every joint's parent to it in a T-pose, as long as the person's bones are in the median, mm.

    A joint of no known place in a T-pose is carried by its parent as it is in the mean.
    """
    rest = np.array([place or (np.nan,) * 3 for place in tree.rest], dtype=float)
    parents = np.array(tree.parents)
    offset = np.where(parents[:, None] == ABSENT, 0.0, rest - rest[parents])
    length = np.median(np.linalg.norm(xyz - xyz[:, parents], axis=-1), axis=0)
    usual = np.linalg.norm(offset, axis=-1)
    measured = seen & seen[parents] & (parents != ABSENT) & (usual > 0)
    scale = np.where(measured, length / np.where(usual > 0, usual, 1), np.nan)
    person = float(np.nanmedian(scale)) if measured.any() else 1.0
    offset *= np.where(measured, scale, person)[:, None]
    strange = [joint for joint in range(len(parents)) if not np.isfinite(offset[joint]).all()]
    offset[strange] = 0.0
    for joint in strange:
        parent = tree.parents[joint]
        if seen[joint] and seen[parent]:
            back = world_rotations(tree, offset, xyz)[:, parent].swapaxes(-1, -2)
            offset[joint] = (back @ (xyz[:, joint] - xyz[:, parent])[..., None])[..., 0].mean(0)
    return offset


def world_rotations(
    tree: BodyTree, offset: Float[np.ndarray, "joints 3"], xyz: Float[np.ndarray, "frames joints 3"]
) -> Float[np.ndarray, "frames joints 3 3"]:
    """How every joint is turned against the T-pose, in the world's axes; without children as its parent is.

    Where shoulders hang on a joint, they and the back decide how it is turned, not the head.
    """
    turn = np.broadcast_to(np.eye(3), (*xyz.shape[:2], 3, 3)).copy()
    for joint, parent in enumerate(tree.parents):
        before = turn[:, parent] if parent != ABSENT else turn[:, joint].copy()
        pairs = [(offset[child], xyz[:, child] - xyz[:, joint]) for child in bearing(tree, joint)]
        if parent != ABSENT and tree.joints[joint] in SHOULDERS_CARRY:
            pairs.append((offset[joint], xyz[:, joint] - xyz[:, parent]))
        moment = LEAN * before
        for at_rest, now in pairs:
            if np.linalg.norm(at_rest) > 0:
                moment = moment + np.nan_to_num(unit(now)[..., :, None] * unit(at_rest))
        turn[:, joint] = nearest_rotation(moment)
    return turn


def bearing(tree: BodyTree, joint: int) -> list[int]:
    """The children whose directions say how a joint is turned."""
    children = tree.children(joint)
    shoulders = [child for child in children if tree.joints[child].endswith("_shoulder")]
    return shoulders if tree.joints[joint] in SHOULDERS_CARRY and len(shoulders) == 2 else children


def nearest_rotation(moment: Float[np.ndarray, "*batch 3 3"]) -> Float[np.ndarray, "*batch 3 3"]:
    """The rotation R with the largest trace of R^T @ moment."""
    left, _, right = np.linalg.svd(moment)
    sign = np.ones(moment.shape[:-1])
    sign[..., 2] = np.linalg.det(left @ right)
    return (left * sign[..., None, :]) @ right


def unit(vector: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
    """Of length one; the zero vector stays."""
    length = np.linalg.norm(vector, axis=-1, keepdims=True)
    return vector / np.where(length > 0, length, 1)

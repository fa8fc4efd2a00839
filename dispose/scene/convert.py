"""The records of a scene in another skeleton."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from dispose.scene.detections import Detections
from dispose.scene.poses import Poses
from dispose.skeletons.catalog import COCO_17, PANOPTIC_15, SHELF_14
from dispose.skeletons.conversions import conversion_between, convert_joints
from dispose.skeletons.shelf_heads import HeadEnds, campus_head, shelf_head
from dispose.skeletons.skeleton import Skeleton


def convert_detections(detections: Detections, target: Skeleton) -> Detections:
    """Detections with the joints of another skeleton; person scores, slots and indices stay as they are."""
    if detections.skeleton == target:
        return detections
    conversion = conversion_between(detections.skeleton, target)
    xy, confidence, visible = convert_joints(detections.xy_image, detections.confidence, detections.visible, conversion)
    return replace(detections, skeleton=target, xy_image=xy, confidence=confidence, visible=visible)


def keep_joints(detections: Detections, joints: Sequence[str]) -> Detections:
    """The same detections with all other joints marked as not seen."""
    rows = detections.skeleton.indices(tuple(joints))
    kept = torch.zeros_like(detections.visible)
    kept[..., rows] = detections.visible[..., rows]
    return replace(
        detections,
        visible=kept,
        xy_image=torch.where(kept[..., None], detections.xy_image, 0.0),
        confidence=torch.where(kept, detections.confidence, 0.0),
    )


def convert_poses(poses: Poses, target: Skeleton) -> Poses:
    """Poses with the joints of another skeleton; persons stay as they are."""
    if poses.skeleton == target:
        return poses
    conversion = conversion_between(poses.skeleton, target)
    xyz, confidence, valid = convert_joints(poses.xyz_world, poses.confidence, poses.valid, conversion)
    return replace(poses, skeleton=target, xyz_world=xyz, confidence=confidence, valid=valid)


def set_head_ends(poses: Poses, ends: HeadEnds) -> Poses:
    """Shelf skeletons whose chin and crown are replaced."""
    rows = SHELF_14.indices(("bottom_head", "top_head"))
    xyz, valid, confidence = poses.xyz_world.clone(), poses.valid.clone(), poses.confidence.clone()
    xyz[:, rows], valid[:, rows] = ends[0], ends[1][:, None]
    confidence[:, rows] = ends[1].to(confidence.dtype)[:, None]
    return replace(poses, xyz_world=xyz, valid=valid, confidence=confidence)


def shelf_poses(poses: Poses) -> Poses:
    """Poses as Shelf and Campus annotate them, heads made the same way for every actor (`shelf_head`)."""
    coco = convert_poses(poses, COCO_17)
    shoulders, ears = COCO_17.indices(("l_shoulder", "r_shoulder")), COCO_17.indices(("l_ear", "r_ear"))
    nose = COCO_17.index("nose")
    xyz, valid = coco.xyz_world, coco.valid
    ends = shelf_head(
        xyz[:, shoulders], valid[:, shoulders], xyz[:, ears], valid[:, ears], xyz[:, nose], valid[:, nose]
    )
    return set_head_ends(convert_poses(coco, SHELF_14), ends)


def campus_poses(poses: Poses) -> Poses:
    """Poses as Campus annotates them, heads by the released rule, which is the same for every actor."""
    return replace_head(poses, campus_head)


def replace_head(poses: Poses, head: Callable[..., HeadEnds]) -> Poses:
    """Shelf skeletons with a head made from neck and nose."""
    source = convert_poses(poses, PANOPTIC_15)
    rows = PANOPTIC_15.indices(("neck", "nose"))
    neck, nose = torch.unbind(source.xyz_world[:, rows], 1)
    return set_head_ends(convert_poses(source, SHELF_14), head(neck, nose, source.valid[:, rows].all(1)))

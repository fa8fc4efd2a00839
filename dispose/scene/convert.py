"""The records of a scene in another skeleton, and the heads (chin and crown) that Shelf and Campus annotate."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.scene.frame import Detections, Poses
from dispose.skeletons.catalog import COCO_17, PANOPTIC_15, SHELF_14
from dispose.skeletons.skeleton import Skeleton, conversion_between, convert_joints

CAMPUS_CROWN = 0.8 * 265.54 / 239.10
"""Height of the crown over the chin on Campus, in distances from neck to nose."""

NOSE_TO_TOP = (0.75, 0.75, 1.5)
"""Crown from mid-shoulders along the nose on Shelf, per world axis."""

HeadEnds = tuple[Float[Tensor, "persons 2 3"], Bool[Tensor, " persons"]]
"""Chin and crown, mm in a world with +Z up, and which people have them."""


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
    # What is known of single joints is not known of means of them.
    return replace(poses, skeleton=target, xyz_world=xyz, confidence=confidence, valid=valid, covariance=None)


def shelf_poses(poses: Poses) -> Poses:
    """Poses as Shelf and Campus annotate them, heads the same way for every actor: 3 parts nose to 1 part ears, or one.

    With ``s`` mid-shoulders, ``e`` mid-ears, ``n`` nose: ``bottom_e = (s + e) / 2``,
    ``top_e = bottom_e + 2 (e - bottom_e)``, ``bottom_n = s + (n - s) / 2``, ``top_n = s + (n - s) * NOSE_TO_TOP``.
    """
    coco = convert_poses(poses, COCO_17)
    s, shoulders = _middle(coco, ("l_shoulder", "r_shoulder"))
    e, ears = _middle(coco, ("l_ear", "r_ear"))
    n, nose = _middle(coco, ("nose",))
    bottom = (s + e) / 2
    from_ears = torch.stack([bottom, bottom + 2 * (e - bottom)], 1)
    from_nose = torch.stack([s + 0.5 * (n - s), s + n.new_tensor(NOSE_TO_TOP) * (n - s)], 1)
    ear, nosed = ears.any(1), nose.any(1)
    share = torch.where(ear & nosed, 0.75, torch.where(nosed, 1.0, 0.0)).to(n.dtype)[:, None, None]
    known = shoulders.all(1) & (ear | nosed)
    ends = torch.where(known[:, None, None], share * from_nose + (1 - share) * from_ears, 0.0)
    return _with_head(convert_poses(coco, SHELF_14), (ends, known))


def _middle(poses: Poses, joints: tuple[str, ...]) -> tuple[Float[Tensor, "persons 3"], Bool[Tensor, "persons joints"]]:
    """The mean of those joints of everybody that are known, and which are."""
    rows = poses.skeleton.indices(joints)
    valid = poses.valid[:, rows]
    weights = valid.to(poses.xyz_world.dtype)[..., None]
    return (poses.xyz_world[:, rows] * weights).sum(1) / weights.sum(1).clamp(min=1), valid


def campus_poses(poses: Poses) -> Poses:
    """Poses as Campus annotates them by the released rule, for every actor alike: the crown straight over the chin."""

    def head(neck: Tensor, nose: Tensor, valid: Tensor) -> HeadEnds:
        bottom = neck + 0.3 * (nose - neck)
        top = bottom.clone()
        top[:, 2] += CAMPUS_CROWN * (nose - neck).norm(dim=-1)
        return torch.where(valid[:, None, None], torch.stack([bottom, top], 1), 0.0), valid

    return replace_head(poses, head)


def replace_head(poses: Poses, head: Callable[..., HeadEnds]) -> Poses:
    """Shelf skeletons with a head made from neck and nose, and from whether both are known."""
    source = convert_poses(poses, PANOPTIC_15)
    rows = PANOPTIC_15.indices(("neck", "nose"))
    neck, nose = torch.unbind(source.xyz_world[:, rows], 1)
    return _with_head(convert_poses(source, SHELF_14), head(neck, nose, source.valid[:, rows].all(1)))


def _with_head(poses: Poses, ends: HeadEnds) -> Poses:
    """Shelf skeletons whose chin and crown are replaced."""
    rows = SHELF_14.indices(("bottom_head", "top_head"))
    xyz, valid, confidence = poses.xyz_world.clone(), poses.valid.clone(), poses.confidence.clone()
    xyz[:, rows], valid[:, rows] = ends[0], ends[1][:, None]
    confidence[:, rows] = ends[1].to(confidence.dtype)[:, None]
    return replace(poses, xyz_world=xyz, valid=valid, confidence=confidence)

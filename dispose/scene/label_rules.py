"""What training makes of pseudo-labels: which people have a 3-D pose, and how many strangers there are.

The rules are those of the released loaders (`wang2026dispose`), one function each; a recipe applies the ones it wants.
"""

from dataclasses import replace

import torch

from dispose.scene.frame import Labels

FEWEST_JOINTS = 12
HIGHEST_ANKLE_MM = 250.0
SLOTS = 10


def with_whole_skeletons(labels: Labels, fewest_joints: int = FEWEST_JOINTS) -> Labels:
    """People with too few 3-D joints are known in 2-D only; they keep their joints and match in the views."""
    return _without_poses(labels, labels.poses.valid.sum(-1) < fewest_joints)


def without_raised_ankles(labels: Labels, highest_mm: float = HIGHEST_ANKLE_MM) -> Labels:
    """People with a known ankle above this height are known in 2-D only: in MM-OR, the patient on the table."""
    ankles = [i for i, joint in enumerate(labels.poses.skeleton.joints) if joint.endswith("ankle")]
    height = labels.poses.xyz_world[:, ankles, 2]
    return _without_poses(labels, (labels.poses.valid[:, ankles] & (height > highest_mm)).any(-1))


def _without_poses(labels: Labels, rejected: torch.Tensor) -> Labels:
    poses = labels.poses
    valid = poses.valid & ~rejected[:, None]
    kept = replace(
        poses,
        xyz_world=torch.where(valid[..., None], poses.xyz_world, 0.0),
        confidence=torch.where(valid, poses.confidence, 0.0),
        valid=valid,
    )
    return replace(labels, poses=kept)


def with_view_confidence(labels: Labels) -> Labels:
    """The confidence of a 3-D joint is the mean of the views that see it (Shelf, Campus); 0 where none does."""
    seen = labels.visible.sum(0).clamp(min=1)
    mean = torch.where(labels.visible, labels.confidence, 0.0).sum(0) / seen
    confidence = torch.where(labels.poses.valid, mean, 0.0)
    return replace(labels, poses=replace(labels.poses, confidence=confidence))


def strongest_unmatched(labels: Labels, slots: int = SLOTS) -> Labels:
    """The unmatched people of highest mean confidence that fit beside the persons seen in a view.

    The released loaders had as many slots for the whole frame and none for strangers in MM-OR (``slots=0``), where
    people without a match then were background to the heat maps.
    """
    other = labels.unmatched
    room = (slots - labels.visible.any(-1).sum(-1)).clamp(min=0)
    seen = other.visible.sum(-1).clamp(min=1)
    mean = torch.where(other.visible, other.confidence, 0.0).sum(-1) / seen
    order = torch.where(other.valid, mean, -1.0).argsort(dim=-1, descending=True, stable=True)
    rank = order.argsort(dim=-1)
    return replace(labels, unmatched=replace(other, valid=other.valid & (rank < room[:, None])))

"""Labels of a frame: from truth that came as a prediction, and what training makes of pseudo-labels."""

from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from dispose.errors import ShapeError
from dispose.scene.frame import Frame, Labels
from dispose.scene.results import Association, Prediction
from dispose.tensors import ABSENT

FEWEST_JOINTS = 12
HIGHEST_ANKLE_MM = 250.0
SLOTS = 10


def identities(frame: Frame, truth: Prediction) -> Int[Tensor, "views slots"]:
    """The true person of every detection slot; the truth's members count positions in the source files.

    Raises:
        ShapeError: frame and truth have different cameras in number.
    """
    found, members = frame.detections, truth.association.members
    if members.shape[1] != len(frame.cameras):
        raise ShapeError(f"frame {frame.number}: {len(frame.cameras)} views, {members.shape[1]} in the truth")
    identity = torch.full(found.valid.shape, ABSENT, dtype=torch.long)
    for person, sources in zip(truth.poses.id.tolist(), members, strict=True):
        mine = found.valid & (found.index == sources[:, None]) & (sources != ABSENT)[:, None]
        identity[mine] = person
    return identity


def labels_of(frame: Frame | None, truth: Prediction) -> Labels:
    """The labels of a frame; without cameras, or where the truth names no detections, of its people alone."""
    if frame is None:
        return Labels.of_detections(torch.zeros(0, 0, dtype=torch.long), truth.poses)
    if truth.association.members.shape[1] == 0:
        return Labels.of_detections(torch.full(frame.detections.valid.shape, ABSENT, dtype=torch.long), truth.poses)
    return Labels.of_detections(identities(frame, truth), truth.poses)


def association_of_identities(identity: Int[Tensor, "views slots"], *, fewest: int = 2) -> Association:
    """One group for everybody seen in so many views at least."""
    rows = []
    for person in torch.unique(identity[identity != ABSENT]):
        view, slot = (identity == person).nonzero(as_tuple=True)
        if len(view) >= fewest:
            members = torch.full((identity.shape[0],), ABSENT, dtype=torch.long)
            members[view] = slot
            rows.append(members)
    empty = torch.zeros(0, identity.shape[0], dtype=torch.long)
    return Association(torch.stack(rows) if rows else empty, torch.ones(len(rows), dtype=torch.float64))


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

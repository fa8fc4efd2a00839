"""From groups of detections to skeletons: every joint seen in two or more views, triangulated robustly."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.errors import ShapeError
from dispose.geometry.triangulation import RobustPoints, triangulate_robust
from dispose.scene.frame import Frame
from dispose.scene.poses import Poses
from dispose.scene.prediction import Association, Prediction
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT, TensorStruct

THRESHOLD_PER_SIZE = 0.15
"""Inlier bound as a share of the person's apparent size: three to four times what real detectors scatter."""

MIN_THRESHOLD_PX = 4.0


@dataclass(frozen=True, eq=False)
class GroupKeypoints(TensorStruct):
    """The keypoints of every group, view by view; confidence 0 where a joint is not seen."""

    xy_image: Float[Tensor, "persons views joints 2"]
    confidence: Float[Tensor, "persons views joints"]

    @property
    def seen(self) -> Bool[Tensor, "persons views joints"]:
        """Which keypoints there are."""
        return self.confidence > 0


def gather_keypoints(frame: Frame, association: Association) -> GroupKeypoints:
    """The keypoints of the members of every group. Raises `ShapeError` where the views differ in number."""
    members, detections = association.members, frame.detections
    views = len(frame.cameras)
    if members.shape[1] != views:
        raise ShapeError(f"frame {frame.number}: {views} views, {members.shape[1]} in the association")
    rows = torch.arange(views, device=members.device).expand_as(members)
    there = members != ABSENT
    if detections.valid.shape[1] == 0:
        joints = len(detections.skeleton)
        empty = detections.xy_image.new_zeros(len(association), views, joints, 2, dtype=torch.float64)
        return GroupKeypoints(empty, empty[..., 0])
    slot = members.clamp(min=0)
    seen = detections.visible[rows, slot] & there[..., None]
    confidence = torch.where(seen, detections.confidence[rows, slot], 0.0).to(torch.float64)
    xy = torch.where(seen[..., None], detections.xy_image[rows, slot], 0.0).to(torch.float64)
    return GroupKeypoints(xy, confidence)


def apparent_size(evidence: GroupKeypoints) -> Float[Tensor, "persons views"]:
    """Diagonal of the box around every group's keypoints in every view, pixels; 0 where nothing is seen."""
    seen = evidence.seen[..., None]
    low = torch.where(seen, evidence.xy_image, torch.inf).amin(2)
    high = torch.where(seen, evidence.xy_image, -torch.inf).amax(2)
    return torch.where(seen.any(2), high - low, 0.0).norm(dim=-1)


def inlier_bound(evidence: GroupKeypoints) -> Float[Tensor, "persons views"]:
    """How far a keypoint may lie from its joint's projection, pixels."""
    return (THRESHOLD_PER_SIZE * apparent_size(evidence)).clamp(min=MIN_THRESHOLD_PX)


def triangulate_keypoints(frame: Frame, evidence: GroupKeypoints) -> RobustPoints:
    """Every joint of every group from the views that see it."""
    cameras = frame.cameras
    return triangulate_robust(
        evidence.xy_image.transpose(1, 2),
        evidence.confidence.transpose(1, 2),
        cameras.matrix,
        cameras.distortion,
        cameras.rotation,
        cameras.translation,
        threshold_px=inlier_bound(evidence)[:, None],
    )


def joint_confidence(
    evidence: GroupKeypoints, points: RobustPoints, threshold_px: Float[Tensor, "persons views"]
) -> Float[Tensor, "persons joints"]:
    """How far a triangulated joint can be trusted, in [0, 1].

    ``s · m/(m+1) · exp(−e²/2)`` with s the mean score and m the number of the views that agree with the point,
    e their root mean square reprojection error in units of the inlier bound.
    """
    weight = points.inlier.to(torch.float64)
    count = weight.sum(-1)
    score = (weight * evidence.confidence.transpose(1, 2)).sum(-1) / count.clamp(min=1)
    error = torch.where(points.inlier, points.error_px, 0.0) / threshold_px[:, None]
    square = error.square().sum(-1) / count.clamp(min=1)
    return (score * count / (count + 1) * torch.exp(-square / 2)).clamp(0, 1)


def roots_of(
    skeleton: Skeleton, xyz_world: Float[Tensor, "persons joints 3"], valid: Bool[Tensor, "persons joints"]
) -> Float[Tensor, "persons 3"]:
    """The mean of the skeleton's root joints, mm; NaN where one of them is not known."""
    rows = skeleton.indices(skeleton.root_of)
    return torch.where(valid[:, rows].all(1, keepdim=True), xyz_world[:, rows].mean(1), torch.nan)


def reconstruct(frames: Sequence[Frame], associations: Sequence[Association]) -> list[Prediction]:
    """The skeletons of the associations of a batch of frames (`reconstruct_frame`)."""
    return [reconstruct_frame(frame, association) for frame, association in zip(frames, associations, strict=True)]


def reconstruct_frame(frame: Frame, association: Association) -> Prediction:
    """The skeletons of an association: joints on which at least two views agree, others not valid.

    Two rays that pass each other by are two different things, not one joint. Person by person in the order of
    the association; `poses.id` is that order.
    """
    evidence = gather_keypoints(frame, association)
    points = triangulate_keypoints(frame, evidence)
    valid = torch.isfinite(points.xyz_world).all(-1) & (points.inlier.sum(-1) >= 2)
    xyz = torch.where(valid[..., None], points.xyz_world, 0.0)
    confidence = torch.where(valid, joint_confidence(evidence, points, inlier_bound(evidence)), 0.0)
    skeleton = frame.detections.skeleton
    poses = Poses(skeleton, xyz, confidence, valid, torch.arange(len(association)))
    return Prediction(frame.number, association, poses, roots_of(skeleton, xyz, valid))

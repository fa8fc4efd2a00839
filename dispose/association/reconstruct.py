"""From groups of detections to skeletons: every joint seen in two or more views, triangulated robustly."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from dispose.association.packing import PackedDetections, pack_detections
from dispose.errors import ShapeError
from dispose.geometry.triangulation import (
    RobustPoints,
    joint_confidence,
    triangulate_dlt,
    triangulate_ransac,
    triangulate_robust,
)
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Frame, Poses
from dispose.scene.results import Association, Prediction
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT, TensorStruct

THRESHOLD_PER_SIZE = 0.15
"""Inlier bound as a share of the person's apparent size: three to four times what real detectors scatter."""

MIN_THRESHOLD_PX = 4.0


@dataclass(frozen=True, eq=False)
class GroupKeypoints(TensorStruct):
    """The keypoints of the groups of some frames, frame by frame and view by view.

    Attributes:
        packed: the detections of the frames.
        frame: frame of every group.
        member: its detection in every view, `ABSENT` where there is none.
    """

    packed: PackedDetections
    frame: Int[Tensor, " persons"]
    member: Int[Tensor, "persons views"]

    @property
    def cameras(self) -> Cameras:
        """The rig of every group."""
        return self.packed.cameras[self.frame]

    @cached_property
    def seen(self) -> Bool[Tensor, "persons views joints"]:
        """Which keypoints there are."""
        return self._of(self.packed.visible) & (self._of(self.packed.confidence) > 0)

    @cached_property
    def xy_image(self) -> Float[Tensor, "persons views joints 2"]:
        """Pixels; 0 where a joint is not seen."""
        return torch.where(self.seen[..., None], self._of(self.packed.xy_image), 0.0).double()

    @cached_property
    def confidence(self) -> Float[Tensor, "persons views joints"]:
        """Scores; 0 where a joint is not seen."""
        return torch.where(self.seen, self._of(self.packed.confidence), 0.0).double()

    def _of(self, values: Shaped[Tensor, "detections *chans"]) -> Shaped[Tensor, "persons views *chans"]:
        # The row behind the last stands for nobody, whose index is -1.
        return torch.cat([values, values.new_zeros(1, *values.shape[1:])])[self.member]


Triangulate = Callable[[GroupKeypoints], Poses]
"""Where the joints of some groups are, with covariances and scores; a group's answer does not depend on the others."""


def gather_groups(frames: Sequence[Frame], associations: Sequence[Association]) -> GroupKeypoints:
    """The keypoints of the members of every group. Raises `ShapeError` where the views differ in number."""
    for frame, association in zip(frames, associations, strict=True):
        if association.members.shape[1] != len(frame.cameras):
            raise ShapeError(
                f"frame {frame.number}: {len(frame.cameras)} views, {association.members.shape[1]} in the association"
            )
    packed = pack_detections(frames)
    views, slots = packed.number.shape[1:]
    members = torch.cat(
        [a.members if a.members.shape[1] == views else a.pad(views=views).members for a in associations]
    )
    counts = torch.tensor([len(association) for association in associations], device=members.device)
    frame = torch.arange(len(frames), device=members.device).repeat_interleave(counts)
    if slots == 0:
        return GroupKeypoints(packed, frame, torch.full_like(members, ABSENT))
    view = torch.arange(views, device=members.device)
    number = packed.number[frame[:, None], view, members.clamp(min=0)]
    return GroupKeypoints(packed, frame, torch.where(members == ABSENT, ABSENT, number))


def apparent_size(evidence: GroupKeypoints) -> Float[Tensor, "persons views"]:
    """Diagonal of the box around every group's keypoints in every view, pixels; 0 where nothing is seen."""
    seen = evidence.seen[..., None]
    low = torch.where(seen, evidence.xy_image, torch.inf).amin(2)
    high = torch.where(seen, evidence.xy_image, -torch.inf).amax(2)
    return torch.where(seen.any(2), high - low, 0.0).norm(dim=-1)


def inlier_bound(evidence: GroupKeypoints) -> Float[Tensor, "persons views"]:
    """How far a keypoint may lie from its joint's projection, pixels."""
    return (THRESHOLD_PER_SIZE * apparent_size(evidence)).clamp(min=MIN_THRESHOLD_PX)


@runtime_checkable
class TriangulatePoints(Protocol):
    """A triangulation of points by their views, such as `triangulate_robust`."""

    def __call__(
        self,
        xy_image: Float[Tensor, "*batch views 2"],
        weights: Float[Tensor, "*batch views"],
        matrix: Float[Tensor, "*#batch views 3 3"],
        distortion: Float[Tensor, "*#batch views 8"],
        rotation: Float[Tensor, "*#batch views 3 3"],
        translation: Float[Tensor, "*#batch views 3"],
        *,
        threshold_px: Float[Tensor, "*#batch views"] | float = ...,
    ) -> RobustPoints:
        """Points, which views agree with them, and their errors."""
        ...


def triangulate_keypoints(evidence: GroupKeypoints, by: TriangulatePoints = triangulate_robust) -> RobustPoints:
    """Every joint of every group from the views that see it."""
    cameras = evidence.cameras
    return by(
        evidence.xy_image.transpose(1, 2),
        evidence.confidence.transpose(1, 2),
        cameras.matrix[:, None],
        cameras.distortion[:, None],
        cameras.rotation[:, None],
        cameras.translation[:, None],
        threshold_px=inlier_bound(evidence)[:, None],
    )


def roots_of(
    skeleton: Skeleton, xyz_world: Float[Tensor, "persons joints 3"], valid: Bool[Tensor, "persons joints"]
) -> Float[Tensor, "persons 3"]:
    """The mean of the skeleton's root joints, mm; NaN where one of them is not known."""
    rows = skeleton.indices(skeleton.root_of)
    return torch.where(valid[:, rows].all(1, keepdim=True), xyz_world[:, rows].mean(1), torch.nan)


def triangulate_groups(evidence: GroupKeypoints, by: TriangulatePoints = triangulate_robust) -> Poses:
    """Skeletons of groups: joints on which at least two views agree, others not valid.

    Two rays that pass each other by are two different things, not one joint.
    """
    points = triangulate_keypoints(evidence, by)
    valid = torch.isfinite(points.xyz_world).all(-1) & (points.inlier.sum(-1) >= 2)
    xyz = torch.where(valid[..., None], points.xyz_world, 0.0)
    error = points.error_px / inlier_bound(evidence)[:, None]
    trust = joint_confidence(points.inlier, error, evidence.confidence.transpose(1, 2))
    confidence = torch.where(valid, trust, 0.0)
    return Poses(evidence.packed.skeleton, xyz, confidence, valid, torch.zeros_like(evidence.frame))


def predictions_of(frames: Sequence[Frame], associations: Sequence[Association], poses: Poses) -> list[Prediction]:
    """The predictions of frames from the skeletons of all their groups; `poses.id` counts a frame's groups."""
    root = roots_of(poses.skeleton, poses.xyz_world, poses.valid)
    found, first = [], 0
    for frame, association in zip(frames, associations, strict=True):
        rows = slice(first, first + len(association))
        number = torch.arange(len(association), device=root.device)
        mine = replace(poses[rows], id=number)
        found.append(Prediction(frame.number, association, mine, root[rows]))
        first = rows.stop
    return found


robust: Triangulate = triangulate_groups
"""Views that contradict the others are left out (`triangulate_robust`)."""

dlt: Triangulate = partial(triangulate_groups, by=triangulate_dlt)
"""All views alike (`triangulate_dlt`)."""

ransac: Triangulate = partial(triangulate_groups, by=triangulate_ransac)
"""The place on which most views agree (`triangulate_ransac`)."""


def reconstruct(
    frames: Sequence[Frame], associations: Sequence[Association], *, triangulate: Triangulate = robust
) -> list[Prediction]:
    """The skeletons of the associations of a batch of frames, person by person in their order."""
    return predictions_of(frames, associations, triangulate(gather_groups(frames, associations)))


def reconstruct_frame(frame: Frame, association: Association) -> Prediction:
    """`reconstruct` of one frame."""
    return reconstruct([frame], [association])[0]

"""The keypoints of the groups of a batch of frames, and how large a person looks in every view."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from dispose.association.packing import PackedDetections, pack_detections
from dispose.errors import ShapeError
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Frame
from dispose.scene.results import Association
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
    return box_diagonal(evidence.xy_image, evidence.seen)


def box_diagonal(
    xy_image: Float[Tensor, "*people joints 2"], seen: Bool[Tensor, "*people joints"]
) -> Float[Tensor, "*people"]:
    """Diagonal of the box around seen points; 0 where there are none."""
    shown = seen[..., None]
    low = torch.where(shown, xy_image, torch.inf).amin(-2)
    high = torch.where(shown, xy_image, -torch.inf).amax(-2)
    return torch.where(shown.any(-2), high - low, 0.0).norm(dim=-1)


def inlier_bound(evidence: GroupKeypoints) -> Float[Tensor, "persons views"]:
    """How far a keypoint may lie from its joint's projection, pixels."""
    return bound_of(apparent_size(evidence))


def bound_of(size_px: Float[Tensor, "*people"]) -> Float[Tensor, "*people"]:
    """How far a keypoint of somebody who looks so large may lie from its joint's projection, pixels."""
    return (THRESHOLD_PER_SIZE * size_px).clamp(min=MIN_THRESHOLD_PX)

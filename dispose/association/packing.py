"""The detections of a batch of frames as one list, which Stage I computes on, and the keypoints of groups of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from dispose.errors import ShapeError
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Frame, stack_rigs, usable_keypoints
from dispose.scene.results import Association
from dispose.skeletons.skeleton import Skeleton, conversion_between, convert_joints
from dispose.tensors import ABSENT, TensorStruct


@dataclass(frozen=True, eq=False)
class PackedDetections(TensorStruct):
    """All detections of some frames, frame by frame, view by view, slot by slot.

    Attributes:
        skeleton: what the joint axis means.
        cameras: the rig of every frame; frames with fewer views are padded with views that are not present.
        order: for every column of views its place in the frame, `ABSENT` where the frame has fewer.
        number: the detection in every slot, `ABSENT` where there is none.
        frame: frame of every detection.
        view: column of its view.
        xy_image: keypoints in pixels; 0 where not visible.
        confidence: keypoint scores.
        visible: which keypoints the detector reported.
        score: person scores.
    """

    skeleton: Skeleton
    cameras: Cameras
    order: Int[Tensor, "frames views"]
    number: Int[Tensor, "frames views slots"]
    frame: Int[Tensor, " detections"]
    view: Int[Tensor, " detections"]
    xy_image: Float[Tensor, "detections joints 2"]
    confidence: Float[Tensor, "detections joints"]
    visible: Bool[Tensor, "detections joints"]
    score: Float[Tensor, " detections"]

    @property
    def valid(self) -> Bool[Tensor, "frames views slots"]:
        """Which slots hold a detection."""
        return self.number != ABSENT

    def distinct(self) -> "PackedDetections":
        """Without the detections that repeat an earlier one of their view exactly.

        Detector outputs in the wild hold the same skeleton twice; as two detections they would be two people.
        """
        number, valid = self.number.clamp(min=0), self.valid
        xy, visible = self.xy_image[number], self.visible[number]
        same = (xy[:, :, :, None] == xy[:, :, None]).flatten(4).all(-1)
        same = same & (visible[:, :, :, None] == visible[:, :, None]).all(-1)
        repeat = (same & valid[..., None] & valid[:, :, None]).tril(-1).any(-1)
        if not bool(repeat.any()):
            return self
        kept = ~repeat[valid]
        return replace(self.select(detections=kept), number=_number(valid & ~repeat))

    def convert(self, target: Skeleton) -> "PackedDetections":
        """The same with the joints of another skeleton."""
        if self.skeleton == target:
            return self
        rules = conversion_between(self.skeleton, target)
        xy, confidence, visible = convert_joints(self.xy_image, self.confidence, self.visible, rules)
        return replace(self, skeleton=target, xy_image=xy, confidence=confidence, visible=visible)


def as_given(cameras: Cameras) -> list[int]:
    """Views in the order they come in."""
    return list(range(len(cameras)))


def camera_order(cameras: Cameras) -> list[int]:
    """Views sorted by where their cameras stand (then by where they look), whatever order they came in."""
    keys = torch.cat([cameras.centres, cameras.rotation[:, 2]], dim=1).tolist()
    return sorted(range(len(keys)), key=keys.__getitem__)


def pack_detections(frames: Sequence[Frame], arrange: Callable[[Cameras], list[int]] = as_given) -> PackedDetections:
    """The detections of frames, at least one, of one skeleton and any rigs.

    Args:
        frames: what is packed.
        arrange: in which order the views of a rig become columns.
    """
    found = [frame.detections for frame in frames]
    skeletons = list(dict.fromkeys(each.skeleton for each in found))
    if len(skeletons) > 1:
        raise ShapeError(f"frames of one batch have one skeleton, not {', '.join(s.name for s in skeletons)}")
    device = found[0].valid.device
    rigs = {id(frame.cameras): frame.cameras for frame in frames}
    orders = {key: arrange(rig) for key, rig in rigs.items()}
    cameras = stack_rigs([rig.select(views=orders[key]) for key, rig in rigs.items()])
    place = {key: row for row, key in enumerate(rigs)}
    cameras = cameras[torch.tensor([place[id(frame.cameras)] for frame in frames], device=device)]
    views, slots = len(cameras), max(each.valid.shape[1] for each in found)
    wide = [[*orders[id(frame.cameras)], *[ABSENT] * (views - len(frame.cameras))] for frame in frames]
    order = torch.tensor(wide, device=device)
    sizes = torch.tensor([each.valid.shape for each in found], device=device)
    first = sizes.prod(1).cumsum(0) - sizes.prod(1)
    slot = torch.arange(slots, device=device)
    cell = first[:, None, None] + order[..., None] * sizes[:, 1, None, None] + slot
    there = (order[..., None] != ABSENT) & (slot < sizes[:, 1, None, None])
    filled = torch.cat([each.valid.flatten() for each in found])
    valid = there.clone()
    valid[there] = filled[cell[there]]
    frame_of, view, _ = valid.nonzero(as_tuple=True)
    rows = cell[valid]
    parts = zip(*((each.xy_image, each.confidence, each.visible, each.score) for each in found), strict=True)
    xy, confidence, visible, score = (torch.cat([part.flatten(0, 1) for part in column])[rows] for column in parts)
    xy, confidence, visible = usable_keypoints(xy, confidence, visible)
    score = torch.nan_to_num(score.to(torch.float64), nan=0.0).clamp(0, 1)
    cameras = cameras.to(torch.float64)
    return PackedDetections(
        skeletons[0], cameras, order, _number(valid), frame_of, view, xy, confidence, visible, score
    )


def _number(valid: Bool[Tensor, "frames views slots"]) -> Int[Tensor, "frames views slots"]:
    """Detections counted frame by frame, view by view."""
    return torch.where(valid, valid.flatten().cumsum(0).view(valid.shape) - 1, ABSENT)


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

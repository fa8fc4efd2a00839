"""The detections of a batch of frames as one list: what Stage I computes on, whatever rigs the frames come from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.errors import ShapeError
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Frame, stack_rigs, usable_keypoints
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

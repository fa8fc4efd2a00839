"""Where heat maps peak, in pixels of the original images: evidence for single joints, of nobody in particular."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.errors import ShapeError
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Frame
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT, TensorStruct


@dataclass(frozen=True, eq=False)
class JointPeaks(TensorStruct):
    """The peaks of one frame's heat maps.

    Attributes:
        skeleton: what the joint axis means; it has a joint that is the root.
        xy_image: original pixels; anything where not valid.
        score: height of the peak; heat maps are not bounded, most peaks of people lie in [0, 1].
        valid: which of the places hold a peak.
        spacing_px: size of a heat-map pixel in every view, original pixels: the unit of the peaks' error.
    """

    skeleton: Skeleton
    xy_image: Float[Tensor, "views joints peaks 2"]
    score: Float[Tensor, "views joints peaks"]
    valid: Bool[Tensor, "views joints peaks"]
    spacing_px: Float[Tensor, " views"]

    def __post_init__(self) -> None:
        if self.valid.shape[1] != len(self.skeleton):
            raise ShapeError(f"{self.valid.shape[1]} joints in the peaks, {len(self.skeleton)} in {self.skeleton.name}")


def root_detections(
    skeleton: Skeleton,
    xy_image: Float[Tensor, "views slots 2"],
    score: Float[Tensor, "views slots"],
    valid: Bool[Tensor, "views slots"],
) -> Detections:
    """Root points as people of whom one joint is visible; slots are positions among the points."""
    views, slots = valid.shape
    root = skeleton.index(skeleton.root_of[0])
    xy = torch.zeros(views, slots, len(skeleton), 2, dtype=torch.float64)
    xy[:, :, root] = torch.where(valid[..., None], xy_image, 0.0)
    visible = torch.zeros(views, slots, len(skeleton), dtype=torch.bool)
    visible[:, :, root] = valid
    score = torch.where(valid, score, 0.0)
    confidence = torch.where(visible, score[..., None], 0.0)
    index = torch.where(valid, torch.arange(slots).expand(views, slots), ABSENT)
    return Detections(skeleton, xy, confidence, visible, score, valid, index)


def root_frame(number: int, cameras: Cameras, peaks: JointPeaks) -> Frame:
    """What an associator of keypoint detections may see of the root peaks.

    Raises `ShapeError` for a skeleton whose root is no joint.
    """
    if peaks.skeleton.root is None:
        raise ShapeError(f"skeleton {peaks.skeleton.name} has no root joint")
    root = peaks.skeleton.index(peaks.skeleton.root)
    score = peaks.score[:, root].to(torch.float64).clamp(0, 1)
    xy = peaks.xy_image[:, root].to(torch.float64)
    return Frame(number, cameras, root_detections(peaks.skeleton, xy, score, peaks.valid[:, root]))

"""The 2-D people found in every view of one frame."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT, TensorStruct


@dataclass(frozen=True, eq=False)
class Detections(TensorStruct):
    """Padded per-view lists of detected people with keypoints.

    Attributes:
        skeleton: what the joint axis means.
        xy_image: keypoints in pixels; 0 where not visible.
        confidence: keypoint scores in [0, 1]; 0 where not visible.
        visible: which keypoints the detector reported.
        score: person scores in [0, 1].
        valid: which slots hold a detection.
        index: position of the detection in its camera's source list, `ABSENT` in empty slots.
    """

    skeleton: Skeleton
    xy_image: Float[Tensor, "views slots joints 2"]
    confidence: Float[Tensor, "views slots joints"]
    visible: Bool[Tensor, "views slots joints"]
    score: Float[Tensor, "views slots"]
    valid: Bool[Tensor, "views slots"]
    index: Int[Tensor, "views slots"]

    @property
    def counts(self) -> Int[Tensor, " views"]:
        """Number of detections in every view."""
        return self.valid.sum(-1)

    def select(self, views: Sequence[int]) -> "Detections":
        """The detections of some views, in the order given."""
        rows = list(views)
        return Detections(
            self.skeleton,
            *(t[rows] for t in (self.xy_image, self.confidence, self.visible, self.score, self.valid, self.index)),
        )

    def distinct(self) -> "Detections":
        """The same slots, of which a detection that repeats an earlier one of its view exactly is not valid.

        Detector outputs in the wild hold the same skeleton twice; as two detections they would be two people.
        """
        same_place = (self.xy_image[:, :, None] == self.xy_image[:, None]).all(-1).all(-1)
        same_joints = (self.visible[:, :, None] == self.visible[:, None]).all(-1)
        repeat = same_place & same_joints & self.valid[:, :, None] & self.valid[:, None]
        return replace(self, valid=self.valid & ~repeat.tril(-1).any(-1))

    @staticmethod
    def from_lists(
        skeleton: Skeleton,
        keypoints: Sequence[Sequence[Float[Tensor, "joints 3"]]],
        scores: Sequence[Sequence[float]] | None = None,
        index: Sequence[Sequence[int]] | None = None,
    ) -> "Detections":
        """Pad per-view lists of ``(joints, 3)`` arrays ``x, y, score`` (score 0 or NaN = not visible).

        The person score defaults to the mean score of the visible keypoints.
        """
        views, joints = len(keypoints), len(skeleton)
        slots = max((len(people) for people in keypoints), default=0)
        xys = torch.zeros(views, slots, joints, 3, dtype=torch.float64)
        valid = torch.zeros(views, slots, dtype=torch.bool)
        source = torch.full((views, slots), ABSENT, dtype=torch.long)
        for v, people in enumerate(keypoints):
            for s, person in enumerate(people):
                xys[v, s] = torch.as_tensor(person, dtype=torch.float64)
                valid[v, s] = True
                source[v, s] = s if index is None else index[v][s]
        visible = torch.isfinite(xys).all(-1) & (xys[..., 2] > 0)
        xys = torch.where(visible[..., None], xys, 0.0)
        if scores is None:
            score = xys[..., 2].sum(-1) / visible.sum(-1).clamp(min=1)
        else:
            score = torch.zeros(views, slots, dtype=torch.float64)
            for v, values in enumerate(scores):
                score[v, : len(values)] = torch.as_tensor(list(values), dtype=torch.float64)
        return Detections(skeleton, xys[..., :2], xys[..., 2], visible, score, valid, source)

"""People over time."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.scene.prediction import Prediction
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import TensorStruct


@dataclass(frozen=True, eq=False)
class Clip(TensorStruct):
    """The skeletons of some people in some frames, for what works over time.

    Attributes:
        skeleton: what the joint axis means.
        numbers: the frames' numbers.
        ids: the persons' numbers.
        xyz_world: joints in mm; 0 where not valid.
        confidence: of the joints, in [0, 1].
        valid: which joints are known; none of a person who was not found in a frame.
    """

    skeleton: Skeleton
    numbers: Int[Tensor, " frames"]
    ids: Int[Tensor, " persons"]
    xyz_world: Float[Tensor, "frames persons joints 3"]
    confidence: Float[Tensor, "frames persons joints"]
    valid: Bool[Tensor, "frames persons joints"]

    @property
    def xyz_or_nan(self) -> Float[Tensor, "frames persons joints 3"]:
        """Joints in mm; NaN where not known."""
        return torch.where(self.valid[..., None], self.xyz_world, torch.nan)

    @staticmethod
    def of(skeleton: Skeleton, predictions: Sequence[Prediction], ids: Sequence[int] | None = None) -> "Clip":
        """Some people (by default everybody, by ascending number) in the frames of some predictions."""
        if ids is None:
            ids = sorted({person for one in predictions for person in one.poses.id.tolist()})
        column = {person: place for place, person in enumerate(ids)}
        shape = (len(predictions), len(ids), len(skeleton))
        xyz = torch.zeros(*shape, 3, dtype=torch.float64)
        confidence, valid = xyz[..., 0].clone(), torch.zeros(shape, dtype=torch.bool)
        for frame, one in enumerate(predictions):
            for row, person in enumerate(one.poses.id.tolist()):
                if person in column:
                    place = frame, column[person]
                    xyz[place], confidence[place] = one.poses.xyz_world[row], one.poses.confidence[row]
                    valid[place] = one.poses.valid[row]
        numbers = torch.tensor([one.number for one in predictions], dtype=torch.long)
        return Clip(skeleton, numbers, torch.tensor(ids, dtype=torch.long), xyz, confidence, valid)

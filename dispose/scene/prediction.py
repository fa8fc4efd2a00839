"""What the library says about a frame."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from dispose.scene.poses import Poses
from dispose.tensors import TensorStruct


@dataclass(frozen=True, eq=False)
class Association(TensorStruct):
    """Disjoint groups of detections that are one person.

    Attributes:
        members: the slot of every group in every view, `ABSENT` where it is not seen.
        confidence: in [0, 1].
    """

    members: Int[Tensor, "persons views"]
    confidence: Float[Tensor, " persons"]

    def __len__(self) -> int:
        return self.members.shape[0]


@dataclass(frozen=True, eq=False)
class Prediction(TensorStruct):
    """Groups and their skeletons, row by row the same persons.

    Attributes:
        number: the frame's number.
        association: who is who.
        poses: where every joint is; `poses.id` is stable over time after tracking.
        root: the skeleton's reference point of every person, mm (NaN where it is not known).
    """

    number: int
    association: Association
    poses: Poses
    root: Float[Tensor, "persons 3"]

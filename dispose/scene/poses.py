"""3-D skeletons of several people at one instant."""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import TensorStruct


@dataclass(frozen=True, eq=False)
class Poses(TensorStruct):
    """Skeletons in the world.

    Attributes:
        skeleton: what the joint axis means.
        xyz_world: joints in mm; 0 where not valid.
        confidence: joint confidence in [0, 1].
        valid: which joints are known.
        id: the person's number: an identity in labels, a track in predictions.
    """

    skeleton: Skeleton
    xyz_world: Float[Tensor, "persons joints 3"]
    confidence: Float[Tensor, "persons joints"]
    valid: Bool[Tensor, "persons joints"]
    id: Int[Tensor, " persons"]

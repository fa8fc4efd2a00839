"""What training of the image models may learn from: people whose joints were found and matched without 3-D truth."""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from dispose.scene.detections import Detections
from dispose.scene.poses import Poses
from dispose.tensors import TensorStruct


@dataclass(frozen=True, eq=False)
class PseudoLabels(TensorStruct):
    """The labelled people of one frame, row by row the same persons in 3-D and in every view.

    Attributes:
        poses: triangulated skeletons; a person known in 2-D only has no valid joint. `poses.id` names the persons.
        xy_image: their joints in every view, original pixels; 0 where not visible.
        confidence: of those joints, in [0, 1]; 0 where not visible.
        visible: which joints were found in which view.
        unmatched: 2-D people that belong to none of these persons.
    """

    poses: Poses
    xy_image: Float[Tensor, "views persons joints 2"]
    confidence: Float[Tensor, "views persons joints"]
    visible: Bool[Tensor, "views persons joints"]
    unmatched: Detections

"""What a model may see of one instant, and, apart from it, what only training and metrics may see."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Int
from torch import Tensor

from dispose.errors import ShapeError
from dispose.scene.cameras import Cameras
from dispose.scene.detections import Detections
from dispose.scene.poses import Poses
from dispose.tensors import TensorStruct


@dataclass(frozen=True, eq=False)
class Frame(TensorStruct):
    """All views at one instant."""

    number: int
    cameras: Cameras
    detections: Detections

    def __post_init__(self) -> None:
        if len(self.cameras) != self.detections.valid.shape[0]:
            raise ShapeError(
                f"frame {self.number}: {len(self.cameras)} views in cameras, "
                f"{self.detections.valid.shape[0]} in detections"
            )

    def select(self, views: Sequence[int]) -> "Frame":
        """The same instant seen by some of the cameras, in the order given."""
        return Frame(self.number, self.cameras.select(views), self.detections.select(views))


@dataclass(frozen=True, eq=False)
class Labels(TensorStruct):
    """What is known of a frame: for training, metrics and evaluation only.

    Attributes:
        identity: the person of every detection slot; `ABSENT` = nobody (a false or unlabelled detection).
        poses: true 3-D skeletons; `poses.id` speaks of the same persons as `identity`.
    """

    identity: Int[Tensor, "views slots"]
    poses: Poses

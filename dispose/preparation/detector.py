"""What a detector is: it finds the people of an image, and says what its answers depend on."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from dispose.skeletons.skeleton import Skeleton


@dataclass(frozen=True, eq=False)
class ImagePeople:
    """The people of one image, in pixels of the image as it was taken; centres of pixels are at integers.

    Attributes:
        boxes: left, top, right and bottom edge.
        keypoints: x, y and score of every joint of the detector's skeleton; scores lie in [0, 1], 0 is not found.
        scores: how sure the detector is of a person, in [0, 1].
    """

    boxes: Float[np.ndarray, "people 4"]
    keypoints: Float[np.ndarray, "people joints 3"]
    scores: Float[np.ndarray, " people"]

    def __len__(self) -> int:
        return len(self.scores)

    def of(self, chosen: Bool[np.ndarray, " people"] | list[int]) -> "ImagePeople":
        """Some of the people, in the order asked for."""
        return ImagePeople(self.boxes[chosen], self.keypoints[chosen], self.scores[chosen])


def nobody(skeleton: Skeleton) -> ImagePeople:
    """An image without people."""
    return ImagePeople(np.zeros((0, 4)), np.zeros((0, len(skeleton), 3)), np.zeros(0))


@dataclass(frozen=True)
class DetectorCard:
    """What a detector's answers depend on, kept beside them.

    Attributes:
        name: what users call the detector.
        skeleton: the joints of its keypoints.
        weights: every network's name and the SHA-256 of its file of weights.
        settings: every setting's name and its value as text.
    """

    name: str
    skeleton: Skeleton
    weights: tuple[tuple[str, str], ...] = ()
    settings: tuple[tuple[str, str], ...] = ()


def where_it_runs(device: torch.device) -> tuple[tuple[str, str], ...]:
    """The setting that names a device other than the CPU: rounding differs there."""
    return () if device.type == "cpu" else (("device", device.type),)


@runtime_checkable
class Detector(Protocol):
    """Finds people in the images of one camera, one image after the other."""

    @property
    def card(self) -> DetectorCard:
        """What the answers depend on."""
        ...

    def find(self, image: UInt8[np.ndarray, "height width 3"], before: ImagePeople, *, search: bool) -> ImagePeople:
        """The people of an RGB image.

        The answer depends on these arguments and the card alone: nothing is remembered from call to call.

        Args:
            image: as the camera took it.
            before: who was found in the frame before, as it was written; nobody at first.
            search: whether newcomers are looked for in the whole image; a detector that always looks may ignore both.
        """
        ...

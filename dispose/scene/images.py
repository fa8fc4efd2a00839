"""The pictures of one instant, as the network sees them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.errors import ShapeError
from dispose.scene.cameras import Cameras
from dispose.scene.rigs import Rigs
from dispose.tensors import TensorStruct


@dataclass(frozen=True, eq=False)
class Images(TensorStruct):
    """All views of one instant, brought to one size.

    Attributes:
        pixels: RGB, normalised by ImageNet's mean and deviation; 0 where a view has no picture.
        input_from_image: the affine from pixels of the original picture to pixels of `pixels`
            (`dispose.geometry.image_affine`).
        present: which views have a picture; the others say nothing.
    """

    pixels: Float[Tensor, "views 3 height width"]
    input_from_image: Float[Tensor, "views 2 3"]
    present: Bool[Tensor, " views"]


@dataclass(frozen=True, eq=False)
class ImageFrame(TensorStruct):
    """What an image model may see of one instant; cameras speak of the original pictures."""

    number: int
    cameras: Cameras
    images: Images

    def __post_init__(self) -> None:
        if len(self.cameras) != self.images.pixels.shape[0]:
            raise ShapeError(
                f"frame {self.number}: {len(self.cameras)} views in cameras, {self.images.pixels.shape[0]} in images"
            )


@dataclass(frozen=True, eq=False)
class ImageBatch(TensorStruct):
    """Several frames as one batch; frames with fewer views are padded with views that are not present.

    Attributes:
        pixels: pictures of all samples and views.
        input_from_image: their affines.
        present: which views have a picture.
        rigs: the cameras.
    """

    pixels: Float[Tensor, "samples views 3 height width"]
    input_from_image: Float[Tensor, "samples views 2 3"]
    present: Bool[Tensor, "samples views"]
    rigs: Rigs

    @property
    def input_size(self) -> tuple[int, int]:
        """Width and height of the pictures."""
        return self.pixels.shape[-1], self.pixels.shape[-2]

    @staticmethod
    def of(frames: Sequence[ImageFrame]) -> "ImageBatch":
        """Stack frames, at least one, whose pictures have one size."""
        views = max(len(frame.cameras) for frame in frames)

        def stacked(name: str) -> Tensor:
            parts = []
            for frame in frames:
                value = vars(frame.images)[name]
                filler = torch.zeros_like(value[:1]).expand(views - len(value), *value.shape[1:])
                # Padded views keep an affine that can be inverted.
                parts.append(torch.cat([value, value[:1].expand_as(filler) if name == "input_from_image" else filler]))
            return torch.stack(parts)

        rigs = Rigs.of([frame.cameras for frame in frames])
        return ImageBatch(stacked("pixels"), stacked("input_from_image"), stacked("present"), rigs)

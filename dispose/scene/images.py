"""The pictures of one instant, as the network sees them."""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from dispose.errors import ShapeError
from dispose.scene.cameras import Cameras
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

"""The images of one instant, as a network sees them."""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from dispose.tensors import TensorStruct


@dataclass(frozen=True, eq=False)
class Images(TensorStruct):
    """All views of one instant (or of several samples), brought to one size.

    Attributes:
        pixels: RGB, normalised by ImageNet's mean and deviation; means nothing where a view has no image.
        input_from_image: the affine from pixels of the original image to pixels of `pixels`
            (`dispose.geometry.image_affine`).
        present: which views have an image; the others say nothing.
    """

    pixels: Float[Tensor, "*batch views 3 height width"]
    input_from_image: Float[Tensor, "*batch views 2 3"]
    present: Bool[Tensor, "*batch views"]

    @property
    def input_size(self) -> tuple[int, int]:
        """Width and height of the images."""
        return self.pixels.shape[-1], self.pixels.shape[-2]

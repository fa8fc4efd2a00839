"""What the backbone makes of images."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from dispose.tensors import TensorStruct


@dataclass(frozen=True, eq=False)
class Features(TensorStruct):
    """Heat maps and feature maps of the views of a batch, ``maps = samples * views``, sample by sample.

    The feature maps are the raw outputs of the transposed convolutions, before normalisation and ReLU: that is where
    the released network taps them.

    Attributes:
        heatmaps: one map per joint at stride 4.
        fine: features at stride 4.
        middle: features at stride 8.
        coarse: features at stride 16.
    """

    heatmaps: Float[Tensor, "maps joints height width"]
    fine: Float[Tensor, "maps chans height width"]
    middle: Float[Tensor, "maps chans middle_height middle_width"]
    coarse: Float[Tensor, "maps chans coarse_height coarse_width"]

    @property
    def pyramid(
        self,
    ) -> tuple[
        Float[Tensor, "maps chans height width"],
        Float[Tensor, "maps chans middle_height middle_width"],
        Float[Tensor, "maps chans coarse_height coarse_width"],
    ]:
        """The feature maps from fine to coarse."""
        return self.fine, self.middle, self.coarse

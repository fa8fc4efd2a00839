"""The first part of the cascaded pyramid network (chen2018cascaded): a residual trunk, seen top-down."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from dispose.nn.backbones import look_up, residual_trunk, trunk_chans


@dataclass(frozen=True)
class CPNConfig:
    """Depth and width of the trunk (`dispose.nn.backbones`), channels of the pyramid, number of heat maps."""

    depth: int = 50
    width: int = 64
    chans: int = 256
    joints: int = 17


@dataclass(frozen=True, eq=False)
class CPNMaps:
    """Feature maps at strides 4 to 32, and heat maps at stride 4."""

    pyramid: tuple[Float[Tensor, "maps chans _ _"], ...]
    heatmaps: Float[Tensor, "maps joints height width"]


class CPN(nn.Module):
    """Images to four maps of equally many channels: every stage of the trunk plus what the coarser ones say."""

    def __init__(self, config: CPNConfig = CPNConfig()) -> None:
        super().__init__()
        self.config = config
        chans = config.chans
        self.trunk = residual_trunk(config.depth, config.width)
        inward = trunk_chans(config.depth, config.width)
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, chans, 1, bias=False), nn.BatchNorm2d(chans), nn.ReLU()) for c in inward
        )
        self.raising = nn.ModuleList(
            nn.Sequential(
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
                nn.Conv2d(chans, chans, 1, bias=False),
                nn.BatchNorm2d(chans),
            )
            for _ in inward[1:]
        )
        self.heatmaps = nn.Conv2d(chans, config.joints, 3, 1, 1)

    @property
    def pyramid_chans(self) -> tuple[int, ...]:
        """Of the four maps."""
        return (self.config.chans,) * 4

    def look(self, pixels: Float[Tensor, "maps 3 height width"]) -> CPNMaps:
        """Everything that is read of normalised images.

        Raises:
            ShapeError: the images' width or height is no multiple of 32.
        """
        stages = look_up(self.trunk, pixels)[1:]
        found = [self.lateral[3](stages[3])]
        for level in (2, 1, 0):
            found.append(self.lateral[level](stages[level]) + self.raising[level](found[-1]))
        pyramid = tuple(reversed(found))
        return CPNMaps(pyramid, self.heatmaps(pyramid[0]))

"""HRNet: maps of four resolutions side by side, which exchange what they see after every module (sun2019hrnet).

Parameters are named as in the official code for COCO, but for its ``final_layer``, which is `heatmaps` here as in every
backbone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dispose.nn.backbones import BasicBlock, Bottleneck, require_multiple

Maps = tuple[Float[Tensor, "maps _ _ _"], ...]
STEM_CHANS = 64
BLOCKS = 4
"""Residual blocks of a branch in one module."""
MODULES = (1, 4, 3)
"""Of the stages with two, three and four branches."""


@dataclass(frozen=True)
class HRNetConfig:
    """Sizes: `width` is the channels of the finest branch (32 or 48 as published), twice as many in each coarser one.

    `joints` is the number of heat maps; 0 = none, only features are read.
    """

    width: int = 32
    joints: int = 17


@dataclass(frozen=True, eq=False)
class HRNetMaps:
    """What the last stage makes of images.

    Attributes:
        fused: the finest map after the last module, which alone the released network fuses.
        first: what leaves the four branches of the stage's first module, before they exchange anything.
        last: the same of its last module.
        heatmaps: one per joint, at stride 4; None where the network has none.
    """

    fused: Float[Tensor, "maps chans height width"]
    first: Maps
    last: Maps
    heatmaps: Float[Tensor, "maps joints height width"] | None

    @property
    def pyramid(self) -> Maps:
        """Strides 4 to 32: the fused map, and the coarser branches at the end."""
        return self.fused, *self.last[1:]


class HRModule(nn.Module):
    """Residual blocks in every branch, then each of the first `out` branches becomes a sum over all of them."""

    def __init__(self, chans: Sequence[int], out: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*(BasicBlock(c, c, 1) for _ in range(BLOCKS))) for c in chans)
        rows = [[_exchange(chans, to, start) for start in range(len(chans))] for to in range(out)]
        self.fuse_layers = nn.ModuleList(nn.ModuleList(row) for row in rows)

    def forward(self, x: Maps) -> tuple[Maps, Maps]:
        """What leaves the branches, and the same after the exchange."""
        own = tuple(branch(one) for branch, one in zip(self.branches, x, strict=True))
        fused = []
        for row in self.fuse_layers:
            total = torch.zeros((), device=own[0].device, dtype=own[0].dtype)
            for layer, one in zip(row, own, strict=True):  # pyright: ignore[reportArgumentType]
                total = total + layer(one)
            fused.append(total.relu())
        return own, tuple(fused)


class HRNet(nn.Module):
    """Images to feature maps of four resolutions, and to heat maps."""

    def __init__(self, config: HRNetConfig = HRNetConfig()) -> None:
        super().__init__()
        self.config = config
        chans = self.pyramid_chans
        self.conv1, self.bn1 = nn.Conv2d(3, STEM_CHANS, 3, 2, 1, bias=False), nn.BatchNorm2d(STEM_CHANS)
        self.conv2, self.bn2 = nn.Conv2d(STEM_CHANS, STEM_CHANS, 3, 2, 1, bias=False), nn.BatchNorm2d(STEM_CHANS)
        wide = STEM_CHANS * Bottleneck.expansion
        narrow = (Bottleneck(wide, STEM_CHANS, 1) for _ in range(BLOCKS - 1))
        self.layer1 = nn.Sequential(Bottleneck(STEM_CHANS, STEM_CHANS, 1), *narrow)
        self.transition1 = nn.ModuleList([_convolve(wide, chans[0], 1), nn.Sequential(_convolve(wide, chans[1], 2))])
        self.transition2, self.transition3 = _one_more(chans[:3]), _one_more(chans)
        self.stage2, self.stage3, self.stage4 = (
            nn.ModuleList(
                HRModule(chans[:branches], 1 if branches == 4 and number == count - 1 else branches)
                for number in range(count)
            )
            for branches, count in zip((2, 3, 4), MODULES, strict=True)
        )
        self.heatmaps = nn.Conv2d(chans[0], config.joints, 1) if config.joints else None

    @property
    def pyramid_chans(self) -> tuple[int, ...]:
        """Channels of the four maps, fine to coarse."""
        return tuple(self.config.width * 2**level for level in range(4))

    def look(self, pixels: Float[Tensor, "maps 3 height width"]) -> HRNetMaps:
        """Everything that is read of normalised images.

        Raises:
            ShapeError: the images' width or height is no multiple of 32.
        """
        require_multiple(pixels)
        x = self.bn2(self.conv2(self.bn1(self.conv1(pixels)).relu())).relu()
        x = self.layer1(x)
        maps: Maps = tuple(transition(x) for transition in self.transition1)
        for stage, transition in ((self.stage2, self.transition2), (self.stage3, self.transition3)):
            for module in stage:
                _, maps = module(maps)
            maps = (*maps, transition[-1](maps[-1]))
        branches = []
        for module in self.stage4:
            own, maps = module(maps)
            branches.append(own)
        heat = None if self.heatmaps is None else self.heatmaps(maps[0])
        return HRNetMaps(maps[0], branches[0], branches[-1], heat)


def _convolve(inward: int, outward: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inward, outward, 3, stride, 1, bias=False), nn.BatchNorm2d(outward), nn.ReLU())


def _one_more(chans: Sequence[int]) -> nn.ModuleList:
    """Branches go on as they are; the coarsest begins another at half its resolution."""
    stay = [nn.Identity() for _ in chans[:-1]]
    return nn.ModuleList([*stay, nn.Sequential(_convolve(chans[-2], chans[-1], 2))])


def _exchange(chans: Sequence[int], to: int, start: int) -> nn.Module:
    """From one branch to the resolution of another: finer by 1x1 and repetition, coarser by strided 3x3."""
    if to == start:
        return nn.Identity()
    if to < start:
        narrow = nn.Conv2d(chans[start], chans[to], 1, bias=False)
        return nn.Sequential(narrow, nn.BatchNorm2d(chans[to]), nn.Upsample(scale_factor=2 ** (start - to)))
    steps = [_convolve(chans[start], chans[start], 2) for _ in range(to - start - 1)]
    return nn.Sequential(*steps, _convolve(chans[start], chans[to], 2)[:2])

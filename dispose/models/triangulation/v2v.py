"""A convolutional network from cubes to cubes (Moon et al. 2018): residual blocks down five times and up again."""

from dataclasses import dataclass, field
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import max_pool3d

from dispose.errors import InputError
from dispose.options import FROM_0

Cube = Float[Tensor, "samples chans cells cells cells"]


@dataclass(frozen=True)
class V2VConfig:
    """Sizes of the network; the defaults are the released ones (11.94 million weights from 32 channels to 17).

    Attributes:
        kernel: side of the first convolution.
        first_chans: channels after it.
        front: residual blocks after that, before the way down.
        chans: channels of every level; each further one has half the resolution.
        back: 1x1x1 convolutions before the last.
    """

    kernel: int = 7
    first_chans: int = 16
    front: int = field(default=3, metadata=FROM_0)
    chans: tuple[int, ...] = (32, 64, 128, 128, 128, 128)
    back: int = field(default=2, metadata=FROM_0)

    @property
    def multiple(self) -> int:
        """Cubes have a multiple of so many voxels along a side."""
        return 2 ** (len(self.chans) - 1)

    def require_side(self, cells: int) -> None:
        """Raise `InputError` for a number of voxels along a side that cannot be halved often enough."""
        if cells < self.multiple or cells % self.multiple:
            raise InputError(
                f"cubes of {cells} voxels a side: this network halves them {len(self.chans) - 1} times, "
                f"the side must be a multiple of {self.multiple}"
            )


LITE = V2VConfig(kernel=3, first_chans=16, front=0, chans=(16, 16, 24), back=0)
"""For laptops."""


class ConvolutionBlock(nn.Sequential):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, inward: int, outward: int, kernel: int) -> None:
        super().__init__(
            nn.Conv3d(inward, outward, kernel, padding=(kernel - 1) // 2),
            nn.BatchNorm3d(outward),
            nn.ReLU(inplace=True),
        )


class ResidualVoxels(nn.Module):
    """Two 3x3x3 convolutions beside the identity, or a 1x1x1 convolution where the channels change."""

    def __init__(self, inward: int, outward: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv3d(inward, outward, 3, padding=1), nn.BatchNorm3d(outward), nn.ReLU(inplace=True),
            nn.Conv3d(outward, outward, 3, padding=1), nn.BatchNorm3d(outward),
        )  # fmt: skip
        same = inward == outward
        self.shortcut = nn.Sequential(*(() if same else (nn.Conv3d(inward, outward, 1), nn.BatchNorm3d(outward))))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Cube) -> Float[Tensor, "samples outward cells cells cells"]:
        """The side is kept."""
        return self.relu(self.branch(x) + self.shortcut(x))


class RaisingBlock(nn.Sequential):
    """Transposed convolution that doubles the side, batch normalisation, ReLU."""

    def __init__(self, inward: int, outward: int) -> None:
        super().__init__(nn.ConvTranspose3d(inward, outward, 2, 2), nn.BatchNorm3d(outward), nn.ReLU(inplace=True))


class V2V(nn.Module):
    """Cubes of features to cubes of logits; what is lost on the way down is added on the way up.

    Weights and cubes lie channels-last in memory, which is faster.
    """

    def __init__(self, inward: int, outward: int, config: V2VConfig) -> None:
        super().__init__()
        self.config = config
        chans = config.chans
        widths = [config.first_chans, *[chans[0]] * config.front]
        self.front = nn.Sequential(
            ConvolutionBlock(inward, config.first_chans, config.kernel),
            *(ResidualVoxels(a, b) for a, b in pairwise(widths)),
        )
        steps = list(pairwise(chans))
        self.down = nn.ModuleList(ResidualVoxels(a, b) for a, b in steps)
        self.across = nn.ModuleList(ResidualVoxels(a, a) for a, _ in steps)
        self.deepest = ResidualVoxels(chans[-1], chans[-1])
        self.before_rising = nn.ModuleList(ResidualVoxels(b, b) for _, b in steps)
        self.rising = nn.ModuleList(RaisingBlock(b, a) for a, b in steps)
        self.back = nn.Sequential(
            ResidualVoxels(chans[0], chans[0]), *(ConvolutionBlock(chans[0], chans[0], 1) for _ in range(config.back))
        )
        self.logits = nn.Conv3d(chans[0], outward, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
                nn.init.xavier_normal_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        for parameter in self.parameters():
            if parameter.ndim == 5:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)

    def forward(self, x: Cube) -> Float[Tensor, "samples outward cells cells cells"]:
        """Logits of every voxel.

        Raises:
            InputError: the side is no multiple of what the network halves.
        """
        self.config.require_side(x.shape[-1])
        x = self.front(x.contiguous(memory_format=torch.channels_last_3d))
        kept = []
        for down, across in zip(self.down, self.across):
            kept.append(across(x))
            x = down(max_pool3d(x, 2))
        x = self.deepest(x)
        for level in reversed(range(len(kept))):
            x = self.rising[level](self.before_rising[level](x)) + kept[level]
        return self.logits(self.back(x))

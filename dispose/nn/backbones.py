"""The heat-map backbone: a residual trunk, three transposed convolutions, one map per joint at stride 4.

DisPOSE reads the transposed convolutions' raw outputs, Learnable Triangulation the trunk's last map and what the last
transposed convolution becomes. The trunk's modules stand in the order of torchvision's ResNet, so that its weights and
the released ones fit (`dispose.zoo.checkpoints`). torchvision itself is not needed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dispose.errors import InputError, ShapeError
from dispose.nn.heatmaps import Features
from dispose.tensors import TensorStruct

STRIDE = 4
"""Input pixels per heat-map pixel, along each axis."""

STEM = 4
"""Modules of the trunk before its first stage."""

MULTIPLE = 32
"""Width and height of the input are multiples of this: the trunk's own stride."""


@dataclass(frozen=True)
class BackboneConfig:
    """Sizes of the network; the defaults are the released one.

    Attributes:
        depth: 152 or 50 (bottleneck blocks), or 18 (basic blocks).
        width: channels of the trunk's first stage; every stage scales with it. 64 fits ImageNet weights.
        deconv_chans: channels of the three transposed convolutions, which are the feature maps of Stage II.
        joints: number of heat maps.
        lateral: add the trunk's maps of the same resolution to the transposed convolutions' (Lin et al. 2017). The
            released network has none: at 960 x 512 its coarsest map still has 30 x 16 pixels. At 256 x 192 it has
            8 x 6, which cannot say where a wrist is.
    """

    depth: int = 50
    width: int = 64
    deconv_chans: int = 256
    joints: int = 15
    lateral: bool = False

    @property
    def deep_chans(self) -> int:
        """Channels of the trunk's last map."""
        return 8 * self.width * _STAGES[self.depth][0].expansion


LAPTOP = BackboneConfig(depth=18, width=32, deconv_chans=64, lateral=True)
"""3.2 million weights. One core learns from 24 images of 256 x 192 a second, or 43 under autocast to bfloat16."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside the identity (He et al. 2016)."""

    expansion = 1

    def __init__(self, inward: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inward, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inward, width * self.expansion, stride)

    def forward(self, x: Float[Tensor, "maps inward height width"]) -> Float[Tensor, "maps outward height2 width2"]:
        """The stride divides height and width."""
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class Bottleneck(nn.Module):
    """1x1, 3x3 (which strides) and 1x1 convolution beside the identity; four times as many channels leave."""

    expansion = 4

    def __init__(self, inward: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inward, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inward, width * self.expansion, stride)

    def forward(self, x: Float[Tensor, "maps inward height width"]) -> Float[Tensor, "maps outward height2 width2"]:
        """The stride divides height and width."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        return self.relu(self.bn3(self.conv3(y)) + self.downsample(x))


_STAGES = {
    18: (BasicBlock, (2, 2, 2, 2)),
    50: (Bottleneck, (3, 4, 6, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}


@dataclass(frozen=True, eq=False)
class BackboneMaps(TensorStruct):
    """All that a backbone makes of images on its way to heat maps, map by map.

    Attributes:
        deep: the trunk's last map, at stride 32.
        coarse, middle, fine: the transposed convolutions' raw outputs, at strides 16, 8 and 4, before normalisation and
            ReLU.
        last: what the heat maps are made of: the last of them after normalisation and ReLU.
        heatmaps: one per joint, at stride 4.
    """

    deep: Float[Tensor, "maps deep_chans deep_height deep_width"]
    coarse: Float[Tensor, "maps chans coarse_height coarse_width"]
    middle: Float[Tensor, "maps chans middle_height middle_width"]
    fine: Float[Tensor, "maps chans height width"]
    last: Float[Tensor, "maps chans height width"]
    heatmaps: Float[Tensor, "maps joints height width"]

    @property
    def pyramid(self) -> tuple[Float[Tensor, "maps _ _ _"], ...]:
        """Maps at strides 4 to 32, the finest as the heat maps read it."""
        return self.last, self.middle, self.coarse, self.deep


def trunk_chans(depth: int, width: int) -> tuple[int, ...]:
    """Channels of the four stages of a trunk."""
    return tuple(width * 2**stage * _STAGES[depth][0].expansion for stage in range(4))


def residual_trunk(depth: int, width: int) -> nn.Sequential:
    """The trunk of a ResNet: `STEM` modules, then four stages."""
    block, counts = _STAGES[depth]
    chans = width
    stem = [nn.Conv2d(3, chans, 7, 2, 3, bias=False), nn.BatchNorm2d(chans), nn.ReLU(inplace=True)]
    layers: list[nn.Module] = [*stem, nn.MaxPool2d(3, 2, 1)]
    for stage, count in enumerate(counts):
        inner = width * 2**stage
        blocks = [block(chans, inner, 1 if stage == 0 else 2)]
        chans = inner * block.expansion
        layers.append(nn.Sequential(*blocks, *(block(chans, inner, 1) for _ in range(count - 1))))
    return nn.Sequential(*layers)


def look_up(trunk: nn.Sequential, pixels: Float[Tensor, "maps 3 height width"]) -> list[Tensor]:
    """What the stem and every stage of a trunk make of normalised images.

    Raises:
        ShapeError: the images' width or height is no multiple of 32.
    """
    require_multiple(pixels)
    stages = [trunk[:STEM](pixels)]
    for number in range(STEM, len(trunk)):
        stages.append(trunk[number](stages[-1]))
    return stages


def require_multiple(pixels: Float[Tensor, "maps 3 height width"]) -> None:
    """Raise `ShapeError` where the images' width or height is no multiple of 32."""
    height, width = pixels.shape[-2:]
    if height % MULTIPLE or width % MULTIPLE:
        raise ShapeError(f"pictures of {width} x {height} pixels: both must be multiples of {MULTIPLE}")


class Backbone(nn.Module):
    """Images to heat maps and the feature maps that Stage I and II read.

    Weights lie channels-last in memory, so everything computed does too: faster on GPUs and, half as fast again, on
    CPUs. Under autocast to bfloat16 the last convolution is still computed in the dtype of its weights, because peaks
    need more than the eight bits of bfloat16.
    """

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        if config.depth not in _STAGES:
            raise InputError(f"a backbone of depth {config.depth} is not known, only {sorted(_STAGES)}")
        self.config = config
        self.trunk = residual_trunk(config.depth, config.width)
        raising: list[nn.Module] = []
        for inward in (config.deep_chans, config.deconv_chans, config.deconv_chans):
            raising += [nn.ConvTranspose2d(inward, config.deconv_chans, 4, 2, 1, bias=False)]
            raising += [nn.BatchNorm2d(config.deconv_chans), nn.ReLU(inplace=True)]
        self.upsampling = nn.Sequential(*raising)
        self.heatmaps = nn.Conv2d(config.deconv_chans, config.joints, 1)
        # One per transposed convolution, from the trunk's stage of the same resolution.
        inward = trunk_chans(config.depth, config.width)[2::-1] if config.lateral else []
        self.lateral = nn.ModuleList(nn.Conv2d(c, config.deconv_chans, 1) for c in inward)
        self._initialise()
        for parameter in self.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

    @property
    def pyramid_chans(self) -> tuple[int, ...]:
        """Channels of the maps of `BackboneMaps.pyramid`."""
        return *[self.config.deconv_chans] * 3, self.config.deep_chans

    def forward(self, pixels: Float[Tensor, "maps 3 height width"]) -> Features:
        """Heat maps and features of normalised images; see `look`."""
        seen = self.look(pixels)
        return Features(seen.heatmaps, seen.fine, seen.middle, seen.coarse)

    def look(self, pixels: Float[Tensor, "maps 3 height width"]) -> BackboneMaps:
        """Everything on the way from normalised images to their heat maps.

        Raises:
            ShapeError: the images' width or height is no multiple of 32.
        """
        stages = look_up(self.trunk, pixels)
        x, raw = stages[-1], []
        for k in range(3):
            rising = self.upsampling[3 * k](x)
            if len(self.lateral):
                rising = rising + self.lateral[k](stages[3 - k])
            raw.append(rising)
            x = self.upsampling[3 * k + 2](self.upsampling[3 * k + 1](rising))
        with torch.autocast(pixels.device.type, enabled=False):
            heatmaps = self.heatmaps(x.to(self.heatmaps.weight.dtype))
        coarse, middle, fine = raw
        return BackboneMaps(stages[-1], coarse, middle, fine, x, heatmaps)

    def _initialise(self) -> None:
        """He's initialisation for the trunk; transposed and last convolution N(0, 1e-3) as released."""
        for module in self.trunk.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        for module in self.upsampling:
            if isinstance(module, nn.ConvTranspose2d):
                nn.init.normal_(module.weight, std=1e-3)
        nn.init.normal_(self.heatmaps.weight, std=1e-3)
        nn.init.zeros_(self.heatmaps.bias)  # pyright: ignore[reportArgumentType]


def load_torchvision_trunk(backbone: Backbone, state: Mapping[str, Tensor]) -> None:
    """Put the weights of a torchvision ResNet (``conv1.weight``, ``layer1.0.conv1.weight``, …) into the trunk.

    The classifier ``fc`` is left out; the transposed convolutions and the heat maps keep their weights.

    Raises:
        InputError: a tensor is missing, not known or of another shape.
    """
    position = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}
    renamed: list[tuple[str, Tensor]] = []
    for name, value in state.items():
        head, _, rest = name.partition(".")
        if head != "fc":
            renamed.append((f"{position.get(head, head)}.{rest}", value))
    own = backbone.trunk.state_dict()
    found = {name: value for name, value in renamed}
    # Files from before torchvision counted batches lack the counters, which only matter without momentum.
    wanted = {name for name in own if not name.endswith("num_batches_tracked")}
    odd = sorted((wanted - found.keys()) | (found.keys() - own.keys()))
    if odd:
        side = "lacks" if odd[0] in wanted else "has an unknown"
        raise InputError(f"the torchvision weights {side} tensor {odd[0]} of the trunk (and {len(odd) - 1} more)")
    for name, value in found.items():
        if value.shape != own[name].shape:
            raise InputError(f"trunk tensor {name}: {tuple(value.shape)} in the file, {tuple(own[name].shape)} here")
    backbone.trunk.load_state_dict(found, strict=False)


def _shortcut(inward: int, outward: int, stride: int) -> nn.Sequential:
    """The identity, or a strided 1x1 convolution where sizes change."""
    if stride == 1 and inward == outward:
        return nn.Sequential()
    return nn.Sequential(nn.Conv2d(inward, outward, 1, stride, bias=False), nn.BatchNorm2d(outward))

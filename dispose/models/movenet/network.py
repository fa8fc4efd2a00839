"""MoveNet's networks: MobileNetV2, a feature pyramid down to stride 4, and heads in the manner of CenterNet.

Published as graphs of TensorFlow, with batch normalisation folded into biased convolutions. What TensorFlow calls
"same" padding pads a 3x3 convolution of stride 2 at the bottom and the right only; a kernel of 4x4 whose first row and
column are zeros does that with ordinary padding, and copies no map (sandler2018mobilenetv2, zhou2019objects).
"""

import warnings
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from dispose.errors import ShapeError

INPUT_SCALE = 0.007843017578125
"""1 / 127.5 as the published graphs round it to half precision."""
STRIDES = (1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1)
LATERAL_AFTER = (9, 5, 2)
"""Blocks whose maps the pyramid takes, from stride 16 to 4."""
EXPANSION = 6
LAST = 1280
LATERALS = (64, 64, 32, 24)
"""Channels of the pyramid at strides 32 to 4."""
HIDDEN = 96
JOINTS = 17
MULTIPLE = 32
"""Sides of an input are multiples of this: upsampled maps meet their laterals only then."""

Maps = Float[Tensor, "images _ _ _"]


@dataclass(frozen=True)
class MoveNetConfig:
    """Which of the published networks.

    Attributes:
        name: as the files of the published weights call it.
        side: of its input, px: the long one of whole images for several people, of the square for one person.
        stem: channels of the first convolution.
        outs: channels that leave each of the 17 blocks.
        boxes: whether it has the two heads for boxes: the network for several people.
    """

    name: str
    side: int
    stem: int
    outs: tuple[int, ...]
    boxes: bool = False


MULTIPOSE = MoveNetConfig(
    "multipose", 512, 48, (24, 40, 40, 48, 48, 48, 96, 96, 96, 96, 144, 144, 144, 240, 240, 240, 480), boxes=True
)
THUNDER = MoveNetConfig(
    "thunder", 256, 56, (32, 40, 40, 56, 56, 56, 112, 112, 112, 112, 168, 168, 168, 280, 280, 280, 560)
)


@dataclass(frozen=True, eq=False)
class MoveNetHeads:
    """What the network says at every cell of a grid of stride 4, before any sigmoid; pairs of channels are (y, x).

    Attributes:
        center: whether somebody's middle is here.
        kpt_heatmap: whether this keypoint of anybody is here.
        kpt_regress: from a middle to each of their keypoints, cells.
        kpt_offset: from a cell to the keypoint in it, cells.
        box_scale: height and width of the person whose middle is here, cells; None in networks for one person.
        box_offset: from a cell to the middle of their box, cells.
    """

    center: Float[Tensor, "images 1 height width"]
    kpt_heatmap: Float[Tensor, "images 17 height width"]
    kpt_regress: Float[Tensor, "images 34 height width"]
    kpt_offset: Float[Tensor, "images 34 height width"]
    box_scale: Float[Tensor, "images 2 height width"] | None = None
    box_offset: Float[Tensor, "images 2 height width"] | None = None


class Pointwise(nn.Conv2d):
    """A 1x1 convolution."""

    def __init__(self, chans: int, out: int) -> None:
        super().__init__(chans, out, 1)


class SamePadded(nn.Conv2d):
    """A 3x3 convolution with TensorFlow's padding, for maps of even sides."""

    def __init__(self, chans: int, out: int, *, stride: int = 1, groups: int = 1, bias: bool = True) -> None:
        super().__init__(chans, out, 3, stride, padding=1, groups=groups, bias=bias)

    def forward(self, x: Maps) -> Maps:
        """Maps in, maps of 1 / stride of their size out."""
        weight = self.weight if self.stride == (1, 1) else F.pad(self.weight, (1, 0, 1, 0))
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, groups=self.groups)


class MobileBlock(nn.Module):
    """Inverted residual of MobileNetV2: expand, look around in every channel, project."""

    def __init__(self, chans: int, out: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = chans * expansion
        self.expand = Pointwise(chans, inner) if expansion > 1 else None
        self.depthwise = SamePadded(inner, inner, stride=stride, groups=inner)
        self.project = Pointwise(inner, out)
        self.residual = chans == out and stride == 1

    def forward(self, x: Maps) -> Maps:
        """Maps in, maps of 1 / stride of their size out."""
        inner = x if self.expand is None else _relu6(self.expand(x))
        out = self.project(_relu6(self.depthwise(inner)))
        return out.add_(x) if self.residual else out


class PyramidMerge(nn.Module):
    """Coarse maps, twice as large, joined with a lateral."""

    def __init__(self, chans: int, out: int) -> None:
        super().__init__()
        self.depthwise = SamePadded(chans, chans, groups=chans, bias=False)
        self.pointwise = Pointwise(chans, out)

    def forward(self, coarse: Maps, lateral: Maps) -> Maps:
        """Maps of the lateral's size."""
        up = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
        return self.pointwise(self.depthwise(up.add_(lateral))).relu_()


class GridHead(nn.Module):
    """One answer at every cell."""

    def __init__(self, chans: int, out: int) -> None:
        super().__init__()
        self.depthwise = SamePadded(chans, chans, groups=chans, bias=False)
        self.hidden = Pointwise(chans, HIDDEN)
        self.answer = Pointwise(HIDDEN, out)

    def forward(self, x: Maps) -> Maps:
        """Maps in, answers out."""
        return self.answer(self.hidden(self.depthwise(x)).relu_())


class MoveNet(nn.Module):
    """The network of a configuration."""

    def __init__(self, config: MoveNetConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = SamePadded(3, config.stem, stride=2)
        ins = (config.stem, *config.outs)
        self.blocks = nn.ModuleList(
            MobileBlock(chans, out, stride, EXPANSION if k else 1)
            for k, (chans, out, stride) in enumerate(zip(ins, config.outs, STRIDES))
        )
        self.last = Pointwise(config.outs[-1], LAST)
        seen = (LAST, *(config.outs[k] for k in LATERAL_AFTER))
        self.laterals = nn.ModuleList(Pointwise(chans, out) for chans, out in zip(seen, LATERALS))
        outs = (*LATERALS[2:], LATERALS[-1])
        self.merges = nn.ModuleList(PyramidMerge(chans, out) for chans, out in zip(LATERALS[1:], outs))
        chans = {"center": 1, "kpt_heatmap": JOINTS, "kpt_regress": 2 * JOINTS, "kpt_offset": 2 * JOINTS}
        if config.boxes:
            chans |= {"box_scale": 2, "box_offset": 2}
        self.heads = nn.ModuleDict({name: GridHead(LATERALS[-1], out) for name, out in chans.items()})
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.stem.weight.device

    def forward(self, rgb: Float[Tensor, "images 3 height width"]) -> MoveNetHeads:
        """Heads of images of 0 to 255, red first.

        Raises:
            ShapeError: a side is no multiple of 32.
        """
        require_sides(rgb)
        return MoveNetHeads(*self.maps(rgb))

    def maps(self, rgb: Float[Tensor, "images 3 height width"]) -> tuple[Maps, ...]:
        """The heads in the order of `MoveNetHeads`."""
        x = (rgb * INPUT_SCALE - 1).contiguous(memory_format=torch.channels_last)
        x = _relu6(self.stem(x))
        seen = []
        for k, block in enumerate(self.blocks):
            x = block(x)
            if k in LATERAL_AFTER:
                seen.append(x)
        seen.append(_relu6(self.last(x)))
        fine = [lateral(maps) for lateral, maps in zip(self.laterals, reversed(seen))]
        y = fine[0]
        for merge, lateral in zip(self.merges, fine[1:]):
            y = merge(y, lateral)
        return tuple(head(y) for head in self.heads.values())


class TracedMoveNet:
    """A network whose steps torch has recorded, frozen and fused: a seventh faster on one core, for images of any size.

    It runs on the CPU, whatever the network did.

    What it says differs from the network's heads by rounding alone, and is the same in every run.
    """

    def __init__(self, network: MoveNet) -> None:
        self.config = network.config
        self.device = torch.device("cpu")
        example = torch.zeros(1, 3, MULTIPLE, MULTIPLE)
        with warnings.catch_warnings(), torch.inference_mode():
            # torch would rather have graphs exported; what then runs them as fast needs a compiler.
            warnings.simplefilter("ignore")
            steps = torch.jit.trace_module(network.eval().to(self.device), {"maps": example})
            self._maps = torch.jit.optimize_for_inference(torch.jit.freeze(steps, ["maps"]), ["maps"]).maps

    def __call__(self, rgb: Float[Tensor, "images 3 height width"]) -> MoveNetHeads:
        """As `MoveNet.forward`."""
        require_sides(rgb)
        return MoveNetHeads(*self._maps(rgb))


def require_sides(rgb: Float[Tensor, "images 3 height width"]) -> None:
    """Raise `ShapeError` for images whose sides are no multiples of 32."""
    if rgb.shape[-1] % MULTIPLE or rgb.shape[-2] % MULTIPLE:
        raise ShapeError(f"images of {rgb.shape[-1]}x{rgb.shape[-2]} px; sides must be multiples of {MULTIPLE}")


def _relu6(x: Maps) -> Maps:
    """Between 0 and 6, in place: as a pass of its own it would take a quarter of the time."""
    return F.relu6(x, inplace=True)

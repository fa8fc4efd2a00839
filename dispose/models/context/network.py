"""Context-Aware PoseFormer: a frozen network that finds joints in images, and the lifter that looks at its maps.

Also where it looks, and the network as every lifter of one image is called.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dispose.errors import InputError
from dispose.models.context.crops import PersonCrops, cut_out_people
from dispose.models.context.lifter import ContextBlock, ContextLifter, LifterConfig
from dispose.models.lifting.sight import PeopleInView, Picture
from dispose.models.lifting.told import EVIDENCE, evidence_of
from dispose.nn.backbones import Backbone, BackboneConfig, BackboneMaps
from dispose.nn.cpn import CPN, CPNConfig, CPNMaps
from dispose.nn.hrnet import HRNet, HRNetConfig, HRNetMaps
from dispose.skeletons.catalog import by_name
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import TensorStruct, stack

Pyramid = Backbone | HRNet | CPN
PyramidMaps = BackboneMaps | HRNetMaps | CPNMaps
Levels = tuple[Float[Tensor, "maps _ _ _"], ...]

TOLD = 2 + EVIDENCE
"""Numbers that `told_of_joints` says of a joint."""


@dataclass(frozen=True)
class PyramidConfig:
    """The network whose maps are looked at: one of these."""

    resnet: BackboneConfig | None = None
    hrnet: HRNetConfig | None = None
    cpn: CPNConfig | None = None

    def __post_init__(self) -> None:
        if sum(one is not None for one in vars(self).values()) != 1:
            raise InputError(f"a pyramid of features is one of {', '.join(vars(self))}; this one is {self}")

    def build(self) -> Pyramid:
        """The network, with random weights."""
        if self.resnet is not None:
            return Backbone(self.resnet)
        return HRNet(self.hrnet) if self.hrnet is not None else CPN(self.cpn or CPNConfig())


@dataclass(frozen=True)
class ContextConfig:
    """What the network is built from: joints, width and height of a cut, the pyramid, and sizes of the lifter."""

    skeleton: str = "coco_17"
    input_size: tuple[int, int] = (192, 256)
    pyramid: PyramidConfig = field(default_factory=lambda: PyramidConfig(hrnet=HRNetConfig()))
    lifter: LifterConfig = field(default_factory=lambda: LifterConfig(coordinates=TOLD))


def own_levels(maps: PyramidMaps) -> Levels:
    """The maps as the network ends."""
    return maps.pyramid


def grid_of_crop(xy: Float[Tensor, "persons joints 2"], size: tuple[int, int]) -> Float[Tensor, "persons joints 2"]:
    """Pixels from -1 to 1 between the middles of the outermost ones."""
    return 2 * xy / (xy.new_tensor(size) - 1) - 1


def told_of_joints(crops: PersonCrops) -> Float[Tensor, "persons joints told"]:
    """Of every joint its place, uncertainty, score and whether it is seen; of its person the size, and where up is."""
    return torch.cat([crops.people.uv, evidence_of(crops.people)], -1)


def in_virtual_axes(crops: PersonCrops, xyz: Float[Tensor, "persons joints 3"]) -> Float[Tensor, "persons joints 3"]:
    """Answers are in the axes of `ViewPeople`."""
    return xyz


@dataclass(frozen=True)
class ContextRules:
    """What is done one way here and another way in the released code.

    Attributes:
        levels: which maps of the pyramid are looked at.
        grid: where keypoints lie in a cut, -1 to 1.
        tell: what the coordinate tokens are made of.
        to_virtual: answers in the axes of `ViewPeople`.
    """

    levels: Callable[[PyramidMaps], Levels] = own_levels
    grid: Callable[[Tensor, tuple[int, int]], Tensor] = grid_of_crop
    tell: Callable[[PersonCrops], Tensor] = told_of_joints
    to_virtual: Callable[[PersonCrops, Tensor], Tensor] = in_virtual_axes


class ContextNetwork(nn.Module):
    """Cuts of single people to their joints in the axes of `ViewPeople`, metres from the middle of the hips.

    The pyramid is frozen: it learns nothing here, and its statistics stay as they are while the lifter learns.
    """

    def __init__(self, config: ContextConfig, rules: ContextRules = ContextRules()) -> None:
        super().__init__()
        self.config, self.rules, self.skeleton = config, rules, by_name(config.skeleton)
        if config.lifter.joints != len(self.skeleton):
            count = len(self.skeleton)
            raise InputError(f"a lifter of {config.lifter.joints} joints is not for the {count} of {config.skeleton}")
        self.pyramid = config.pyramid.build().requires_grad_(False).eval()
        self.lifter = ContextLifter(self.pyramid.pyramid_chans, config.lifter)

    def train(self, mode: bool = True) -> "ContextNetwork":
        """The lifter alone changes its ways in training."""
        super().train(mode)
        self.pyramid.eval()
        return self

    def forward(self, crops: PersonCrops) -> Float[Tensor, "persons joints 3"]:
        """Joints as the lifter learned to say them."""
        return self.answer(self.look(crops.pixels), crops)

    @torch.no_grad()
    def look(self, pixels: Float[Tensor, "persons 3 height width"]) -> Levels:
        """The maps of some cuts, fine to coarse."""
        return self.rules.levels(self.pyramid.look(pixels))

    def answer(self, maps: Levels, crops: PersonCrops) -> Float[Tensor, "persons joints 3"]:
        """Joints from maps that are there already."""
        grid = self.rules.grid(crops.xy_crop, crops.size)
        return self.lifter(maps, grid, self.rules.tell(crops), crops.people.seen)


def from_hips(xyz: Float[Tensor, "*batch joints 3"], skeleton: Skeleton) -> Float[Tensor, "*batch joints 3"]:
    """Joints from the middle of their own hips."""
    return xyz - xyz[..., skeleton.indices(skeleton.root_of), :].mean(-2, keepdim=True)


@torch.no_grad()
def lift_crops(network: ContextNetwork, crops: PersonCrops) -> Float[Tensor, "persons joints 3"]:
    """Joints from the middle of the hips, metres, in the axes of `ViewPeople`.

    It is the mean of what is said of a cut and, mirrored back, of its mirror: a person in a mirror gets the mirrored
    answer, exactly up to rounding.
    """
    swap = network.skeleton.mirror
    plain, other = network(crops), network(crops.mirror(swap))
    back = other[:, swap] * other.new_tensor([-1.0, 1.0, 1.0])
    return network.rules.to_virtual(crops, from_hips((plain + back) / 2, network.skeleton))


@dataclass(frozen=True, eq=False)
class ContextLift:
    """A network with weights that looks at the picture around the keypoints (`LiftSeen`)."""

    network: ContextNetwork

    def __call__(
        self, sight: PeopleInView, image: Picture | None, generator: torch.Generator
    ) -> Float[Tensor, "persons 1 joints 3"]:
        """One hypothesis of everybody in an image (RGB); nothing is drawn.

        Raises:
            InputError: there is no image; somebody has no keypoint, or none inside the image.
        """
        if image is None:
            raise InputError("Context-Aware PoseFormer looks at the image beside the keypoints, and there is none")
        crops = cut_out_people([image] * len(sight), sight, self.network.config.input_size)
        return lift_crops(self.network, crops)[:, None]


@dataclass(frozen=True, eq=False)
class Gaze(TensorStruct):
    """What every joint of people reads of every map, in every context block.

    Attributes:
        place: pixels of the cut.
        weight: how much each place counts; those of a head sum to 1.
    """

    place: Float[Tensor, "*blocks persons levels joints heads points 2"]
    weight: Float[Tensor, "*blocks persons levels joints heads points"]


@torch.no_grad()
def gaze_of(network: ContextNetwork, crops: PersonCrops) -> Gaze:
    """Where the network looks on its way to an answer; at least one context block is needed."""
    maps, lifter, seen = network.look(crops.pixels), network.lifter, crops.people.seen
    grid = network.rules.grid(crops.xy_crop, crops.size)
    told, features = lifter.tokens(maps, grid, network.rules.tell(crops), seen)
    last = crops.xy_crop.new_tensor(crops.size) - 1
    found = []
    for block in lifter.context:
        assert isinstance(block, ContextBlock)
        place, weight = block.gaze(features, told, grid)
        found.append(Gaze((place + 1) / 2 * last, weight))
        features = block(features, told, maps, grid) * seen[:, None, :, None]
    return stack(found)

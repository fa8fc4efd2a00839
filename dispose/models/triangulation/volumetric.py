"""Volumetric triangulation: the views' features are brought into a cube around the person, a network in 3-D reads them.

Iskakov et al. 2019. Ours adds a shortcut: how probable every voxel is by all views as independent witnesses (`log_sum`)
enters the logits with a learned gain, and the network only corrects it. Without, a small network spends its training on
finding that out.
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from dispose.models.triangulation.algebraic import ViewTrust, require_joints, shares_of_views
from dispose.models.triangulation.crops import EXACT_MAPS, MapRules, look_at_views, require_views
from dispose.models.triangulation.cube import (
    Cubes,
    aggregation_named,
    log_sum,
    require_seen,
    unproject,
)
from dispose.models.triangulation.v2v import V2V, V2VConfig
from dispose.nn.backbones import Backbone, BackboneConfig
from dispose.scene.cameras import Cameras
from dispose.scene.frame import ImageBatch
from dispose.skeletons.catalog import by_name
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import TensorStruct


@dataclass(frozen=True)
class CubeConfig:
    """The cube and the network that reads it; the defaults are the released ones.

    Attributes:
        side_mm: between the centres of the first and the last voxel along a side.
        cells: voxels along a side.
        aggregation: how the views are joined, by name (`dispose.models.triangulation.cube`).
        network: sizes of the network in 3-D.
        shortcut: add the views' joint log-probability to the logits, with a learned gain.
    """

    side_mm: float = 2500.0
    cells: int = 64
    aggregation: str = "softmax"
    network: V2VConfig = field(default_factory=V2VConfig)
    shortcut: bool = False

    def __post_init__(self) -> None:
        self.network.require_side(self.cells)
        aggregation_named(self.aggregation)


@dataclass(frozen=True)
class VolumetricConfig:
    """Everything the weights depend on; the defaults are the released sizes.

    Attributes:
        skeleton: whose joints are found, by name.
        input_size: width and height of the images that the weights were trained on.
        backbone: sizes of the heat-map network.
        head_chans: of the confidence head, which the aggregations `conf` and `conf_norm` have.
        chans: channels of the maps that are brought into the cube.
        cube: the cube and its network.
    """

    skeleton: str = "mpii_17"
    input_size: tuple[int, int] = (384, 384)
    backbone: BackboneConfig = field(default_factory=lambda: BackboneConfig(depth=152, joints=17))
    head_chans: tuple[int, int] = (512, 256)
    chans: int = 32
    cube: CubeConfig = field(default_factory=CubeConfig)


@dataclass(frozen=True, eq=False)
class Located(TensorStruct):
    """What volumetric triangulation says.

    Attributes:
        xyz_world: joints, mm.
        log_probability: of every voxel.
        cubes: where the voxels are.
    """

    xyz_world: Float[Tensor, "samples joints 3"]
    log_probability: Float[Tensor, "samples joints cells cells cells"]
    cubes: Cubes


class CubeReader(nn.Module):
    """From maps of several views to joints: the cube, the network in it, the expected position.

    Args:
        inward: channels of the maps that the network reads.
        joints: how many are found.
        config: of the cube and the network.
        rules: where maps are read for a point.
    """

    def __init__(self, inward: int, joints: int, config: CubeConfig, *, rules: MapRules = EXACT_MAPS) -> None:
        super().__init__()
        self.config, self.rules, self.aggregation = config, rules, aggregation_named(config.aggregation)
        self.network = V2V(inward, joints, config.network)
        self.gain = nn.Parameter(torch.ones(())) if config.shortcut else None
        if config.shortcut:
            # The shortcut alone at first.
            nn.init.zeros_(self.network.logits.weight)

    def forward(
        self,
        maps: Float[Tensor, "samples views chans height width"],
        heat: Float[Tensor, "samples views joints height width"] | None,
        shares: Float[Tensor, "samples views chans"],
        cubes: Cubes,
        cameras: Cameras,
        input_from_image: Float[Tensor, "samples views 2 3"],
    ) -> Located:
        """The joints of the person in every cube.

        Args:
            maps: what the network reads.
            heat: non-negative heat maps for the shortcut; the maps themselves where they are one per joint.
            shares: how much every view counts for every channel; 0 = there is no such view.
            cubes: one per sample.
            cameras: of the views.
            input_from_image: of the views.
        """
        kind = maps.device.type
        # Under autocast the network alone is computed in half precision: places and probabilities need more.
        with torch.autocast(kind, enabled=False):
            values = unproject(maps.to(cubes.centre.dtype), cubes, cameras, input_from_image, self.rules)
            joined = self.aggregation.join(values, shares)
        logits = self.network(joined).to(values.dtype)
        with torch.autocast(kind, enabled=False):
            if self.gain is not None:
                seen = values if heat is None else unproject(heat, cubes, cameras, input_from_image, self.rules)
                there = (shares > 0).any(-1, keepdim=True).to(values.dtype).expand(*shares.shape[:2], seen.shape[2])
                logits = logits + self.gain * log_sum(seen, there)
            log_probability = logits.flatten(2).log_softmax(-1).view_as(logits)
            return Located(cubes.expected(log_probability.exp()), log_probability, cubes)


class Volumetric(nn.Module):
    """One person in one or more images: features, a cube around the root, the network in it, soft-argmax in 3-D.

    Args:
        config: sizes.
        rules: how maps and input lie over each other.
    """

    def __init__(self, config: VolumetricConfig, *, rules: MapRules = EXACT_MAPS) -> None:
        super().__init__()
        require_joints(config.skeleton, config.backbone)
        self.config, self.rules = config, rules
        self.backbone = Backbone(config.backbone)
        self.narrowing = nn.Conv2d(config.backbone.deconv_chans, config.chans, 1)
        self.cube = CubeReader(config.chans, config.backbone.joints, config.cube, rules=rules)
        learned = self.cube.aggregation.learned
        self.confidence = ViewTrust(config.backbone.deep_chans, config.head_chans, config.chans) if learned else None

    @property
    def skeleton(self) -> Skeleton:
        """Whose joints are found."""
        return by_name(self.config.skeleton)

    def cubes_around(self, roots: Float[Tensor, "samples 3"], yaw: Float[Tensor, " samples"] | None = None) -> Cubes:
        """A cube around every root, mm; turned about the vertical axis in training, else not."""
        turned = torch.zeros_like(roots[:, 0]) if yaw is None else yaw
        return Cubes(self.config.cube.cells, self.config.cube.side_mm, roots, turned)

    def forward(self, batch: ImageBatch, cubes: Cubes) -> Located:
        """The joints of the person in every cube.

        Raises:
            InputError: a sample has no image; a cube is seen by none of them.
        """
        require_views(batch, 1, "volumetric")
        images = batch.images
        seen = look_at_views(self.backbone, batch)
        maps = self.narrowing(seen.last).unflatten(0, images.present.shape)
        size = (maps.shape[-1], maps.shape[-2])
        with torch.autocast(maps.device.type, enabled=False):
            require_seen(cubes, batch.cameras.to(cubes.centre.dtype), images.input_from_image, images.present, size)
        heat = None
        if self.config.cube.shortcut:
            heat = seen.heatmaps.clamp(min=0).unflatten(0, images.present.shape)
        shares = self._shares(seen.deep, images.present).to(cubes.centre.dtype)
        return self.cube(maps, heat, shares, cubes, batch.cameras, images.input_from_image)

    def _shares(
        self, deep: Float[Tensor, "maps inward height width"], present: Bool[Tensor, "samples views"]
    ) -> Float[Tensor, "samples views chans"]:
        """How much every view counts for every channel."""
        there = present[..., None].to(deep.dtype).expand(*present.shape, self.config.chans)
        if self.confidence is None:
            return there
        logits = self.confidence(deep).unflatten(0, present.shape)
        if self.cube.aggregation.normalized:
            return shares_of_views(logits, present)
        return logits.sigmoid() * there

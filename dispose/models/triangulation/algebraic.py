"""Algebraic triangulation: heat maps to points, a learned trust in every view, one weighted linear system.

Iskakov et al. 2019; the way from images to points of space is differentiable throughout.
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from dispose.errors import InputError
from dispose.geometry.triangulation import triangulate_algebraic
from dispose.models.triangulation.crops import (
    EXACT_MAPS,
    MapRules,
    Solve,
    ViewPoints,
    look_at_views,
    require_views,
    view_points,
)
from dispose.nn.backbones import STRIDE, Backbone, BackboneConfig
from dispose.nn.heatmaps import soft_argmax
from dispose.scene.frame import ImageBatch
from dispose.skeletons.catalog import by_name
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import TensorStruct

LEAST_SHARE = 1e-5
"""Added to every view's share of the trust: no view is left out altogether."""


@dataclass(frozen=True)
class AlgebraicConfig:
    """Everything the weights depend on; the defaults are the released sizes.

    Attributes:
        skeleton: whose joints the heat maps are, by name; one map each.
        input_size: width and height of the images that the weights were trained on.
        backbone: sizes of the heat-map network.
        head_chans: channels of the two convolutions of the confidence head.
        gain: of the soft-argmax.
    """

    skeleton: str = "mpii_17"
    input_size: tuple[int, int] = (384, 384)
    backbone: BackboneConfig = field(default_factory=lambda: BackboneConfig(depth=152, joints=17))
    head_chans: tuple[int, int] = (512, 256)
    gain: float = 100.0


class ViewTrust(nn.Module):
    """From the trunk's last map to one logit per output: two convolutions, the mean over the map, three layers.

    Every convolution halves the map, so its sides are at least four pixels (images of 128 pixels). 10.9 million weights
    at the released sizes.
    """

    def __init__(self, inward: int, chans: tuple[int, int], outputs: int) -> None:
        super().__init__()
        wide, narrow = chans
        self.reading = nn.Sequential(
            nn.Conv2d(inward, wide, 3, padding=1), nn.BatchNorm2d(wide), nn.MaxPool2d(2), nn.ReLU(inplace=True),
            nn.Conv2d(wide, narrow, 3, padding=1), nn.BatchNorm2d(narrow), nn.MaxPool2d(2), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.judging = nn.Sequential(
            nn.Linear(narrow, wide), nn.ReLU(inplace=True),
            nn.Linear(wide, narrow), nn.ReLU(inplace=True), nn.Linear(narrow, outputs),
        )  # fmt: skip

    def forward(self, deep: Float[Tensor, "maps inward height width"]) -> Float[Tensor, "maps outputs"]:
        """Logits of how far each map can be trusted."""
        return self.judging(self.reading(deep).mean((-2, -1)))


def shares_of_views(
    logits: Float[Tensor, "samples views outputs"], present: Bool[Tensor, "samples views"]
) -> Float[Tensor, "samples views outputs"]:
    """``σ(logit) / Σ_views σ(logit)``; 0 where a view has no image.

    Computed from the logarithms, so that values and gradients stay finite however little anybody is trusted.
    """
    return nn.functional.logsigmoid(logits).masked_fill(~present[..., None], -torch.inf).softmax(1)


def solve_cholesky(points: ViewPoints) -> Float[Tensor, "samples joints 3"]:
    """Weighted linear triangulation with equations in pixels, so that a narrow lens counts more than a wide one."""
    weights = points.weights * points.focal.mean(-1)[:, None]
    return triangulate_algebraic(points.xy_normalized, points.rotation[:, None], points.translation[:, None], weights)


@dataclass(frozen=True, eq=False)
class Triangulated(TensorStruct):
    """What algebraic triangulation says.

    Attributes:
        xyz_world: joints, mm.
        weights: share of every view in every joint.
        xy_input: where the views see the joints, pixels of the network's input.
        probability: of every pixel of the maps.
        heatmaps: before the soft-max.
    """

    xyz_world: Float[Tensor, "samples joints 3"]
    weights: Float[Tensor, "samples views joints"]
    xy_input: Float[Tensor, "samples views joints 2"]
    probability: Float[Tensor, "samples views joints height width"]
    heatmaps: Float[Tensor, "samples views joints height width"]


class Algebraic(nn.Module):
    """One person in several images: heat maps, soft-argmax, trust in every view and joint, weighted triangulation.

    Args:
        config: sizes.
        solve: the linear solver.
        rules: how maps and input lie over each other.
    """

    def __init__(self, config: AlgebraicConfig, *, solve: Solve = solve_cholesky, rules: MapRules = EXACT_MAPS) -> None:
        super().__init__()
        require_joints(config.skeleton, config.backbone)
        self.config, self.solve, self.rules = config, solve, rules
        self.backbone = Backbone(config.backbone)
        self.confidence = ViewTrust(config.backbone.deep_chans, config.head_chans, config.backbone.joints)

    @property
    def skeleton(self) -> Skeleton:
        """Whose joints are found."""
        return by_name(self.config.skeleton)

    def forward(self, batch: ImageBatch) -> Triangulated:
        """The joints of the person of every sample.

        Raises:
            InputError: a sample has fewer than two images.
        """
        require_views(batch, 2, "algebraic")
        present = batch.images.present
        seen = look_at_views(self.backbone, batch)
        logits = self.confidence(seen.deep).unflatten(0, present.shape)
        heatmaps = seen.heatmaps.unflatten(0, present.shape)
        # Under autocast networks are computed in half precision; places in space never.
        with torch.autocast(heatmaps.device.type, enabled=False):
            xy_map, probability = soft_argmax(heatmaps, self.config.gain)
            xy_input = self.rules.input_from_map(xy_map, STRIDE)
            weights = (shares_of_views(logits.to(xy_input.dtype), present) + LEAST_SHARE) * present[..., None]
            points = view_points(xy_input, weights, batch.cameras, batch.images.input_from_image)
            return Triangulated(self.solve(points), weights, xy_input, probability, heatmaps)


def require_joints(skeleton: str, backbone: BackboneConfig) -> None:
    """Raise `InputError` where a backbone has another number of heat maps than a skeleton has joints."""
    if len(by_name(skeleton)) != backbone.joints:
        raise InputError(
            f"{skeleton} has {len(by_name(skeleton))} joints, the backbone makes {backbone.joints} heat maps"
        )

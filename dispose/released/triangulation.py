"""Every quirk of the released Learnable Triangulation: pixels, sampling of the cube, the linear system, names.

Iskakov et al. 2019, as their code does it. Released weights were trained with these.
"""

import re

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dispose.models.triangulation.algebraic import Algebraic, AlgebraicConfig, Triangulated
from dispose.models.triangulation.crops import MapRules, ViewPoints
from dispose.models.triangulation.cube import Cubes
from dispose.models.triangulation.volumetric import Located, Volumetric, VolumetricConfig
from dispose.scene.frame import ImageBatch
from dispose.skeletons.skeleton import Skeleton

PLAIN_AGGREGATIONS = ("sum", "max", "softmax")
"""Released aggregations of views whose weights do not tell which of them it was."""
LEARNED_AGGREGATIONS = ("conf", "conf_norm")
"""Those with a confidence head."""


def input_from_map_released(xy_map: Tensor, stride: int) -> Tensor:
    """Pixels are multiplied by the stride: half a map's pixel up and left of where they are."""
    return xy_map * stride


def map_from_input_released(xy_input: Tensor, stride: int) -> Tensor:
    """And divided by it."""
    return xy_input / stride


def read_at_released(xy_map: Float[Tensor, "*points 2"], size: tuple[int, int]) -> Float[Tensor, "*points 2"]:
    """Where the released code reads a map: ``x (W - 1) / H, y (H - 1) / W``.

    It scales by ``2 (x / H - 1/2)`` and lets 1 be the centre of the last pixel: up to a pixel towards the upper left.
    Width and height are exchanged, which square maps forgive.
    """
    width, height = size
    return xy_map * xy_map.new_tensor([(width - 1) / height, (height - 1) / width])


RELEASED_MAPS = MapRules(input_from_map_released, map_from_input_released, read_at_released)


def solve_released(points: ViewPoints) -> Float[Tensor, "samples joints 3"]:
    """The smallest singular vector of ``w (u P₃ - P₁), w (v P₃ - P₂)`` in pixels and mm, not centred, not scaled.

    For two cameras in one place its gradient is not finite.
    """
    pose = torch.cat([points.rotation, points.translation[..., None]], dim=-1)[:, None]
    rows = points.xy_normalized[..., None] * pose[..., 2:, :] - pose[..., :2, :]
    # u P3 - P1 in pixels is the same times the focal length: the principal point cancels.
    rows = rows * points.focal[:, None, :, :, None] * points.weights[..., None, None]
    solution = torch.linalg.svd(rows.flatten(2, 3), full_matrices=False).Vh[..., -1, :]
    return solution[..., :3] / solution[..., 3:]


class ReleasedAlgebraic(nn.Module):
    """`Algebraic` with the released choices."""

    def __init__(self, config: AlgebraicConfig) -> None:
        super().__init__()
        self.config = config
        self.network = Algebraic(config, solve=solve_released, rules=RELEASED_MAPS)

    @property
    def skeleton(self) -> Skeleton:
        """Whose joints are found."""
        return self.network.skeleton

    def forward(self, batch: ImageBatch) -> Triangulated:
        """See `Algebraic`."""
        return self.network(batch)


class ReleasedVolumetric(nn.Module):
    """`Volumetric` with the released choices."""

    def __init__(self, config: VolumetricConfig) -> None:
        super().__init__()
        self.config = config
        self.network = Volumetric(config, rules=RELEASED_MAPS)

    @property
    def skeleton(self) -> Skeleton:
        """Whose joints are found."""
        return self.network.skeleton

    def forward(self, batch: ImageBatch, cubes: Cubes) -> Located:
        """See `Volumetric`."""
        return self.network(batch, cubes)


_TRUNK = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
_LEVELS = (
    (r"down\.(\d)", "encoder_res"), (r"across\.(\d)", "skip_res"), (r"before_rising\.(\d)", "decoder_res"),
    (r"rising\.(\d)", "decoder_upsample"),
)  # fmt: skip


def algebraic_entry(name: str) -> str:
    """What the release calls an entry of `ReleasedAlgebraic`."""
    return _of_backbone(name.removeprefix("network."), "alg_confidences")


def volumetric_entry(name: str) -> str:
    """What the release calls an entry of `ReleasedVolumetric`."""
    name = name.removeprefix("network.").replace("narrowing.", "process_features.0.")
    if name.startswith("cube.network."):
        return _of_cube(name.removeprefix("cube.network."))
    return _of_backbone(name, "vol_confidences")


def _of_backbone(name: str, head: str) -> str:
    """Names of the heat-map network, of which the confidence head is a part there."""
    name = re.sub(r"^backbone\.trunk\.(\d)\.", lambda m: f"backbone.{_TRUNK[m[1]]}.", name)
    for ours, theirs in (
        ("backbone.upsampling.", "backbone.deconv_layers."),
        ("backbone.heatmaps.", "backbone.final_layer."),
        ("confidence.reading.", f"backbone.{head}.features."),
        ("confidence.judging.", f"backbone.{head}.head."),
    ):
        name = name.replace(ours, theirs)
    return name


def _of_cube(name: str) -> str:
    """Names within the network of the cube."""
    for ours, theirs in _LEVELS:
        name = re.sub(rf"^{ours}\.", lambda m, theirs=theirs: f"encoder_decoder.{theirs}{int(m[1]) + 1}.", name)
    name = name.replace("deepest.", "encoder_decoder.mid_res.").replace("logits.", "output_layer.")
    name = name.replace("branch.", "res_branch.").replace("shortcut.", "skip_con.")
    # Convolution, normalisation and ReLU are one `block` there, without a name of their own here.
    name = re.sub(r"^((?:front|back)\.\d|encoder_decoder\.decoder_upsample\d)\.(\d)\.", r"\1.block.\2.", name)
    name = re.sub(r"^(front|back)\.", r"\1_layers.", name)
    return f"volume_net.{name}"

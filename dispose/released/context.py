"""Every quirk of the released Context-Aware PoseFormer: maps, pixels, coordinates, axes, names.

From the published description (zhao2023contextpose): the code has no licence, so none of it is here. No released file
was at hand when the names of its tensors were written down; a file that says otherwise is refused.
"""

import re
from dataclasses import replace

from jaxtyping import Float
from torch import Tensor, nn

from dispose.models.context.crops import PersonCrops
from dispose.models.context.lifter import LifterConfig
from dispose.models.context.network import (
    ContextConfig,
    ContextNetwork,
    ContextRules,
    Levels,
    PyramidConfig,
    PyramidMaps,
)
from dispose.nn.cpn import CPNConfig
from dispose.nn.hrnet import HRNetConfig, HRNetMaps
from dispose.skeletons.skeleton import Skeleton


def levels_released(maps: PyramidMaps) -> Levels:
    """Of HRNet the fused finest map, but the coarser ones as they leave the first module of the last stage, unmixed.

    The released code keeps the list that it hands to the last stage, and whose entries that stage overwrites.
    """
    return (maps.fused, *maps.first[1:]) if isinstance(maps, HRNetMaps) else maps.pyramid


def grid_released(xy: Float[Tensor, "persons joints 2"], size: tuple[int, int]) -> Float[Tensor, "persons joints 2"]:
    """``x / 96 - 1, y / 128 - 1``: the last pixel is not 1, so that maps are read up to a pixel off."""
    return 2 * xy / xy.new_tensor(size) - 1


def tell_released(crops: PersonCrops) -> Float[Tensor, "persons joints 2"]:
    """Where joints are on the screen."""
    return crops.xy_screen


def from_camera_axes(crops: PersonCrops, xyz: Float[Tensor, "persons joints 3"]) -> Float[Tensor, "persons joints 3"]:
    """Answers are in the camera's axes."""
    return crops.people.from_camera(xyz)


RELEASED_CONTEXT = ContextRules(levels_released, grid_released, tell_released, from_camera_axes)

_SIZES = LifterConfig()
HUMAN36M_CONTEXT = {
    name: ContextConfig("h36m_17", (192, 256), pyramid, _SIZES)
    for name, pyramid in (
        ("hrnet_32", PyramidConfig(hrnet=HRNetConfig(32))),
        ("hrnet_48", PyramidConfig(hrnet=HRNetConfig(48))),
        ("cpn", PyramidConfig(cpn=CPNConfig())),
    )
}
"""The released networks for Human3.6M, by the pyramid: 14.09, 14.16 and 14.23 million weights in the lifter."""

MPI_INF_3DHP_CONTEXT = {
    name: replace(HUMAN36M_CONTEXT[name], lifter=replace(_SIZES, chans=chans, context=0))
    for name, chans in (("hrnet_32", 64), ("hrnet_48", 96))
}
"""Those for MPI-INF-3DHP, whose 2-D joints are true ones: nothing looks around."""


class ReleasedContext(nn.Module):
    """`ContextNetwork` with the released choices: joints from the root in the camera's axes, metres."""

    def __init__(self, config: ContextConfig) -> None:
        super().__init__()
        self.config = config
        self.network = ContextNetwork(config, RELEASED_CONTEXT)

    @property
    def skeleton(self) -> Skeleton:
        """Whose joints are found."""
        return self.network.skeleton

    def forward(self, crops: PersonCrops) -> Float[Tensor, "persons joints 3"]:
        """See `ContextNetwork`."""
        return self.network(crops)


_LIFTER = (
    (r"^place$", "Spatial_pos_embed"), (r"^coordinates\.", "coord_embed."), (r"^features\.", "feat_embed."),
    (r"^last\.", "head."), (r"^context\.(\d+)\.", r"context_blocks.\1."), (r"^within\.(\d+)\.", r"res_blocks.\1."),
    (r"^between\.(\d+)\.", r"joint_blocks.\1."), (r"\.feed_forward\.norm\.", ".norm2."),
    (r"\.feed_forward\.body\.0\.", ".mlp.fc1."), (r"\.feed_forward\.body\.2\.", ".mlp.fc2."), (r"\.norm\.", ".norm1."),
    (r"\.qkv\.", ".attn.qkv."), (r"\.outward\.", ".attn.proj."), (r"\.offset\.", ".sampling_offsets."),
    (r"(context_blocks\.\d+)\.weight\.", r"\1.attention_weights."), (r"\.value\.", ".embed_proj."),
)  # fmt: skip


def context_entry(name: str) -> str:
    """What the release calls an entry of `ReleasedContext`."""
    name = name.removeprefix("network.")
    part, _, rest = name.partition(".")
    if part == "pyramid":
        return "backbone." + re.sub(r"^heatmaps\.", "final_layer.", rest)
    for ours, theirs in _LIFTER:
        rest = re.sub(ours, theirs, rest)
    return f"volume_net.{rest}"


def released_config(shapes: dict[str, tuple[int, ...]]) -> ContextConfig | None:
    """The released network whose tensors have these shapes; None where there is none."""
    finest = shapes.get("volume_net.feat_embed.0.weight", (0,))[-1]
    if finest not in (32, 48):
        return None
    width = f"hrnet_{finest}"
    around = "volume_net.context_blocks.0.norm1.weight" in shapes
    return (HUMAN36M_CONTEXT if around else MPI_INF_3DHP_CONTEXT)[width]

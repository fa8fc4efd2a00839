"""Every quirk of the released DiffPose of Gong et al. (2023): its normalisation, its learned adjacency, its names."""

import math
import re
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dispose.models.diffpose_gmm.networks import (
    TIME_EXPANSION,
    GraphDenoiser,
    GraphDenoiserConfig,
    GraphLifter,
    GraphLifterConfig,
)
from dispose.nn.graph import GraphRules


class ReleasedNorm(nn.Module):
    """``scale (x - mean) / (std + 1e-6) + shift``, the standard deviation with ``n - 1``."""

    def __init__(self, chans: int) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(chans)), nn.Parameter(torch.zeros(chans))

    def forward(self, x: Float[Tensor, "*batch chans"]) -> Float[Tensor, "*batch chans"]:
        """Shape is kept."""
        centred = x - x.mean(-1, keepdim=True)
        return self.scale * centred / (x.std(-1, keepdim=True) + 1e-6) + self.shift


class SignedAdjacency(nn.Module):
    """``d_i A_ij d_j`` with ``d = (column sums + 1e-5)^(-1/2)``: not a number where a learned sum is negative."""

    def __init__(self, nodes: int) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.eye(nodes))

    def forward(self) -> Float[Tensor, "nodes nodes"]:
        """The scaled matrix."""
        degree = (self.matrix.sum(0) + 1e-5) ** -0.5
        return degree[:, None] * self.matrix * degree


def sines_first(time: Float[Tensor, " items"], chans: int) -> Float[Tensor, "items chans"]:
    """Sines, then cosines, of the number of the step."""
    half = chans // 2
    ladder = torch.arange(half, device=time.device, dtype=time.dtype) * (-math.log(10_000.0) / (half - 1))
    angle = time[:, None] * ladder.exp()
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


RELEASED_RULES = GraphRules(norm=ReleasedNorm, adjacency=SignedAdjacency)
RELEASED_LIFTER = GraphLifterConfig(skeleton="h36m_17")
RELEASED_DENOISER = GraphDenoiserConfig(skeleton="h36m_17")


class ReleasedGraphLifter(nn.Module):
    """`GraphLifter` with the released choices, and the embedding of time that the release stores and never uses."""

    def __init__(self, config: GraphLifterConfig = RELEASED_LIFTER) -> None:
        super().__init__()
        self.config = config
        self.network = GraphLifter(config, RELEASED_RULES)
        chans, wide = config.sizes.chans, TIME_EXPANSION * config.sizes.chans
        self.time = nn.Sequential(nn.Linear(chans, wide), nn.SiLU(), nn.Linear(wide, wide))

    def forward(self, joints: Float[Tensor, "persons joints 2"]) -> Float[Tensor, "persons joints 3"]:
        """Screen coordinates to metres in the camera's axes, not yet from the root."""
        return self.network(joints)


class ReleasedGraphDenoiser(nn.Module):
    """`GraphDenoiser` with the released choices."""

    def __init__(self, config: GraphDenoiserConfig = RELEASED_DENOISER) -> None:
        super().__init__()
        self.config = config
        self.network = GraphDenoiser(config, RELEASED_RULES, embed=sines_first)

    def forward(
        self, state: Float[Tensor, "persons joints 5"], step: Float[Tensor, " persons"]
    ) -> Float[Tensor, "persons joints 5"]:
        """The noise in a state, in the state's own units."""
        return self.network(state, step)


_WORDS = (
    (r"body\.enter\.", "gconv_input."),
    (r"body\.leave\.", "gconv_output."),
    (r"body\.blocks\.(\d+)\.attention\.query\.", r"atten_layers.\1.self_attn.linears.0."),
    (r"body\.blocks\.(\d+)\.attention\.key\.", r"atten_layers.\1.self_attn.linears.1."),
    (r"body\.blocks\.(\d+)\.attention\.value\.", r"atten_layers.\1.self_attn.linears.2."),
    (r"body\.blocks\.(\d+)\.attention\.out\.", r"atten_layers.\1.self_attn.linears.3."),
    (r"body\.blocks\.(\d+)\.feed_forward\.adjacency\.matrix", r"atten_layers.\1.feed_forward.A_hat"),
    (r"body\.blocks\.(\d+)\.feed_forward\.first\.", r"atten_layers.\1.feed_forward.gconv1.fc."),
    (r"body\.blocks\.(\d+)\.feed_forward\.second\.", r"atten_layers.\1.feed_forward.gconv2.fc."),
    (r"body\.blocks\.(\d+)\.attention_norm\.", r"atten_layers.\1.sublayer.0.norm."),
    (r"body\.blocks\.(\d+)\.feed_forward_norm\.", r"atten_layers.\1.sublayer.1.norm."),
    (r"body\.blocks\.(\d+)\.first\.", r"gconv_layers.\1.gconv1.gconv."),
    (r"body\.blocks\.(\d+)\.second\.", r"gconv_layers.\1.gconv2.gconv."),
    (r"body\.blocks\.(\d+)\.condition\.", r"gconv_layers.\1.temb_proj."),
    (r"^time\.0\.", "temb.dense.0."),
    (r"^time\.2\.", "temb.dense.1."),
    (r"\.scale$", ".a_2"),
    (r"\.shift$", ".b_2"),
)


def graph_entry(name: str) -> str:
    """What the release calls an entry of `ReleasedGraphLifter` or `ReleasedGraphDenoiser`."""
    name = name.removeprefix("network.")
    for ours, theirs in _WORDS:
        name = re.sub(ours, theirs, name)
    return name


def plain_graph_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Released tensors without the wrapper's prefix, those of convolutions without their axes of one entry."""
    found = {}
    for name, value in tensors.items():
        name = name.removeprefix("module.")
        of_graph = re.search(r"gconv(_input|_output|\d\.gconv)\.", name) is not None
        if of_graph and name.endswith(".weight") and value.ndim == 4 and value.shape[1] == 1:
            value = value[:, 0]
        elif of_graph and name.endswith(".bias") and value.ndim == 3 and value.shape[:2] == (1, 1):
            value = value[0, 0]
        found[name] = value
    return found

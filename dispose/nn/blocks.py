"""Small building blocks shared by the networks."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn


def mlp(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers of these widths with SiLU between them (none after the last)."""
    layers: list[nn.Module] = []
    for k, (inward, outward) in enumerate(pairwise(widths)):
        layers += ([nn.SiLU()] if k else []) + [nn.Linear(inward, outward)]
    return nn.Sequential(*layers)


class ResidualMLP(nn.Module):
    """Pre-norm feed-forward block ``x + W2 silu(W1 norm(x))``."""

    def __init__(self, chans: int, expansion: int = 2) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(chans)
        self.body = mlp([chans, expansion * chans, chans])

    def forward(self, x: Float[Tensor, "*items chans"]) -> Float[Tensor, "*items chans"]:
        """Shape is kept."""
        return x + self.body(self.norm(x))


class Modulation(nn.Module):
    """Feature-wise scale and shift by a condition (FiLM), the identity at initialisation."""

    def __init__(self, condition: int, chans: int) -> None:
        super().__init__()
        self.linear = nn.Linear(condition, 2 * chans)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(
        self, x: Float[Tensor, "items chans"], condition: Float[Tensor, "items condition"]
    ) -> Float[Tensor, "items chans"]:
        """``x * (1 + scale) + shift``."""
        scale, shift = self.linear(condition).chunk(2, dim=-1)
        return x * (1 + scale) + shift


def sinusoidal(time: Float[Tensor, " items"], chans: int) -> Float[Tensor, "items chans"]:
    """Cosines, then sines, of a scalar at geometrically spaced frequencies.

    A time in [0, 1] should be scaled by the caller (the released network embeds the integer step).
    """
    half = chans // 2
    ladder = torch.arange(half, device=time.device, dtype=time.dtype) / max(half - 1, 1)
    angle = time[:, None] * torch.exp(-math.log(10_000.0) * ladder)
    return torch.cat([angle.cos(), angle.sin()], dim=-1)

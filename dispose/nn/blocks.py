"""Small building blocks shared by the networks."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dispose.errors import InputError

Activation = Callable[[], nn.Module]


def require_heads(chans: int, heads: int) -> None:
    """Raise `InputError` where channels cannot be shared out evenly among the heads of an attention."""
    if chans % heads:
        raise InputError(f"{chans} channels do not split over {heads} heads of an attention: choose a multiple.")


def mlp(widths: Sequence[int], activation: Activation = nn.SiLU) -> nn.Sequential:
    """Linear layers of these widths with an activation between them (none after the last)."""
    layers: list[nn.Module] = []
    for k, (inward, outward) in enumerate(pairwise(widths)):
        layers += ([activation()] if k else []) + [nn.Linear(inward, outward)]
    return nn.Sequential(*layers)


class DropPath(nn.Module):
    """In training a share of the items goes without a residual branch; for the others it counts the more.

    The expectation stays (Huang et al. 2016). Draws from torch's global generator, as dropout does.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, branch: Float[Tensor, "items *rest"]) -> Float[Tensor, "items *rest"]:
        """The branch, or 0 for the items that go without; as it is where nothing is trained."""
        if not self.training or not self.share:
            return branch
        drawn = torch.rand(len(branch), *[1] * (branch.ndim - 1), device=branch.device)
        return branch * (drawn >= self.share).to(branch.dtype) / (1 - self.share)


class ResidualMLP(nn.Module):
    """Pre-norm feed-forward block ``x + W2 activation(W1 norm(x))``."""

    def __init__(
        self, chans: int, expansion: int = 2, *, activation: Activation = nn.SiLU, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(chans)
        self.body = mlp([chans, expansion * chans, chans], activation)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Float[Tensor, "*items chans"]) -> Float[Tensor, "*items chans"]:
        """Shape is kept."""
        return x + self.drop_path(self.body(self.norm(x)))


class AttentionBlock(nn.Module):
    """Pre-norm attention among the tokens of an item, then a feed-forward block."""

    def __init__(self, chans: int, heads: int, *, activation: Activation = nn.SiLU, drop_path: float = 0.0) -> None:
        super().__init__()
        require_heads(chans, heads)
        self.heads = heads
        self.norm = nn.LayerNorm(chans)
        self.qkv = nn.Linear(chans, 3 * chans)
        self.outward = nn.Linear(chans, chans)
        self.drop_path = DropPath(drop_path)
        self.feed_forward = ResidualMLP(chans, activation=activation, drop_path=drop_path)

    def forward(self, x: Float[Tensor, "items tokens chans"]) -> Float[Tensor, "items tokens chans"]:
        """Shape is kept."""
        items, tokens, chans = x.shape
        parts = self.qkv(self.norm(x)).view(items, tokens, 3, self.heads, chans // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        x = x + self.drop_path(self.outward(mixed.transpose(1, 2).reshape(items, tokens, chans)))
        return self.feed_forward(x)


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

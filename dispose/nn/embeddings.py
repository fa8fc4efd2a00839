"""Embeddings of scalars."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def sinusoidal(time: Float[Tensor, " items"], chans: int, *, longest: float = 10_000.0) -> Float[Tensor, "items chans"]:
    """Cosines, then sines, of a scalar at geometrically spaced frequencies.

    A time in [0, 1] should be scaled by the caller (the released network embeds the integer step).
    """
    half = chans // 2
    ladder = torch.arange(half, device=time.device, dtype=time.dtype) / max(half - 1, 1)
    angle = time[:, None] * torch.exp(-math.log(longest) * ladder)
    return torch.cat([angle.cos(), angle.sin()], dim=-1)

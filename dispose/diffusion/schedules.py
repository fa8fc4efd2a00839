"""Signal fractions (``alpha_bar``) as functions of diffusion time in [0, 1]."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def cosine_alpha_bar(time: Float[Tensor, "*times"], *, offset: float = 0.008) -> Float[Tensor, "*times"]:
    """Cosine schedule ``cos²(((t + s) / (1 + s)) π/2) / cos²((s / (1 + s)) π/2)``, clipped to [1e-4, 1].

    Source: Nichol & Dhariwal 2021.
    """
    curve = torch.cos((time + offset) / (1 + offset) * math.pi / 2) ** 2
    start = math.cos(offset / (1 + offset) * math.pi / 2) ** 2
    return (curve / start).clamp(1e-4, 1.0)


def log_snr_alpha_bar(
    time: Float[Tensor, "*times"], *, first: float = 3.0, last: float = -7.0
) -> Float[Tensor, "*times"]:
    """The schedule whose logarithm of signal over noise falls evenly from `first` at time 0 to `last` at time 1.

    ``sigmoid(first + (last - first) t)``. Source: Kingma et al. 2021.
    """
    return torch.sigmoid(first + (last - first) * time)


def rounded_times(steps: int = 10, train_steps: int = 1000) -> list[float]:
    """``steps + 1`` rounded, equally spaced steps of ``train_steps - 1 … 0``, over ``train_steps - 1``."""
    last = train_steps - 1
    return [round(last * (1 - k / steps)) / last for k in range(steps + 1)]

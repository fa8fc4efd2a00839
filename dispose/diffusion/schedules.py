"""Signal fractions (``alpha_bar``): functions of diffusion time in [0, 1], and tables of chains of numbered steps."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.errors import InputError


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


@dataclass(frozen=True)
class StepTable:
    """Signal fractions ``alpha_bar`` of steps 0, 1, …; in time, step 0 is 0 and the last one is 1."""

    alpha_bar: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.alpha_bar)

    def step_at(self, time: float) -> int:
        """The step nearest to a time in [0, 1]."""
        return round(time * (len(self) - 1))

    def at(self, time: float) -> float:
        """The signal fraction at a time."""
        return self.alpha_bar[self.step_at(time)]

    def times_between(self, start: int, count: int) -> list[float]:
        """`count` times, evenly from a step down to step 0; only the start where one is asked for.

        Raises:
            InputError: there is no such step, or too few between it and 0.
        """
        if not 0 <= start < len(self) or not 1 <= count <= start + 1:
            raise InputError(f"{count} steps from step {start} of a chain of {len(self)} steps: there are not so many.")
        steps = [round(start * (1 - k / max(count - 1, 1))) for k in range(count)]
        return [step / max(len(self) - 1, 1) for step in steps]

    def matched_step(self, deviation: float) -> int:
        """The step whose noise ``sqrt(1 - alpha_bar)`` is nearest to a standard deviation: where what is that wrong
        should start.
        """
        return min(range(len(self)), key=lambda step: abs((1 - self.alpha_bar[step]) ** 0.5 - deviation))


def table_of_betas(betas: Float[Tensor, " steps"]) -> StepTable:
    """``alpha_bar_k``, the product of ``1 - beta`` up to step k; in double precision."""
    return StepTable(tuple((1 - betas.double()).cumprod(0).tolist()))


def linear_betas(first: float = 1e-4, last: float = 1e-3, steps: int = 51) -> Float[Tensor, " steps"]:
    """Rates of noise that rise evenly. Source: Ho et al. 2020; these numbers are Gong's (2023)."""
    return torch.linspace(first, last, steps, dtype=torch.float64)


def cosine_betas(steps: int, *, offset: float = 0.008, most: float = 0.999) -> Float[Tensor, " steps"]:
    """Share of noise that every step of a cosine schedule adds: ``min(1 - f(k + 1) / f(k), most)``.

    ``f`` is the unclipped cosine of `cosine_alpha_bar` at ``k / steps``; double precision.

    Source: Nichol & Dhariwal 2021.
    """
    time = torch.arange(steps + 1, dtype=torch.float64) / steps
    curve = torch.cos((time + offset) / (1 + offset) * math.pi / 2) ** 2
    return (1 - curve[1:] / curve[:-1]).clamp(0, most)

"""Where the randomness of a capture comes from: independent frames, or frames that follow each other.

Everything random in the detection model is drawn through a `Noise`, so that the same model serves single
frames (independent draws) and sequences (draws that change slowly along the first axis).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Noise:
    """A source of draws whose first axis is the frame.

    Neighbouring frames correlate by as much as `correlation` says, in [0, 1): 0 for independent frames.
    """

    generator: torch.Generator
    correlation: float = 0.0

    def normal(self, shape: Sequence[int]) -> Float[Tensor, "..."]:
        """Standard normal draws; along the first axis a stationary first-order autoregression."""
        white = torch.randn(tuple(shape), generator=self.generator)
        if self.correlation == 0.0 or white.ndim == 0:
            return white
        rows = [white[0]] if white.shape[0] else []
        fresh = math.sqrt(1 - self.correlation**2)
        for row in white[1:]:
            rows.append(self.correlation * rows[-1] + fresh * row)
        return torch.stack(rows) if rows else white

    def uniform(self, shape: Sequence[int]) -> Float[Tensor, "..."]:
        """Draws in [0, 1) with the same correlation over time."""
        if self.correlation == 0.0:
            return torch.rand(tuple(shape), generator=self.generator)
        return torch.special.ndtr(self.normal(shape))


def between(source: Noise, shape: Sequence[int], low: float | Tensor, high: float | Tensor) -> Float[Tensor, "..."]:
    """Uniform draws between two bounds (which broadcast against the shape)."""
    return low + (high - low) * source.uniform(shape)


def choose(source: Noise, shape: Sequence[int], weights: Float[Tensor, "... choices"]) -> Tensor:
    """Indices drawn in proportion to weights; the leading axes of the weights broadcast against the shape."""
    steps = weights.cumsum(-1)
    draw = source.uniform(shape)[..., None] * steps[..., -1:]
    return (draw >= steps).sum(-1).clamp(max=weights.shape[-1] - 1)

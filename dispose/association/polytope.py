"""The polystochastic polytope of Stage I, which is never empty; the released one is in `dispose.released.candidates`.

A sample's tuples are its candidates, one row of slots (or `ABSENT`) each, followed by one **fallback** tuple that is
absent in every view and takes the mass nobody claims. Every view has one bin per detection and a dustbin.
"""

import math

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from dispose.errors import ShapeError
from dispose.tensors import ABSENT
from dispose_kernels.sinkhorn import (
    Marginals,
    Projection,
    marginal_residual,
    newton_projection,
    pack,
    sweep_projection,
)

__all__ = [
    "Marginals",
    "Projection",
    "fallback_logits",
    "feasible_marginals",
    "is_fallback",
    "marginal_residual",
    "newton_projection",
    "pack",
    "sweep_projection",
    "with_fallbacks",
]


def feasible_marginals(
    members: Int[Tensor, "tuples views"],
    valid: Bool[Tensor, "*frames views slots"],
    frame: Int[Tensor, " tuples"] | None = None,
) -> Marginals:
    """Our constraints of one sample, or of every frame of several: a detection carries 1, ``K = all detections + 1``.

    The dustbin of a view with n detections carries ``K - n``. Mass 1 on every lone detection and on the fallback is
    feasible, so the polytope has an interior whatever is detected, as long as the singletons are among the tuples.
    """
    counts = valid.sum(-1).double()
    return marginals_of(members, valid, 1.0, counts.sum(-1, keepdim=True) + 1.0 - counts, frame)


def with_fallbacks(
    rows: Shaped[Tensor, "tuples *chans"], fallback: Shaped[Tensor, "frames *chans"], frame: Int[Tensor, " tuples"]
) -> Shaped[Tensor, "all_tuples *chans"]:
    """Values of tuples, every frame's followed by that of its fallback."""
    owner = torch.cat([frame, torch.arange(len(fallback), device=frame.device)])
    return torch.cat([rows, fallback])[torch.argsort(owner, stable=True)]


def fallback_logits(logits: Float[Tensor, " tuples"]) -> Float[Tensor, " all_tuples"]:
    """Logits of a sample's tuples and, as its last, the fallback at 0."""
    return torch.cat([logits, logits.new_zeros(1)])


def is_fallback(marginals: Marginals) -> Bool[Tensor, " tuples"]:
    """Which tuples of a packed problem are their sample's fallback (its last)."""
    last = torch.ones(len(marginals.sample), dtype=torch.bool, device=marginals.sample.device)
    last[:-1] = marginals.sample[1:] != marginals.sample[:-1]
    return last


def marginals_of(
    members: Int[Tensor, "tuples views"],
    valid: Bool[Tensor, "*frames views slots"],
    real: float,
    dustbin: Float[Tensor, "*frames views"],
    frame: Int[Tensor, " tuples"] | None = None,
) -> Marginals:
    """Number the bins (per view: its valid slots in order, then its dustbin) and append every frame's fallback.

    A view that pads a frame has a dustbin alone, which holds everything: implied by the others, harmless.
    """
    *frames, views, slots = valid.shape
    if members.shape[1] != views:
        raise ShapeError(f"{members.shape[1]} views in the tuples, {views} in the valid slots")
    valid = valid.view(math.prod(frames), views, slots)
    frame = torch.zeros_like(members[:, 0]) if frame is None else frame
    used = torch.cat([valid, valid.new_ones(len(valid), views, 1)], -1)
    number = (used.flatten().cumsum(0) - 1).view(used.shape)
    everyone = with_fallbacks(members, members.new_full((len(valid), views), ABSENT), frame)
    each = torch.arange(len(valid), device=frame.device)
    sample = with_fallbacks(frame, each, frame)
    slot = torch.where(everyone == ABSENT, slots, everyone)
    place = sample[:, None], torch.arange(views, device=members.device), slot
    if not bool(used[place].all()):
        row = int(torch.nonzero(~used[place].all(1))[0])
        raise ShapeError(f"tuple {row} is {everyone[row].tolist()}, which names a slot without a detection")
    filled = dustbin.new_full(valid.shape, real, dtype=torch.float64)
    target = torch.cat([filled, dustbin.view(len(valid), views, 1)], -1)[used]
    return Marginals(number[place], target, sample, each.repeat_interleave(used.sum((1, 2))), len(valid))

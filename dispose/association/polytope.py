"""The polystochastic polytope of Stage I, which is never empty; the released one is in `dispose.released.polytope`.

A sample's tuples are its candidates, one row of slots (or `ABSENT`) each, followed by one **fallback** tuple that is
absent in every view and takes the mass nobody claims. Every view has one bin per detection and a dustbin.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.errors import ConvergenceError, ShapeError
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
    "check",
    "fallback_logits",
    "feasible_marginals",
    "is_fallback",
    "marginal_residual",
    "newton_projection",
    "pack",
    "sweep_projection",
]


def feasible_marginals(members: Int[Tensor, "tuples views"], valid: Bool[Tensor, "views slots"]) -> Marginals:
    """One sample's constraints as ours: a detection carries 1, capacity ``K = all detections + 1``.

    The dustbin of a view with n detections carries ``K - n``. Mass 1 on every lone detection and on the fallback is
    feasible, so the polytope has an interior whatever is detected, as long as the singletons are among the tuples.
    """
    counts = valid.sum(1)
    return marginals_of(members, valid, 1.0, counts.sum() + 1.0 - counts.double())


def fallback_logits(logits: Float[Tensor, " tuples"]) -> Float[Tensor, " all_tuples"]:
    """Logits of a sample's tuples and, as its last, the fallback at 0."""
    return torch.cat([logits, logits.new_zeros(1)])


def check(projection: Projection, tolerance: float) -> Projection:
    """The projection itself if every sample's marginal residual is within the tolerance, else `ConvergenceError`."""
    bad = torch.nonzero(~(projection.residual <= tolerance))[:, 0]
    if len(bad):
        sample = int(bad[0])
        raise ConvergenceError(
            f"projection left a marginal residual of {float(projection.residual[sample]):.3g} in sample {sample} "
            f"({len(bad)} of {len(projection.residual)} samples above {tolerance:g}, "
            f"{projection.iterations} iterations); is the polytope empty?"
        )
    return projection


def is_fallback(marginals: Marginals) -> Bool[Tensor, " tuples"]:
    """Which tuples of a packed problem are their sample's fallback (its last)."""
    last = torch.ones(len(marginals.sample), dtype=torch.bool, device=marginals.sample.device)
    last[:-1] = marginals.sample[1:] != marginals.sample[:-1]
    return last


def marginals_of(
    members: Int[Tensor, "tuples views"],
    valid: Bool[Tensor, "views slots"],
    real: float,
    dustbin: Float[Tensor, " views"],
) -> Marginals:
    """Number the bins (per view: its valid slots in order, then its dustbin) and append the fallback tuple."""
    views, slots = valid.shape
    if members.shape[1] != views:
        raise ShapeError(f"{members.shape[1]} views in the tuples, {views} in the valid slots")
    used = torch.cat([valid, valid.new_ones(views, 1)], 1)
    number = (used.reshape(-1).cumsum(0) - 1).reshape(views, slots + 1)
    everyone = torch.cat([members, members.new_full((1, views), ABSENT)])
    slot = torch.where(everyone == ABSENT, slots, everyone)
    column = torch.arange(views, device=members.device)
    if not bool(used[column, slot].all()):
        row = int(torch.nonzero(~used[column, slot].all(1))[0])
        raise ShapeError(f"tuple {row} is {everyone[row].tolist()}, which names a slot without a detection")
    filled = torch.full((views, slots), real, dtype=torch.float64, device=members.device)
    target = torch.cat([filled, dustbin.to(members.device)[:, None]], 1)[used]
    bins = number[column, slot]
    sample_of_bin = torch.zeros(len(target), dtype=torch.long, device=bins.device)
    return Marginals(bins, target, torch.zeros_like(bins[:, 0]), sample_of_bin, 1)

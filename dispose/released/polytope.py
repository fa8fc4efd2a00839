"""The released polytope: ten people at most, and a constant logit per dustbin."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.association.polytope import Marginals, marginals_of
from dispose.errors import ShapeError
from dispose.tensors import ABSENT

RELEASED_ALPHA = 0.6607
"""The constant the released checkpoints add to a tuple's logit per dustbin."""


def released_marginals(
    members: Int[Tensor, "tuples views"],
    valid: Bool[Tensor, "views slots"],
    *,
    capacity: int = 10,
    epsilon: float = 1e-3,
) -> Marginals:
    """One sample's constraints as released: a detection carries ``1/capacity``, a dustbin the rest.

    The dustbin of a view with n detections carries ``(capacity - n + epsilon) / capacity``, so that every view's
    total is ``1 + epsilon/capacity``. With detections in fewer than two views every tuple but the fallback has mass 0.
    Where more people and lone detections are there than `capacity`, the right answer is outside.
    """
    counts = valid.sum(1)
    if int(counts.max() if len(counts) else 0) > capacity:
        raise ShapeError(f"{int(counts.max())} detections in one view, the released polytope holds {capacity}")
    lonely = int((counts > 0).sum()) < 2
    real = 0.0 if lonely else 1.0 / capacity
    rest = (capacity - counts.double() + epsilon) / capacity
    dustbin = torch.ones_like(rest) if lonely else rest
    return marginals_of(members, valid, real, dustbin)


def released_logits(
    logits: Float[Tensor, " tuples"], members: Int[Tensor, "tuples views"], alpha: float = RELEASED_ALPHA
) -> Float[Tensor, " all_tuples"]:
    """Logits of a sample's tuples and its fallback: ``alpha`` per dustbin is added, the fallback has only that."""
    dustbins = (members == ABSENT).sum(1)
    return torch.cat([logits + alpha * dustbins, logits.new_full((1,), alpha * members.shape[1])])

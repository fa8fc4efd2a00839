"""The segment reductions and their definition: one segment after another, in plain torch."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

Items = Float[Tensor, "items *chans"]
Index = Int[Tensor, " items"]
Segments = Float[Tensor, "segments *chans"]
Reduction = Callable[[Tensor, Tensor, int], Tensor]
"""Of values, the segment of each, and the number of segments."""


@dataclass(frozen=True)
class SegmentBackend:
    """One implementation of the five reductions, each ``(values, index, segments) -> tensor``.

    Attributes:
        name: by which it is asked for.
        sum: of the items of every segment; 0 for an empty one.
        mean: of the items of every segment; 0 for an empty one.
        max: largest item of every segment, 0 for an empty one; equal largest items share the gradient equally.
        softmax: ``exp(value)`` divided by its segment's sum of them; 0 where every item of it is minus infinity.
        logsumexp: ``log sum exp`` of the items of every segment; minus infinity for an empty one.
    """

    name: str
    sum: Reduction
    mean: Reduction
    max: Reduction
    softmax: Reduction
    logsumexp: Reduction


def _each(reduce: Callable[[Tensor], Tensor]) -> Reduction:
    """Reduce the items of one segment after another."""

    def reduction(values: Items, index: Index, segments: int) -> Segments:
        rows = [reduce(values[index == k]) for k in range(segments)]
        return torch.stack(rows) if rows else values.new_zeros((0, *values.shape[1:]))

    return reduction


def _softmax(values: Items, index: Index, segments: int) -> Items:
    out = torch.zeros_like(values)
    for k in range(segments):
        rows = index == k
        if rows.any():
            part = values[rows]
            dead = torch.isneginf(part).all(0)
            soft = torch.softmax(torch.where(dead, 0.0, part), 0)
            out = out.index_put((rows,), torch.where(dead, 0.0, soft))
    return out


def _logsumexp(items: Tensor) -> Tensor:
    if not len(items):
        return items.new_full(items.shape[1:], -torch.inf)
    dead = torch.isneginf(items).all(0)
    return torch.where(dead, -torch.inf, torch.logsumexp(torch.where(dead, 0.0, items), 0))


REFERENCE = SegmentBackend(
    "reference",
    sum=_each(lambda items: items.sum(0)),
    mean=_each(lambda items: items.mean(0) if len(items) else items.sum(0)),
    max=_each(lambda items: items.amax(0) if len(items) else items.sum(0)),
    softmax=_softmax,
    logsumexp=_each(_logsumexp),
)

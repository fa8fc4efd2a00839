"""The definition of the segment reductions: one segment after another, in plain torch."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

Items = Float[Tensor, "items *chans"]
Index = Int[Tensor, " items"]
Segments = Float[Tensor, "segments *chans"]


def segment_sum(values: Items, index: Index, segments: int) -> Segments:
    """Sum of the items of every segment; 0 for an empty one."""
    return _stack([values[index == k].sum(0) for k in range(segments)], values)


def segment_mean(values: Items, index: Index, segments: int) -> Segments:
    """Mean of the items of every segment; 0 for an empty one."""
    return _stack([_mean(values[index == k]) for k in range(segments)], values)


def segment_max(values: Items, index: Index, segments: int) -> Segments:
    """Largest item of every segment, 0 for an empty one; equal largest items share the gradient equally."""
    return _stack([_max(values[index == k]) for k in range(segments)], values)


def segment_logsumexp(values: Items, index: Index, segments: int) -> Segments:
    """``log sum exp`` of the items of every segment; minus infinity for an empty one."""
    return _stack([_logsumexp(values[index == k]) for k in range(segments)], values)


def segment_softmax(values: Items, index: Index, segments: int) -> Items:
    """``exp(value)`` divided by its segment's sum of them; 0 where every item of the segment is minus infinity."""
    out = torch.zeros_like(values)
    for k in range(segments):
        rows = index == k
        if rows.any():
            part = values[rows]
            dead = torch.isneginf(part).all(0)
            soft = torch.softmax(torch.where(dead, 0.0, part), 0)
            out = out.index_put((rows,), torch.where(dead, 0.0, soft))
    return out


def _stack(rows: list[Tensor], values: Tensor) -> Tensor:
    return torch.stack(rows) if rows else values.new_zeros((0, *values.shape[1:]))


def _mean(items: Tensor) -> Tensor:
    return items.mean(0) if len(items) else items.sum(0)


def _max(items: Tensor) -> Tensor:
    return items.amax(0) if len(items) else items.sum(0)


def _logsumexp(items: Tensor) -> Tensor:
    if not len(items):
        return items.new_full(items.shape[1:], -torch.inf)
    dead = torch.isneginf(items).all(0)
    return torch.where(dead, -torch.inf, torch.logsumexp(torch.where(dead, 0.0, items), 0))

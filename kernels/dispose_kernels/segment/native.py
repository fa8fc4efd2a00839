"""Segment reductions on torch's own scatter operators: any device, compiles, vmaps.

The maximum starts from minus infinity and is masked afterwards. Starting from zeros with
``include_self=False`` gives the same values and loses gradient where the maximum equals the initial 0.
"""

import torch
from torch import Tensor

from dispose_kernels.segment.reference import Index, Items, Segments


def segment_sum(values: Items, index: Index, segments: int) -> Segments:
    """Sum of the items of every segment; 0 for an empty one."""
    return values.new_zeros((segments, *values.shape[1:])).index_add(0, index, values)


def segment_mean(values: Items, index: Index, segments: int) -> Segments:
    """Mean of the items of every segment; 0 for an empty one."""
    count = _count(index, segments, values).clamp(min=1)
    return segment_sum(values, index, segments) / count


def segment_max(values: Items, index: Index, segments: int) -> Segments:
    """Largest item of every segment, 0 for an empty one; equal largest items share the gradient equally.

    torch-scatter gives one of several equal items the whole gradient: same values, other subgradient.
    """
    largest = _amax(values, index, segments)
    return torch.where(_count(index, segments, values) > 0, largest, 0.0)


def segment_logsumexp(values: Items, index: Index, segments: int) -> Segments:
    """``log sum exp`` of the items of every segment; minus infinity for an empty one."""
    shift = _shift(values, index, segments)
    total = segment_sum(torch.exp(values - shift[index]), index, segments)
    alive = total > 0
    return torch.where(alive, torch.where(alive, total, 1.0).log() + shift, -torch.inf)


def segment_softmax(values: Items, index: Index, segments: int) -> Items:
    """``exp(value)`` divided by its segment's sum of them; 0 where every item of the segment is minus infinity."""
    weight = torch.exp(values - _shift(values, index, segments)[index])
    total = segment_sum(weight, index, segments)
    return weight / torch.where(total > 0, total, 1.0)[index]


def _amax(values: Tensor, index: Tensor, segments: int) -> Tensor:
    spread = index.reshape(-1, *(1,) * (values.ndim - 1)).expand_as(values)
    start = values.new_full((segments, *values.shape[1:]), -torch.inf)
    return start.scatter_reduce(0, spread, values, "amax")


def _shift(values: Tensor, index: Tensor, segments: int) -> Tensor:
    """Finite per-segment maximum without gradient: it cancels in every use."""
    largest = _amax(values.detach(), index, segments)
    return torch.where(torch.isfinite(largest), largest, 0.0)


def _count(index: Tensor, segments: int, values: Tensor) -> Tensor:
    count = torch.bincount(index, minlength=segments)
    return count.reshape(-1, *(1,) * (values.ndim - 1))

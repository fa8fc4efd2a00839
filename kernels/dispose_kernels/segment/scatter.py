"""Segment reductions on scatter operators: torch's own (any device, compiles, vmaps), or those of torch-scatter.

The maximum starts from minus infinity and is masked afterwards. Starting from zeros with
``include_self=False`` gives the same values and loses gradient where the maximum equals the initial 0.
"""

from functools import partial

import torch
from torch import Tensor

from dispose_kernels.errors import BackendError
from dispose_kernels.segment.reference import Index, Items, Reduction, SegmentBackend, Segments


def backend_of(name: str, add: Reduction, largest: Reduction) -> SegmentBackend:
    """All five reductions from two: the sum, and the maximum, which of an empty segment may be anything."""
    return SegmentBackend(
        name,
        sum=add,
        mean=partial(_mean, add),
        max=partial(_max, largest),
        softmax=partial(_softmax, add, largest),
        logsumexp=partial(_logsumexp, add, largest),
    )


def torch_scatter() -> SegmentBackend:
    """The reductions for those who have compiled torch-scatter, or `BackendError`.

    Of several equal largest items one has the whole gradient.
    """
    try:
        import torch_scatter as library  # type: ignore[import-not-found]
    except ImportError as error:
        raise BackendError(
            "segment backend 'torch_scatter' was asked for, but the package torch-scatter is not installed; "
            "install it (it compiles against the installed torch) or use 'native'"
        ) from error
    return backend_of(
        "torch_scatter",
        add=lambda values, index, segments: library.scatter_add(values, index, dim=0, dim_size=segments),
        largest=lambda values, index, segments: library.scatter_max(values, index, dim=0, dim_size=segments)[0],
    )


def _index_add(values: Items, index: Index, segments: int) -> Segments:
    return values.new_zeros((segments, *values.shape[1:])).index_add(0, index, values)


def _amax(values: Items, index: Index, segments: int) -> Segments:
    spread = index.reshape(-1, *(1,) * (values.ndim - 1)).expand_as(values)
    start = values.new_full((segments, *values.shape[1:]), -torch.inf)
    return start.scatter_reduce(0, spread, values, "amax")


def _mean(add: Reduction, values: Items, index: Index, segments: int) -> Segments:
    return add(values, index, segments) / _count(index, segments, values).clamp(min=1)


def _max(largest: Reduction, values: Items, index: Index, segments: int) -> Segments:
    return torch.where(_count(index, segments, values) > 0, largest(values, index, segments), 0.0)


def _softmax(add: Reduction, largest: Reduction, values: Items, index: Index, segments: int) -> Items:
    weight = torch.exp(values - _shift(largest, values, index, segments)[index])
    total = add(weight, index, segments)
    return weight / torch.where(total > 0, total, 1.0)[index]


def _logsumexp(add: Reduction, largest: Reduction, values: Items, index: Index, segments: int) -> Segments:
    shift = _shift(largest, values, index, segments)
    total = add(torch.exp(values - shift[index]), index, segments)
    alive = total > 0
    return torch.where(alive, torch.where(alive, total, 1.0).log() + shift, -torch.inf)


def _shift(largest: Reduction, values: Tensor, index: Tensor, segments: int) -> Tensor:
    """Finite per-segment maximum without gradient: it cancels in every use."""
    found = largest(values.detach(), index, segments)
    return torch.where(torch.isfinite(found), found, 0.0)


def _count(index: Tensor, segments: int, values: Tensor) -> Tensor:
    count = torch.bincount(index, minlength=segments)
    return count.reshape(-1, *(1,) * (values.ndim - 1))


NATIVE = backend_of("native", _index_add, _amax)

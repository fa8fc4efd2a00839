"""Reductions of items grouped by an index vector: `values (items, *chans)`, `index (items,)` in ``0..segments-1``.

The functions here are the default backend, plain torch. Another one is asked for by name:
``segment_backend("torch_scatter").sum(values, index, segments)``; it runs or raises.

The definition, `REFERENCE`, takes one segment after another. The others are made of scatter operators: torch's own (any
device, compiles, vmaps), or those of torch-scatter.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dispose_kernels.errors import BackendError

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


def _softmax_of_each(values: Items, index: Index, segments: int) -> Items:
    out = torch.zeros_like(values)
    for k in range(segments):
        rows = index == k
        if rows.any():
            part = values[rows]
            dead = torch.isneginf(part).all(0)
            soft = torch.softmax(torch.where(dead, 0.0, part), 0)
            out = out.index_put((rows,), torch.where(dead, 0.0, soft))
    return out


def _logsumexp_of_items(items: Tensor) -> Tensor:
    if not len(items):
        return items.new_full(items.shape[1:], -torch.inf)
    dead = torch.isneginf(items).all(0)
    return torch.where(dead, -torch.inf, torch.logsumexp(torch.where(dead, 0.0, items), 0))


REFERENCE = SegmentBackend(
    "reference",
    sum=_each(lambda items: items.sum(0)),
    mean=_each(lambda items: items.mean(0) if len(items) else items.sum(0)),
    max=_each(lambda items: items.amax(0) if len(items) else items.sum(0)),
    softmax=_softmax_of_each,
    logsumexp=_each(_logsumexp_of_items),
)


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
    """From minus infinity, to be masked afterwards.

    From zeros with ``include_self=False`` the values are the same, but where the maximum equals the initial 0 gradient
    is lost.
    """
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


def segment_backend(name: str) -> SegmentBackend:
    """The backend ``native``, ``reference`` or ``torch_scatter``; `BackendError` if it cannot run here."""
    backends = {"native": lambda: NATIVE, "reference": lambda: REFERENCE, "torch_scatter": torch_scatter}
    if name not in backends:
        raise BackendError(f"there is no segment backend {name!r}; there are {', '.join(sorted(backends))}")
    return backends[name]()


segment_sum, segment_mean, segment_max = NATIVE.sum, NATIVE.mean, NATIVE.max
segment_softmax, segment_logsumexp = NATIVE.softmax, NATIVE.logsumexp

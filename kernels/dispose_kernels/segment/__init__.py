"""Reductions of items grouped by an index vector: `values (items, *chans)`, `index (items,)` in ``0..segments-1``.

The functions here are the default backend, plain torch. Another one is asked for by name:
``segment_backend("torch_scatter").sum(values, index, segments)``; it runs or raises.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from dispose_kernels.errors import BackendError
from dispose_kernels.segment import native, reference, scatter
from dispose_kernels.segment.native import (
    segment_logsumexp,
    segment_max,
    segment_mean,
    segment_softmax,
    segment_sum,
)

Reduction = Callable[[Tensor, Tensor, int], Tensor]


@dataclass(frozen=True)
class SegmentBackend:
    """One implementation of the five reductions, each ``(values, index, segments) -> tensor``."""

    name: str
    sum: Reduction
    mean: Reduction
    max: Reduction
    softmax: Reduction
    logsumexp: Reduction


def segment_backend(name: str) -> SegmentBackend:
    """The backend ``native``, ``reference`` or ``torch_scatter``; `BackendError` if it cannot run here."""
    modules = {"native": native, "reference": reference, "torch_scatter": scatter}
    if name not in modules:
        raise BackendError(f"there is no segment backend {name!r}; there are {', '.join(sorted(modules))}")
    if name == "torch_scatter":
        scatter.library()
    module = modules[name]
    return SegmentBackend(
        name,
        module.segment_sum,
        module.segment_mean,
        module.segment_max,
        module.segment_softmax,
        module.segment_logsumexp,
    )


__all__ = [
    "SegmentBackend",
    "segment_backend",
    "segment_logsumexp",
    "segment_max",
    "segment_mean",
    "segment_softmax",
    "segment_sum",
]

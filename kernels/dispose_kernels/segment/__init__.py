"""Reductions of items grouped by an index vector: `values (items, *chans)`, `index (items,)` in ``0..segments-1``.

The functions here are the default backend, plain torch. Another one is asked for by name:
``segment_backend("torch_scatter").sum(values, index, segments)``; it runs or raises.
"""

from dispose_kernels.errors import BackendError
from dispose_kernels.segment.reference import REFERENCE, Reduction, SegmentBackend
from dispose_kernels.segment.scatter import NATIVE, torch_scatter


def segment_backend(name: str) -> SegmentBackend:
    """The backend ``native``, ``reference`` or ``torch_scatter``; `BackendError` if it cannot run here."""
    backends = {"native": lambda: NATIVE, "reference": lambda: REFERENCE, "torch_scatter": torch_scatter}
    if name not in backends:
        raise BackendError(f"there is no segment backend {name!r}; there are {', '.join(sorted(backends))}")
    return backends[name]()


segment_sum, segment_mean, segment_max = NATIVE.sum, NATIVE.mean, NATIVE.max
segment_softmax, segment_logsumexp = NATIVE.softmax, NATIVE.logsumexp

__all__ = [
    "Reduction",
    "SegmentBackend",
    "segment_backend",
    "segment_logsumexp",
    "segment_max",
    "segment_mean",
    "segment_softmax",
    "segment_sum",
]

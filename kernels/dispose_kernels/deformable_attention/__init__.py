"""Deformable attention: every head of a query reads a few weighted points of the feature maps of one image.

Queries are packed: ``map_of`` says which map each reads, so that people and views that are absent cost nothing.
Locations are fractions of a map's width and height: 0 and 1 are its outer edges at every level
(``align_corners=False``); reading is bilinear and zero outside. Keep locations in float32 or better: at 240 pixels
half a precision is half a pixel. The maps may be of lower precision, and the samples are then.

The functions here are the default backend, plain torch. Another one is asked for by name:
``deformable_backend("reference").attention(levels, map_of, location, weight)``; it runs or raises.
"""

from dispose_kernels.deformable_attention import native, reference, triton_backend
from dispose_kernels.deformable_attention.operators import DeformableBackend
from dispose_kernels.errors import BackendError

_READERS = {"native": native.read_level, "reference": reference.read_level, "triton": triton_backend.read_level}
_BACKENDS = {name: DeformableBackend(name, read) for name, read in _READERS.items()}


def deformable_backend(name: str) -> DeformableBackend:
    """The backend ``native``, ``reference`` or ``triton``; `BackendError` if it cannot run here."""
    if name not in _BACKENDS:
        raise BackendError(f"there is no deformable backend {name!r}; there are {', '.join(sorted(_BACKENDS))}")
    if name == "triton":
        triton_backend.library()
    return _BACKENDS[name]


deformable_attention, deformable_gather = _BACKENDS["native"].attention, _BACKENDS["native"].gather

__all__ = ["DeformableBackend", "deformable_attention", "deformable_backend", "deformable_gather"]

"""Deformable attention: every head of a query reads a few weighted points of the feature maps of one picture.

Queries are packed: ``map_of`` says which map each reads, so that people and views that are absent cost nothing.
Locations are fractions of a map's width and height: 0 and 1 are its outer edges at every level
(``align_corners=False``); reading is bilinear and zero outside. Keep locations in float32 or better: at 240 pixels
half a precision is half a pixel. The maps may be of lower precision, and the samples are then.

The functions here are the default backend, plain torch. Another one is asked for by name:
``deformable_backend("reference").attention(levels, map_of, location, weight)``; it runs or raises.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from dispose_kernels.deformable_attention import native, reference, triton_backend
from dispose_kernels.deformable_attention.native import deformable_attention, deformable_gather
from dispose_kernels.errors import MissingBackendError

Attention = Callable[[Sequence[Tensor], Tensor, Tensor, Tensor], Tensor]
Gather = Callable[[Sequence[Tensor], Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class DeformableBackend:
    """One implementation of both operators, each of ``(levels, map_of, location, weight)``."""

    name: str
    attention: Attention
    gather: Gather


def deformable_backend(name: str) -> DeformableBackend:
    """The backend ``native``, ``reference`` or ``triton``; `MissingBackendError` if it cannot run here."""
    modules = {"native": native, "reference": reference, "triton": triton_backend}
    if name not in modules:
        raise MissingBackendError(f"there is no deformable backend {name!r}; there are {', '.join(sorted(modules))}")
    if name == "triton":
        triton_backend.library()
    module = modules[name]
    return DeformableBackend(name, module.deformable_attention, module.deformable_gather)


__all__ = ["DeformableBackend", "deformable_attention", "deformable_backend", "deformable_gather"]

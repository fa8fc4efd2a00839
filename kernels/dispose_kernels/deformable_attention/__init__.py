"""Deformable attention: every head of a query reads a few weighted points of the feature maps of one image.

Queries are packed: ``map_of`` says which map each reads, so that people and views that are absent cost nothing.
Locations are fractions of a map's width and height: 0 and 1 are its outer edges at every level
(``align_corners=False``); reading is bilinear and zero outside. Keep locations in float32 or better: at 240 pixels
half a precision is half a pixel. The maps may be of lower precision, and the samples are then.

The functions here are the default backend, plain torch. Another one is asked for by name:
``deformable_backend("reference").attention(levels, map_of, location, weight)``; it runs or raises.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from dispose_kernels.deformable_attention import native, reference, triton_backend
from dispose_kernels.errors import BackendError, OperandError

Maps = Float[Tensor, "maps chans _ _"]
Queries = Int[Tensor, " queries"]
Locations = Float[Tensor, "queries heads levels points 2"]
Weights = Float[Tensor, "queries heads levels points"]

ReadLevel = Callable[[Tensor, Tensor, Tensor, Tensor, int], tuple[Tensor, Tensor]]
"""Of the maps of one level, ``map_of``, locations, weights and a number of groups of channels: the weighted samples of
one group for every head (head k reads group ``k mod groups``), and the weight that fell inside the maps."""


@dataclass(frozen=True)
class DeformableBackend:
    """One way of reading the maps, and the two operators on it."""

    name: str
    read_level: ReadLevel

    def attention(
        self, levels: Sequence[Maps], map_of: Queries, location: Locations, weight: Weights
    ) -> Float[Tensor, "queries chans"]:
        """``out[q, head k's channels] = sum_lp weight[q, k, l, p] levels[l][map_of[q], same channels](location)``."""
        check(levels, map_of, location, weight)
        heads, chans = location.shape[1], levels[0].shape[1]
        if not heads or chans % heads:
            raise OperandError(f"{chans} channels cannot be shared equally by {heads} heads")
        return self._read(levels, map_of, location, weight, heads)[0].flatten(1)

    def gather(
        self, levels: Sequence[Maps], map_of: Queries, location: Locations, weight: Weights
    ) -> tuple[Float[Tensor, "queries heads chans"], Float[Tensor, "queries heads"]]:
        """The weighted samples of all channels for every head, and the weight that fell inside the maps."""
        check(levels, map_of, location, weight)
        return self._read(levels, map_of, location, weight, 1)

    def _read(
        self, levels: Sequence[Tensor], map_of: Tensor, location: Tensor, weight: Tensor, groups: int
    ) -> tuple[Tensor, Tensor]:
        parts = [
            self.read_level(level, map_of, location[:, :, number], weight[:, :, number], groups)
            for number, level in enumerate(levels)
        ]
        total, coverage = parts[0]
        for more, inside in parts[1:]:
            total, coverage = total + more, coverage + inside
        return total, coverage


def check(levels: Sequence[Tensor], map_of: Tensor, location: Tensor, weight: Tensor) -> None:
    """`OperandError` unless maps, queries, heads, levels and points agree; nothing is read from the device."""
    if not levels:
        raise OperandError("deformable attention needs at least one level of feature maps, and was given none")
    maps, chans = levels[0].shape[:2]
    for number, level in enumerate(levels):
        if level.ndim != 4 or level.shape[:2] != (maps, chans):
            raise OperandError(
                f"every level holds maps x chans x height x width with equal maps and chans; level 0 is "
                f"{tuple(levels[0].shape)} and level {number} is {tuple(level.shape)}"
            )
    if location.ndim != 5 or location.shape[2] != len(levels) or location.shape[-1] != 2:
        raise OperandError(
            f"locations are queries x heads x {len(levels)} levels x points x 2; these are {tuple(location.shape)}"
        )
    if weight.shape != location.shape[:-1]:
        raise OperandError(
            f"every location has one weight; locations are {tuple(location.shape)} and weights {tuple(weight.shape)}"
        )
    if map_of.shape != location.shape[:1]:
        raise OperandError(
            f"every query has one map; there are {len(location)} queries and map_of is {tuple(map_of.shape)}"
        )


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

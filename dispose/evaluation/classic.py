"""The table of classic associators, from which commands take their names."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from dispose.baselines.greedy_agglomerative import greedy_agglomerative
from dispose.baselines.incremental_hungarian import incremental_hungarian
from dispose.baselines.integer_programme import integer_programme
from dispose.baselines.svt import svt
from dispose.errors import InputError
from dispose.scene.frame import Frame
from dispose.scene.results import Association


@runtime_checkable
class Gated(Protocol):
    """An associator with a gate."""

    def __call__(self, frame: Frame, *, gate_mm: float = ...) -> Association:
        """Groups of a frame's detections."""
        ...


@dataclass(frozen=True)
class Classic:
    """A classic associator.

    Attributes:
        key: its name in `dispose evaluate` and in files.
        option: its name in `dispose predict`.
        name: how tables and pages call it.
        associate: who is who; without a gate at the one that suits good detections.
        gate_mm: that gate.
    """

    key: str
    option: str
    name: str
    associate: Gated
    gate_mm: float


CLASSIC = (
    Classic("integer_programme", "ilp", "integer programme", integer_programme, 150.0),
    Classic("svt", "svt", "SVT multi-way matching", svt, 100.0),
    Classic("greedy", "greedy", "greedy agglomerative", greedy_agglomerative, 150.0),
    Classic("hungarian", "hungarian", "incremental Hungarian", incremental_hungarian, 100.0),
)
"""From the exact one to the quickest."""


def classic(key: str) -> Classic:
    """The classic associator of a name; `InputError` lists the names where there is none."""
    for one in CLASSIC:
        if key in (one.key, one.option):
            return one
    raise InputError(f"no classic associator named {key!r}; known: {', '.join(one.key for one in CLASSIC)}")

"""The classic associators as methods, and the one that reads the labels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch

from dispose.baselines.greedy_agglomerative import greedy_agglomerative
from dispose.baselines.incremental_hungarian import incremental_hungarian
from dispose.baselines.integer_programme import integer_programme
from dispose.baselines.random_grouping import random_grouping
from dispose.baselines.svt import svt
from dispose.errors import InputError
from dispose.evaluation.score import Method
from dispose.inference.readings import Source
from dispose.scene.convert import keep_joints
from dispose.scene.frame import Frame
from dispose.scene.labels import association_of_identities
from dispose.scene.results import Association, associate_each

RANDOM_SEED = 20260611


@runtime_checkable
class Gated(Protocol):
    """An associator with a gate."""

    def __call__(self, frame: Frame, *, gate_mm: float) -> Association:
        """Groups of a frame's detections."""
        ...


@dataclass(frozen=True)
class Classic:
    """A classic associator: its name in tables and the gate that suits good detections."""

    key: str
    name: str
    associate: Gated
    gate_mm: float

    def at(self, gate_mm: float, joints: Sequence[str] = ()) -> Method:
        """The method with one gate, looking at some of the joints (none named: at all)."""

        def associate(frame: Frame) -> Association:
            if joints:
                frame = replace(frame, detections=keep_joints(frame.detections, joints))
            return self.associate(frame, gate_mm=gate_mm)

        return Method(f"{self.name}, {gate_mm:g} mm", associate_each(associate), gate_mm=gate_mm)


CLASSIC = (
    Classic("integer_programme", "integer programme", integer_programme, 150.0),
    Classic("svt", "SVT multi-way matching", svt, 100.0),
    Classic("greedy", "greedy agglomerative", greedy_agglomerative, 150.0),
    Classic("hungarian", "incremental Hungarian", incremental_hungarian, 100.0),
)


def classic(key: str) -> Classic:
    """The classic associator of a name; `InputError` lists the names where there is none."""
    for one in CLASSIC:
        if one.key == key:
            return one
    raise InputError(f"no classic associator named {key!r}; known: {', '.join(one.key for one in CLASSIC)}")


def random_method(seed: int = RANDOM_SEED) -> Method:
    """Random grouping; every frame draws from its own generator, so the order of the frames does not matter."""

    def associate(frame: Frame) -> Association:
        return random_grouping(frame, torch.Generator().manual_seed(seed + frame.number))

    return Method("random grouping", associate_each(associate))


def oracle_method(source: Source) -> Method:
    """Groups by the labels: what perfect association would score. The only method that sees them."""

    def associate(frame: Frame) -> Association:
        reading = source.read(frame.number)
        if reading is None or reading.labels is None:
            raise InputError(f"frame {frame.number} has no labels to group by")
        return association_of_identities(reading.labels.identity)

    return Method("oracle association", associate_each(associate))

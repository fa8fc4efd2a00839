"""The classic associators as methods, and the one that reads the labels."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from dispose.baselines.random_grouping import random_grouping
from dispose.errors import InputError
from dispose.evaluation.classic import Classic
from dispose.evaluation.score import Method
from dispose.inference.readings import Source
from dispose.scene.convert import keep_joints
from dispose.scene.frame import Frame
from dispose.scene.labels import association_of_identities
from dispose.scene.results import Association, associate_each

RANDOM_SEED = 20260611


def gated_method(one: Classic, gate_mm: float, joints: Sequence[str] = ()) -> Method:
    """A classic associator with one gate, looking at some of the joints (none named: at all)."""

    def associate(frame: Frame) -> Association:
        if joints:
            frame = replace(frame, detections=keep_joints(frame.detections, joints))
        return one.associate(frame, gate_mm=gate_mm)

    return Method(f"{one.name}, {gate_mm:g} mm", associate_each(associate), gate_mm=gate_mm)


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

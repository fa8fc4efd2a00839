"""What detectors of few joints would say of the same frames: roots alone, trunks, fragments."""

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.scene.frame import Frame, Labels
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import ABSENT

HIPS = ("l_hip", "r_hip")
TRUNK = ("l_shoulder", "r_shoulder", *HIPS)

JointChoice = Callable[[Frame, torch.Generator], Bool[Tensor, "views slots joints"]]
"""Which joints of a frame's detections are still reported."""


def only(*names: str) -> JointChoice:
    """These joints alone."""

    def choose(frame: Frame, generator: torch.Generator) -> Tensor:
        kept = torch.zeros(len(COCO_17), dtype=torch.bool)
        kept[list(COCO_17.indices(names))] = True
        return frame.detections.visible & kept

    return choose


def a_share(low: float, high: float) -> JointChoice:
    """Every joint with a probability drawn once for the frame."""

    def choose(frame: Frame, generator: torch.Generator) -> Tensor:
        share = low + (high - low) * torch.rand((), generator=generator)
        return frame.detections.visible & (torch.rand(frame.detections.visible.shape, generator=generator) < share)

    return choose


def a_few(most: int) -> JointChoice:
    """Of every detection one to `most` of its joints."""

    def choose(frame: Frame, generator: torch.Generator) -> Tensor:
        visible = frame.detections.visible
        order: Float[Tensor, "views slots joints"] = torch.rand(visible.shape, generator=generator) + 2.0 * ~visible
        count = torch.randint(1, most + 1, visible.shape[:2], generator=generator)
        return visible & (order.argsort(-1).argsort(-1) < count[..., None])

    return choose


JOINT_POOR = (only(*HIPS), only(*TRUNK), a_share(0.15, 0.6), a_few(4))
"""The kinds that training shows."""


def report_joints(
    frame: Frame, labels: Labels, choice: JointChoice, generator: torch.Generator
) -> tuple[Frame, Labels]:
    """The frame with some joints only; who has none left is not reported at all."""
    found, visible = frame.detections, choice(frame, generator)
    valid = found.valid & visible.any(-1)
    detections = replace(
        found,
        xy_image=torch.where(visible[..., None], found.xy_image, 0.0),
        confidence=torch.where(visible, found.confidence, 0.0),
        visible=visible,
        valid=valid,
        index=torch.where(valid, found.index, ABSENT),
    )
    identity = torch.where(valid, labels.identity, ABSENT)
    return replace(frame, detections=detections), replace(labels, identity=identity)

"""What the evaluation of image models passes around: pictures, truth apart, answers and what they were made of."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from dispose.scene.cameras import Cameras
from dispose.scene.detections import Detections
from dispose.scene.frame import Frame
from dispose.scene.poses import Poses
from dispose.scene.prediction import Prediction
from dispose.tensors import ABSENT

ROOT_GATE_MAP_PX = 4.0
"""A root peak farther than this from everybody's projected root is nobody's, heat-map pixels."""


@dataclass(frozen=True, eq=False)
class ImageScene:
    """One instant: what a method may see, and what only the metrics may see."""

    frame: Frame
    truth: Poses


@dataclass(frozen=True, eq=False)
class ImageAnswer:
    """What a method says about an instant.

    Attributes:
        prediction: people; the scores by which they are ranked are `association.confidence`.
        roots: the root peaks that `association.members` counts, None where the method says nothing about them.
        spacing_px: size of a heat-map pixel in every view, original pixels.
    """

    prediction: Prediction
    roots: Detections | None = None
    spacing_px: Float[Tensor, " views"] | None = None


@dataclass(frozen=True, eq=False)
class ImageMethod:
    """Something that says who is where in pictures.

    Attributes:
        name: how tables call it.
        predict: pictures to people; never sees the truth.
    """

    name: str
    predict: Callable[[Frame], ImageAnswer]


@dataclass(frozen=True, eq=False)
class ImageOutcome:
    """A method's answer beside the truth; the pictures are left behind."""

    cameras: Cameras
    truth: Poses
    answer: ImageAnswer


@dataclass(frozen=True, eq=False)
class Answers:
    """All answers of a method, and the mean time it took for one."""

    method: str
    outcomes: tuple[ImageOutcome, ...]
    seconds: float


def answer_all(scenes: Iterable[ImageScene], methods: Sequence[ImageMethod]) -> tuple[Answers, ...]:
    """Every method's answers; scenes are read once, one at a time, so that pictures need not fit into memory."""
    outcomes: list[list[ImageOutcome]] = [[] for _ in methods]
    busy = [0.0] * len(methods)
    for scene in scenes:
        for k, method in enumerate(methods):
            start = time.perf_counter()
            answer = method.predict(scene.frame)
            busy[k] += time.perf_counter() - start
            outcomes[k].append(ImageOutcome(scene.frame.cameras, scene.truth, answer))
    return tuple(
        Answers(method.name, tuple(mine), seconds / max(len(mine), 1))
        for method, mine, seconds in zip(methods, outcomes, busy, strict=True)
    )


def root_identities(
    cameras: Cameras,
    truth: Poses,
    roots: Detections,
    spacing_px: Float[Tensor, " views"],
    *,
    gate: float = ROOT_GATE_MAP_PX,
) -> Int[Tensor, "views slots"]:
    """Whose every root peak is: in each view the best one-to-one matching of peaks to projected true roots.

    A peak that is within the gate of nobody left is a person of its own (numbers from the count of true people on):
    a group that holds it is wrong. `ABSENT` in empty slots.

    Args:
        cameras: of the frame.
        truth: true people whose skeleton has a root or the joints it is the mean of.
        roots: root peaks; the root joint is the visible one.
        spacing_px: size of a heat-map pixel in every view, original pixels.
        gate: in heat-map pixels.
    """
    joint = roots.skeleton.indices(roots.skeleton.root_of)[0]
    rows = truth.skeleton.indices(truth.skeleton.root_of)
    known = truth.valid[:, rows].all(1)
    xy, front = cameras.project(truth.xyz_world[:, rows].to(torch.float64).mean(1))
    gap = torch.linalg.vector_norm(roots.xy_image[:, :, joint][:, :, None] - xy[:, None], dim=-1)
    gap = gap / spacing_px.to(torch.float64)[:, None, None]
    views, slots = roots.valid.shape
    persons = len(truth.id)
    identity = persons + torch.arange(views * slots).view(views, slots)
    for view in range(views):
        near = (gap[view] <= gate) & roots.valid[view][:, None] & (front[view] & known)[None]
        cost = torch.where(near, gap[view], 1e3 * (1 + gate))
        for slot, person in zip(*linear_sum_assignment(cost.numpy()), strict=True):
            if near[slot, person]:
                identity[view, slot] = person
    return torch.where(roots.valid, identity, ABSENT)

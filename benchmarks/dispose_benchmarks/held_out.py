"""Frames that no training draws, a plain detector for them, and how well and how fast an associator groups them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.metrics.association import PairCounts, count_pairs
from dispose.scene.frame import Detections, Frame, Labels
from dispose.scene.results import Associate
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import ABSENT

HELD_OUT = 7_000_000_000
"""Added to seeds: training draws from others."""

NOISE_PX = 5.0
MISSED = 0.1
LEAST_INSIDE = 8
"""Joints of a person that lie within the image, or nobody is detected."""


@dataclass(frozen=True)
class GroupingScore:
    """How an associator did on some frames, over all seeds; shares in percent.

    F1 of pairs of detections, over all and of the worst seed; people whose detections are one group, complete and
    alone; and the processor time of a frame, from detections to groups.
    """

    pair_f1: float
    exact: float
    lowest_f1: float
    milliseconds: float


def held_out(seed: int) -> torch.Generator:
    """Where held-out frames of a seed are drawn from."""
    return torch.Generator().manual_seed(HELD_OUT + seed)


def detect_simply(frame: Frame, labels: Labels, generator: torch.Generator) -> tuple[Frame, Labels]:
    """The people of a frame as its cameras see them: simple noise, misses and one false person per view."""
    cameras = frame.cameras
    xy, front = cameras.project(labels.poses.xyz_world)
    xy = xy + NOISE_PX * torch.randn(xy.shape, generator=generator, dtype=xy.dtype)
    inside = (cameras.inside(xy) & front).sum(-1) >= LEAST_INSIDE
    found = inside & (torch.rand(inside.shape, generator=generator) >= MISSED)
    people: list[list[Tensor]] = []
    for view in range(len(cameras)):
        seen = [_keypoints(xy[view, person]) for person in found[view].nonzero()[:, 0].tolist()]
        shift = cameras.size[view] * (torch.rand(2, generator=generator, dtype=xy.dtype) - 0.5)
        people.append([*seen, _keypoints(xy[view, 0] + shift)])
    detections = Detections.from_lists(COCO_17, people)
    identity = torch.full(detections.valid.shape, ABSENT)
    for view, seen in enumerate(found):
        who = labels.poses.id[seen]
        identity[view, : len(who)] = who
    return Frame(frame.number, cameras, detections), replace(labels, identity=identity)


def _keypoints(xy: Float[Tensor, "joints 2"]) -> Float[Tensor, "joints 3"]:
    return torch.cat([xy, torch.full_like(xy[:, :1], 0.8)], dim=1)


def score(associate: Associate, scenes: Sequence[Sequence[tuple[Frame, Labels]]], batch: int) -> GroupingScore:
    """Group the frames of every seed, so many at a time, and count what is right."""
    each, seconds = [], 0.0
    for drawn in scenes:
        counts = PairCounts()
        for first in range(0, len(drawn), batch):
            part = drawn[first : first + batch]
            started = time.process_time()
            found = associate([frame for frame, _ in part])
            seconds += time.process_time() - started
            for result, (_, labels) in zip(found, part, strict=True):
                counts += count_pairs(result.association, labels.identity)
        each.append(counts)
    total = sum(each, PairCounts())
    lowest = min(counts.f1 for counts in each)
    return GroupingScore(100 * total.f1, 100 * total.exact_rate, 100 * lowest, 1000 * seconds / sum(map(len, scenes)))

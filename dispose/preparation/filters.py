"""Detections that are left out of labels before anybody asks who is who: each with its reason and its place."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float

from dispose.preparation.areas import NO_AREAS, Areas
from dispose.preparation.similarity import keypoint_similarity
from dispose.scene.convert import convert_detections
from dispose.scene.frame import Detections, Frame
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import ABSENT

WITHIN = 0.9
"""Who has this share of their joints in an area is in it."""


@dataclass(frozen=True)
class FilterConfig:
    """What is left out.

    Attributes:
        least_confidence: a joint of less is not seen.
        fewest_joints: a detection with fewer joints is no evidence,
        least_score: nor is one whose joints are surer than this nowhere near in the mean.
        contained: of two detections that share this much of the smaller one's box,
        same_oks: and whose common joints agree so well (`keypoint_similarity`), the smaller one repeats the larger one.
        areas: where nobody counts.
        still: keypoints that stay within this share of a person's size do not move.
        still_seconds: a picture of a person is still for so long, or for nine tenths of a shorter recording,
        still_frames: and for so many frames at least,
        still_agrees: and agrees with another view in less than this share of them.
    """

    least_confidence: float = 0.05
    fewest_joints: int = 3
    least_score: float = 0.1
    contained: float = 0.95
    same_oks: float = 0.85
    areas: Areas = NO_AREAS
    still: float = 0.04
    still_seconds: float = 10.0
    still_frames: int = 20
    still_agrees: float = 0.1


@dataclass(frozen=True)
class Removal:
    """A detection that was left out: where it is, the edges of its joints' box in pixels, how sure it was, and why."""

    frame: int
    camera: str
    index: int
    box: tuple[float, float, float, float]
    score: float
    reason: str


def screen(frame: Frame, config: FilterConfig) -> tuple[Frame, list[Removal]]:
    """A frame without the detections that are no evidence, lie in an area, or repeat another one."""
    found = frame.detections
    sure = found.visible & (found.confidence >= config.least_confidence)
    found = replace(
        found,
        visible=sure,
        confidence=torch.where(sure, found.confidence, 0.0),
        xy_image=torch.where(sure[..., None], found.xy_image, 0.0),
    )
    removed: list[Removal] = []
    valid = found.valid.clone()
    for view, slot, reason in _unwanted(found, frame.cameras.names, config):
        if valid[view, slot]:
            valid[view, slot] = False
            removed.append(removal(replace(frame, detections=found), view, slot, reason))
    return replace(frame, detections=replace(found, valid=valid)), removed


def removal(frame: Frame, view: int, slot: int, reason: str) -> Removal:
    """One detection as it is reported."""
    found = frame.detections
    seen = found.visible[view, slot]
    xy = found.xy_image[view, slot][seen]
    box = [0.0] * 4 if not len(xy) else [round(x, 1) for x in (*xy.amin(0).tolist(), *xy.amax(0).tolist())]
    mean = float(found.confidence[view, slot].sum() / seen.sum().clamp(min=1))
    return Removal(
        frame.number, frame.cameras.names[view], int(found.index[view, slot]), (box[0], box[1], box[2], box[3]),
        round(mean, 3), reason,
    )  # fmt: skip


def _unwanted(found: Detections, names: Sequence[str], config: FilterConfig) -> Iterator[tuple[int, int, str]]:
    """Views, slots and reasons, those that need no comparison first."""
    count = found.visible.sum(-1)
    mean = found.confidence.sum(-1) / count.clamp(min=1)
    weak = found.valid & ((count < config.fewest_joints) | (mean < config.least_score))
    for view, slot in weak.nonzero().tolist():
        yield view, slot, "little evidence"
    left = found.valid & ~weak
    for view, name in enumerate(names):
        slots = left[view].nonzero()[:, 0].tolist()
        if name in config.areas.cameras:
            inside = [slot for slot in slots if _in_area(found, view, slot, name, config.areas)]
            yield from ((view, slot, "in an area") for slot in inside)
            slots = [slot for slot in slots if slot not in inside]
        yield from ((view, slot, "repeats another") for slot in repeats(found.select(views=[view]), slots, config))


def _in_area(found: Detections, view: int, slot: int, name: str, areas: Areas) -> bool:
    xy = found.xy_image[view, slot][found.visible[view, slot]].double().numpy()
    return len(xy) > 0 and float(areas.inside(name, xy).mean()) >= WITHIN


def repeats(found: Detections, slots: Sequence[int], config: FilterConfig) -> list[int]:
    """Slots of one view that repeat a larger detection of somebody (of equal ones the earlier)."""
    if len(slots) < 2:
        return []
    xy, seen = found.xy_image[0, slots].double().numpy(), found.visible[0, slots].numpy()
    low = np.where(seen[..., None], xy, np.inf).min(1)
    high = np.where(seen[..., None], xy, -np.inf).max(1)
    area = np.maximum((high - low).prod(-1), 1.0)
    order = sorted(range(len(slots)), key=lambda at: (-area[at], at))
    kept: list[int] = []
    gone: list[int] = []
    coco = convert_detections(found, COCO_17)
    keypoints = torch.cat([coco.xy_image, coco.confidence[..., None]], -1)[0, slots].double().numpy()
    oks = keypoint_similarity(keypoints, keypoints)
    for at in order:
        shared = [
            (np.minimum(high[at], high[k]) - np.maximum(low[at], low[k])).clip(min=0).prod() / area[at] for k in kept
        ]
        twice = any(
            part > config.contained and oks[at, k] >= config.same_oks for part, k in zip(shared, kept, strict=True)
        )
        (gone if twice else kept).append(at)
    return [slots[at] for at in sorted(gone)]


@dataclass
class _Place:
    """Where somebody stood still in a view: their joints when first seen, and the frames and slots since."""

    xy: Float[np.ndarray, "joints 2"]
    seen: Bool[np.ndarray, " joints"]
    size: float
    sightings: list[tuple[int, int]]
    agreed: int = 0


def still_people(
    frames: Sequence[Frame],
    grouped: Sequence[Bool[np.ndarray, "views _"]],
    rate_hz: float,
    config: FilterConfig,
) -> list[tuple[int, int, int]]:
    """Row of the frame, view and slot of everybody who never moves and never agrees with another view: posters.

    Args:
        frames: of one recording, in order.
        grouped: which detections are in a group of several views.
        rate_hz: of the frames' numbers.
        config: what still means.
    """
    if not frames:
        return []
    numbers = [frame.number for frame in frames]
    step = min((b - a for a, b in pairwise(numbers)), default=1)
    wanted = min(config.still_seconds * rate_hz / step, 0.9 * len(frames))
    found = []
    for view in range(len(frames[0].cameras)):
        for place in _places(frames, grouped, view, config.still):
            count = len(place.sightings)
            if count >= max(wanted, config.still_frames) and place.agreed < config.still_agrees * count:
                found += [(row, view, slot) for row, slot in place.sightings]
    return sorted(found)


def _places(
    frames: Sequence[Frame], grouped: Sequence[Bool[np.ndarray, "views _"]], view: int, still: float
) -> list[_Place]:
    """The places of one view; who is within `still` of one belongs to it, everybody else begins a new one."""
    places: list[_Place] = []
    for row, frame in enumerate(frames):
        found = frame.detections
        for slot in found.valid[view].nonzero()[:, 0].tolist():
            seen = found.visible[view, slot].numpy()
            xy = found.xy_image[view, slot].double().numpy()
            size = float(np.linalg.norm(np.ptp(xy[seen], axis=0))) if seen.any() else 1.0
            place = next((one for one in reversed(places) if _stays(one, xy, seen, still)), None)
            if place is None:
                place = _Place(xy, seen, max(size, 1.0), [])
                places.append(place)
            if place.sightings and place.sightings[-1][0] == row:
                continue
            place.sightings.append((row, slot))
            place.agreed += bool(grouped[row][view, slot])
        # Whoever was seen once a while ago and not since is no place: memory stays small.
        places = [one for one in places if len(one.sightings) > 2 or row - one.sightings[-1][0] < 50]
    return places


def _stays(place: _Place, xy: Float[np.ndarray, "joints 2"], seen: Bool[np.ndarray, " joints"], still: float) -> bool:
    both = place.seen & seen
    if both.sum() < 3:
        return False
    return bool(np.median(np.linalg.norm(place.xy[both] - xy[both], axis=-1)) <= still * place.size)


def without(frame: Frame, slots: Sequence[tuple[int, int]]) -> Frame:
    """A frame without some detections, by view and slot."""
    valid = frame.detections.valid.clone()
    for view, slot in slots:
        valid[view, slot] = False
    return replace(frame, detections=replace(frame.detections, valid=valid))


def grouped_slots(members: torch.Tensor, slots: int) -> Bool[np.ndarray, "views slots"]:
    """Which detections the groups of a frame hold."""
    mask = torch.zeros(members.shape[1], slots, dtype=torch.bool)
    group, view = (members != ABSENT).nonzero(as_tuple=True)
    mask[view, members[group, view]] = True
    return mask.numpy()

"""Everybody's keypoints in all views over time, as arrays: what hypotheses about a rig are tried on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment

from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import ABSENT

MOST_PEOPLE = 12
"""People of one view and frame that are looked at; of more, those seen best."""

LONGEST_GAP = 50
"""So many frames in a row may be missing."""

FEWEST_JOINTS = 4
LEAST_SIZE_PX = 1.0

SAME_PERSON = 0.35
"""Somebody whose keypoints move farther from one frame to the next, in shares of people's size, is somebody else."""


@dataclass(frozen=True, eq=False)
class Footage:
    """People in the images of all views, frame after frame.

    Attributes:
        number: frame numbers, ascending in even steps.
        xy_image: keypoints in pixels; 0 where not seen.
        seen: which keypoints the detector reported.
        size_px: per view the median diagonal of the boxes around people.
        following: the slot of the same person a frame later, `ABSENT` where there is none.
    """

    number: Int[np.ndarray, " frames"]
    xy_image: Float[np.ndarray, "views frames slots joints 2"]
    seen: Bool[np.ndarray, "views frames slots joints"]
    size_px: Float[np.ndarray, " views"]
    following: Int[np.ndarray, "views frames slots"]

    def __len__(self) -> int:
        return len(self.number)

    def select(self, views: Sequence[int]) -> "Footage":
        """Some of the views, in that order."""
        rows = list(views)
        return replace(self, xy_image=self.xy_image[rows], seen=self.seen[rows], size_px=self.size_px[rows],
                       following=self.following[rows])  # fmt: skip

    def rows(self, frames: Int[np.ndarray, " some"]) -> "Footage":
        """Some of the frames as if they were single pictures: nobody is followed."""
        return replace(self, number=self.number[frames], xy_image=self.xy_image[:, frames], seen=self.seen[:, frames],
                       following=np.full_like(self.following[:, frames], ABSENT))  # fmt: skip


def footage_of(numbers: Sequence[int], frames: Sequence[Detections]) -> Footage:
    """Frames with ascending numbers as footage; of all joints those of the trunk, the limbs and the face.

    Numbers go on in the most frequent step; frames that are missing see nobody.
    """
    skeleton, views = frames[0].skeleton, len(frames[0].valid)
    known = tuple(name for name in COCO_17.joints if name in skeleton.joints)
    joints = list(skeleton.indices(known)) if len(known) >= FEWEST_JOINTS else list(range(len(skeleton)))
    grid, rows = even_steps(numbers)
    slots = min(max((int(one.counts.max()) for one in frames), default=0), MOST_PEOPLE)
    xy = np.zeros((views, len(grid), slots, len(joints), 2))
    seen = np.zeros(xy.shape[:-1], bool)
    for row, found in zip(rows, frames, strict=True):
        if row == ABSENT:
            continue
        for view in range(views):
            here = found.valid[view].nonzero()[:, 0]
            best = here[found.score[view, here].argsort(descending=True, stable=True)[:slots]]
            xy[view, row, : len(best)] = found.xy_image[view, best][:, joints].numpy()
            seen[view, row, : len(best)] = found.visible[view, best][:, joints].numpy()
    xy = np.where(seen[..., None], xy, 0.0)
    size = sizes(xy, seen)
    return Footage(grid, xy, seen, size, followed(xy, seen, size))


def even_steps(numbers: Sequence[int]) -> tuple[Int[np.ndarray, " frames"], list[int]]:
    """An even grid over ascending numbers, in their most frequent step, and the row of every number (or `ABSENT`).

    Numbers beyond a gap of more than `LONGEST_GAP` steps are no part of the same recording: the longest part counts.
    """
    values = np.asarray(numbers, dtype=np.int64)
    if len(values) < 2:
        return values, list(range(len(values)))
    steps, counts = np.unique(np.diff(values), return_counts=True)
    step = int(steps[counts.argmax()])
    ends = [0, *(np.flatnonzero(np.diff(values) > LONGEST_GAP * step) + 1).tolist(), len(values)]
    first, stop = max(pairwise(ends), key=lambda part: part[1] - part[0])
    grid = np.arange(values[first], values[stop - 1] + 1, step)
    place = values - values[first]
    inside = (np.arange(len(values)) >= first) & (np.arange(len(values)) < stop) & (place % step == 0)
    return grid, np.where(inside, place // step, ABSENT).tolist()


def sizes(
    xy: Float[np.ndarray, "views frames slots joints 2"], seen: Bool[np.ndarray, "views frames slots joints"]
) -> Float[np.ndarray, " views"]:
    """Per view the median diagonal of the boxes around people with enough joints, pixels."""
    low = np.where(seen[..., None], xy, np.inf).min(-2, initial=np.inf)
    high = np.where(seen[..., None], xy, -np.inf).max(-2, initial=-np.inf)
    there = seen.sum(-1) >= FEWEST_JOINTS
    diagonal = [np.linalg.norm(high[view][there[view]] - low[view][there[view]], axis=-1) for view in range(len(xy))]
    return np.array([max(float(np.median(one)), LEAST_SIZE_PX) if len(one) else LEAST_SIZE_PX for one in diagonal])


def followed(
    xy: Float[np.ndarray, "views frames slots joints 2"],
    seen: Bool[np.ndarray, "views frames slots joints"],
    size_px: Float[np.ndarray, " views"],
) -> Int[np.ndarray, "views frames slots"]:
    """Everybody's slot in the next frame of the same view, by the least mean distance of the keypoints."""
    common = seen[:, :-1, :, None] & seen[:, 1:, None]
    count = common.sum(-1)
    known = count >= FEWEST_JOINTS
    found = np.full(seen.shape[:3], ABSENT)
    for view in range(len(xy)):
        gap = np.linalg.norm(xy[view, :-1, :, None] - xy[view, 1:, None], axis=-1)
        mean = (gap * common[view]).sum(-1) / np.maximum(count[view], 1)
        cost = np.where(known[view], mean, 10 * SAME_PERSON * size_px[view])
        near = cost < SAME_PERSON * size_px[view]
        for row in np.flatnonzero(near.any((1, 2))):
            for a, b in zip(*linear_sum_assignment(cost[row]), strict=True):
                if near[row, a, b]:
                    found[view, row, a] = b
    return found


def rays_of(footage: Footage, cameras: Cameras) -> Float[np.ndarray, "views frames slots joints 2"]:
    """Undistorted normalised points ``x/z, y/z`` of all keypoints."""
    xy = torch.from_numpy(footage.xy_image)
    world = cameras.directions(xy.reshape(len(xy), -1, 2))
    rays = world @ cameras.rotation.mT
    flat = (rays[..., :2] / rays[..., 2:].clamp(min=1e-3)).reshape(xy.shape).numpy()
    return np.where(footage.seen[..., None], flat, 0.0)


def motion_of(
    footage: Footage, rays: Float[np.ndarray, "views frames slots joints 2"]
) -> tuple[Float[np.ndarray, "views frames slots joints 2"], Bool[np.ndarray, "views frames slots joints"]]:
    """How far everybody's points move in one frame, the mean of the steps before and after; and where that is known."""
    view, row, slot = np.nonzero(footage.following != ABSENT)
    after = footage.following[view, row, slot]
    both = footage.seen[view, row, slot] & footage.seen[view, row + 1, after]
    step = np.where(both[..., None], rays[view, row + 1, after] - rays[view, row, slot], 0.0)
    total, count = np.zeros_like(rays), np.zeros(footage.seen.shape)
    for frame, person in ((row, slot), (row + 1, after)):
        # One person is followed from at most one and to at most one: no place is added to twice.
        total[view, frame, person] += step
        count[view, frame, person] += both
    return total / np.maximum(count, 1)[..., None], count > 0

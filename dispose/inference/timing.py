"""Cameras that did not start together or do not run at one rate: every frame is put together from the instant's own.

A frame of the capture is an instant. Which of its own frames a camera shows at that instant follows from its rate and
its shift; between two of them people are interpolated.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from math import ceil, floor

import torch
from jaxtyping import Bool, Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from dispose.errors import InputError
from dispose.inference.pairing import digits, plain
from dispose.inference.readings import Loss, Reading, Source
from dispose.scene.frame import Detections, Frame
from dispose.tensors import cat

SAME_PERSON = 0.35
"""Somebody whose keypoints move farther from one frame to the next, in shares of their size, is somebody else."""

FEWEST_JOINTS = 4
REMEMBERED = 512
"""Readings that are kept: cameras up to some seconds apart read every file once."""


@dataclass(frozen=True)
class CameraClock:
    """When a camera took its frames.

    Attributes:
        shift: what is added to the camera's frame numbers, in frames of the capture: -5 where it is 5 frames late.
        ratio: frames that the camera takes while the capture counts one.
        first: the number at which cameras begin to count (0 or 1).
    """

    shift: float = 0.0
    ratio: float = 1.0
    first: int = 0

    def own(self, number: int) -> float:
        """Where in its own count the camera is at a frame of the capture."""
        return self.first + (number - self.first - self.shift) * self.ratio


def shift_of(text: str) -> tuple[str, float]:
    """Camera and frames of ``cam02=-5``; `InputError` for anything else."""
    name, equals, value = text.rpartition("=")
    try:
        frames = float(value)
    except ValueError:
        frames = float("nan")
    if not equals or not name or not abs(frames) < 1e6:
        raise InputError(f"--shift is {text!r}; it must be CAMERA=FRAMES, as in cam02=-5 or cam02=2.5.")
    return name, frames


def shifted(
    names: Sequence[str], clocks: Sequence[CameraClock], shifts: Sequence[tuple[str, float]]
) -> tuple[CameraClock, ...]:
    """The clocks with some cameras' shifts added; `InputError` for a camera that there is not."""
    found = list(clocks)
    for name, frames in shifts:
        row = camera_row(names, name, "--shift")
        found[row] = replace(found[row], shift=found[row].shift + frames)
    return tuple(found)


def camera_row(names: Sequence[str], name: str, option: str) -> int:
    """Which camera is meant, as calibrations and recordings are matched; `InputError` where that is none or several."""
    for rule in (str, plain, digits):
        rows = [row for row, other in enumerate(names) if rule(other) == rule(name) != ""]
        if len(rows) == 1:
            return rows[0]
    raise InputError(f"{option} {name}: there is no such camera; the cameras are {', '.join(names)}.")


def retimed(source: Source, clocks: Sequence[CameraClock]) -> Source:
    """The same frames, each with what every camera shows at its instant; `InputError` where none is left."""
    if all(clock.own(7) == 7 for clock in clocks):
        return source
    known = frozenset(source.numbers) if source.recorded is None else source.recorded
    read = lru_cache(REMEMBERED)(source.read)

    def frame_of(number: int) -> Reading | None:
        found = [_view_at(read, known, view, clock.own(number)) for view, clock in enumerate(clocks)]
        base = next((one for one, _ in found if one is not None), None)
        if base is None:
            return None
        names = base.frame.cameras.names
        return _joined(number, base, [
            _alone(one, parts, view, names, number) for view, (one, parts) in enumerate(found)
        ])  # fmt: skip

    numbers = tuple(
        n for n in source.numbers if any(floor(c.own(n)) in known and ceil(c.own(n)) in known for c in clocks)
    )
    if not numbers:
        raise InputError("no frame is left: the cameras are shifted farther apart than they recorded.")
    return Source(numbers, frame_of)


Parts = tuple[Reading, Reading, float] | None


def _view_at(
    read: Callable[[int], Reading | None], known: frozenset[int], view: int, at: float
) -> tuple[Reading | None, Parts]:
    """Some reading, and the two readings around a place in a camera's own count with the share of the later one."""
    low, high = floor(at), ceil(at)
    if low not in known or high not in known:
        some = min(known, key=lambda n: abs(n - at))
        return read(some), None
    before, after = read(low), read(high)
    if before is None or after is None:
        return None, None
    return before, (before, after, at - low)


def _alone(some: Reading | None, parts: Parts, view: int, names: tuple[str, ...], number: int) -> Reading:
    """One camera's part of an instant; nobody, and the file missing, where it has no frame there."""
    assert some is not None
    name = names[view]
    if parts is None:
        frame = some.frame
        nobody = frame.detections.select(views=[view])
        nobody = replace(nobody, valid=torch.zeros_like(nobody.valid), visible=torch.zeros_like(nobody.visible))
        images = None if frame.images is None else frame.images.select(views=[view])
        images = None if images is None else replace(images, present=torch.zeros_like(images.present))
        alone = Frame(frame.number, frame.cameras.select(views=[view]), nobody, images)
        return replace(some, frame=alone, missing=(Loss(name, number, "no frame at that instant"),), damaged=())
    before, after, share = parts
    # Pictures are not interpolated: the nearest is shown.
    nearest = before if share < 0.5 else after
    found = nearest.frame.detections.select(views=[view])
    if share and nearest.frame.images is None:
        other = (after if share < 0.5 else before).frame.detections.select(views=[view])
        found = between(found, other, share if share < 0.5 else 1 - share)
    images = None if nearest.frame.images is None else nearest.frame.images.select(views=[view])
    alone = Frame(nearest.frame.number, nearest.frame.cameras.select(views=[view]), found, images)
    return replace(
        nearest,
        frame=alone,
        missing=tuple(one for one in nearest.missing if one.camera == name),
        damaged=tuple(one for one in nearest.damaged if one.camera == name),
    )


def _joined(number: int, base: Reading, alone: Sequence[Reading]) -> Reading:
    """The cameras' parts as one frame."""
    slots = max(one.frame.detections.valid.shape[1] for one in alone)
    found = cat([one.frame.detections.pad(slots=slots) for one in alone], "views")
    images = [one.frame.images for one in alone]
    together = None if base.frame.images is None else cat([one for one in images if one is not None], "views")
    return replace(
        base,
        frame=Frame(number, base.frame.cameras, found, together),
        labels=None,
        missing=tuple(chain.from_iterable(one.missing for one in alone)),
        damaged=tuple(chain.from_iterable(one.damaged for one in alone)),
    )


def between(near: Detections, far: Detections, share: float) -> Detections:
    """People of one view on their way to where they are in a neighbouring frame, `share` of it (below a half) away.

    Joints that the other frame lacks, and people whom it lacks, stay where they are.
    """
    xy = near.xy_image[0].clone()
    for mine, theirs in same_people(near, far):
        both = near.visible[0, mine] & far.visible[0, theirs]
        step = far.xy_image[0, theirs] - near.xy_image[0, mine]
        xy[mine] += torch.where(both[:, None], share * step, 0.0)
    return replace(near, xy_image=xy[None])


def same_people(near: Detections, far: Detections) -> list[tuple[int, int]]:
    """Slots of the same people in two frames of one view, by the least mean distance of their keypoints."""
    mine, theirs = near.valid[0].nonzero()[:, 0], far.valid[0].nonzero()[:, 0]
    if not len(mine) or not len(theirs):
        return []
    common = near.visible[0, mine][:, None] & far.visible[0, theirs][None]
    gap = (near.xy_image[0, mine][:, None] - far.xy_image[0, theirs][None]).norm(dim=-1)
    size = _diagonal(near.xy_image[0, mine], near.visible[0, mine])
    count = common.sum(-1)
    cost = torch.where(count >= FEWEST_JOINTS, (gap * common).sum(-1) / count.clamp(min=1) / size[:, None], 10.0)
    rows, columns = linear_sum_assignment(cost.numpy())
    near_enough = [(r, c) for r, c in zip(rows, columns, strict=True) if float(cost[r, c]) < SAME_PERSON]
    return [(int(mine[r]), int(theirs[c])) for r, c in near_enough]


def _diagonal(xy: Float[Tensor, "people joints 2"], seen: Bool[Tensor, "people joints"]) -> Float[Tensor, " people"]:
    low = torch.where(seen[..., None], xy, torch.inf).amin(1)
    high = torch.where(seen[..., None], xy, -torch.inf).amax(1)
    return (high - low).norm(dim=-1).clamp(min=1.0)


def clocks_of(
    rates_hz: Sequence[float | None], first: int = 0, usual_hz: float | None = None
) -> tuple[tuple[CameraClock, ...], float | None]:
    """Clocks of cameras that run at their own rates, and the rate at which the capture counts: the highest.

    A camera whose rate nobody knows runs at the usual one, or at the capture's where that is not known either.
    """
    rates_hz = [rate or usual_hz for rate in rates_hz]
    known = [rate for rate in rates_hz if rate]
    if not known:
        return (CameraClock(),) * len(rates_hz), None
    most = max(known)
    return tuple(CameraClock(0.0, (rate or most) / most, first) for rate in rates_hz), most


def first_number(numbers: Sequence[int]) -> int:
    """Where cameras begin to count: at 1 where a recording begins so, else at 0."""
    return 1 if len(numbers) and min(numbers) == 1 else 0

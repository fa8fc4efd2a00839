"""What a detection file says about one camera and one frame, and the checks every such reader shares."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dispose.errors import InputError
from dispose.formats.entry import short
from dispose.skeletons.skeleton import Skeleton

LARGEST_SCORE = 1.1
"""OpenPose interpolates its heat maps, so that real files hold scores up to 1.06; up to here they count as 1."""

LARGEST_PX = 1e7
"""No image is that large; what lies further outside is no coordinate but a broken value."""

COLUMNS = ("x", "y", "score")


@dataclass(frozen=True, eq=False)
class FoundPeople:
    """The people one camera's detector found in one frame.

    Attributes:
        keypoints: per person ``(joints, 3)``: x, y in pixels and score; 0, 0, 0 = not found.
        index: each person's position in the file.
        empty: people in the file without a single keypoint, left out above.
        overshoot: scores between 1 and `LARGEST_SCORE`, taken as 1.
    """

    keypoints: tuple[Float[Tensor, "joints 3"], ...]
    index: tuple[int, ...]
    empty: int = 0
    overshoot: int = 0


NO_PEOPLE = FoundPeople((), ())


class DamagedFrameError(InputError):
    """One frame of one camera cannot be read; the other frames are not concerned."""


@dataclass(frozen=True)
class DetectionView:
    """All frames of one camera, read when they are asked for.

    Attributes:
        camera: the camera's name as the detections have it.
        files: the file of every frame number, ascending.
        people: the flat keypoint lists of a frame's people; of the number and the place that complaints name.
    """

    camera: str
    files: Mapping[int, Path]
    people: Callable[[int, str], Sequence[Sequence[object]]]

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """Frame numbers in ascending order."""
        return tuple(self.files)

    def where(self, number: int) -> str:
        """File, camera and frame, as complaints name them."""
        return f"{self.files[number]}: camera {self.camera}, frame {number}"

    def read(self, number: int, skeleton: Skeleton) -> FoundPeople:
        """The people of a frame; `DamagedFrameError` where the frame's file cannot be read at all."""
        place = self.where(number)
        return checked_people(place, self.people(number, place), skeleton)

    def joint_counts(self, number: int) -> tuple[int, ...]:
        """How many joints each person of a frame has, before any skeleton is known."""
        return tuple(len(values) // 3 for values in self.people(number, self.where(number)))


def checked_people(place: str, flat: Sequence[Sequence[object]], skeleton: Skeleton) -> FoundPeople:
    """People of flat lists ``x, y, score, x, …`` as they were parsed.

    Raises `InputError` that names place, person, joint and value for a wrong number of values, for coordinates
    that are not finite and for scores outside [0, 1].
    """
    listed = [number for number, values in enumerate(flat) if values]
    for number in listed:
        count = len(flat[number])
        if count != 3 * len(skeleton):
            given = f"{count // 3} joints" if count % 3 == 0 else f"{count} numbers (no multiple of three)"
            who = f"{place}, person {number}"
            raise InputError(f"{who}: {given}, but the skeleton {skeleton.name} has {len(skeleton)} joints.")
    # Values are looked at one by one only where something is wrong with them.
    numbers = all(set(map(type, flat[number])) <= {int, float} for number in listed)
    table = np.zeros((0, len(skeleton), 3))
    try:
        table = np.array([flat[number] for number in listed] if numbers else [], np.float64).reshape(
            -1, *table.shape[1:]
        )
    except OverflowError:
        numbers = False
    score = table[..., 2]
    if not (numbers and (np.abs(table) <= LARGEST_PX).all() and (score >= 0).all() and (score <= LARGEST_SCORE).all()):
        _refuse(place, [(number, flat[number]) for number in listed], skeleton)
    overshoot = int((score > 1).sum())
    table[..., 2] = np.minimum(score, 1.0)
    found = np.asarray((table[..., 2] > 0).any(-1))
    index = tuple(number for number, there in zip(listed, found, strict=True) if there)
    return FoundPeople(tuple(torch.from_numpy(table[found]).unbind()), index, len(flat) - len(index), overshoot)


def _refuse(place: str, people: Sequence[tuple[int, Sequence[object]]], skeleton: Skeleton) -> NoReturn:
    """Name the first value that cannot be right."""
    for person, values in people:
        for at, value in enumerate(values):
            what = _complaint(value, score=at % 3 == 2)
            if what:
                joint = skeleton.joints[at // 3]
                raise InputError(f"{place}, person {person}, joint {joint}: {COLUMNS[at % 3]}{what}.")
    raise AssertionError(place)


def _complaint(value: object, *, score: bool) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f": {short(value)} stands where a number is expected"
    if not abs(value) <= LARGEST_PX:
        return f" is {short(value)}"
    return f" is {value:g}, it must lie in [0, 1]" if score and not 0 <= value <= LARGEST_SCORE else ""

"""What a detection file says about one camera and one frame, and the checks every such reader shares."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.errors import InputError
from dispose.formats.entry import short
from dispose.skeletons.skeleton import Skeleton

SCORE_OVERSHOOT = 0.1
"""OpenPose interpolates its heat maps, so that real files hold scores up to 1.06; up to here they count as 1."""


LARGEST_PX = 1e7
"""No picture is that large; what lies further outside is no coordinate but a broken value."""

COLUMNS = ("x", "y", "score")


@dataclass(frozen=True, eq=False)
class ViewPeople:
    """The people one camera's detector found in one frame.

    Attributes:
        keypoints: per person ``(joints, 3)``: x, y in pixels and score; 0, 0, 0 = not found.
        index: each person's position in the file.
        empty: people in the file without a single keypoint, left out above.
        overshoot: scores between 1 and `1 + SCORE_OVERSHOOT`, taken as 1.
    """

    keypoints: tuple[Float[Tensor, "joints 3"], ...]
    index: tuple[int, ...]
    empty: int = 0
    overshoot: int = 0


NO_PEOPLE = ViewPeople((), ())


@runtime_checkable
class DetectionView(Protocol):
    """All frames of one camera, read when they are asked for."""

    @property
    def camera(self) -> str:
        """The camera's name as the detections have it."""
        ...

    @property
    def numbers(self) -> tuple[int, ...]:
        """Frame numbers in ascending order."""
        ...

    def where(self, number: int) -> str:
        """The place of a frame, for complaints."""
        ...

    def read(self, number: int, skeleton: Skeleton) -> ViewPeople:
        """The people of a frame; `DamagedFrameError` where the frame's file cannot be read at all."""
        ...

    def joint_counts(self, number: int) -> tuple[int, ...]:
        """How many joints each person of a frame has, before any skeleton is known."""
        ...


class DamagedFrameError(InputError):
    """One frame of one camera cannot be read; the other frames are not concerned."""


def checked_people(place: str, flat: Sequence[Sequence[object]], skeleton: Skeleton) -> ViewPeople:
    """People of flat lists ``x, y, score, x, …`` as they were parsed.

    Raises `InputError` that names place, person, joint and value for a wrong number of values, for coordinates
    that are not finite and for scores outside [0, 1].
    """
    people, index, overshoot = [], [], 0
    for number, values in enumerate(flat):
        if not values:
            continue
        who = f"{place}, person {number}"
        if len(values) != 3 * len(skeleton):
            raise InputError(
                f"{who}: {_count(len(values))}, but the skeleton {skeleton.name} has {len(skeleton)} joints."
            )
        person = _numbers(who, values, skeleton).reshape(-1, 3)
        _check_values(who, person, skeleton)
        above = person[:, 2] > 1
        overshoot += int(above.sum())
        person[:, 2] = person[:, 2].clamp(max=1.0)
        if bool((person[:, 2] > 0).any()):
            people.append(person)
            index.append(number)
    return ViewPeople(tuple(people), tuple(index), len(flat) - len(people), overshoot)


def _count(values: int) -> str:
    return f"{values // 3} joints" if values % 3 == 0 else f"{values} numbers (no multiple of three)"


def _numbers(who: str, values: Sequence[object], skeleton: Skeleton) -> Float[Tensor, " values"]:
    for place, value in enumerate(values):
        where = f"{who}, joint {skeleton.joints[place // 3]}: {COLUMNS[place % 3]}"
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"{where}: {short(value)} stands where a number is expected.")
        # JSON's whole numbers have no end, floats do.
        if isinstance(value, int) and abs(value) > LARGEST_PX:
            raise InputError(f"{where} is {short(value)}.")
    return torch.tensor(list(values), dtype=torch.float64)


def _check_values(who: str, person: Float[Tensor, "joints 3"], skeleton: Skeleton) -> None:
    wrong = ~torch.isfinite(person) | (person.abs() > LARGEST_PX)
    if bool(wrong.any()):
        joint, column = wrong.nonzero()[0].tolist()
        value = float(person[joint, column])
        raise InputError(f"{who}, joint {skeleton.joints[joint]}: {COLUMNS[column]} is {value}.")
    outside = (person[:, 2] < 0) | (person[:, 2] > 1 + SCORE_OVERSHOOT)
    if bool(outside.any()):
        joint = int(outside.nonzero()[0, 0])
        value = float(person[joint, 2])
        raise InputError(f"{who}, joint {skeleton.joints[joint]}: score is {value:g}, it must lie in [0, 1].")

"""What a detection file says about one camera and one frame, and what every such reader makes of odd values.

Whatever form a file has, a person is a list ``x, y, score, x, …`` as it was parsed, or None where the file has no
keypoints of them. One odd value costs a joint or a person, never a run: it is left out and counted.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.errors import InputError
from dispose.formats.entry import short
from dispose.geometry.pinhole import in_lens_range
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections
from dispose.skeletons.catalog import body_of
from dispose.skeletons.skeleton import Skeleton

EMPTY = "left out: people without a single keypoint"
MISSHAPEN = "left out: people with another number of joints than the others"
NO_NUMBER = "not seen: joints with a value that is no number (NaN, null, infinite)"
OUTSIDE = "not seen: joints at negative coordinates or far outside the image"
AT_ORIGIN = "not seen: joints at exactly 0, 0, where detectors put what they do not see"
OTHER_CLASS = "left out: what is no person by its class or category"
BEYOND = "not seen: joints 90 degrees or more off the axis of a fisheye"
CLAMPED = "scores outside [0, 1], taken as 0 or 1"
MISSPELT = "left out: what stands under a misspelt name, or has no scores where others have"
NO_FRAME = "left out: people of whom the file does not say the frame"


@dataclass(frozen=True)
class Odd:
    """One kind of odd thing: how many there were, and the place (file, camera, frame, …, value) of the first."""

    kind: str
    count: int
    first: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.count} (the first: {self.first})."


def counted(found: Iterable[Odd]) -> tuple[Odd, ...]:
    """One entry a kind: counts are added, the first place is the one that comes first."""
    kinds: dict[str, Odd] = {}
    for odd in found:
        known = kinds.get(odd.kind)
        kinds[odd.kind] = odd if known is None else Odd(odd.kind, known.count + odd.count, known.first)
    return tuple(kinds.values())


FARTHEST = 2.0
"""Detectors guess joints beyond the border of an image; what is farther off than so many images is a broken value."""

BORDER_PX = -0.5
"""The image begins half a pixel before the centre of its first one."""

COLUMNS = ("x", "y", "score")


@dataclass(frozen=True, eq=False)
class FoundPeople:
    """The people one camera's detector found in one frame.

    Attributes:
        keypoints: per person ``(joints, 3)``: x, y in pixels and score; 0, 0, 0 = not found.
        index: each person's position in the file.
        odd: what was left out above, or taken otherwise.
    """

    keypoints: tuple[Float[Tensor, "joints 3"], ...]
    index: tuple[int, ...]
    odd: tuple[Odd, ...] = ()


NO_PEOPLE = FoundPeople((), ())


@dataclass(frozen=True)
class OfOtherClass:
    """What stands in a list of people in the place of something that is none; the class or category as it is shown."""

    said: str


@dataclass(frozen=True)
class MisspeltKey:
    """What stands in a person's place where a name beside their keypoints is all but one that is known; how it is."""

    said: str


class DamagedFrameError(InputError):
    """One frame of one camera cannot be read; the other frames are not concerned."""


@dataclass(frozen=True)
class DetectionView:
    """All frames of one camera, read when they are asked for.

    Attributes:
        camera: the camera's name as the detections have it.
        files: the file of every frame number, ascending.
        people: the keypoints of a frame's people; of the number and the place that complaints name.
        skeleton: of the joints in the files, where these say it or it has been worked out.
        normalized: whether coordinates are shares of the image's width and height.
        odd: what was left out when the files were opened.
        notes: sentences about what else was made of the files.
    """

    camera: str
    files: Mapping[int, Path]
    people: Callable[[int, str], Sequence[object]]
    skeleton: Skeleton | None = None
    normalized: bool = False
    odd: tuple[Odd, ...] = ()
    notes: tuple[str, ...] = ()

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """Frame numbers in ascending order."""
        return tuple(self.files)

    def where(self, number: int) -> str:
        """File, camera and frame, as complaints name them."""
        return f"{self.files[number]}: camera {self.camera}, frame {number}"

    def listed(self, number: int) -> Sequence[object]:
        """The people of a frame as they were parsed; `DamagedFrameError` where the frame's file cannot be read."""
        return self.people(number, self.where(number))

    def read(self, number: int, size: tuple[float, float]) -> FoundPeople:
        """The people of a frame of an image of some width and height, once the skeleton is known.

        Their joints are those of `body_of` the skeleton. Raises `DamagedFrameError` where the frame's file cannot be
        read at all.
        """
        if self.skeleton is None:
            raise ValueError(f"camera {self.camera}: the skeleton is not known yet")
        return checked_people(
            self.where(number), self.listed(number), self.skeleton, size, normalized=self.normalized
        )  # fmt: skip


def is_list_of(values: object, joints: int) -> bool:
    """Whether a person has keypoints of so many joints."""
    return isinstance(values, list) and len(values) == 3 * joints


def numbers_of(people: Sequence[list[object]]) -> Float[np.ndarray, "people values"]:
    """Lists of values of one length as numbers; NaN for what is none."""
    if not people:
        return np.zeros((0, 0))
    # Values are looked at one by one only where something is wrong with them.
    if all(set(map(type, values)) <= {int, float} for values in people):
        try:
            return np.array(people, np.float64)
        except OverflowError:
            pass
    return np.array([[_number(value) for value in values] for values in people], np.float64)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return float("nan")
    try:
        return float(value)
    except OverflowError:
        return float("inf")


@lru_cache(maxsize=64)
def _body_columns(skeleton: Skeleton) -> tuple[Skeleton, list[int]]:
    """The body that is read of a skeleton, and where its joints stand."""
    body = body_of(skeleton)
    return body, skeleton.indices(body.joints)


def checked_people(
    place: str, people: Sequence[object], skeleton: Skeleton, size: tuple[float, float], *, normalized: bool = False
) -> FoundPeople:
    """People as they were parsed, with the joints of `body_of` the skeleton; everything odd is counted with its place.

    Not seen are joints with a value that is no number, at exactly 0, 0, at negative coordinates, or farther than
    `FARTHEST` times the image from its corner; left out are people without a joint and those of another width. Scores
    are brought into [0, 1].
    """
    if not people:
        return NO_PEOPLE
    body, columns = _body_columns(skeleton)
    listed = [n for n, values in enumerate(people) if is_list_of(values, len(skeleton))]
    table = numbers_of([people[n] for n in listed]).reshape(-1, len(skeleton), 3)[:, columns]  # type: ignore[misc]
    if normalized:
        table = table * (*size, 1.0)
    no_number = ~np.isfinite(table).all(-1)
    score = np.where(no_number, 0.0, table[..., 2]).clip(0.0, 1.0)
    scored, at_origin = score > 0, (table[..., :2] == 0).all(-1)
    clamped = ~no_number & (score != table[..., 2])
    off = (table[..., :2] < BORDER_PX) | (table[..., :2] > FARTHEST * np.array(size))
    outside, origin = scored & off.any(-1), scored & at_origin
    seen = scored & ~(outside | origin)
    found = np.asarray(seen.any(-1))
    blank = (no_number | at_origin).all(-1)
    odd = [*_left_out(place, people, set(np.array(listed, int)[found].tolist()), skeleton)]
    kinds = ((NO_NUMBER, no_number), (OUTSIDE, outside), (AT_ORIGIN, origin), (CLAMPED, clamped))
    for kind, wrong in kinds if (no_number | outside | origin | clamped).any() else ():
        wrong = wrong & ~blank[:, None]
        if wrong.any():
            row, joint = (int(at) for at in np.argwhere(wrong)[0])
            values = people[listed[row]][3 * columns[joint] : 3 * columns[joint] + 3]  # type: ignore[index]
            who = f"{place}, person {listed[row]}, joint {body.joints[joint]}"
            odd.append(Odd(kind, int(wrong.sum()), f"{who}: {_named(kind, values, table[row, joint], size)}"))
    table[..., 2] = score
    table[~seen] = 0.0
    index = tuple(n for n, there in zip(listed, found, strict=True) if there)
    return FoundPeople(tuple(torch.from_numpy(table[found]).unbind()), index, counted(odd))


def _left_out(place: str, people: Sequence[object], kept: set[int], skeleton: Skeleton) -> list[Odd]:
    """Those who are not kept, each by itself."""
    found = []
    for n, values in enumerate(people):
        if n in kept:
            continue
        who = f"{place}, person {n}"
        if values is None or values == []:
            found.append(Odd(EMPTY, 1, f"{who}: no keypoints"))
        elif isinstance(values, OfOtherClass):
            found.append(Odd(OTHER_CLASS, 1, f"{who}: {values.said}"))
        elif isinstance(values, MisspeltKey):
            found.append(Odd(MISSPELT, 1, f"{who}: {values.said}"))
        elif not isinstance(values, list):
            found.append(Odd(MISSHAPEN, 1, f"{who}: {short(values)} instead of a list of keypoints"))
        elif len(values) != 3 * len(skeleton):
            given = f"{len(values) // 3} joints" if len(values) % 3 == 0 else f"{len(values)} numbers"
            found.append(Odd(MISSHAPEN, 1, f"{who}: {given}, {skeleton.name} has {len(skeleton)} joints"))
        else:
            first = ", ".join(short(value) for value in values[:3])
            found.append(Odd(EMPTY, 1, f"{who}: no joint of use, the first is {first}"))
    return found


def _named(kind: str, values: list[object], numbers: Float[np.ndarray, " 3"], size: tuple[float, float]) -> str:
    """The first of a joint's three values that is odd in this way."""
    if kind == AT_ORIGIN:
        return f"score is {short(values[2])}"
    wrong: Bool[np.ndarray, " 3"] = ~np.isfinite(numbers)
    if kind == OUTSIDE:
        wrong = np.append((numbers[:2] < BORDER_PX) | (numbers[:2] > FARTHEST * np.array(size)), False)
    if kind == CLAMPED:
        wrong = np.array([False, False, True])
    at = int(wrong.argmax())
    return f"{COLUMNS[at]} is {short(values[at])}"


def within_lenses(detections: Detections, cameras: Cameras, number: int) -> tuple[Detections, list[Odd]]:
    """The same people without joints beyond the range of their camera's lens, and how many those were.

    Args:
        detections: of one frame.
        cameras: that saw them.
        number: of the frame, for what is said.
    """
    if cameras.fisheye is None:
        return detections, []
    matrix, lens = cameras.matrix[:, None, None], cameras.lens[:, None, None]
    beyond = detections.visible & ~in_lens_range(detections.xy_image, matrix, lens)
    if not beyond.any():
        return detections, []
    view, slot, joint = beyond.nonzero()[0].tolist()
    x, y = detections.xy_image[view, slot, joint].tolist()
    who = f"{cameras.names[view]}, frame {number}, joint {detections.skeleton.joints[joint]}: x is {x:g}, y {y:g}"
    visible = detections.visible & ~beyond
    kept = replace(
        detections,
        xy_image=detections.xy_image.where(visible[..., None], 0.0),
        confidence=detections.confidence.where(visible, 0.0),
        visible=visible,
        valid=detections.valid & visible.any(-1),
    )
    return kept, [Odd(BEYOND, int(beyond.sum()), who)]

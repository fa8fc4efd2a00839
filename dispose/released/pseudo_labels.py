"""The pseudo-labels that were released with the paper (`wang2026dispose`), as pickles, in our records.

``{sequence: {frame: {"2D": {camera: {"keypoints_xys": (n, 15, 3), "person_ids": (n,)}},
"3D": {"triangulated_keypoints_xyzs": (p, 15, 4), "person_ids": (p,)}}}}`` in pixels and mm; a missing joint is zero.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from dispose.errors import InputError
from dispose.formats.pseudo_labels import LabelledFrame
from dispose.released.plain_pickle import load_plain_pickle
from dispose.scene.detections import Detections
from dispose.scene.frame import Labels
from dispose.scene.poses import Poses
from dispose.skeletons.catalog import PANOPTIC_15
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT

UNMATCHED = -1


@dataclass(frozen=True, eq=False)
class ReleasedLabels:
    """What a released pickle holds.

    Attributes:
        skeleton: of every frame.
        views: names of the cameras, in the order of their names (numbers by value).
        frames: one after the other, sequences and frames in order.
        oddities: what had to be decided, in sentences.
    """

    skeleton: Skeleton
    views: tuple[str, ...]
    frames: tuple[LabelledFrame, ...]
    oddities: tuple[str, ...]


def read_released_labels(path: Path, *, skeleton: Skeleton = PANOPTIC_15) -> ReleasedLabels:
    """Read a released pickle; `InputError` names sequence, frame and camera of what is not as it should be.

    A joint that is zero or no number is missing. People without a match (number -1) are all kept. Where two people of
    one camera have the same number, the one with the higher mean confidence has it and the other is unmatched.
    """
    value = load_plain_pickle(path)
    frames = list(_frames(str(path), value))
    names = sorted({camera for _, _, _, entry in frames for camera in _cameras(entry)}, key=_by_number)
    oddities: Counter[str] = Counter()
    made = tuple(
        LabelledFrame(sequence, number, _labels(place, entry, (skeleton, names), oddities))
        for place, sequence, number, entry in frames
    )
    return ReleasedLabels(skeleton, tuple(names), made, tuple(f"{n} {what}" for what, n in (+oddities).items()))


def _frames(source: str, value: object) -> Iterator[tuple[str, str, int, Mapping[object, object]]]:
    """Place, sequence, number and content of every frame, in order."""
    for sequence, frames in sorted(_mapping(source, value).items(), key=lambda item: str(item[0])):
        place = f"{source}: sequence {str(sequence)!r}"
        numbered = []
        for number, entry in _mapping(place, frames).items():
            if isinstance(number, bool) or not str(number).lstrip("-").isdigit():
                raise InputError(f"{place}: a frame number is {number!r}.")
            numbered.append((int(str(number)), entry))
        for number, entry in sorted(numbered, key=lambda item: item[0]):
            at = f"{place}, frame {number}"
            yield at, str(sequence), number, _mapping(at, entry)


def _mapping(place: str, value: object) -> Mapping[object, object]:
    if not isinstance(value, dict):
        raise InputError(f"{place}: a dictionary is expected, not {type(value).__name__}.")
    return value


def _cameras(entry: Mapping[object, object]) -> list[str]:
    views = entry.get("2D")
    return [str(camera) for camera in views] if isinstance(views, dict) else []


def _by_number(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdigit() else (0, name)


@dataclass(frozen=True, eq=False)
class _People:
    """Rows of one array of people and their numbers."""

    joints: Float[np.ndarray, "people joints values"]
    numbers: list[int]


def _people(place: str, value: object, key: str, sizes: tuple[int, int]) -> _People:
    """The people of a camera, or of the 3-D; none where there is no entry."""
    joints, width = sizes
    if value is None:
        return _People(np.zeros((0, joints, width)), [])
    entry = _mapping(place, value)
    for name in (key, "person_ids"):
        if name not in entry:
            raise InputError(f"{place}: no {name!r} (there is {', '.join(map(str, entry)) or 'nothing'}).")
    try:
        array = np.asarray(entry[key], np.float64)
        numbers = [int(n) for n in np.asarray(entry["person_ids"]).reshape(-1)]
    except (TypeError, ValueError) as error:
        raise InputError(f"{place}: {key} or person_ids are no numbers.") from error
    if array.size == 0:
        array = array.reshape(0, joints, width)
    if array.shape[1:] != (joints, width):
        raise InputError(f"{place}: {key} is {'x'.join(map(str, array.shape))}, not n x {joints} x {width}.")
    if len(array) != len(numbers):
        raise InputError(f"{place}: {len(array)} people in {key}, {len(numbers)} in person_ids.")
    return _People(array, numbers)


def _known(people: _People, coordinates: int, oddities: Counter[str]) -> tuple[np.ndarray, np.ndarray]:
    """Which joints are there, and the table with everything else zero and confidences in [0, 1]."""
    finite = np.asarray(np.isfinite(people.joints).all(-1))
    oddities["joints were no numbers and count as missing"] += int((~finite).sum())
    table = np.where(finite[..., None], people.joints, 0.0)
    known = (table[..., :coordinates] != 0).any(-1)
    if coordinates == 2:
        # In an image a joint in the corner (0, 0) is possible; what counts is that the detector reported it.
        known = table[..., 2] > 0
    table[..., -1] = table[..., -1].clip(0, 1)
    return known, np.where(known[..., None], table, 0.0)


def _labels(
    place: str,
    entry: Mapping[object, object],
    names: tuple[Skeleton, list[str]],
    oddities: Counter[str],
) -> Labels:
    """The record of one frame."""
    skeleton, cameras = names
    count = len(skeleton)
    views = {str(camera): people for camera, people in _mapping(f"{place}, 2D", entry.get("2D") or {}).items()}
    seen = [_people(f"{place}, camera {c}", views.get(c), "keypoints_xys", (count, 3)) for c in cameras]
    placed = _people(f"{place}, 3D", entry.get("3D"), "triangulated_keypoints_xyzs", (count, 4))
    numbers = list(placed.numbers)
    numbers += sorted({n for people in seen for n in people.numbers if n != UNMATCHED} - set(numbers))
    row_of = {n: row for row, n in reversed(list(enumerate(numbers))) if n != UNMATCHED}
    repeats = len(placed.numbers) - len(set(placed.numbers))
    oddities["people share their number in 3-D"] += repeats
    valid, xyzs = _known(placed, 3, oddities)
    poses = np.zeros((len(numbers), count, 4))
    poses[: len(xyzs)] = xyzs
    known = np.zeros((len(numbers), count), bool)
    known[: len(valid)] = valid
    xys = np.zeros((len(cameras), len(numbers), count, 3))
    strangers: list[list[torch.Tensor]] = []
    for view, people in enumerate(seen):
        _, table = _known(people, 2, oddities)
        matched, alone = _split(people.numbers, table, oddities)
        for person in matched:
            xys[view, row_of[people.numbers[person]]] = table[person]
        strangers.append([torch.from_numpy(table[person]) for person in alone])
    ids = [number if row_of.get(number) == row else ABSENT for row, number in enumerate(numbers)]
    table3, table2 = torch.from_numpy(poses), torch.from_numpy(xys)
    return Labels.of_images(
        Poses(skeleton, table3[..., :3], table3[..., 3], torch.from_numpy(known), torch.tensor(ids, dtype=torch.long)),
        table2[..., :2],
        table2[..., 2],
        table2[..., 2] > 0,
        Detections.from_lists(skeleton, strangers),
    )


def _split(numbers: list[int], table: np.ndarray, oddities: Counter[str]) -> tuple[list[int], list[int]]:
    """Rows of one camera that are somebody, and rows that are not; the surest row has a number that occurs twice."""
    best: dict[int, int] = {}
    confidence = table[..., 2].mean(-1)
    for row, number in enumerate(numbers):
        if number != UNMATCHED and (number not in best or confidence[row] > confidence[best[number]]):
            best[number] = row
    matched = sorted(best.values())
    alone = [row for row in range(len(numbers)) if row not in matched]
    oddities["people share their number with another in the same camera and count as unmatched"] += sum(
        numbers[row] != UNMATCHED for row in alone
    )
    return matched, alone

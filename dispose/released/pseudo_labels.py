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
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad

from dispose.errors import InputError
from dispose.formats.plain_pickle import load_plain_pickle
from dispose.formats.pseudo_labels import LabelledFrame
from dispose.scene.frame import Detections, Labels, Poses
from dispose.skeletons.catalog import PANOPTIC_15
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT

UNMATCHED = -1
SKELETON = PANOPTIC_15


@dataclass(frozen=True, eq=False)
class ReleasedLabels:
    """What a released pickle holds, cameras, sequences and frames in order, and what had to be decided in sentences."""

    skeleton: Skeleton
    views: tuple[str, ...]
    frames: tuple[LabelledFrame, ...]
    oddities: tuple[str, ...]


def read_released_labels(path: Path) -> ReleasedLabels:
    """Read a released pickle; `InputError` names sequence, frame and camera of what is not as it should be.

    A joint that is zero or no number is missing. People without a match (number -1) are all kept. Where two people of
    one camera have the same number, the one with the higher mean confidence has it and the other is unmatched.
    """
    oddities: Counter[str] = Counter()
    entries = list(_frames(str(path), load_plain_pickle(path)))
    found = {camera for place, _, _, entry in entries for camera in _views(place, entry)}
    cameras = sorted(found, key=lambda name: (int(name), "") if name.isdigit() else (0, name))
    frames = tuple(LabelledFrame(s, n, _labels(place, entry, cameras, oddities)) for place, s, n, entry in entries)
    return ReleasedLabels(SKELETON, tuple(cameras), frames, tuple(f"{n} {what}" for what, n in (+oddities).items()))


def _frames(source: str, value: object) -> Iterator[tuple[str, str, int, Mapping[object, object]]]:
    """Place, sequence, number and content of every frame, in order."""
    for sequence, frames in sorted(_mapping(source, value).items(), key=lambda item: str(item[0])):
        place = f"{source}: sequence {str(sequence)!r}"
        for number in _mapping(place, frames):
            if isinstance(number, bool) or not str(number).lstrip("-").isdigit():
                raise InputError(f"{place}: a frame number is {number!r}.")
        for number, entry in sorted({int(str(n)): entry for n, entry in _mapping(place, frames).items()}.items()):
            at = f"{place}, frame {number}"
            yield at, str(sequence), number, _mapping(at, entry)


def _mapping(place: str, value: object) -> Mapping[object, object]:
    if not isinstance(value, dict):
        raise InputError(f"{place}: a dictionary is expected, not {type(value).__name__}.")
    return value


def _views(place: str, entry: Mapping[object, object]) -> dict[str, object]:
    """The people of every camera that a frame speaks of."""
    return {str(camera): people for camera, people in _mapping(f"{place}, 2D", entry.get("2D") or {}).items()}


@dataclass(frozen=True, eq=False)
class _People:
    """The people of a camera, or of the 3-D: joints with confidences in [0, 1], 0 where not known, and numbers."""

    joints: Float[Tensor, "people joints values"]
    known: Bool[Tensor, "people joints"]
    numbers: list[int]


def _people(place: str, value: object, key: str, width: int, oddities: Counter[str]) -> _People:
    """The people of an entry; none where there is no entry."""
    entry = {key: [], "person_ids": []} if value is None else _mapping(place, value)
    for name in (key, "person_ids"):
        if name not in entry:
            raise InputError(f"{place}: no {name!r} (there is {', '.join(map(str, entry)) or 'nothing'}).")
    try:
        array = np.asarray(entry[key], np.float64)
        numbers = [int(n) for n in np.asarray(entry["person_ids"]).reshape(-1)]
    except (TypeError, ValueError) as error:
        raise InputError(f"{place}: {key} or person_ids are no numbers.") from error
    shape = (len(SKELETON), width)
    if array.size and array.shape[1:] != shape:
        raise InputError(f"{place}: {key} is {'x'.join(map(str, array.shape))}, not n x {shape[0]} x {width}.")
    joints = torch.from_numpy(array.reshape(-1, *shape))
    if len(joints) != len(numbers):
        raise InputError(f"{place}: {len(joints)} people in {key}, {len(numbers)} in person_ids.")
    finite = torch.isfinite(joints).all(-1)
    oddities["joints were no numbers and count as missing"] += int((~finite).sum())
    # In an image a joint in the corner (0, 0) is possible; what counts is that the detector reported it.
    known = finite & ((joints[..., 2] > 0) if width == 3 else (joints[..., :3] != 0).any(-1))
    joints = torch.cat([joints[..., :-1], joints[..., -1:].clamp(0, 1)], -1)
    return _People(torch.where(known[..., None], joints, 0.0), known, numbers)


def _labels(place: str, entry: Mapping[object, object], cameras: list[str], oddities: Counter[str]) -> Labels:
    """The record of one frame; who is in 2-D only follows those who are in 3-D."""
    views = _views(place, entry)
    seen = [_people(f"{place}, camera {c}", views.get(c), "keypoints_xys", 3, oddities) for c in cameras]
    placed = _people(f"{place}, 3D", entry.get("3D"), "triangulated_keypoints_xyzs", 4, oddities)
    oddities["people share their number in 3-D"] += len(placed.numbers) - len(set(placed.numbers))
    numbers = list(placed.numbers)
    numbers += sorted({n for people in seen for n in people.numbers if n != UNMATCHED} - set(numbers))
    row_of = {n: row for row, n in reversed(list(enumerate(numbers))) if n != UNMATCHED}
    xys = torch.zeros(len(cameras), len(numbers), len(SKELETON), 3, dtype=torch.float64)
    strangers: list[list[Tensor]] = []
    for view, people in enumerate(seen):
        # Of those who share a number the surest has it, and of equally sure ones the first.
        sure = people.joints[..., 2].mean(-1).tolist()
        order = sorted(range(len(sure)), key=lambda row, sure=sure: (sure[row], -row))
        matched = {people.numbers[row]: row for row in order if people.numbers[row] != UNMATCHED}
        alone = [row for row in range(len(sure)) if row not in matched.values()]
        for number, row in matched.items():
            xys[view, row_of[number]] = people.joints[row]
        strangers.append([people.joints[row] for row in alone])
        repeats = sum(people.numbers[row] != UNMATCHED for row in alone)
        oddities["people share their number with another in the same camera and count as unmatched"] += repeats
    ids = torch.tensor([n if row_of.get(n) == row else ABSENT for row, n in enumerate(numbers)], dtype=torch.long)
    extra = len(numbers) - len(placed.numbers)
    xyz, known = pad(placed.joints, (0, 0, 0, 0, 0, extra)), pad(placed.known, (0, 0, 0, extra))
    poses = Poses(SKELETON, xyz[..., :3], xyz[..., 3], known, ids)
    xy, confidence = xys[..., :2], xys[..., 2]
    return Labels.of_images(poses, xy, confidence, confidence > 0, Detections.from_lists(SKELETON, strangers))

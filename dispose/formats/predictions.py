"""Predictions as files: JSON lines (what everything else reads) and `.npz`.

In a file, `Association.members` counts detections by their position in each camera's own source list, not by slot.
Where people were found in images there is no such list: a member names a camera that saw the person's root (the
middle of the hips), and its number is the rank of that point among the peaks of the camera's root heat map, 0 for the
highest. A person has two members at least; cameras without an image, or that do not see the root, are left out.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int

from dispose.errors import InputError
from dispose.formats.entry import Entry, short
from dispose.formats.files import Columns, parse_json_line, read_text, replacing
from dispose.scene.frame import Detections, Poses
from dispose.scene.results import Association, Prediction
from dispose.skeletons.catalog import CATALOG
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT

SCHEMA = "dispose.predictions/1"


@dataclass(frozen=True, eq=False)
class SavedPredictions:
    """The content of a prediction file, a prediction per frame, and sentences about what the file left open.

    Members are positions in each camera's source list, or ranks of root peaks.
    """

    skeleton: Skeleton
    cameras: tuple[str, ...]
    frames: tuple[Prediction, ...]
    notes: tuple[str, ...] = ()


def by_source(prediction: Prediction, detections: Detections) -> Prediction:
    """A prediction whose members count positions in the camera's source list instead of slots."""
    members = prediction.association.members
    if detections.index.shape[1] == 0:
        return prediction
    views = torch.arange(members.shape[1]).expand_as(members)
    source = torch.where(members == ABSENT, ABSENT, detections.index[views, members.clamp(min=0)])
    return replace(prediction, association=replace(prediction.association, members=source))


def by_slot(
    prediction: Prediction, detections: Detections, *, source: str = "predictions", cameras: Sequence[str] = ()
) -> Prediction:
    """The inverse of `by_source`: members as slots of the detections.

    Raises `InputError` for a member that is not among the detections, and for one of two people; `source` and
    `cameras` are for the complaint.
    """
    members, ids = prediction.association.members.tolist(), prediction.poses.id.tolist()
    slots = torch.full_like(prediction.association.members, ABSENT)
    for view, camera in enumerate(cameras or range(slots.shape[1])):
        known = detections.valid[view].tolist()
        slot = {index: s for s, index in enumerate(detections.index[view].tolist()) if known[s]}
        holder: dict[int, int] = {}
        for row, sources in enumerate(members):
            member = sources[view]
            if member == ABSENT:
                continue
            what = f"{source}: frame {prediction.number}: person {ids[row]} holds detection {member} of camera {camera}"
            if member not in slot:
                raise InputError(f"{what}, which is not among the {len(slot)} detections.")
            if member in holder:
                raise InputError(f"{what}, which person {holder[member]} holds too.")
            holder[member] = ids[row]
            slots[row, view] = slot[member]
    return replace(prediction, association=replace(prediction.association, members=slots))


def header_line(skeleton: Skeleton, cameras: Sequence[str]) -> str:
    """The first line of `predictions.jsonl`."""
    header = {
        "schema": SCHEMA,
        "skeleton": skeleton.name,
        "joints": list(skeleton.joints),
        "units": "mm",
        "cameras": list(cameras),
    }
    return json.dumps(header)


def frame_line(prediction: Prediction, cameras: Sequence[str]) -> str:
    """One further line: the persons of a frame. An unknown joint is ``[null, null, null, 0.0]``."""
    poses, association = prediction.poses, prediction.association
    persons = []
    for row in range(len(association)):
        members = association.members[row].tolist()
        persons.append(
            {
                "id": int(poses.id[row]),
                "score": _rounded(association.confidence[row], 6),
                "root": [_rounded(x, 3) for x in prediction.root[row]],
                "joints": [
                    [*(_rounded(x, 3) for x in xyz), _rounded(score, 6)] if valid else [None, None, None, 0.0]
                    for xyz, score, valid in zip(
                        poses.xyz_world[row].tolist(), poses.confidence[row].tolist(), poses.valid[row].tolist()
                    )
                ],
                "members": {camera: m for camera, m in zip(cameras, members, strict=True) if m != ABSENT},
            }
        )
    return json.dumps({"frame": prediction.number, "persons": persons})


def _rounded(value: torch.Tensor | float, digits: int) -> float | None:
    number = float(value)
    return round(number, digits) if math.isfinite(number) else None


def write_predictions(
    path: Path, skeleton: Skeleton, cameras: Sequence[str], predictions: Iterable[Prediction]
) -> None:
    """Write `predictions.jsonl`; an existing file is replaced only when the last frame has been written."""
    with replacing(path) as file:
        file.write(header_line(skeleton, cameras) + "\n")
        for prediction in predictions:
            file.write(frame_line(prediction, cameras) + "\n")


def read_predictions(path: Path) -> SavedPredictions:
    """Read `predictions.jsonl`; `InputError` names the line that is wrong."""
    # Not `splitlines`, which also ends lines at characters that may stand in a name.
    lines = [(number, line) for number, line in enumerate(read_text(path).split("\n"), 1) if line.strip()]
    if not lines:
        raise InputError(f"{path}: is empty.")
    skeleton, cameras = _parse_header(path, *lines[0])
    frames: list[Prediction] = []
    line_of: dict[int, int] = {}
    for number, line in lines[1:]:
        place = f"{path}: line {number}"
        frame = _parse_frame(Entry(place, parse_json_line(line, place)), skeleton, cameras)
        if frame.number in line_of:
            raise InputError(f"{place}: frame {frame.number} is there already, in line {line_of[frame.number]}.")
        line_of[frame.number] = number
        frames.append(frame)
    return SavedPredictions(skeleton, cameras, tuple(frames))


def _parse_header(path: Path, number: int, line: str) -> tuple[Skeleton, tuple[str, ...]]:
    """Skeleton and cameras of the first line."""
    header = Entry(f"{path}: line {number}", parse_json_line(line, f"{path}: line {number}"))
    if header.at("schema").text() != SCHEMA:
        raise InputError(f"{path}: schema is {header.at('schema').text()!r}, this version reads {SCHEMA!r}.")
    if header.has("units") and header.at("units").text() != "mm":
        raise InputError(f"{path}: units are {header.at('units').text()!r}, this schema is in 'mm'.")
    joints, cameras = (
        _names(header.at("joints"), "a joint"),
        _names(header.at("cameras"), "a camera"),
    )
    if not joints:
        raise InputError(f"{header.at('joints').place}: there is none.")
    return skeleton_of(header.at("skeleton").text(), joints), cameras


def _names(entry: Entry, what: str) -> tuple[str, ...]:
    """Texts that differ from each other."""
    names: list[str] = []
    for one in entry.items():
        if one.text() in names:
            raise InputError(f"{one.place}: {what} is called {one.text()!r}, as one before it is.")
        names.append(one.text())
    return tuple(names)


def skeleton_of(name: str, joints: tuple[str, ...]) -> Skeleton:
    """The catalogue's skeleton of that name and these joints, or one with the names and no bones."""
    for skeleton in CATALOG:
        if skeleton.name == name and skeleton.joints == joints:
            return skeleton
    return Skeleton(name, joints, ())


def _parse_frame(entry: Entry, skeleton: Skeleton, cameras: tuple[str, ...]) -> Prediction:
    frame = entry.at("frame").whole()
    entry = Entry(f"{entry.place} (frame {frame})", entry.value)
    persons = list(entry.at("persons").items())
    count, joints = len(persons), len(skeleton)
    table = torch.full((count, joints, 4), torch.nan, dtype=torch.float64)
    root = torch.full((count, 3), torch.nan, dtype=torch.float64)
    members = torch.full((count, len(cameras)), ABSENT, dtype=torch.long)
    for row, person in enumerate(persons):
        table[row] = nullable(person.at("joints"), 4 * joints).reshape(joints, 4)
        root[row] = nullable(person.at("root"), 3)
        for camera in person.at("members").keys():  # noqa: SIM118
            if camera not in cameras:
                raise InputError(f"{person.place}: member camera {camera!r} is not in the header.")
            members[row, cameras.index(camera)] = person.at("members").at(camera).whole(least=0)
    valid = torch.isfinite(table[..., :3]).all(-1)
    poses = Poses(
        skeleton,
        torch.where(valid[..., None], table[..., :3], 0.0),
        torch.where(valid, torch.nan_to_num(table[..., 3], nan=0.0, posinf=1.0, neginf=0.0), 0.0),
        valid,
        torch.tensor(_ids(persons), dtype=torch.long),
    )
    scores = torch.tensor([person.at("score").number() for person in persons], dtype=torch.float64)
    root = torch.where(torch.isfinite(root).all(-1, keepdim=True), root, torch.nan)
    return Prediction(frame, Association(members, scores), poses, root)


def _ids(persons: Sequence[Entry]) -> list[int]:
    """The number of every person of a frame; `InputError` where two have the same."""
    ids: list[int] = []
    for person in persons:
        number = person.at("id").whole(least=0)
        if number in ids:
            raise InputError(
                f"{person.at('id').place}: is {number}, as that of person {ids.index(number)} of the list."
            )
        ids.append(number)
    return ids


def nullable(entry: Entry, count: int) -> torch.Tensor:
    """Numbers where ``null`` stands for NaN."""
    try:
        found = np.asarray(entry.value)
        if found.dtype.kind not in "iufO" or (found.dtype.kind == "O" and any(isinstance(x, str) for x in found.flat)):
            raise ValueError("texts or truth values")
        array = found.astype(np.float64).reshape(-1)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{entry.place}: numbers are expected, not {short(entry.value)}.") from error
    if len(array) != count:
        raise InputError(f"{entry.place}: {count} numbers are expected, there are {len(array)}.")
    return torch.from_numpy(array.copy())


@dataclass(frozen=True, eq=False)
class PersonTable:
    """The rows of `prediction_rows` over all frames, and the numbers of these, also of those without people.

    Arrays in files are read as far as somebody looks.
    """

    skeleton: Skeleton
    numbers: Int[np.ndarray, " frames"]
    frame: Int[np.ndarray, " rows"]
    id: Int[np.ndarray, " rows"]
    joints: Float[np.ndarray, "rows joints 4"]

    @cached_property
    def _rows(self) -> dict[int, tuple[Int[np.ndarray, " _"], Int[np.ndarray, " _"]]]:
        """Every person's rows and the places of their frames, the latter rising."""
        order = np.argsort(self.numbers, kind="stable")
        place = order[np.searchsorted(self.numbers, self.frame, sorter=order)]
        rows = np.lexsort((place, self.id))
        people, first = np.unique(self.id[rows], return_index=True)
        parts = np.split(rows, first[1:]) if len(first) else []
        return {int(person): (part, place[part]) for person, part in zip(people, parts, strict=True)}

    @property
    def people(self) -> tuple[tuple[int, int], ...]:
        """Every person's number and the number of frames they were found in, most frequent first."""
        count = [(person, len(rows)) for person, (rows, _) in self._rows.items()]
        return tuple(sorted(count, key=lambda item: (-item[1], item[0])))

    def clip(self, person: int, start: int, stop: int) -> Float[torch.Tensor, "frames joints 3"]:
        """One person's joints in the frames from one place to another, mm; NaN where not known."""
        rows, place = self._rows[person]
        first, last = np.searchsorted(place, (start, stop))
        xyz = torch.full((len(self.numbers[start:stop]), len(self.skeleton), 3), torch.nan, dtype=torch.float64)
        xyz[place[first:last] - start] = torch.from_numpy(self.joints[rows[first:last], :, :3])
        return torch.where(torch.isfinite(xyz).all(-1, keepdim=True), xyz, torch.nan)


def prediction_names(skeleton: Skeleton, cameras: Sequence[str]) -> Columns:
    """What the columns of the table mean."""
    return [
        ("skeleton", np.array(skeleton.name)),
        ("joint_names", np.array(skeleton.joints)),
        ("cameras", np.array(cameras)),
        ("units", np.array("mm")),
    ]


def prediction_rows(frames: Sequence[Prediction], views: int, joints: int) -> Columns:
    """A row per person and frame.

    Columns: ``frame, id, score (rows,)``, ``root (rows, 3)``, ``joints (rows, joints, 4)`` = x y z confidence in mm
    (NaN NaN NaN 0 where unknown), ``members (rows, views)`` (-1 = not seen).
    """
    places = [
        torch.cat([torch.where(valid, xyz, torch.nan), torch.where(valid, confidence[..., None], 0.0)], -1)
        for xyz, confidence, valid in (
            (f.poses.xyz_world, f.poses.confidence, f.poses.valid[..., None]) for f in frames
        )
    ]
    numbers = [torch.full((len(f.association),), f.number) for f in frames]
    return [
        ("frame", _joined(numbers, (0,)).astype(np.int64)),
        ("id", _joined([f.poses.id for f in frames], (0,)).astype(np.int64)),
        ("score", _joined([f.association.confidence for f in frames], (0,))),
        ("root", _joined([f.root for f in frames], (0, 3))),
        ("joints", _joined(places, (0, joints, 4))),
        ("members", _joined([f.association.members for f in frames], (0, views)).astype(np.int64)),
    ]


def _joined(parts: list[torch.Tensor], empty: tuple[int, ...]) -> np.ndarray:
    return torch.cat(parts).numpy() if parts else np.zeros(empty)

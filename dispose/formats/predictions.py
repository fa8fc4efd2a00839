"""Predictions as JSON lines, what everything else reads; `dispose.formats.person_table` has them as arrays.

A person's ``score`` says how probably they are right, and where somebody else knows how probably these detections are
one person, ``association`` says that. ``error_mm`` holds the expected error of every joint. Both are optional: files
written earlier, and by those who do not claim anything, have neither.

In a file, `Association.members` counts detections by their position in each camera's own source list, not by slot.
Where people were found in images there is no such list: a member names a camera that saw the person's root (the
middle of the hips), and its number is the rank of that point among the peaks of the camera's root heat map, 0 for the
highest. A person has two members at least, but for those whom `--single-view` adds; cameras without an image, or that
do not see the root, are left out.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from dispose.errors import InputError
from dispose.formats.entry import Entry, short
from dispose.formats.files import parse_json_line, read_text, replacing
from dispose.geometry.uncertainty import expected_error, round_covariance
from dispose.scene.frame import Detections, Poses
from dispose.scene.results import Association, Prediction
from dispose.skeletons.catalog import CATALOG
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT

SCHEMA = "dispose.predictions/1"


@dataclass(frozen=True, eq=False)
class SavedPredictions:
    """The content of a prediction file, a prediction per frame, and sentences about what the file left open.

    Members are positions in each camera's source list, or ranks of root peaks. `rate_hz`: frames per second, None
    where the run did not know; `smoothed`: how, empty where each frame speaks for itself; `method`: who answered,
    empty in files written earlier.
    """

    skeleton: Skeleton
    cameras: tuple[str, ...]
    frames: tuple[Prediction, ...]
    notes: tuple[str, ...] = ()
    rate_hz: float | None = None
    smoothed: str = ""
    method: str = ""


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


def header_line(skeleton: Skeleton, cameras: Sequence[str], frames: int | None = None) -> str:
    """The first line of `predictions.jsonl`, with the number of frames that follow if it is known."""
    header = {
        "schema": SCHEMA,
        "skeleton": skeleton.name,
        "joints": list(skeleton.joints),
        "units": "mm",
        "cameras": list(cameras),
        **({} if frames is None else {"frames": frames}),
    }
    return json.dumps(header)


def header_with(line: str, method: str, read: Sequence[str], frames: int, rate_hz: float | None) -> str:
    """A header line that also says how many frames follow, so that a lost tail is seen, and frames per second.

    And who said who is who, and what was read, lost, left out or taken otherwise: a sentence for each.
    """
    rate = {} if rate_hz is None else {"rate_hz": rate_hz}
    told = {"method": method, "frames": frames, **rate, "read": list(read)}
    return json.dumps({**json.loads(line), **told}) + "\n"


def frame_line(prediction: Prediction, cameras: Sequence[str]) -> str:
    """One further line: the persons of a frame. An unknown joint is ``[null, null, null, 0.0]``."""
    persons = [_person(prediction, row, cameras) for row in range(len(prediction.association))]
    return json.dumps({"frame": prediction.number, "persons": persons})


def _person(prediction: Prediction, row: int, cameras: Sequence[str]) -> dict[str, object]:
    """The object of one person in a line."""
    poses, association = prediction.poses, prediction.association
    known, members = poses.valid[row].tolist(), association.members[row].tolist()
    places = zip(poses.xyz_world[row].tolist(), poses.confidence[row].tolist(), known, strict=True)
    person: dict[str, object] = {
        "id": int(poses.id[row]),
        "score": _rounded(prediction.score[row], 6),
        "root": [_rounded(x, 3) for x in prediction.root[row]],
        "joints": [
            [*(_rounded(x, 3) for x in xyz), _rounded(score, 6)] if valid else [None, None, None, 0.0]
            for xyz, score, valid in places
        ],
        "members": {camera: m for camera, m in zip(cameras, members, strict=True) if m != ABSENT},
    }
    if poses.score is not None:
        person["association"] = _rounded(association.confidence[row], 6)
    if poses.covariance is not None:
        error = expected_error(poses.covariance[row]).tolist()
        person["error_mm"] = [_rounded(mm, 1) if valid else None for mm, valid in zip(error, known, strict=True)]
    return person


def _rounded(value: torch.Tensor | float, digits: int) -> float | None:
    number = float(value)
    return round(number, digits) if math.isfinite(number) else None


def write_predictions(
    path: Path,
    skeleton: Skeleton,
    cameras: Sequence[str],
    predictions: Iterable[Prediction],
    *,
    told: Mapping[str, object] | None = None,
) -> None:
    """Write `predictions.jsonl`; an existing file is replaced only when the last frame has been written.

    `told`: what else the header says.
    """
    with replacing(path) as file:
        count = len(predictions) if isinstance(predictions, Sized) else None
        header = json.loads(header_line(skeleton, cameras, count)) | dict(told or {})
        file.write(json.dumps(header) + "\n")
        for prediction in predictions:
            file.write(frame_line(prediction, cameras) + "\n")


def read_predictions(path: Path) -> SavedPredictions:
    """Read `predictions.jsonl`; `InputError` names the line that is wrong.

    Of how uncertain joints are the file knows the expected error alone: covariances are round ones of that error.
    """
    # Not `splitlines`, which also ends lines at characters that may stand in a name.
    lines = [(number, line) for number, line in enumerate(read_text(path).split("\n"), 1) if line.strip()]
    if not lines:
        raise InputError(f"{path}: is empty.")
    header = _parse_header(path, *lines[0])
    skeleton, cameras = header.skeleton, header.cameras
    frames: list[Prediction] = []
    line_of: dict[int, int] = {}
    for number, line in lines[1:]:
        place = f"{path}: line {number}"
        frame = _parse_frame(Entry(place, parse_json_line(line, place)), skeleton, cameras)
        if frame.number in line_of:
            raise InputError(f"{place}: frame {frame.number} is there already, in line {line_of[frame.number]}.")
        line_of[frame.number] = number
        frames.append(frame)
    if header.frames not in (None, len(frames)):
        raise InputError(
            f"{path}: line 1 announces {header.frames} frames, and {len(frames)} follow: lines are lost, "
            "run `dispose predict` again."
        )
    return SavedPredictions(
        skeleton, cameras, tuple(frames), rate_hz=header.rate_hz, smoothed=header.smoothed, method=header.method
    )


@dataclass(frozen=True)
class PredictionsHeader:
    """What the first line of a prediction file says; None or empty where it is silent (`SavedPredictions`)."""

    skeleton: Skeleton
    cameras: tuple[str, ...]
    frames: int | None = None
    rate_hz: float | None = None
    smoothed: str = ""
    method: str = ""


def header_of(path: Path) -> PredictionsHeader:
    """What is said in the first line of `predictions.jsonl`. `InputError` where that is not one of ours."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            line = file.readline(LONGEST_HEADER)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}).") from error
    return _parse_header(path, 1, line)


def frame_numbers(path: Path) -> list[int]:
    """The numbers of all frames of `predictions.jsonl`, line by line, so that nothing else is in memory."""
    numbers = []
    with open(path, encoding="utf-8-sig", newline="\n") as file:
        file.readline(LONGEST_HEADER)
        for count, line in enumerate(file, 2):
            found = re.match(r'\s*\{"frame": (-?\d{1,18}),', line[:64])
            place = f"{path}: line {count}"
            if found:
                numbers.append(int(found.group(1)))
            elif line.strip():
                numbers.append(Entry(place, parse_json_line(line, place)).at("frame").whole())
    return numbers


LONGEST_HEADER = 1 << 20


def _parse_header(path: Path, number: int, line: str) -> PredictionsHeader:
    """What the first line says."""
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
    frames = header.at("frames").whole(least=0) if header.has("frames") else None
    rate = header.at("rate_hz").number() if header.has("rate_hz") else None
    if rate is not None and not 0 < rate < math.inf:
        raise InputError(f"{header.place}: rate_hz is {rate}, a positive number is expected.")
    smoothed = header.at("smoothed").at("by").text() if header.has("smoothed") else ""
    method = header.at("method").text() if header.has("method") else ""
    skeleton = skeleton_of(header.at("skeleton").text(), joints)
    return PredictionsHeader(skeleton, cameras, frames, rate, smoothed, method)


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
    error, table = np.full((count, joints), np.nan), np.full((count, joints, 4), np.nan)
    roots = np.full((count, 3), np.nan)
    members = torch.full((count, len(cameras)), ABSENT, dtype=torch.long)
    for row, person in enumerate(persons):
        table[row] = _nullable(person.at("joints"), 4 * joints).reshape(joints, 4)
        roots[row] = _nullable(person.at("root"), 3)
        if person.has("error_mm"):
            error[row] = _nullable(person.at("error_mm"), joints)
        held = person.at("members")
        for camera in held.keys():  # noqa: SIM118
            if camera not in cameras:
                raise InputError(f"{person.place}: member camera {camera!r} is not in the header.")
            members[row, cameras.index(camera)] = held.at(camera).whole(least=0)
    _refuse_wild(persons, table, error)
    valid = torch.from_numpy(np.isfinite(table[..., :3]).all(-1))
    poses = Poses(
        skeleton,
        torch.where(valid[..., None], torch.from_numpy(table[..., :3]), 0.0),
        torch.where(valid, torch.nan_to_num(torch.from_numpy(table[..., 3]), nan=0.0, posinf=1.0, neginf=0.0), 0.0),
        valid,
        torch.tensor(_ids(persons), dtype=torch.long),
    )
    scores = torch.tensor([person.at("score").share() for person in persons], dtype=torch.float64)
    grouped = [person.at("association" if person.has("association") else "score").share() for person in persons]
    if any(person.has("association") for person in persons):
        poses = replace(poses, score=scores)
    if any(person.has("error_mm") for person in persons):
        poses = replace(
            poses, covariance=torch.where(valid[..., None, None], round_covariance(torch.from_numpy(error)), 0.0)
        )
    root = torch.from_numpy(roots)
    root = torch.where(torch.isfinite(root).all(-1, keepdim=True), root, torch.nan)
    return Prediction(frame, Association(members, torch.tensor(grouped, dtype=torch.float64)), poses, root)


def _refuse_wild(
    persons: Sequence[Entry],
    table: Float[np.ndarray, "persons joints 4"],
    error: Float[np.ndarray, "persons joints"],
) -> None:
    """Raise `InputError` where a joint is no place on Earth, its confidence no probability, or its error negative."""
    beyond = np.abs(table - MIDDLE)
    wild = ((beyond > REACH) & (beyond < math.inf)).any(-1)  # what is infinite is not known
    for row, joint in np.argwhere(wild).tolist() if wild.any() else ():
        raise InputError(
            f"{persons[row].at('joints').place}: {joint} is {table[row, joint].tolist()}; x, y, z in mm and a "
            "confidence in 0 to 1 are needed."
        )
    negative = error < 0
    for row, joint in np.argwhere(negative).tolist() if negative.any() else ():
        raise InputError(f"{persons[row].place}: error_mm has {error[row, joint]:g}.")


FARTHEST_MM = 1e9
MIDDLE, REACH = np.array([0.0, 0.0, 0.0, 0.5]), np.array([FARTHEST_MM, FARTHEST_MM, FARTHEST_MM, 0.5])
"""Of x, y, z and a confidence."""


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
    return torch.from_numpy(_nullable(entry, count))


def _nullable(entry: Entry, count: int) -> Float[np.ndarray, " count"]:
    try:
        found = np.array(entry.value)
        kinds = set(map(type, found.ravel().tolist())) if found.dtype.kind == "O" else set()
        if found.dtype.kind not in "iufO" or str in kinds:
            raise ValueError("texts or truth values")
        array = found.astype(np.float64, copy=False).reshape(-1)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{entry.place}: numbers are expected, not {short(entry.value)}.") from error
    if len(array) != count:
        raise InputError(f"{entry.place}: {count} numbers are expected, there are {len(array)}.")
    return array

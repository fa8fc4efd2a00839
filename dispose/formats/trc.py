"""TRC files as OpenSim and Pose2Sim read them: one per person, Y up, metres."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dispose.association.reconstruct import roots_of
from dispose.errors import InputError
from dispose.formats.calibration.rig import FARTHEST
from dispose.formats.files import read_text, replacing, visible
from dispose.formats.marker_names import MarkerNames, joints_of_markers, pose2sim_names, skeleton_of_joints
from dispose.formats.person_table import PersonTable
from dispose.formats.predictions import SavedPredictions
from dispose.formats.units import require_size
from dispose.scene.frame import Poses
from dispose.scene.results import Association, Prediction
from dispose.skeletons.skeleton import Skeleton

# Pose2Sim turns its Z-up world into OpenSim's Y-up one by the cyclic shift x, y, z -> y, z, x.
TRC_AXES = (1, 2, 0)
WORLD_AXES = (2, 0, 1)
MM_PER_UNIT = {"m": 1000.0, "mm": 1.0, "cm": 10.0}

LATER_VERSION = re.compile(r"_(filt|lstm)", re.IGNORECASE)
"""What Pose2Sim puts behind the name of a person's file when it has filtered or augmented it."""

LARGEST_ID = 10**9
FASTEST_HZ = 1e6
"""Frames per second of no camera."""

HEADER = (
    "DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units", "OrigDataRate", "OrigDataStartFrame", "OrigNumFrames",
)  # fmt: skip

FRAMES_AT_ONCE = 2048
"""So many frames of a person are in memory while they are written."""


@dataclass(frozen=True, eq=False)
class Markers:
    """One person's markers over time, mm, z up; NaN where one is missing.

    By the header the recording begins with the frame `first`; None where it is silent.
    """

    names: tuple[str, ...]
    numbers: Int[Tensor, " frames"]
    xyz_world: Float[Tensor, "frames joints 3"]
    rate_hz: float
    first: int | None = None


def write_trc(
    path: Path, names: Sequence[str], numbers: Sequence[int], blocks: Iterable[Tensor], rate_hz: float
) -> None:
    """Write one person: metres, Y up, blanks for missing markers.

    Every row ends in a tab, as OpenSim's and Pose2Sim's own do: without it OpenSim's reader drops a blank at the end
    and refuses the row.

    Args:
        path: of the file.
        names: of the markers.
        numbers: of the frames.
        blocks: the markers of some frames after the others, ``frames joints 3`` in mm, z up; NaN where missing.
        rate_hz: frames per second.
    """
    rate, frames, joints = f"{rate_hz:g}", len(numbers), len(names)
    coming = iter(numbers)
    with replacing(path) as file:
        file.write(f"PathFileType\t4\t(X/Y/Z)\t{path.name.encode('utf-8', 'replace').decode()}\n")
        file.write("\t".join(HEADER) + "\n")
        start = numbers[0] if frames else 0
        file.write(f"{rate}\t{rate}\t{frames}\t{joints}\tm\t{rate}\t{start}\t{frames}\n")
        file.write("Frame#\tTime\t" + "".join(f"{name}\t\t\t" for name in names) + "\n")
        file.write("\t\t" + "".join(f"X{j}\tY{j}\tZ{j}\t" for j in range(1, joints + 1)) + "\n")
        for block in blocks:
            table = (block[..., TRC_AXES] / 1000).flatten(1).tolist()
            for row in table:
                number = next(coming)
                fields = "".join(f"{x:.6f}\t" if math.isfinite(x) else "\t" for x in row)
                file.write(f"{number}\t{number / rate_hz:.6f}\t{fields}\n")


def write_trcs(
    folder: Path, stem: str, table: PersonTable, rate_hz: float, names: MarkerNames = pose2sim_names
) -> tuple[Path, ...]:
    """Write ``<stem>_P<id>.trc`` for every person, from their first frame to their last; the paths written.

    Rows between in which they were not found are blank, so that time runs evenly.
    """
    paths, markers = [], names(table.skeleton)
    for person in sorted(person for person, _ in table.people):
        first, stop = table.extent(person)
        paths.append(folder / f"{stem}_P{person}.trc")
        starts = range(first, stop, FRAMES_AT_ONCE)
        blocks = (table.clip(person, start, min(start + FRAMES_AT_ONCE, stop)) for start in starts)
        write_trc(paths[-1], markers, table.numbers[first:stop].tolist(), blocks, rate_hz)
    return tuple(paths)


def read_trc(path: Path) -> Markers:
    """Read one person's markers into mm, z up (inverse of `write_trc`; reads Pose2Sim's and OpenSim's files too).

    Fields are separated by tabs, or, in lines without any, by spaces. A marker has all three coordinates or none.
    `InputError` names the line and the marker.
    """
    text = read_text(path)
    lines = text.splitlines()
    if not lines or not lines[0].startswith("PathFileType"):
        raise InputError(f"{path}: is no TRC file (the first line must start with PathFileType).")
    if len(lines) < 4:
        raise InputError(f"{path}: breaks off in its header, after line {len(lines)}.")
    header = dict(zip(cells_of(lines[1]), cells_of(lines[2]), strict=False))
    names = marker_names(path, lines[3], header)
    unit = (header.get("Units") or "").lower()
    if unit not in MM_PER_UNIT:
        raise InputError(f"{path}: units are {header.get('Units')!r}, known are {', '.join(MM_PER_UNIT)}.")
    announced = whole_of(header.get("NumFrames"))
    rows = [(count, cells_of(line)) for count, line in enumerate(lines[4:], 5) if line.strip()]
    if rows and rows[0][1][0] in ("", "X1"):
        rows = rows[1:]
    whole = not rows or text.endswith(("\n", "\r")) or len(rows[-1][1]) >= 2 + 3 * len(names)
    if not whole and len(rows) <= (announced or 0):
        raise InputError(f"{path}: breaks off in line {rows[-1][0]}, frame {len(rows)} of {announced}.")
    numbers, table = table_of(path, names, rows)
    if announced not in (None, len(rows)):
        raise InputError(
            f"{path}: line 3: NumFrames is {announced}, and {len(rows)} frames follow; write the number that is right."
        )
    xyz = torch.from_numpy(table)[..., WORLD_AXES] * MM_PER_UNIT[unit]
    far = (xyz.abs() > FARTHEST).any(-1)
    if far.any():
        row, joint = far.nonzero()[0].tolist()
        raise InputError(
            f"{path}: line {rows[row][0]}: frame {numbers[row]}: marker {names[joint]} is at "
            f"{xyz[row, joint].tolist()} mm, which is no place on Earth."
        )
    require_size(f"{path}: units are {unit!r}", xyz, torch.isfinite(xyz).all(-1))
    rate = number_of(header.get("DataRate"))
    if not 0 < rate <= FASTEST_HZ:
        raise InputError(
            f"{path}: DataRate is {header.get('DataRate')!r}, a positive number of frames per second is expected."
        )
    return Markers(
        names, torch.tensor(numbers, dtype=torch.long), xyz, rate, whole_of(header.get("OrigDataStartFrame"))
    )


def marker_names(path: Path, line: str, header: Mapping[str, str]) -> tuple[str, ...]:
    """The markers of line 4, as many as line 3 announces, each with a name of its own."""
    names = tuple(name for name in cells_of(line)[2:] if name)
    if not names:
        raise InputError(f"{path}: line 4 names no marker.")
    if len(set(names)) != len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise InputError(
            f"{path}: line 4 names {len(names)} markers, some twice ({twice!r}); each needs a name of its own."
        )
    announced = header.get("NumMarkers")
    if announced is not None and whole_of(announced) != len(names):
        raise InputError(f"{path}: line 3: NumMarkers is {announced!r}, and line 4 names {len(names)} markers.")
    return names


def cells_of(line: str) -> list[str]:
    """The fields of a line: between tabs, where blank ones count, or between spaces in a line without tabs."""
    return [cell.strip() for cell in line.split("\t")] if "\t" in line else line.split()


def number_of(text: str | None) -> float:
    """A number as all programs write it, NaN where there is none: ``1_000`` is one in Python alone."""
    if text is None or "_" in text or not text.isascii():
        return math.nan
    try:
        return float(text)
    except ValueError:
        return math.nan


def whole_of(text: str | None) -> int | None:
    """A whole number, None where there is none."""
    value = number_of(text)
    return int(value) if math.isfinite(value) and value == int(value) else None


def table_of(
    path: Path, names: Sequence[str], rows: Sequence[tuple[int, list[str]]]
) -> tuple[list[int], Float[np.ndarray, "frames joints 3"]]:
    """Frame numbers, and the markers of every row in the file's unit and axes; blank = NaN."""
    width = 3 * len(names)
    numbers: dict[int, int] = {}
    table = np.full((len(rows), width), np.nan)
    # One more field, a blank one, stands behind a tab at the end, in all rows or in none.
    most = max((len(cells) - 2 for _, cells in rows if not any(cells[2 + width :])), default=width)
    begin = time = 0.0
    for row, (line, cells) in enumerate(rows):
        number = whole_of(cells[0])
        if number is None or abs(number) >= 10**18:
            raise InputError(f"{path}: line {line}: a frame's number is expected, not {cells[0]!r}.")
        if number in numbers:
            raise InputError(f"{path}: line {line}: frame {number} is there already, in line {numbers[number]}.")
        numbers[number] = line
        values, place = cells[2:], f"{path}: line {line}: frame {number}"
        if any(values[width:]) or len(values) < width:
            raise InputError(f"{place} has {len(values)} coordinates, {len(names)} markers have {width}.")
        if len(values) < most:
            raise InputError(f"{place} has {len(values)} fields behind its time, other rows have {most}: one is lost.")
        time, last = number_of(cells[1] if len(cells) > 1 else None), time if row else -math.inf
        if not math.isfinite(time):
            raise InputError(f"{path}: line {line}: frame {number}: the time is {''.join(cells[1:2])!r}, no number.")
        if time < last:
            raise InputError(f"{path}: line {line}: frame {number}: the time is {time:g} s, after {last:g} s.")
        begin = begin if row else time
        table[row] = row_of(place, names, values[:width])
    if len(rows) > 2 and time == begin:
        raise InputError(f"{path}: the time of all {len(rows)} frames is {begin:g} s.")
    return list(numbers), table.reshape(len(rows), len(names), 3)


def row_of(place: str, names: Sequence[str], values: Sequence[str]) -> list[float]:
    """The coordinates of a row, blank = NaN. `InputError` for what is no number, and for a marker without all three."""
    row = [number_of(value or "nan") for value in values]
    for column, number in enumerate(row):
        value, marker = values[column], names[column // 3]
        if not math.isfinite(number) and value.lower() not in ("", "nan"):
            comma = ", with a point and no comma" if "," in value else ""
            raise InputError(f"{place}: marker {marker} has {value!r}, a number is expected{comma}.")
        if math.isnan(number) and not all(map(math.isnan, row[column // 3 * 3 : column // 3 * 3 + 3])):
            raise InputError(f"{place}: marker {marker} has not all three coordinates; a field is lost or blank.")
    return row


def read_trc_people(paths: Sequence[Path]) -> SavedPredictions:
    """One person per file as predictions without cameras; a person is in a frame where a marker of theirs is.

    The id is the number after the last ``_P`` in the name of the file (``walk_P2.trc``), or, where one has none, the
    position in the alphabet from 1 on. Markers that are called as OpenSim and Pose2Sim do (``RHip``) get our names;
    the others keep theirs. There are bones where our names are. Frames that are counted from 1 although the header
    says that the recording begins elsewhere (as Pose2Sim does) are numbered as in the recording, and a note says so.
    Raises `InputError` for files with different markers, and for two files of one person.
    """
    files = visible(paths)
    people = [replace(one, names=joints_of_markers(one.names)) for one in map(read_trc, files)]
    names = people[0].names if people else ()
    for place, (path, markers) in enumerate(zip(files, people, strict=True)):
        if set(markers.names) != set(names):
            raise InputError(f"{path}: its {len(markers.names)} markers are not those of {files[0].name}.")
        order = [markers.names.index(name) for name in names]
        people[place] = replace(markers, names=names, xyz_world=markers.xyz_world[:, order])
    notes: list[str] = []
    ids = ids_of(files)
    skeleton = skeleton_of_joints(names)
    numbers = sorted({number for markers in people for number in markers.numbers.tolist()})
    firsts = {markers.first for markers in people}
    first = firsts.pop() if len(firsts) == 1 else None
    # What makes the numbers those of the recording.
    shift = first - 1 if first is not None and first >= 0 and numbers[:1] == [1] else 0
    if shift:
        notes.append(
            f"frames are counted from 1 in these files, and the recording begins with {1 + shift}: "
            f"shown as {numbers[0] + shift} to {numbers[-1] + shift}."
        )
    # Of every frame those who are in it: nobody is looked for in frames where they are not.
    here: dict[int, list[tuple[int, Float[Tensor, "joints 3"]]]] = {number: [] for number in numbers}
    for person, markers in zip(ids, people, strict=True):
        known = torch.isfinite(markers.xyz_world).flatten(1).any(1).tolist()
        for number, xyz, seen in zip(markers.numbers.tolist(), markers.xyz_world, known, strict=True):
            here[number] += [(person, xyz)] * seen
    frames = [people_at(number + shift, here[number], skeleton) for number in numbers]
    return SavedPredictions(skeleton, (), tuple(frames), tuple(notes))


def without_later_versions(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """The files as they were first written, and the filtered or augmented versions of the same people beside them."""
    stems = {path.stem for path in paths}
    later = [
        path
        for path in paths
        if any(path.stem[: found.start()] in stems for found in LATER_VERSION.finditer(path.stem))
    ]
    return [path for path in paths if path not in later], later


def ids_of(files: Sequence[Path]) -> list[int]:
    """A number for every person, from the names of the files."""
    found = [re.findall(r"_P(\d+)(?![A-Za-z\d])", path.stem) for path in files]
    if not all(found):
        return list(range(1, len(files) + 1))
    # Pose2Sim's names begin with those of session and participant, S00_P01_T02_…_P1_0-100: the last one counts.
    ids = [int(numbers[-1]) for numbers in found]
    for position, person in enumerate(ids):
        if person > LARGEST_ID:
            raise InputError(f"{files[position]}: person {person} is no number for a person.")
        if person in ids[:position]:
            first = files[ids.index(person)]
            raise InputError(f"{first} and {files[position].name} are both of person {person}; name one of them.")
    return ids


def people_at(number: int, people: Sequence[tuple[int, Float[Tensor, "joints 3"]]], skeleton: Skeleton) -> Prediction:
    """The people of one frame; missing markers are joints that are not known."""
    none = torch.zeros(0, len(skeleton), 3, dtype=torch.float64)
    xyz = torch.stack([place for _, place in people]) if people else none
    valid = torch.isfinite(xyz).all(-1)
    xyz = torch.where(valid[..., None], xyz, 0.0)
    poses = Poses(skeleton, xyz, valid.double(), valid, torch.tensor([i for i, _ in people], dtype=torch.long))
    nowhere = torch.zeros(len(people), 0, dtype=torch.long)
    sure = torch.ones(len(people), dtype=torch.float64)
    return Prediction(number, Association(nowhere, sure), poses, roots_of(skeleton, xyz, valid))

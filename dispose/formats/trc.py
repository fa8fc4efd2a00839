"""TRC files as OpenSim and Pose2Sim read them: one per person, Y up, metres."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dispose.association.reconstruct import roots_of
from dispose.errors import InputError
from dispose.formats.files import read_text, replacing, visible
from dispose.formats.person_table import PersonTable
from dispose.formats.predictions import SavedPredictions
from dispose.scene.frame import Poses
from dispose.scene.results import Association, Prediction
from dispose.skeletons.catalog import CATALOG
from dispose.skeletons.skeleton import Skeleton

# Pose2Sim turns its Z-up world into OpenSim's Y-up one by the cyclic shift x, y, z -> y, z, x.
TRC_AXES = (1, 2, 0)
WORLD_AXES = (2, 0, 1)
MM_PER_UNIT = {"m": 1000.0, "mm": 1.0, "cm": 10.0}

LATER_VERSION = re.compile(r"_(filt|lstm)", re.IGNORECASE)
"""What Pose2Sim puts behind the name of a person's file when it has filtered or augmented it."""

LARGEST_ID = 10**9

FRAMES_AT_ONCE = 2048
"""So many frames of a person are in memory while they are written."""


@dataclass(frozen=True, eq=False)
class Markers:
    """One person's markers over time, mm, z up; NaN where one is missing.

    By the header the recording begins with the frame `first`, and `announced` frames follow; None where it is silent.
    """

    names: tuple[str, ...]
    numbers: Int[Tensor, " frames"]
    xyz_world: Float[Tensor, "frames joints 3"]
    rate_hz: float
    first: int | None = None
    announced: int | None = None


def write_trc(
    path: Path, names: Sequence[str], numbers: Sequence[int], blocks: Iterable[Tensor], rate_hz: float
) -> None:
    """Write one person: metres, Y up, empty fields for missing markers.

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
        file.write(f"PathFileType\t4\t(X/Y/Z)\t{path.name}\n")
        file.write("\t".join(("DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units", "OrigDataRate",
                              "OrigDataStartFrame", "OrigNumFrames")) + "\n")  # fmt: skip
        start = numbers[0] if frames else 0
        file.write(f"{rate}\t{rate}\t{frames}\t{joints}\tm\t{rate}\t{start}\t{frames}\n")
        file.write("Frame#\tTime\t" + "\t\t\t".join(names) + "\t\t\n")
        file.write("\t\t" + "\t".join(f"X{j}\tY{j}\tZ{j}" for j in range(1, joints + 1)) + "\n")
        nothing = "\t" * max(3 * joints - 1, 0)
        for block in blocks:
            table = (block[..., TRC_AXES] / 1000).flatten(1)
            for there, row in zip(torch.isfinite(table).any(1).tolist(), table, strict=True):
                number = next(coming)
                fields = "\t".join(f"{x:.6f}" if math.isfinite(x) else "" for x in row.tolist()) if there else nothing
                file.write(f"{number}\t{number / rate_hz:.6f}\t{fields}\n")


def write_trcs(folder: Path, stem: str, table: PersonTable, rate_hz: float) -> tuple[Path, ...]:
    """Write ``<stem>_P<id>.trc`` for every person, blank where they were not found; the paths written."""
    paths, numbers = [], table.numbers.tolist()
    for person in sorted(person for person, _ in table.people):
        paths.append(folder / f"{stem}_P{person}.trc")
        starts = range(0, len(numbers), FRAMES_AT_ONCE)
        blocks = (table.clip(person, start, start + FRAMES_AT_ONCE) for start in starts)
        write_trc(paths[-1], table.skeleton.joints, numbers, blocks, rate_hz)
    return tuple(paths)


def read_trc(path: Path) -> Markers:
    """Read one person's markers into mm, z up (inverse of `write_trc`; reads Pose2Sim's and OpenSim's files too).

    Fields are separated by tabs, or, in lines without any, by spaces. `InputError` names the line and the marker.
    """
    text = read_text(path)
    lines = text.splitlines()
    if not lines or not lines[0].startswith("PathFileType"):
        raise InputError(f"{path}: is no TRC file (the first line must start with PathFileType).")
    if len(lines) < 4:
        raise InputError(f"{path}: breaks off in its header, after line {len(lines)}.")
    header = dict(zip(cells_of(lines[1]), cells_of(lines[2]), strict=False))
    names = tuple(name for name in cells_of(lines[3])[2:] if name)
    unit = (header.get("Units") or "").lower()
    if unit not in MM_PER_UNIT:
        raise InputError(f"{path}: units are {header.get('Units')!r}, known are {', '.join(MM_PER_UNIT)}.")
    if not names:
        raise InputError(f"{path}: line 4 names no marker.")
    if len(set(names)) != len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise InputError(
            f"{path}: line 4 names {len(names)} markers, some twice ({twice!r}); each needs a name of its own."
        )
    announced = whole_of(header.get("NumFrames"))
    rows = [(count, cells_of(line)) for count, line in enumerate(lines[4:], 5) if line.strip()]
    if rows and rows[0][1][0] in ("", "X1"):
        rows = rows[1:]
    cut = bool(rows) and not text.endswith(("\n", "\r")) and len(rows) < (announced or 0)
    if cut and len(rows[-1][1]) < 2 + 3 * len(names):
        raise InputError(f"{path}: breaks off in line {rows[-1][0]}, frame {len(rows)} of {announced}.")
    numbers, table = table_of(path, names, rows)
    xyz = torch.from_numpy(table)[..., WORLD_AXES] * MM_PER_UNIT[unit]
    rate = number_of(header.get("DataRate"))
    if not 0 < rate < math.inf:
        raise InputError(
            f"{path}: DataRate is {header.get('DataRate')!r}, a positive number of frames per second is expected."
        )
    first = whole_of(header.get("OrigDataStartFrame"))
    return Markers(names, torch.tensor(numbers, dtype=torch.long), xyz, rate, first, announced)


def cells_of(line: str) -> list[str]:
    """The fields of a line: between tabs, where blank ones count, or between spaces in a line without tabs."""
    return [cell.strip() for cell in line.split("\t")] if "\t" in line else line.split()


def number_of(text: str | None) -> float:
    """A number of a header, NaN where there is none."""
    try:
        return float(text or "")
    except ValueError:
        return math.nan


def whole_of(text: str | None) -> int | None:
    """A whole number of a header, None where there is none."""
    value = number_of(text)
    return int(value) if math.isfinite(value) and value == int(value) else None


def table_of(
    path: Path, names: Sequence[str], rows: Sequence[tuple[int, list[str]]]
) -> tuple[list[int], Float[np.ndarray, "frames joints 3"]]:
    """Frame numbers, and the markers of every row in the file's unit and axes; blank = NaN."""
    width = 3 * len(names)
    numbers: dict[int, int] = {}
    table = np.full((len(rows), width), np.nan)
    for row, (line, cells) in enumerate(rows):
        number = whole_of(cells[0])
        if number is None or abs(number) >= 10**18:
            raise InputError(f"{path}: line {line}: a frame's number is expected, not {cells[0]!r}.")
        if number in numbers:
            raise InputError(f"{path}: line {line}: frame {number} is there already, in line {numbers[number]}.")
        numbers[number] = line
        values = cells[2:]
        if any(values[width:]):
            raise InputError(
                f"{path}: line {line}: frame {number} has {len(values)} coordinates, {len(names)} markers have {width}."
            )
        for column, value in enumerate(values[:width]):
            try:
                table[row, column] = float(value or "nan")
            except ValueError as error:
                comma = ", with a point and no comma" if "," in value else ""
                raise InputError(
                    f"{path}: line {line}: frame {number}: marker {names[column // 3]} has {value!r}, a number is "
                    f"expected{comma}."
                ) from error
    return list(numbers), table.reshape(len(rows), len(names), 3)


def read_trc_people(paths: Sequence[Path]) -> SavedPredictions:
    """One person per file as predictions without cameras; a person is in a frame where a marker of theirs is.

    The id is the number after the last ``_P`` in the name of the file (``walk_P2.trc``), or, where one has none, the
    position in the alphabet from 1 on. Markers that are called as OpenSim and Pose2Sim do (``RHip``) get our names;
    the others keep theirs. There are bones where our names are. Frames that are counted from 1 although the header
    says that the recording begins elsewhere (as Pose2Sim does) are numbered as in the recording, and a note says so.
    Raises `InputError` for files with different markers, and for two files of one person.
    """
    files = visible(paths)
    people = [with_our_names(read_trc(path)) for path in files]
    names = people[0].names if people else ()
    for place, (path, markers) in enumerate(zip(files, people, strict=True)):
        if set(markers.names) != set(names):
            raise InputError(f"{path}: its {len(markers.names)} markers are not those of {files[0].name}.")
        order = [markers.names.index(name) for name in names]
        people[place] = replace(markers, names=names, xyz_world=markers.xyz_world[:, order])
    notes = [
        f"{path.name} announces {markers.announced} frames and holds {len(markers.numbers)}."
        for path, markers in zip(files, people, strict=True)
        if markers.announced is not None and markers.announced != len(markers.numbers)
    ]
    ids = ids_of(files)
    skeleton = skeleton_of_markers(names)
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
    rows = [{int(n): row for row, n in enumerate(markers.numbers.tolist())} for markers in people]
    frames = []
    for number in numbers:
        here = [
            (person, markers.xyz_world[row[number]])
            for person, markers, row in zip(ids, people, rows, strict=True)
            if number in row
        ]
        seen = [(i, xyz) for i, xyz in here if bool(torch.isfinite(xyz).any())]
        frames.append(people_at(number + shift, seen, skeleton))
    return SavedPredictions(skeleton, (), tuple(frames), tuple(notes))


def with_our_names(markers: Markers) -> Markers:
    """Markers called ``RHip`` as ``r_hip``, where the catalogue has such a joint and no other marker is called so."""
    known = {joint for skeleton in CATALOG for joint in skeleton.joints}
    ours = [name if name in known else our_name(name) for name in markers.names]
    names = tuple(
        mine if mine in known and ours.count(mine) == 1 else name
        for mine, name in zip(ours, markers.names, strict=True)
    )
    return replace(markers, names=names)


def our_name(marker: str) -> str:
    """``LBigToe`` as ``l_big_toe``, ``Nose`` as ``nose``; OpenSim's ``Head`` and ``Hip`` are the top and the middle."""
    words = re.findall(r"[A-Z](?=[A-Z][a-z])|[A-Z]?[a-z]+|\d+|[A-Z]+", marker)
    name = "_".join(word.lower() for word in words)
    return {"hip": "mid_hip", "c_hip": "mid_hip", "head": "head_top"}.get(name, name)


def skeleton_of_markers(names: tuple[str, ...]) -> Skeleton:
    """The catalogue's skeleton of these joints, or one with the bones of the first that has most of them."""
    for known in CATALOG:
        if known.joints == names:
            return known
    nearest = max(CATALOG, key=lambda known: sum(a in names and b in names for a, b in known.bones))
    bones = tuple((a, b) for a, b in nearest.bones if a in names and b in names)
    if not bones or not set(nearest.root_of) <= set(names):
        return Skeleton("trc", names, bones)
    return Skeleton("trc", names, bones, nearest.root_of)


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

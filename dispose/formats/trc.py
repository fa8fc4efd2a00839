"""TRC files as OpenSim and Pose2Sim read them: one per person, Y up, metres."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dispose.association.reconstruct import roots_of
from dispose.errors import InputError
from dispose.formats.files import read_text, replacing, visible
from dispose.formats.predictions import SavedPredictions
from dispose.scene.poses import Poses
from dispose.scene.prediction import Association, Prediction
from dispose.skeletons.catalog import CATALOG
from dispose.skeletons.skeleton import Skeleton

# Pose2Sim turns its Z-up world into OpenSim's Y-up one by the cyclic shift x, y, z -> y, z, x.
TRC_AXES = (1, 2, 0)
WORLD_AXES = (2, 0, 1)
MM_PER_UNIT = {"m": 1000.0, "mm": 1.0, "cm": 10.0}


@dataclass(frozen=True, eq=False)
class Markers:
    """One person's markers over time.

    Attributes:
        names: marker names.
        numbers: frame numbers as in the file.
        xyz_world: mm, z up; NaN where a marker is missing.
        rate_hz: frames per second.
    """

    names: tuple[str, ...]
    numbers: Int[Tensor, " frames"]
    xyz_world: Float[Tensor, "frames joints 3"]
    rate_hz: float


def write_trc(path: Path, markers: Markers) -> None:
    """Write one person: metres, Y up, empty fields for missing markers."""
    frames, joints = markers.xyz_world.shape[:2]
    rate = f"{markers.rate_hz:g}"
    start = int(markers.numbers[0]) if frames else 0
    with replacing(path) as file:
        file.write(f"PathFileType\t4\t(X/Y/Z)\t{path.name}\n")
        file.write(
            "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames\n"
        )
        file.write(f"{rate}\t{rate}\t{frames}\t{joints}\tm\t{rate}\t{start}\t{frames}\n")
        file.write("Frame#\tTime\t" + "\t\t\t".join(markers.names) + "\t\t\n")
        file.write("\t\t" + "\t".join(f"X{j}\tY{j}\tZ{j}" for j in range(1, joints + 1)) + "\n")
        table = (markers.xyz_world[..., TRC_AXES] / 1000).reshape(frames, -1).tolist()
        for number, row in zip(markers.numbers.tolist(), table, strict=True):
            fields = "\t".join(f"{value:.6f}" if math.isfinite(value) else "" for value in row)
            file.write(f"{number}\t{number / markers.rate_hz:.6f}\t{fields}\n")


def read_trc(path: Path) -> Markers:
    """Read one person's markers into mm, z up (inverse of `write_trc`; reads Pose2Sim's files too)."""
    lines = read_text(path).splitlines()
    if len(lines) < 5 or not lines[0].startswith("PathFileType"):
        raise InputError(f"{path}: is no TRC file (the first line must start with PathFileType).")
    header = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=False))
    names = tuple(name for name in lines[3].rstrip("\n").split("\t")[2:] if name)
    if header.get("Units") not in MM_PER_UNIT:
        raise InputError(f"{path}: units are {header.get('Units')!r}, known are {', '.join(MM_PER_UNIT)}.")
    if not names or len(set(names)) != len(names):
        raise InputError(f"{path}: line 4 names {len(names)} markers, some twice; each needs a name of its own.")
    numbers, rows = [], []
    for count, line in enumerate(lines[5:], start=6):
        if not line.strip():
            continue
        fields = line.split("\t")
        values = (fields[2:] + [""] * (3 * len(names)))[: 3 * len(names)]
        try:
            numbers.append(int(fields[0]))
            rows.append([float(value) if value.strip() else math.nan for value in values])
        except ValueError as error:
            raise InputError(f"{path}: line {count}: {error}.") from error
    table = np.asarray(rows, dtype=np.float64).reshape(len(rows), len(names), 3)
    xyz = torch.from_numpy(table)[..., WORLD_AXES] * MM_PER_UNIT[header["Units"]]
    return Markers(names, torch.tensor(numbers, dtype=torch.long), xyz, rate_of(path, header.get("DataRate")))


def rate_of(path: Path, text: str | None) -> float:
    """Frames per second. `InputError` where the header has no positive number for it."""
    try:
        rate = float(text or "")
    except ValueError:
        rate = math.nan
    if not 0 < rate < math.inf:
        raise InputError(f"{path}: DataRate is {text!r}, a positive number of frames per second is expected.")
    return rate


def read_trc_people(paths: Sequence[Path]) -> SavedPredictions:
    """One person per file as predictions without cameras; a person is in a frame where a marker of theirs is.

    The id is the number after the last ``_P`` in the name of the file (``walk_P2.trc``), or, where one has none, the
    position in the alphabet from 1 on. Markers keep their names; they have bones where the catalogue knows them all.
    Raises `InputError` for files with different markers, and for two files of one person.
    """
    files = visible(paths)
    people = [read_trc(path) for path in files]
    names = people[0].names if people else ()
    for path, markers in zip(files, people, strict=True):
        if markers.names != names:
            raise InputError(f"{path}: its {len(markers.names)} markers are not those of {files[0].name}.")
    ids = ids_of(files)
    skeleton = next((known for known in CATALOG if known.joints == names), None)
    skeleton = skeleton or Skeleton("trc", names, (), None, ())
    numbers = sorted({int(number) for markers in people for number in markers.numbers})
    rows = [{int(n): row for row, n in enumerate(markers.numbers.tolist())} for markers in people]
    frames = []
    for number in numbers:
        here = [
            (person, markers.xyz_world[row[number]])
            for person, markers, row in zip(ids, people, rows, strict=True)
            if number in row
        ]
        frames.append(people_at(number, [(i, xyz) for i, xyz in here if bool(torch.isfinite(xyz).any())], skeleton))
    return SavedPredictions(skeleton, (), tuple(frames))


def ids_of(files: Sequence[Path]) -> list[int]:
    """A number for every person, from the names of the files."""
    found = [re.findall(r"_P(\d+)(?![A-Za-z\d])", path.stem) for path in files]
    if not all(found):
        return list(range(1, len(files) + 1))
    # Pose2Sim's names begin with those of session and participant, S00_P01_T02_…_P1_0-100: the last one counts.
    ids = [int(numbers[-1]) for numbers in found]
    for position, person in enumerate(ids):
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


def tracks(saved: SavedPredictions, rate_hz: float) -> tuple[tuple[int, Markers], ...]:
    """Every person's markers over all frames of a prediction file, by ascending id; NaN where not predicted."""
    ids = sorted({int(i) for frame in saved.frames for i in frame.poses.id})
    numbers = torch.tensor([frame.number for frame in saved.frames], dtype=torch.long)
    found = []
    for person in ids:
        xyz = torch.full((len(saved.frames), len(saved.skeleton), 3), torch.nan, dtype=torch.float64)
        for f, frame in enumerate(saved.frames):
            for row in (frame.poses.id == person).nonzero()[:1, 0].tolist():
                xyz[f] = torch.where(frame.poses.valid[row][:, None], frame.poses.xyz_world[row], torch.nan)
        found.append((person, Markers(saved.skeleton.joints, numbers, xyz, rate_hz)))
    return tuple(found)


def write_trcs(folder: Path, stem: str, saved: SavedPredictions, rate_hz: float) -> tuple[Path, ...]:
    """Write ``<stem>_P<id>.trc`` for every person; the paths written."""
    paths = []
    for person, markers in tracks(saved, rate_hz):
        paths.append(folder / f"{stem}_P{person}.trc")
        write_trc(paths[-1], markers)
    return tuple(paths)

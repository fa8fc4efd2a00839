"""Calibrations of COLMAP: `cameras` and `images` as text or binary, an unknown scale and unknown axes."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.errors import InputError
from dispose.formats.calibration.image_names import by_camera
from dispose.formats.calibration.rig import (
    CameraParameters,
    RigFile,
    pinhole_matrix,
    rotation_of_quaternion,
)
from dispose.formats.entry import number_of
from dispose.formats.files import decoded, read_bytes

FILES = ("cameras.txt", "images.txt", "cameras.bin", "images.bin")

# Number of parameters per COLMAP model, and which of them are fx fy cx cy; the rest are lens coefficients.
FOCAL_AND_CENTRE = {
    "SIMPLE_PINHOLE": (0, 0, 1, 2),
    "PINHOLE": (0, 1, 2, 3),
    "SIMPLE_RADIAL": (0, 0, 1, 2),
    "RADIAL": (0, 0, 1, 2),
    "OPENCV": (0, 1, 2, 3),
    "FULL_OPENCV": (0, 1, 2, 3),
    "SIMPLE_RADIAL_FISHEYE": (0, 0, 1, 2),
    "RADIAL_FISHEYE": (0, 0, 1, 2),
    "OPENCV_FISHEYE": (0, 1, 2, 3),
}
MODELS = ("SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "OPENCV_FISHEYE", "FULL_OPENCV", "FOV",
          "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE")  # fmt: skip
"""By their numbers in binary files."""

PARAMETERS = {
    "SIMPLE_PINHOLE": 3, "PINHOLE": 4, "SIMPLE_RADIAL": 4, "RADIAL": 5, "OPENCV": 8, "FULL_OPENCV": 12,
    "SIMPLE_RADIAL_FISHEYE": 4, "RADIAL_FISHEYE": 5, "OPENCV_FISHEYE": 8,
}  # fmt: skip

# COLMAP's top-left pixel has its centre at (0.5, 0.5), ours at (0, 0).
PIXEL_CENTRE = 0.5
MOST_BYTES = 256 << 20
"""`images.txt` lists every point that an image shows."""


def colmap_rig(folder: Path) -> RigFile:
    """One view per camera, named after its images (`by_camera`).

    COLMAP's axes are arbitrary: they are kept, and `dispose check` says whether people stand upright in them.
    """
    ending = ".txt" if (folder / "images.txt").exists() or (folder / "cameras.txt").exists() else ".bin"
    path = folder / f"images{ending}"
    lenses = _read_lenses(folder / f"cameras{ending}")
    views, seen = [], dict[str, int]()
    for number, words in _pose_lines(path) if ending == ".txt" else _binary_poses(path):
        place = f"{path}: {'line' if ending == '.txt' else 'image'} {number}"
        values = _floats(place, words[1:8])
        if words[0] in seen:
            raise InputError(f"{place}: image {words[0]} is there twice (line {seen[words[0]]}).")
        seen[words[0]] = number
        if words[8] not in lenses:
            raise InputError(f"{place}: camera {words[8]} is not in cameras{ending}.")
        name = " ".join(words[9:])
        lens = lenses[words[8]]
        rotation = rotation_of_quaternion(f"{path}: camera {name}", values[:4])
        views.append(
            CameraParameters(name, lens.size, lens.matrix, lens.distortion, rotation, values[4:], lens.fisheye)
        )
    return RigFile(str(path), by_camera(str(path), views), None)


def _pose_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The lines of poses, numbered from 1; each may be followed by one of 2-D points, which may be empty or missing."""
    for number, line in enumerate(decoded(read_bytes(path, MOST_BYTES), path).splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#") or _are_points(words):
            continue
        if len(words) < 10:
            raise InputError(f"{path}: line {number}: ten words are expected, there are {len(words)}.")
        yield number, words


def _are_points(words: list[str]) -> bool:
    """Whether a line lists points, ``x y id`` each: a pose ends with a name, and has no multiple of three numbers."""
    return len(words) % 3 == 0 and all(word.lstrip("+-")[:1].isdigit() or word[:1] == "." for word in words[-3:])


def _floats(place: str, words: list[str]) -> Float[Tensor, " count"]:
    try:
        return torch.tensor([number_of(word) for word in words], dtype=torch.float64)
    except ValueError as error:
        raise InputError(f"{place}: numbers are expected ({error}).") from error


class _Binary:
    """The numbers of a binary file, one after the other; `InputError` where it ends too early."""

    def __init__(self, path: Path) -> None:
        self.path, self.data, self.at = path, read_bytes(path, MOST_BYTES), 0

    def take(self, kinds: str) -> tuple[int | float, ...]:
        self.skip(struct.calcsize(f"<{kinds}"))
        return struct.unpack_from(f"<{kinds}", self.data, self.at - struct.calcsize(f"<{kinds}"))

    def skip(self, size: int) -> None:
        if self.at + size > len(self.data):
            raise InputError(f"{self.path}: breaks off at byte {len(self.data)}.")
        self.at += size

    def text(self) -> str:
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise InputError(f"{self.path}: breaks off in a name at byte {len(self.data)}.")
        start, self.at = self.at, end + 1
        return decoded(self.data[start:end], self.path)


def _lens_lines(path: Path) -> Iterator[list[str]]:
    lines = decoded(read_bytes(path, MOST_BYTES), path).splitlines()
    yield from (line.split() for line in lines if line.strip() and not line.lstrip().startswith("#"))


def _binary_lenses(path: Path) -> Iterator[list[str]]:
    """What the lines of `cameras.txt` would be."""
    file = _Binary(path)
    for _ in range(int(*file.take("Q"))):
        number, model, *size = file.take("IiQQ")
        name = MODELS[int(model)] if 0 <= model < len(MODELS) else f"number {model}"
        # Without its number of parameters nothing behind it can be read either.
        values = file.take(f"{PARAMETERS[name]}d") if name in PARAMETERS else ()
        yield [str(number), name, *map(repr, (*size, *values))]


def _binary_poses(path: Path) -> Iterator[tuple[int, list[str]]]:
    """What the lines of poses in `images.txt` would be, counted from 1."""
    file = _Binary(path)
    for row in range(int(*file.take("Q"))):
        number, *pose, camera = file.take("I7dI")
        name = file.text()
        file.skip(24 * int(*file.take("Q")))
        yield row + 1, [str(number), *map(repr, pose), str(camera), name]


@dataclass(frozen=True, eq=False)
class ColmapLens:
    """A line of ``cameras.txt``."""

    size: Float[Tensor, " 2"]
    matrix: Float[Tensor, "3 3"]
    distortion: Float[Tensor, " 8"]
    fisheye: bool


def _read_lenses(path: Path) -> dict[str, ColmapLens]:
    lenses: dict[str, ColmapLens] = {}
    for words in _binary_lenses(path) if path.suffix == ".bin" else _lens_lines(path):
        place = f"{path}: camera {words[0]}"
        if words[0] in lenses:
            raise InputError(f"{place}: is there twice.")
        model = words[1] if len(words) > 1 else ""
        if model not in PARAMETERS:
            raise InputError(f"{place}: lens model {model!r} is not supported; known: {', '.join(PARAMETERS)}.")
        if len(words) != 4 + PARAMETERS[model]:
            raise InputError(f"{place}: {PARAMETERS[model]} parameters are expected, there are {len(words) - 4}.")
        values = _floats(place, words[2:])
        size, parameters = values[:2], values[2:]
        chosen = FOCAL_AND_CENTRE[model]
        fx, fy, cx, cy = (float(parameters[i]) for i in chosen)
        matrix = pinhole_matrix(fx, fy, cx - PIXEL_CENTRE, cy - PIXEL_CENTRE)
        lens = torch.zeros(8, dtype=torch.float64)
        coefficients = parameters[max(chosen) + 1 :]
        lens[: len(coefficients)] = coefficients
        lenses[words[0]] = ColmapLens(size, matrix, lens, model.endswith("_FISHEYE"))
    return lenses

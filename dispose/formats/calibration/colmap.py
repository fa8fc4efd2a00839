"""Calibrations of COLMAP in text form: `cameras.txt` and `images.txt`, an unknown scale and unknown axes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.errors import InputError
from dispose.formats.calibration.rig import (
    CameraParameters,
    RigFile,
    calibration_of,
    pinhole_matrix,
    rotation_of_quaternion,
)
from dispose.formats.entry import number_of
from dispose.formats.files import decoded
from dispose.formats.opening import read_bytes
from dispose.scene.cameras import Cameras

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
PARAMETERS = {
    "SIMPLE_PINHOLE": 3, "PINHOLE": 4, "SIMPLE_RADIAL": 4, "RADIAL": 5, "OPENCV": 8, "FULL_OPENCV": 12,
    "SIMPLE_RADIAL_FISHEYE": 4, "RADIAL_FISHEYE": 5, "OPENCV_FISHEYE": 8,
}  # fmt: skip

# COLMAP's top-left pixel has its centre at (0.5, 0.5), ours at (0, 0).
PIXEL_CENTRE = 0.5
MOST_BYTES = 256 << 20
"""`images.txt` lists every point that an image shows."""


def read_calibration_colmap(folder: Path, *, mm_per_unit: float) -> Cameras:
    """The cameras of a COLMAP reconstruction in text form (`colmap_rig`).

    Args:
        folder: holds ``cameras.txt`` and ``images.txt``.
        mm_per_unit: a reconstruction from images has no scale; measure a known length in it.
    """
    return calibration_of(colmap_rig(folder), mm_per_unit=mm_per_unit).cameras


def colmap_rig(folder: Path) -> RigFile:
    """One view per image, named after it without its ending.

    COLMAP's axes are arbitrary: they are kept, and `dispose check` says whether people stand upright in them.
    """
    lenses = _read_lenses(folder / "cameras.txt")
    path = folder / "images.txt"
    views, seen = [], dict[str, int]()
    for number, words in _pose_lines(path):
        place = f"{path}: line {number}"
        values = _floats(place, words[1:8])
        if words[0] in seen:
            raise InputError(f"{place}: image {words[0]} is there twice (line {seen[words[0]]}).")
        seen[words[0]] = number
        if words[8] not in lenses:
            raise InputError(f"{place}: camera {words[8]} is not in cameras.txt.")
        name = Path(" ".join(words[9:])).with_suffix("").as_posix()
        lens = lenses[words[8]]
        rotation = rotation_of_quaternion(f"{path}: camera {name}", values[:4])
        views.append(
            CameraParameters(name, lens.size, lens.matrix, lens.distortion, rotation, values[4:], lens.fisheye)
        )
    return RigFile(str(path), tuple(views), None)


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


@dataclass(frozen=True, eq=False)
class ColmapLens:
    """A line of ``cameras.txt``."""

    size: Float[Tensor, " 2"]
    matrix: Float[Tensor, "3 3"]
    distortion: Float[Tensor, " 8"]
    fisheye: bool


def _read_lenses(path: Path) -> dict[str, ColmapLens]:
    lenses: dict[str, ColmapLens] = {}
    for line in decoded(read_bytes(path, MOST_BYTES), path).splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
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

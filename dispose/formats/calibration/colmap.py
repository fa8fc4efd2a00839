"""Calibrations of COLMAP in text form: `cameras.txt` and `images.txt`, an unknown scale and unknown axes."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.errors import InputError
from dispose.formats.calibration.rig import CameraParameters, as_cameras, pinhole_matrix, rotation_of_quaternion
from dispose.formats.files import read_text
from dispose.scene.cameras import Cameras

# Number of parameters per COLMAP model, and which of them are fx fy cx cy; the rest are lens coefficients.
FOCAL_AND_CENTRE = {
    "SIMPLE_PINHOLE": (0, 0, 1, 2),
    "PINHOLE": (0, 1, 2, 3),
    "SIMPLE_RADIAL": (0, 0, 1, 2),
    "RADIAL": (0, 0, 1, 2),
    "OPENCV": (0, 1, 2, 3),
    "FULL_OPENCV": (0, 1, 2, 3),
}
PARAMETERS = {"SIMPLE_PINHOLE": 3, "PINHOLE": 4, "SIMPLE_RADIAL": 4, "RADIAL": 5, "OPENCV": 8, "FULL_OPENCV": 12}

# COLMAP's top-left pixel has its centre at (0.5, 0.5), ours at (0, 0).
PIXEL_CENTRE = 0.5


def read_calibration_colmap(folder: Path, *, mm_per_unit: float) -> Cameras:
    """Cameras of a COLMAP reconstruction in text form, one view per image, named after the image without its ending.

    Args:
        folder: holds ``cameras.txt`` and ``images.txt``.
        mm_per_unit: a reconstruction from images has no scale; measure a known length in it. COLMAP's axes are
            arbitrary as well: they are kept, and `dispose check` says whether people stand upright in them.
    """
    if mm_per_unit <= 0:
        raise InputError(f"{folder}: mm_per_unit is {mm_per_unit:g}, it must be positive.")
    lenses = _read_lenses(folder / "cameras.txt")
    path = folder / "images.txt"
    lines = [line for line in read_text(path).splitlines() if not line.startswith("#")]
    views = []
    # Two lines per image: the pose, then its 2-D points (possibly none: an empty line).
    for number, line in enumerate(lines[::2]):
        words = line.split()
        if not words:
            continue
        place = f"{path}: image {number + 1}"
        if len(words) < 10:
            raise InputError(f"{place}: ten words are expected, there are {len(words)}.")
        values = _floats(place, words[1:8])
        if words[8] not in lenses:
            raise InputError(f"{place}: camera {words[8]} is not in cameras.txt.")
        name = Path(" ".join(words[9:])).with_suffix("").as_posix()
        size, matrix, lens = lenses[words[8]]
        rotation = rotation_of_quaternion(f"{path}: camera {name}", values[:4])
        views.append(CameraParameters(name, size, matrix, lens, rotation, values[4:] * mm_per_unit))
    return as_cameras(str(path), views)


def _floats(place: str, words: list[str]) -> Float[Tensor, " count"]:
    try:
        return torch.tensor([float(word) for word in words], dtype=torch.float64)
    except ValueError as error:
        raise InputError(f"{place}: numbers are expected ({error}).") from error


def _read_lenses(path: Path) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    lenses = {}
    for line in read_text(path).splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        place = f"{path}: camera {words[0]}"
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
        lenses[words[0]] = (size, matrix, lens)
    return lenses

"""Calibrations of OpenCap: a pickle per camera, read without executing anything in it."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dispose.errors import InputError
from dispose.formats.calibration.documents import MOST_BYTES
from dispose.formats.calibration.rig import CameraParameters, RigFile, lens_of
from dispose.formats.calibration.tables import IncompleteCameraError
from dispose.formats.files import read_bytes
from dispose.formats.plain_pickle import load_plain_pickle

NAME = "cameraIntrinsicsExtrinsics.pickle"


def opencap_files(folder: Path) -> list[tuple[str, Path]]:
    """The cameras of a folder: one in each sub-folder under OpenCap's own name, or `cam00.pickle` and so on."""
    own = [(path.parent.name, path) for path in sorted(folder.glob(f"*/{NAME}"))]
    return own or [(path.stem, path) for path in sorted(folder.glob("*.pickle"))]


def opencap_rig(folder: Path, files: list[tuple[str, Path]]) -> RigFile:
    """The rig of some files: mm, a world whose y points down, since the board that it is calibrated by stands upright.

    A board on the floor has z up or down instead: `--up` says so.
    """
    views, notes = [], []
    for name, path in files:
        try:
            views.append(_view(name, path))
        except IncompleteCameraError as lack:
            notes.append(f"camera {name} is left out: {lack}.")
    return RigFile(str(folder), tuple(views), 1.0, "-y", tuple(notes))


def _view(name: str, path: Path) -> CameraParameters:
    read_bytes(path, MOST_BYTES)  # a small regular file
    table = load_plain_pickle(path)
    if not isinstance(table, dict):
        raise InputError(f"{path}: is no calibration of OpenCap (no dictionary).")
    where = f"{path}: camera {name}"

    def numbers(key: str, *counts: int) -> Float[Tensor, " count"]:
        if key not in table or table[key] is None:
            raise IncompleteCameraError(f"it has no {key}")
        array = np.asarray(table[key])
        if array.dtype.kind not in "fiu" or array.size not in counts or not np.isfinite(array).all():
            wanted = " or ".join(map(str, counts))
            raise InputError(f"{where}: {key} is no array of {wanted} finite numbers.")
        return torch.from_numpy(array.astype(np.float64).reshape(-1).copy())

    height, width = numbers("imageSize", 2).tolist()
    lens = lens_of(where, numbers("distortion", 4, 5, 8, 12, 14), fisheye=False)
    matrix, rotation = numbers("intrinsicMat", 9).reshape(3, 3), numbers("rotation", 9).reshape(3, 3)
    size = torch.tensor([width, height], dtype=torch.float64)
    return CameraParameters(name, size, matrix, lens, rotation, numbers("translation", 3))

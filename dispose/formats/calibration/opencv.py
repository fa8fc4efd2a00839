"""Calibrations in OpenCV's YAML as EasyMocap keeps them: `intri.yml` beside `extri.yml`, metres."""

from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dispose.errors import InputError
from dispose.formats.calibration.rig import CameraParameters, as_cameras, size_from_principal_point
from dispose.formats.files import read_text
from dispose.geometry.rigid import rodrigues
from dispose.scene.cameras import Cameras


def read_calibration_opencv(path: Path) -> Cameras:
    """Cameras of ``intri.yml`` and ``extri.yml``: ``K_, dist_, R_`` or ``Rot_, T_`` with each camera's name, metres.

    `path` is the folder or one of the two files. Sizes ``W_, H_`` are read where they exist; otherwise the
    image is taken as twice the principal point.
    """
    folder = path if path.is_dir() else path.parent
    intrinsics, extrinsics = _opened(folder / "intri.yml"), _opened(folder / "extri.yml")
    names_node = intrinsics.getNode("names")
    names = [names_node.at(i).string() for i in range(names_node.size())]
    if not names:
        raise InputError(f"{folder / 'intri.yml'}: no camera in it (no list 'names').")
    views = []
    for name in names:
        matrix = _matrix(intrinsics, folder / "intri.yml", f"K_{name}", 9).reshape(3, 3)
        lens = _matrix(intrinsics, folder / "intri.yml", f"dist_{name}", 4, 5, 8)
        if extrinsics.getNode(f"Rot_{name}").empty():
            rotation = rodrigues(_matrix(extrinsics, folder / "extri.yml", f"R_{name}", 3))
        else:
            rotation = _matrix(extrinsics, folder / "extri.yml", f"Rot_{name}", 9).reshape(3, 3)
        shift = _matrix(extrinsics, folder / "extri.yml", f"T_{name}", 3) * 1000
        width, height = intrinsics.getNode(f"W_{name}"), intrinsics.getNode(f"H_{name}")
        size = size_from_principal_point(matrix)
        if not width.empty() and not height.empty():
            size = torch.tensor([width.real(), height.real()], dtype=torch.float64)
        views.append(CameraParameters(name, size, matrix, lens, rotation, shift))
    return as_cameras(str(folder / "extri.yml"), views)


def _opened(path: Path) -> cv2.FileStorage:
    text = read_text(path)
    try:
        return cv2.FileStorage(text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY | cv2.FILE_STORAGE_FORMAT_YAML)
    except (cv2.error, SystemError) as error:
        raise InputError(f"{path}: is no YAML that OpenCV can read.") from error


def _matrix(storage: cv2.FileStorage, path: Path, key: str, *lengths: int) -> Float[Tensor, " count"]:
    node = storage.getNode(key)
    value = None if node.empty() else node.mat()
    if value is None:
        raise InputError(f"{path}: no matrix {key!r}.")
    if value.size not in lengths:
        wanted = " or ".join(str(length) for length in lengths)
        raise InputError(f"{path}: {key}: {wanted} numbers are expected, there are {value.size}.")
    return torch.from_numpy(np.asarray(value, dtype=np.float64).reshape(-1).copy())

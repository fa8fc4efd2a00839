"""The calibrations of Shelf and Campus that travel with VoxelPose: JSON, camera centres in millimetres."""

import json
from pathlib import Path

import torch

from dispose.errors import InputError
from dispose.formats.calibration.rig import CameraParameters, as_cameras, pinhole_matrix, size_from_principal_point
from dispose.formats.entry import Entry
from dispose.formats.files import replacing
from dispose.scene.cameras import Cameras


def read_calibration_voxelpose(path: Path) -> Cameras:
    """Cameras of the Shelf/Campus JSON: ``T`` is the camera **centre** in mm, ``k`` = k1 k2 k3, ``p`` = p1 p2.

    The file does not store the picture size: it is taken as twice the principal point.
    """
    root = Entry.of_json(path)
    views = []
    for key in root.keys():  # noqa: SIM118
        name = f"Camera{key}" if key.isdigit() else key
        entry = Entry(f"{path}: camera {name}", root.at(key).value)
        k, p, rotation = entry.at("k").numbers(3), entry.at("p").numbers(2), entry.at("R").matrix()
        matrix = pinhole_matrix(*(entry.at(key).number() for key in ("fx", "fy", "cx", "cy")))
        views.append(
            CameraParameters(
                name,
                size_from_principal_point(matrix),
                matrix,
                torch.stack([k[0], k[1], p[0], p[1], k[2]]),
                rotation,
                -(rotation @ entry.at("T").numbers(3)),
            )
        )
    return as_cameras(str(path), views)


def write_calibration_voxelpose(path: Path, cameras: Cameras) -> None:
    """Write cameras as Shelf/Campus files; a skewed or rational camera does not fit there (`InputError`)."""
    record = {}
    for v, name in enumerate(cameras.names):
        matrix, lens = cameras.matrix[v], cameras.distortion[v].tolist()
        if any(lens[5:]) or float(matrix[0, 1]) != 0.0:
            raise InputError(f"{path}: camera {name}: this format holds no skew and no rational lens.")
        record[name.removeprefix("Camera")] = {
            "R": cameras.rotation[v].tolist(),
            "T": cameras.centres[v][:, None].tolist(),
            "fx": float(matrix[0, 0]), "fy": float(matrix[1, 1]),
            "cx": float(matrix[0, 2]), "cy": float(matrix[1, 2]),
            "k": [[lens[0]], [lens[1]], [lens[4]]],
            "p": [[lens[2]], [lens[3]]],
        }  # fmt: skip
    with replacing(path) as file:
        json.dump(record, file, indent=1)
        file.write("\n")

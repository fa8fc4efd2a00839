"""The calibrations of Shelf and Campus that travel with VoxelPose: JSON, camera centres in millimetres."""

from pathlib import Path

import torch

from dispose.formats.calibration.rig import CameraParameters, as_cameras, pinhole_matrix, size_from_principal_point
from dispose.formats.entry import Entry
from dispose.scene.cameras import Cameras


def read_calibration_voxelpose(path: Path) -> Cameras:
    """Cameras of the Shelf/Campus JSON: ``T`` is the camera **centre** in mm, ``k`` = k1 k2 k3, ``p`` = p1 p2.

    The file does not store the image's size: it is taken as twice the principal point.
    """
    views = []
    for key, entry in Entry.of_json(path).entries():
        name = f"Camera{key}" if key.isdigit() else key
        entry = Entry(f"{path}: camera {name}", entry.value)
        k, p, rotation = entry.at("k").numbers(3), entry.at("p").numbers(2), entry.at("R").matrix()
        matrix = pinhole_matrix(*(entry.at(key).number() for key in ("fx", "fy", "cx", "cy")))
        lens = torch.stack([k[0], k[1], p[0], p[1], k[2]])
        translation = -(rotation @ entry.at("T").numbers(3))
        views.append(CameraParameters(name, size_from_principal_point(matrix), matrix, lens, rotation, translation))
    return as_cameras(str(path), views)

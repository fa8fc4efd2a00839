"""Calibrations in JSON: our own (mm, z up), CMU Panoptic's (cm, y down), and VoxelPose's of Shelf and Campus (mm)."""

from pathlib import Path

import torch

from dispose.errors import InputError
from dispose.formats.calibration.rig import CameraParameters, as_cameras, pinhole_matrix, size_from_principal_point
from dispose.formats.entry import Entry
from dispose.scene.cameras import Cameras

SCHEMA = "dispose.cameras/1"

# Panoptic's world is y-down: x, y, z there are x, -z, y of ours (and ours are x, z, -y of theirs).
PANOPTIC_FROM_OURS = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]], dtype=torch.float64)


def read_calibration_json(path: Path) -> Cameras:
    """Cameras of our own JSON: ``{"schema", "units", "views": [{name, width, height, K, R, t, dist}]}``, mm, z up.

    ``x_camera = R x_world + t``. The schema and the units may be missing; other ones are refused.
    """
    root = Entry.of_json(path)
    if root.has("schema") and root.at("schema").text() != SCHEMA:
        raise InputError(f"{path}: schema is {root.at('schema').text()!r}, this version reads {SCHEMA!r}.")
    if root.has("units") and root.at("units").text() != "mm":
        raise InputError(f"{path}: units are {root.at('units').text()!r}, this schema is in 'mm'.")
    views = []
    for entry in root.at("views").items():
        name = entry.at("name").text()
        entry = Entry(f"{path}: camera {name}", entry.value)
        size = torch.tensor([entry.at("width").number(), entry.at("height").number()], dtype=torch.float64)
        lens = entry.numbers_or_none("dist", 0, 4, 5, 8)
        views.append(
            CameraParameters(name, size, entry.at("K").matrix(), lens, entry.at("R").matrix(), entry.at("t").numbers(3))
        )
    return as_cameras(str(path), views)


def read_calibration_panoptic(path: Path, names: tuple[str, ...] | None = None) -> Cameras:
    """Cameras of CMU Panoptic: cm, y down, ``distCoef`` = k1 k2 p1 p2 k3.

    Args:
        path: ``calibration_<sequence>.json``.
        names: the cameras wanted, in that order; default all high-definition ones.
    """
    views = {}
    for entry in Entry.of_json(path).at("cameras").items():
        name = entry.at("name").text()
        unwanted = entry.has("type") and entry.at("type").text() != "hd" if names is None else name not in names
        if unwanted:
            continue
        entry = Entry(f"{path}: camera {name}", entry.value)
        views[name] = CameraParameters(
            name,
            entry.at("resolution").numbers(2),
            entry.at("K").matrix(),
            entry.at("distCoef").numbers(4, 5, 8),
            entry.at("R").matrix() @ PANOPTIC_FROM_OURS,
            entry.at("t").numbers(3) * 10,
        )
    missing = [name for name in names or () if name not in views]
    if missing:
        raise InputError(f"{path}: no camera named {', '.join(missing)}.")
    return as_cameras(str(path), [views[name] for name in names or views])


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


def read_any_json(path: Path) -> Cameras:
    """Cameras of whichever of these a file holds."""
    root = Entry.of_json(path)
    if root.has("views"):
        return read_calibration_json(path)
    if root.has("cameras"):
        return read_calibration_panoptic(path)
    if any(entry.has("T") and entry.has("fx") for _, entry in root.entries()):
        return read_calibration_voxelpose(path)
    raise InputError(f"{path}: is JSON, but no calibration we know (neither 'views', 'cameras', nor cameras with 'T').")

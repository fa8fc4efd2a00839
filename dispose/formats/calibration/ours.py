"""Our own JSON calibrations: millimetres, +Z up."""

import json
from pathlib import Path

import torch

from dispose.errors import InputError
from dispose.formats.calibration.rig import CameraParameters, as_cameras
from dispose.formats.entry import Entry
from dispose.formats.files import replacing
from dispose.scene.cameras import Cameras

SCHEMA = "dispose.cameras/1"


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


def write_calibration_json(path: Path, cameras: Cameras) -> None:
    """Write cameras in our own schema; `read_calibration_json` gives the same numbers back."""
    views = [
        {
            "name": name,
            "width": float(cameras.size[v, 0]),
            "height": float(cameras.size[v, 1]),
            "K": cameras.matrix[v].tolist(),
            "R": cameras.rotation[v].tolist(),
            "t": cameras.translation[v].tolist(),
            "dist": cameras.distortion[v].tolist(),
        }
        for v, name in enumerate(cameras.names)
    ]
    with replacing(path) as file:
        json.dump({"schema": SCHEMA, "units": "mm", "views": views}, file, indent=1)
        file.write("\n")

"""Calibrations of CMU Panoptic: JSON, centimetres, y down."""

from pathlib import Path

import torch

from dispose.errors import InputError
from dispose.formats.calibration.rig import CameraParameters, as_cameras
from dispose.formats.entry import Entry
from dispose.scene.cameras import Cameras

# Panoptic's world is y-down: x, y, z there are x, -z, y of ours (and ours are x, z, -y of theirs).
PANOPTIC_FROM_OURS = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]], dtype=torch.float64)


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

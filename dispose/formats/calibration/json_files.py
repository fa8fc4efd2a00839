"""Calibrations in JSON: our own (mm, z up), CMU Panoptic's (cm, y down), and VoxelPose's (mm, z up)."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from dispose.errors import InputError
from dispose.formats.calibration.documents import read_document
from dispose.formats.calibration.named import is_named_rig
from dispose.formats.calibration.rig import CameraParameters, RigFile, calibration_of, lens_of, pinhole_matrix
from dispose.formats.calibration.tables import (
    IncompleteCameraError,
    needed,
    numbers_or_none,
    refuse_misspelt,
    size_or_guess,
    usable_cameras,
)
from dispose.formats.entry import Entry
from dispose.scene.cameras import Cameras

SCHEMA = "dispose.cameras/1"

# Panoptic's world is y-down: x, y, z there are x, -z, y of ours (and ours are x, z, -y of theirs).
PANOPTIC_FROM_OURS = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]], dtype=torch.float64)


def read_calibration_json(path: Path) -> Cameras:
    """The cameras of our own JSON (`own_rig`)."""
    return calibration_of(own_rig(read_document(path))).cameras


def read_calibration_panoptic(path: Path, names: tuple[str, ...] | None = None) -> Cameras:
    """The cameras of a file of CMU Panoptic (`panoptic_rig`)."""
    return calibration_of(panoptic_rig(read_document(path), names)).cameras


def read_calibration_voxelpose(path: Path) -> Cameras:
    """The cameras of a file of VoxelPose (`voxelpose_rig`)."""
    return calibration_of(voxelpose_rig(read_document(path))).cameras


def own_rig(root: Entry) -> RigFile:
    """Our own JSON: ``{"schema", "units", "views": [{name, width, height, K, R, t, dist, fisheye}]}``, mm, z up.

    ``x_camera = R x_world + t``. The schema and the units may be missing; other ones are refused.
    """
    if root.has("schema") and root.at("schema").text() != SCHEMA:
        raise InputError(f"{root.place}: schema is {root.at('schema').text()!r}, this version reads {SCHEMA!r}.")
    if root.has("units") and root.at("units").text() != "mm":
        raise InputError(f"{root.place}: units are {root.at('units').text()!r}, this schema is in 'mm'.")
    views, notes = usable_cameras(_by_name(root, root.at("views")), _own_view)
    return RigFile(root.place, views, 1.0, notes=notes)


def _by_name(root: Entry, cameras: Entry) -> Iterator[tuple[str, Entry]]:
    for entry in cameras.items():
        name = entry.at("name").text()
        yield name, Entry(f"{root.place}: camera {name}", entry.value)


def _own_view(name: str, entry: Entry) -> CameraParameters:
    refuse_misspelt(entry, ("name", "width", "height", "K", "R", "t", "dist", "fisheye"))
    size = torch.tensor([entry.at("width").number(), entry.at("height").number()], dtype=torch.float64)
    fisheye = entry.has("fisheye") and entry.at("fisheye").flag()
    lens = lens_of(entry.place, numbers_or_none(entry, "dist"), fisheye=fisheye)
    matrix, rotation = needed(entry, "K").matrix(), needed(entry, "R").matrix()
    return CameraParameters(name, size, matrix, lens, rotation, needed(entry, "t").numbers(3), fisheye)


def panoptic_rig(root: Entry, names: Sequence[str] | None = None) -> RigFile:
    """CMU Panoptic's ``calibration_<sequence>.json``: cm, y down, ``distCoef`` = k1 k2 p1 p2 k3.

    Args:
        root: the file.
        names: the cameras wanted, in that order; default all high-definition ones.
    """
    wanted = [
        (name, entry)
        for name, entry in _by_name(root, root.at("cameras"))
        if (name in names if names is not None else not entry.has("type") or entry.at("type").text() == "hd")
    ]
    views, notes = usable_cameras(wanted, _panoptic_view)
    if names is not None:
        missing = [name for name in names if name not in [view.name for view in views]]
        if missing:
            raise InputError(f"{root.place}: no camera named {', '.join(missing)}.")
        views = tuple(sorted(views, key=lambda view: list(names).index(view.name)))
    return RigFile(root.place, views, 10.0, "-y", notes)


def _panoptic_view(name: str, entry: Entry) -> CameraParameters:
    refuse_misspelt(entry, ("name", "type", "resolution", "K", "distCoef", "R", "t"))
    matrix, rotation, shift = needed(entry, "K").matrix(), needed(entry, "R").matrix(), needed(entry, "t").numbers(3)
    size, guessed = size_or_guess(entry, "resolution", matrix)
    lens = lens_of(entry.place, entry.at("distCoef").numbers(), fisheye=False)
    return CameraParameters(name, size, matrix, lens, rotation, shift, size_is_guessed=guessed)


def voxelpose_rig(root: Entry) -> RigFile:
    """VoxelPose's JSON of Shelf and Campus: ``T`` is the camera **centre** in mm, ``k`` = k1 k2 k3, ``p`` = p1 p2.

    Cameras by their names, as a list, or either under the name of their sequence (Faster-VoxelPose). The file does not
    store the image's size: it is taken as twice the principal point.
    """
    cameras = _of_one_sequence(root)
    if isinstance(cameras.value, list):
        entries, named = [(str(number), entry) for number, entry in enumerate(cameras.items())], False
    else:
        entries = [(f"Camera{key}" if key.isdigit() else key, entry) for key, entry in cameras.entries()]
        named = True
    entries = [(name, Entry(f"{root.place}: camera {name}", entry.value)) for name, entry in entries]
    views, notes = usable_cameras(entries, _voxelpose_view)
    return RigFile(root.place, views, 1.0, notes=notes, named=named)


def _of_one_sequence(root: Entry) -> Entry:
    """The cameras of a file: all of it, or what stands under the name of its only sequence."""
    if isinstance(root.value, list) or any(is_voxelpose(entry) for _, entry in root.entries()):
        return root
    sequences = [(key, entry) for key, entry in root.entries() if _holds_voxelpose(entry)]
    if len(sequences) > 1:
        raise InputError(
            f"{root.place}: has several sequences ({', '.join(key for key, _ in sequences)}); "
            "keep the cameras of the one that you want."
        )
    return sequences[0][1]


def is_voxelpose(entry: Entry) -> bool:
    """Whether a value is a camera as VoxelPose writes them."""
    return entry.has("fx") and entry.has("R") and entry.has("T")


def _holds_voxelpose(entry: Entry) -> bool:
    if isinstance(entry.value, list):
        return any(is_voxelpose(one) for one in entry.items())
    return isinstance(entry.value, dict) and any(is_voxelpose(one) for _, one in entry.entries())


def _voxelpose_view(name: str, entry: Entry) -> CameraParameters:
    if not isinstance(entry.value, dict):
        raise IncompleteCameraError("it is no object with named entries")
    k, p, rotation = entry.at("k").numbers(3), entry.at("p").numbers(2), needed(entry, "R").matrix()
    matrix = pinhole_matrix(*(needed(entry, key).number() for key in ("fx", "fy", "cx", "cy")))
    lens = torch.stack([k[0], k[1], p[0], p[1], k[2]])
    translation = -(rotation @ needed(entry, "T").numbers(3))
    size, guessed = size_or_guess(entry, "size", matrix)
    return CameraParameters(name, size, matrix, lens, rotation, translation, size_is_guessed=guessed)


def holds_json_rig(root: Entry) -> bool:
    """Whether a tree is one of these."""
    listed = root.has("cameras") and isinstance(root.at("cameras").value, list) and not is_named_rig(root)
    inside = root.entries() if isinstance(root.value, dict) else iter(())
    return root.has("views") or listed or _holds_voxelpose(root) or any(_holds_voxelpose(entry) for _, entry in inside)


def json_rig(root: Entry) -> RigFile:
    """Whichever of these a file holds."""
    if not holds_json_rig(root):
        raise InputError(
            f"{root.place}: is JSON, but no calibration we know (neither 'views', 'cameras', nor cameras with 'T')."
        )
    if root.has("views"):
        return own_rig(root)
    if root.has("cameras") and isinstance(root.at("cameras").value, list):
        return panoptic_rig(root)
    return voxelpose_rig(root)

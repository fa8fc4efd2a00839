"""Calibrations of Pose2Sim, anipose, FreeMoCap and Caliscope: TOML, a table per camera."""

from pathlib import Path

from dispose.errors import InputError
from dispose.formats.calibration.rig import (
    CameraParameters,
    RigFile,
    check_rotation,
    lens_of,
    turn_of,
)
from dispose.formats.calibration.tables import (
    IncompleteCameraError,
    needed,
    numbers_or_none,
    refuse_misspelt,
    size_or_guess,
    usable_cameras,
)
from dispose.formats.entry import Entry
from dispose.formats.files import replacing
from dispose.geometry.rigid import rotation_vector
from dispose.scene.cameras import Cameras

OF_A_CAMERA = ("matrix", "distortions", "rotation", "translation", "size")
IGNORED = ("ignore", "ignored")
"""What Caliscope calls cameras that are not to be used, and what it called them before."""

KNOWN = (*OF_A_CAMERA, "name", "fisheye")


def toml_rig(root: Entry) -> RigFile:
    """A rig in tables: ``name, size, matrix, distortions, rotation`` (Rodrigues vector), ``translation``.

    Caliscope has its tables in one called ``cameras``, says `null` of cameras that it has not calibrated, and
    ``ignore = true`` of those that are not to be used: both are left out by name. A table with fewer than two of a
    camera's entries (such as ``[metadata]``) is no camera.

    Raises `InputError` for impossible cameras, and for names that are misspelt.
    """
    tables = _tables(root)
    if not tables:
        raise InputError(f"{root.place}: no camera in it (no table has a 'matrix' and a 'rotation').")
    named = [(name_of(table, key), table) for key, table in tables]
    views, notes = usable_cameras(
        [(name, Entry(f"{root.place}: camera {name}", table.value)) for name, table in named], _view
    )
    return RigFile(root.place, views, notes=notes)


def is_pose2sim(root: Entry) -> bool:
    """Whether a tree is whole tables of these names and nothing else: such a file is of no other kind."""
    tables = _tables(root)
    others = {key for key, _ in root.entries()} - {key for key, _ in tables}
    return bool(tables) and others <= {"metadata"} and all(all(map(one.has, OF_A_CAMERA)) for _, one in tables)


def has_tables(root: Entry) -> bool:
    """Whether a tree holds cameras as tables of these names."""
    return bool(_tables(root))


def _tables(root: Entry) -> list[tuple[str, Entry]]:
    nested = root.has("cameras") and isinstance(root.at("cameras").value, dict)
    tables = (root.at("cameras") if nested else root).entries()
    return [(key, table) for key, table in tables if sum(table.has(of) for of in OF_A_CAMERA) >= 2]


def name_of(table: Entry, key: str) -> str:
    """A camera's name: what it says itself, else that of its table."""
    if not table.has("name"):
        return key
    name = table.at("name")
    return str(name.value) if isinstance(name.value, int) and not isinstance(name.value, bool) else name.text()


def _view(name: str, table: Entry) -> CameraParameters:
    for key in IGNORED:
        if table.has(key) and table.at(key).flag():
            raise IncompleteCameraError(f"its file says {key} = true")
    refuse_misspelt(table, (*KNOWN, *(() if table.has("ignored") else ("ignore",))))
    fisheye = table.has("fisheye") and table.at("fisheye").flag()
    matrix = needed(table, "matrix").matrix()
    rotation = turn_of(table.place, needed(table, "rotation").numbers(3, 9))
    check_rotation(table.place, rotation)
    size, guessed = size_or_guess(table, "size", matrix)
    lens = lens_of(table.place, numbers_or_none(table, "distortions"), fisheye=fisheye)
    shift = needed(table, "translation").numbers(3)
    return CameraParameters(name, size, matrix, lens, rotation, shift, fisheye, guessed)


def write_calibration_toml(path: Path, cameras: Cameras) -> None:
    """Write cameras as Pose2Sim reads them: metres, Rodrigues vectors, as many coefficients as are needed."""
    with replacing(path) as file:
        for v, name in enumerate(cameras.names):
            lens = cameras.distortion[v].tolist()
            fisheye = cameras.fisheye is not None and bool(cameras.fisheye[v])
            count = 8 if any(lens[5:]) else 5 if lens[4] else 4
            file.write(f"[{_key(name)}]\n")
            file.write(f'name = "{_escaped(name)}"\n')
            file.write(f"size = {cameras.size[v].tolist()}\n")
            file.write(f"matrix = {cameras.matrix[v].tolist()}\n")
            file.write(f"distortions = {lens[:count]}\n")
            file.write(f"rotation = {rotation_vector(cameras.rotation[v]).tolist()}\n")
            file.write(f"translation = {(cameras.translation[v] / 1000).tolist()}\n")
            file.write(f"fisheye = {'true' if fisheye else 'false'}\n\n")
        file.write("[metadata]\nadjusted = false\nerror = 0.0\n")


def _escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"')


def _key(name: str) -> str:
    plain = name.replace("_", "").replace("-", "")
    return name if plain.isascii() and plain.isalnum() else f'"{_escaped(name)}"'

"""Calibrations of Pose2Sim, anipose, FreeMoCap and Caliscope: TOML, a table per camera, metres."""

import tomllib
from pathlib import Path

from dispose.errors import InputError
from dispose.formats.calibration.rig import CameraParameters, as_cameras, check_rotation
from dispose.formats.entry import Entry
from dispose.formats.files import read_text, replacing
from dispose.geometry.rigid import rodrigues, rotation_vector
from dispose.scene.cameras import Cameras


def read_calibration_toml(path: Path) -> Cameras:
    """Cameras of a TOML file: ``name, size, matrix, distortions, rotation`` (Rodrigues vector), ``translation`` in m.

    The world is taken to be z-up, as Pose2Sim has it. Tables without a ``matrix`` (such as ``[metadata]``) are
    no cameras. Raises `InputError` for broken files, impossible cameras and fisheye lenses.
    """
    try:
        tables = Entry(str(path), tomllib.loads(read_text(path)))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: is no TOML ({error}).") from error
    views = [_view(table, key) for key, table in tables.entries() if table.has("matrix")]
    if not views:
        raise InputError(f"{path}: no camera in it (no table has a 'matrix').")
    return as_cameras(str(path), views)


def _view(table: Entry, key: str) -> CameraParameters:
    name = table.at("name").text() if table.has("name") else key
    table = Entry(f"{table.place.removesuffix(key)}camera {name}", table.value)
    if table.has("fisheye") and table.at("fisheye").value is True:
        raise InputError(f"{table.place}: fisheye lenses are not supported; undistort the pictures first.")
    turn = table.at("rotation").numbers(3, 9)
    if len(turn) == 9:
        rotation = turn.reshape(3, 3)
        check_rotation(table.place, rotation)
    else:
        rotation = rodrigues(turn)
    return CameraParameters(
        name,
        table.at("size").numbers(2),
        table.at("matrix").matrix(),
        table.numbers_or_none("distortions", 0, 4, 5, 8),
        rotation,
        table.at("translation").numbers(3) * 1000,
    )


def write_calibration_toml(path: Path, cameras: Cameras) -> None:
    """Write cameras as Pose2Sim reads them: metres, Rodrigues vectors, as many coefficients as are needed."""
    with replacing(path) as file:
        for v, name in enumerate(cameras.names):
            lens = cameras.distortion[v].tolist()
            count = 8 if any(lens[5:]) else 5 if lens[4] else 4
            file.write(f"[{_key(name)}]\n")
            file.write(f'name = "{_escaped(name)}"\n')
            file.write(f"size = {cameras.size[v].tolist()}\n")
            file.write(f"matrix = {cameras.matrix[v].tolist()}\n")
            file.write(f"distortions = {lens[:count]}\n")
            file.write(f"rotation = {rotation_vector(cameras.rotation[v]).tolist()}\n")
            file.write(f"translation = {(cameras.translation[v] / 1000).tolist()}\n")
            file.write("fisheye = false\n\n")
        file.write("[metadata]\nadjusted = false\nerror = 0.0\n")


def _escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"')


def _key(name: str) -> str:
    plain = name.replace("_", "").replace("-", "")
    return name if plain.isascii() and plain.isalnum() else f'"{_escaped(name)}"'

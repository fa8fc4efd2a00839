"""Calibrations of MM-OR: a JSON file per camera, poses of the depth sensors as quaternions and metres.

The world of the files has y up; the colour camera's frame looks along its -z. The chain to our conventions is
``world_from_camera = Rx(90°) · world_from_depth · depth_from_colour · Rx(180°)``.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.formats.calibration.documents import read_document
from dispose.formats.calibration.rig import (
    CameraParameters,
    RigFile,
    calibration_of,
    rotation_of_quaternion,
    size_from_principal_point,
)
from dispose.formats.calibration.tables import refuse_misspelt
from dispose.formats.entry import Entry
from dispose.scene.cameras import Cameras

MM_PER_METRE = 1000.0

FLIP = torch.tensor([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]], dtype=torch.float64)
"""Rx(180°)."""


def read_calibration_mm_or(folder: Path, names: Sequence[str], *, size: tuple[int, int]) -> Cameras:
    """The cameras of a take.

    Args:
        folder: where ``camera01.json`` and the others lie.
        names: of the cameras, in the order wanted.
        size: width and height of the images, for files that do not say them.
    """
    return calibration_of(mm_or_rig(folder, [(name, folder / f"{name}.json") for name in names], size)).cameras


def mm_or_files(folder: Path) -> list[tuple[str, Path]]:
    """The cameras of a folder by their names."""
    return [(path.stem, path) for path in sorted(folder.glob("camera*.json"))]


def mm_or_rig(folder: Path, files: Sequence[tuple[str, Path]], size: tuple[int, int] | None = None) -> RigFile:
    """The rig of some files, mm, y up; `size`: of the images, for files that do not say it (default: a guess)."""
    return RigFile(str(folder), tuple(read_view(path, name, size) for name, path in files), 1.0, "y")


def read_view(path: Path, name: str, size: tuple[int, int] | None = None) -> CameraParameters:
    """One camera in mm, in a world with y up."""
    root = read_document(path).at("value0")
    lens = root.at("color_parameters")
    to_world, centre = motion(root.at("camera_pose"))
    to_depth, offset = motion(root.at("color2depth_transform"))
    world_from_camera = to_world @ to_depth @ FLIP
    centre_world = to_world @ offset + centre
    # Stored as m<column><row>; the last element is 1 whatever the file says.
    matrix = elements(lens.at("intrinsics_matrix"), *(f"m{j}{i}" for i in range(3) for j in range(3))).reshape(3, 3)
    matrix[2, 2] = 1.0
    radial = elements(lens.at("radial_distortion"), *(f"m{k}0" for k in range(6)))
    tangential = elements(lens.at("tangential_distortion"), "m00", "m10")
    told = size_from_principal_point(matrix) if size is None else torch.tensor(size, dtype=torch.float64)
    refuse_misspelt(lens, ("width", "height"))
    for side, key in enumerate(("width", "height")):
        if lens.has(key):
            told[side] = lens.at(key).number()
    return CameraParameters(
        name,
        told,
        matrix,
        torch.cat([radial[:2], tangential, radial[2:]]),
        world_from_camera.T,
        -(world_from_camera.T @ centre_world),
        size_is_guessed=size is None and not (lens.has("width") and lens.has("height")),
    )


def elements(entry: Entry, *keys: str) -> Float[Tensor, " count"]:
    """Matrix elements stored under their names."""
    return torch.tensor([entry.at(key).number() for key in keys], dtype=torch.float64)


def motion(entry: Entry) -> tuple[Float[Tensor, "3 3"], Float[Tensor, " 3"]]:
    """Rotation and translation (mm) of a rigid motion: quaternion ``x y z w``, metres."""
    turn = entry.at("rotation")
    rotation = rotation_of_quaternion(turn.place, elements(turn, "w", "x", "y", "z"))
    return rotation, MM_PER_METRE * elements(entry.at("translation"), "m00", "m10", "m20")

"""Calibrations of MM-OR: a JSON file per camera, poses of the depth sensors as quaternions and metres.

The world of the files has y up; the colour camera's frame looks along its -z. The chain to our conventions is
``world_from_camera = Rx(90°) · world_from_depth · depth_from_colour · Rx(180°)``.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.errors import InputError
from dispose.formats.calibration.rig import CameraParameters, as_cameras
from dispose.formats.entry import Entry
from dispose.scene.cameras import Cameras

MM_PER_METRE = 1000.0
UNIT_TOLERANCE = 1e-3
"""Largest accepted difference of a quaternion's length from 1."""

Z_UP_FROM_Y_UP = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]], dtype=torch.float64)
"""Rx(90°)."""

FLIP = torch.tensor([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]], dtype=torch.float64)
"""Rx(180°)."""


def read_calibration_mm_or(folder: Path, names: Sequence[str], *, size: tuple[int, int]) -> Cameras:
    """The cameras of a take.

    Args:
        folder: where ``camera01.json`` and the others lie.
        names: of the cameras, in the order wanted.
        size: width and height of the pictures, for files that do not say them.
    """
    return as_cameras(str(folder), [read_view(folder / f"{name}.json", name, size) for name in names])


def read_view(path: Path, name: str, size: tuple[int, int]) -> CameraParameters:
    """One camera in our units and axes."""
    root = Entry.of_json(path).at("value0")
    lens = root.at("color_parameters")
    to_world, centre = motion(root.at("camera_pose"))
    to_depth, offset = motion(root.at("color2depth_transform"))
    world_from_camera = Z_UP_FROM_Y_UP @ to_world @ to_depth @ FLIP
    centre_world = Z_UP_FROM_Y_UP @ (to_world @ offset + centre)
    radial = elements(lens.at("radial_distortion"), *(f"m{k}0" for k in range(6)))
    tangential = elements(lens.at("tangential_distortion"), "m00", "m10")
    return CameraParameters(
        name,
        torch.tensor([lens_size(lens, "width", size[0]), lens_size(lens, "height", size[1])], dtype=torch.float64),
        intrinsics(lens.at("intrinsics_matrix")),
        torch.cat([radial[:2], tangential, radial[2:]]),
        world_from_camera.T,
        -(world_from_camera.T @ centre_world),
    )


def lens_size(lens: Entry, key: str, otherwise: int) -> float:
    """A number of the file, or another where the file has none."""
    return lens.at(key).number() if lens.has(key) else float(otherwise)


def elements(entry: Entry, *keys: str) -> Float[Tensor, " count"]:
    """Matrix elements stored under their names."""
    return torch.tensor([entry.at(key).number() for key in keys], dtype=torch.float64)


def intrinsics(entry: Entry) -> Float[Tensor, "3 3"]:
    """The camera matrix: ``m<column><row>``; its last element is 1 whatever the file says."""
    rows = [[entry.at(f"m{column}{row}").number() for column in range(3)] for row in range(3)]
    matrix = torch.tensor(rows, dtype=torch.float64)
    matrix[2, 2] = 1.0
    return matrix


def motion(entry: Entry) -> tuple[Float[Tensor, "3 3"], Float[Tensor, " 3"]]:
    """Rotation and translation (mm) of a rigid motion: quaternion ``x y z w``, metres."""
    turn = entry.at("rotation")
    quaternion = elements(turn, "x", "y", "z", "w")
    length = float(quaternion.norm())
    if not math.isclose(length, 1.0, abs_tol=UNIT_TOLERANCE):
        raise InputError(f"{turn.place}: the quaternion has length {length:.6g}, a rotation has 1.")
    return rotation_of(quaternion / length), MM_PER_METRE * elements(entry.at("translation"), "m00", "m10", "m20")


def rotation_of(quaternion: Float[Tensor, " 4"]) -> Float[Tensor, "3 3"]:
    """The rotation of a unit quaternion ``x y z w``."""
    x, y, z, w = quaternion.tolist()
    return torch.tensor(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ],
        dtype=torch.float64,
    )

"""Camera chains of Kalibr: YAML, every camera's pose from the one before it or from one body, metres."""

import re

import torch

from dispose.errors import InputError
from dispose.formats.calibration.records import rigid
from dispose.formats.calibration.rig import CameraParameters, RigFile, check_rotation, lens_of, pinhole_matrix
from dispose.formats.calibration.tables import (
    IncompleteCameraError,
    needed,
    refuse_misspelt,
    size_or_guess,
    usable_cameras,
)
from dispose.formats.entry import Entry

RADIAL, FISHEYE, NONE = "radtan", "equidistant", "none"
KNOWN = ("camera_model", "intrinsics", "distortion_model", "distortion_coeffs", "resolution", "T_cn_cnm1", "T_cam_imu")


def is_kalibr(root: Entry) -> bool:
    """Whether a file holds a camera chain."""
    return any(re.fullmatch(r"cam\d+", key) and entry.has("camera_model") for key, entry in root.entries())


def kalibr_rig(root: Entry) -> RigFile:
    """The rig of a chain: ``T_cn_cnm1`` takes points of the camera before into a camera's own axes, ``T_cam_imu`` the
    body's.

    The first camera's axes are the world's: down is about its y. A camera without a pose is left out, and so are those
    whose poses hang on it.
    """
    cameras = [(key, entry) for key, entry in root.entries() if re.fullmatch(r"cam\d+", key)]
    cameras.sort(key=lambda camera: int(camera[0][3:]))
    poses = _chained(root.place, cameras)

    def read(name: str, entry: Entry) -> CameraParameters:
        return _view(name, Entry(f"{root.place}: camera {name}", entry.value), poses[name])

    views, notes = usable_cameras(cameras, read)
    note = "a Kalibr chain does not say where up is: the first camera's y is taken as down (--up)."
    return RigFile(root.place, views, 1000.0, "-y", (*notes, note))


def _chained(source: str, cameras: list[tuple[str, Entry]]) -> dict[str, torch.Tensor | str]:
    """Every camera's pose from the first one, 4 x 4, or why there is none."""
    poses: dict[str, torch.Tensor | str] = {}
    pose: torch.Tensor | str = torch.eye(4, dtype=torch.float64)
    before = ""
    for row, (name, entry) in enumerate(cameras):
        camera, first = Entry(f"{source}: camera {name}", entry.value), cameras[0][1]
        if row and not entry.has("T_cn_cnm1") and entry.has("T_cam_imu") and first.has("T_cam_imu"):
            pose = _motion(camera, "T_cam_imu") @ torch.linalg.inv(_motion(first, "T_cam_imu"))
        elif row and not entry.has("T_cn_cnm1"):
            refuse_misspelt(camera, [key for key in KNOWN if key != "T_cam_imu"])
            pose = "it has no T_cn_cnm1"
        elif row and not isinstance(pose, str):
            pose = _motion(camera, "T_cn_cnm1") @ pose
        elif isinstance(pose, str):
            pose = f"its pose hangs on {before}, which has none"
        poses[name], before = pose, name
    return poses


def _motion(camera: Entry, key: str) -> torch.Tensor:
    motion = torch.eye(4, dtype=torch.float64)
    rotation, motion[:3, 3] = rigid(camera.at(key))
    check_rotation(f"{camera.place}: {key}", rotation)
    motion[:3, :3] = rotation
    return motion


def _view(name: str, entry: Entry, pose: torch.Tensor | str) -> CameraParameters:
    if isinstance(pose, str):
        raise IncompleteCameraError(pose)
    refuse_misspelt(entry, [key for key in KNOWN if not key.startswith("T_")])
    model, bend = entry.at("camera_model").text(), entry.at("distortion_model").text()
    if model != "pinhole" or bend not in (RADIAL, FISHEYE, NONE):
        raise InputError(
            f"{entry.place}: lens {model}-{bend} is not supported; known: pinhole with {RADIAL}, {FISHEYE} or {NONE}."
        )
    fx, fy, cx, cy = needed(entry, "intrinsics").numbers(4).tolist()
    matrix = pinhole_matrix(fx, fy, cx, cy)
    numbers = torch.zeros(0, dtype=torch.float64) if bend == NONE else entry.at("distortion_coeffs").numbers(4)
    lens = lens_of(entry.place, numbers, fisheye=bend == FISHEYE)
    size, guessed = size_or_guess(entry, "resolution", matrix)
    return CameraParameters(name, size, matrix, lens, pose[:3, :3], pose[:3, 3], bend == FISHEYE, guessed)

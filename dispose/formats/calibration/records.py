"""One camera's numbers under any of their usual names, as most programs write them in JSON, YAML or XML.

``x_camera = R x_world + t``, OpenCV's coefficients, R as a matrix or a Rodrigues vector; extrinsics also as one matrix
of 3 x 4 or 4 x 4, or how a camera stands in the world (MC-Calib's ``camera_pose_matrix``, Human3.6M's ``orientation``).
"""

import re
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.errors import InputError
from dispose.formats.calibration.rig import (
    CameraParameters,
    check_rotation,
    lens_of,
    pinhole_matrix,
    rotation_of_quaternion,
    turn_of,
)
from dispose.formats.calibration.tables import (
    IncompleteCameraError,
    is_null,
    needed,
    numbers_or_none,
    size_or_guess,
)
from dispose.formats.entry import VERY_ALIKE, Entry, almost, goes_on

INTRINSICS = ("intrinsics", "intrinsic", "Intrinsics")
EXTRINSICS = ("extrinsics", "extrinsic", "camera_from_world", "world_to_camera", "world2cam", "w2c", "RT", "Rt")
OPENPOSE = "CameraMatrix"
"""OpenPose's extrinsics, beside its `Intrinsics`; elsewhere intrinsics."""

POSES = ("camera_pose_matrix", "world_from_camera", "camera_to_world", "cam2world", "c2w")
"""World_from_camera; the first is MC-Calib's."""

MATRIX = ("K", "matrix", "camera_matrix", "cameraMatrix", "Camera_Matrix", "intrinsic_matrix", "intrinsicMat",
          "calibration_matrix", "mtx", *INTRINSICS, OPENPOSE)  # fmt: skip
FOCAL, CENTRE = ("focal_length", "focal"), ("center", "principal_point")
LENS = ("dist", "D", "distCoef", "distCoeffs", "dist_coeffs", "dist_coef", "distortion", "distortions", "Distortion",
        "distortion_coefficients", "Distortion_Coefficients", "distortion_coeffs", "distortion_params",
        "distortion_vector")  # fmt: skip
RADIAL, TANGENTIAL = ("radial_distortion", "radial"), ("tangential_distortion", "tangential")
ROTATION = ("R", "rotation", "rotation_matrix", "rvec", "Rvec", "r")
TRANSLATION = ("t", "T", "translation", "translation_vector", "tvec", "Tvec")
ALIASES = (tuple(name for name in MATRIX if name != OPENPOSE), LENS, ROTATION,
           tuple(name for name in TRANSLATION if name != "T"))  # fmt: skip
"""Names of one thing; beside ``t`` a ``T`` may be where the camera stands."""

SIZE = ("size", "image_size", "imageSize", "img_size", "imgSize", "resolution", "image_shape_wh")
WIDTH = ("width", "image_width", "image_Width", "img_width", "res_w", "w")
HEIGHT = ("height", "image_height", "image_Height", "img_height", "res_h", "h")

MODEL = ("camera_model", "distortion_model", "model")

FISHEYES = re.compile(r"fisheye|equidistant|kannala", re.IGNORECASE)
STRANGE = re.compile(r"omni|mei\b|double.?sphere|\bds\b|\be?ucm\b|\bfov\b|f.?theta|division|equirect", re.IGNORECASE)
"""Models of lenses that we do not have."""


def first_of(entry: Entry, names: Sequence[str]) -> Entry | None:
    """What an object says under the first of some names that it has."""
    return next((entry.at(name) for name in names if entry.has(name)), None)


def is_record(entry: Entry) -> bool:
    """Whether an object holds the matrix of one camera, or its focal lengths, itself."""
    return any(one.has("fx") or _matrix_key(one) is not None for one in _inside(entry))


def _matrix_key(camera: Entry) -> str | None:
    return next((key for key in MATRIX if camera.has(key) and not isinstance(camera.at(key).value, dict)), None)


def is_whole(camera: Entry) -> bool:
    """Whether it names a matrix and a pose."""
    matrix = first_of(camera, MATRIX) or (first_of(camera, FOCAL) and first_of(camera, CENTRE))
    turn = first_of(camera, (*ROTATION, "orientation")) and first_of(camera, TRANSLATION)
    return bool(matrix) and bool(turn or first_of(camera, (*EXTRINSICS, *POSES)))


def _inside(camera: Entry) -> list[Entry]:
    """Where a camera's intrinsics may stand: in a table of their own, and beside its other entries."""
    inner = first_of(camera, INTRINSICS)
    return [camera] if inner is None or not isinstance(inner.value, dict) else [inner, camera]


def view_of(name: str, camera: Entry) -> CameraParameters:
    """One camera; `IncompleteCameraError` where it lacks a matrix or a pose, `InputError` where it is wrong."""
    inside = _inside(camera)
    for one in inside:
        for names in ALIASES:
            _refuse_contradiction(one, names)
    matrix = _matrix(inside)
    rotation, translation = _pose(camera)
    size, guessed = _size(inside, matrix)
    fisheye = any(_is_fisheye(one) for one in inside)
    lens = lens_of(camera.place, _lens(inside), fisheye=fisheye)
    return CameraParameters(name, size, matrix, lens, rotation, translation, fisheye, guessed)


def _refuse_contradiction(camera: Entry, names: Sequence[str]) -> None:
    """Raise `InputError` where two names of one thing are there and say different numbers."""
    there = [name for name in names if camera.has(name) and isinstance(camera.at(name).value, list)]
    for one, other in pairwise(there):
        mine, others = camera.at(one).numbers(), camera.at(other).numbers()
        if {len(mine), len(others)} == {3, 9}:  # a vector and a matrix
            mine, others = (turn_of(camera.place, numbers).flatten() for numbers in (mine, others))
        if len(mine) == len(others) and not torch.allclose(mine, others, rtol=1e-3, atol=1e-6):
            raise InputError(f"{camera.place}: {one!r} and {other!r} are both there and differ; keep the right one.")


def _lens(inside: Sequence[Entry]) -> Float[Tensor, " coefficients"]:
    none = torch.zeros(0, dtype=torch.float64)
    for one in inside:
        key = next((name for name in LENS if one.has(name)), None)
        if key is not None:
            found = numbers_or_none(one, key)
            # Cameras that say of themselves that they have no lens have one coefficient of 0, or none.
            return found if found.any() else none
        radial, tangential = first_of(one, RADIAL), first_of(one, TANGENTIAL)
        if (radial is None) != (tangential is None):
            raise InputError(f"{one.place}: of {RADIAL[0]!r} and {TANGENTIAL[0]!r} only one is there; is one misspelt?")
        if radial is not None and tangential is not None:
            k = torch.cat([radial.numbers(2, 3), none.new_zeros(1)])[:3]
            return torch.cat([k[:2], tangential.numbers(2), k[2:]])
        refuse_almost(one, (*RADIAL, *TANGENTIAL))
        for key in one.keys():  # noqa: SIM118
            if _may_be_a_lens(one.at(key)) and (almost(key, LENS) or goes_on(key, LENS[:1])):
                raise InputError(f"{one.place}: there is {key!r}, but no {LENS[0]!r}; is it misspelt?")
    return none


def refuse_almost(entry: Entry, names: tuple[str, ...]) -> None:
    """Raise `InputError` where a name is almost one of some, none of which is there."""
    for key in entry.keys():  # noqa: SIM118
        if close := almost(key, names, VERY_ALIKE):
            raise InputError(f"{entry.place}: there is {key!r}, but no {close!r}; is it misspelt?")


def _may_be_a_lens(entry: Entry) -> bool:
    rows = entry.value if isinstance(entry.value, list) else []
    return 4 <= sum(len(row) if isinstance(row, list) else 1 for row in rows) <= 14


def _is_fisheye(camera: Entry) -> bool:
    """What a camera says of its lens; `InputError` for a model that is neither OpenCV's pinhole nor its fisheye."""
    if camera.has("fisheye"):
        return camera.at("fisheye").flag()
    if camera.has("distortion_type"):  # MC-Calib's
        kind = camera.at("distortion_type")
        if kind.whole() not in (0, 1):
            raise InputError(f"{kind.place}: is {kind.value}; known are 0 (OpenCV's) and 1 (its fisheye).")
        return kind.whole() == 1
    said = [camera.at(key).value for key in MODEL if camera.has(key)]
    if not said:
        refuse_almost(camera, ("fisheye", "distortion_type", *MODEL[:2]))
    text = " ".join(one for one in said if isinstance(one, str))
    if STRANGE.search(text):
        raise InputError(f"{camera.place}: the lens model {text!r} is not supported; known: OpenCV's and its fisheye.")
    return bool(FISHEYES.search(text))


def _matrix(inside: Sequence[Entry]) -> Float[Tensor, "3 3"]:
    for one in inside:
        key = _matrix_key(one)
        if key is not None:
            flat = needed(one, key).numbers(9, 4)
            return flat.reshape(3, 3) if len(flat) == 9 else pinhole_matrix(*flat.tolist())
        if one.has("fx"):
            return pinhole_matrix(*(needed(one, key).number() for key in ("fx", "fy", "cx", "cy")))
        focal, centre = first_of(one, FOCAL), first_of(one, CENTRE)
        if focal is not None and centre is not None:
            return pinhole_matrix(*focal.numbers(2).tolist(), *centre.numbers(2).tolist())
    raise IncompleteCameraError(f"it has no matrix ({', '.join(MATRIX[:3])} …)")


def _pose(camera: Entry) -> tuple[Float[Tensor, "3 3"], Float[Tensor, " 3"]]:
    pose, whole = first_of(camera, POSES), first_of(camera, EXTRINSICS)
    if pose is None and whole is None and camera.has("Intrinsics"):
        whole = first_of(camera, (OPENPOSE,))
    told = whole if pose is None else pose
    if told is not None and is_null(told.value):
        raise IncompleteCameraError("it has no extrinsics")
    if told is not None:
        return _turn_and_shift(told) if isinstance(told.value, dict) else rigid(told, inverse=pose is not None)
    if camera.has("orientation"):
        # As of Human3.6M's cameras: how it stands in the world, and where.
        turn = rotation_of_quaternion(camera.place, camera.at("orientation").numbers(4)).T.contiguous()
        return turn, -(turn @ _needed_of(camera, TRANSLATION).numbers(3))
    return _turn_and_shift(camera)


def rigid(entry: Entry, *, inverse: bool = False) -> tuple[Float[Tensor, "3 3"], Float[Tensor, " 3"]]:
    """Rotation and translation of a matrix of 3 x 4 or 4 x 4, or of its inverse."""
    rows = entry.numbers(12, 16).reshape(-1, 4)
    if len(rows) == 4 and rows[3].tolist() != [0, 0, 0, 1]:
        raise InputError(f"{entry.place}: ends in {rows[3].tolist()}, not in 0 0 0 1.")
    rotation, shift = rows[:3, :3], rows[:3, 3]
    if inverse:
        check_rotation(entry.place, rotation)
        rotation = rotation.T.contiguous()
        shift = -(rotation @ shift)
    return rotation, shift


def _turn_and_shift(inside: Entry) -> tuple[Float[Tensor, "3 3"], Float[Tensor, " 3"]]:
    turn, shift = _needed_of(inside, ROTATION), _needed_of(inside, TRANSLATION)
    return turn_of(turn.place, turn.numbers(3, 9)), shift.numbers(3)


def _needed_of(camera: Entry, names: Sequence[str]) -> Entry:
    return needed(camera, next((name for name in names if camera.has(name)), names[0]))


def _size(inside: Sequence[Entry], matrix: Float[Tensor, "3 3"]) -> tuple[Float[Tensor, " 2"], bool]:
    for one in inside:
        width, height = first_of(one, WIDTH), first_of(one, HEIGHT)
        if width is not None and height is not None:
            return torch.tensor([width.number(), height.number()], dtype=torch.float64), False
        if (width is None) != (height is None):
            raise InputError(f"{one.place}: of its image's width and height only one is there; is one misspelt?")
        key = next((name for name in SIZE if one.has(name)), None)
        if key is not None:
            return size_or_guess(one, key, matrix)
    for one in inside:
        refuse_almost(one, (*SIZE, *WIDTH, *HEIGHT))
    return size_or_guess(inside[0], SIZE[0], matrix)

"""Calibrations that people write themselves: cameras by name or as a list, their numbers under any usual name.

``{"cam1": {"K": …, "dist": …, "R": …, "t": …}}`` with ``x_camera = R x_world + t``, OpenCV's coefficients, and R as a
matrix or a Rodrigues vector; extrinsics also as one matrix of 3 x 4 or 4 x 4; intrinsics and extrinsics of a camera
together or in tables of their own (`{"intrinsics": {camera: …}, "extrinsics": {camera: …}}`).
"""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.errors import InputError
from dispose.formats.calibration.rig import CameraParameters, RigFile, lens_of, pinhole_matrix, turn_of
from dispose.formats.calibration.tables import IncompleteCameraError, is_null, needed, size_or_guess, usable_cameras
from dispose.formats.entry import Entry

INTRINSICS = ("intrinsics", "intrinsic")
EXTRINSICS = ("extrinsics", "extrinsic", "camera_from_world", "world_to_camera", "world2cam", "w2c", "RT", "Rt")
MATRIX = ("K", "matrix", "camera_matrix", "cameraMatrix", "intrinsic_matrix", "intrinsicMat", "calibration_matrix",
          "mtx", *INTRINSICS)  # fmt: skip
LENS = ("dist", "D", "distCoef", "distCoeffs", "dist_coeffs", "dist_coef", "distortion", "distortions",
        "distortion_coefficients", "distortion_coeffs", "distortion_params")  # fmt: skip
ROTATION = ("R", "rotation", "rotation_matrix", "rvec", "Rvec", "r")
TRANSLATION = ("t", "T", "translation", "translation_vector", "tvec", "Tvec")
SIZE = ("size", "image_size", "imageSize", "img_size", "imgSize", "resolution", "image_shape_wh")
WIDTH, HEIGHT = ("width", "image_width", "w"), ("height", "image_height", "h")
NAME = ("name", "camera", "camera_name", "id", "cam_id", "camera_id", "serial")

OF_POSE2SIM = ("matrix", "rotation", "translation")

METRES_BELOW, MILLIMETRES_FROM = 80.0, 4000.0
"""Cameras that stand farthest apart by less, or by more, of the file's units: what these are is clear. Between the two
they may be centimetres."""


def is_named_rig(root: Entry) -> bool:
    """Whether a tree holds cameras whose numbers have usual names; Panoptic's and Pose2Sim's are known by others."""
    if root.has("views") or any(one.has("distCoef") for one in _list_of(root) or ()):
        return False
    listed = _list_of(root) is not None  # as Pose2Sim's tables never are; AIST++ lists cameras in the same words
    return any(_whole(camera) and (listed or not all(map(camera.has, OF_POSE2SIM))) for _, camera in _cameras(root))


def named_rig(root: Entry) -> RigFile:
    """The cameras; their unit is told by how far they stand apart, where that leaves no doubt."""
    cameras = [(name, Entry(f"{root.place}: camera {name}", one.value)) for name, one in _cameras(root)]
    views, notes = usable_cameras(cameras, _view)
    unit, said = unit_of(views)
    return RigFile(root.place, views, unit, notes=(*notes, *said), named=_list_of(root) is None or _says_names(root))


def unit_of(views: Sequence[CameraParameters]) -> tuple[float | None, tuple[str, ...]]:
    """Millimetres that one unit is, where the distances of the cameras tell, and the sentence about it."""
    if len(views) < 2:
        return 1.0, ()
    centres = torch.stack([-(view.rotation.mT @ view.translation) for view in views])
    far = float(torch.cdist(centres, centres).max())
    if METRES_BELOW <= far < MILLIMETRES_FROM:
        return None, ()
    factor, unit = (1000.0, "metres") if far < METRES_BELOW else (1.0, "millimetres")
    return factor, (
        f"the calibration does not say its unit: {unit}, since its cameras stand up to {far:.4g} of them apart, and z "
        "up (else: --mm-per-unit, --up).",
    )


def _list_of(root: Entry) -> list[Entry] | None:
    """The cameras of a list, or of one under ``cameras``."""
    inner = root.at("cameras") if root.has("cameras") else root
    return list(inner.items()) if isinstance(inner.value, list) else None


def _says_names(root: Entry) -> bool:
    return all(_first(one, NAME) is not None for one in _list_of(root) or ())


def _cameras(root: Entry) -> Iterator[tuple[str, Entry]]:
    """Names and entries of everything that may be a camera."""
    listed = _list_of(root)
    if listed is not None:
        for number, one in enumerate(listed):
            name = _first(one, NAME)
            yield str(number if name is None else name.value), one
        return
    inner = root.at("cameras") if root.has("cameras") else root
    if not isinstance(inner.value, dict):
        return
    first, second = _first(inner, INTRINSICS), _first(inner, EXTRINSICS)
    if first is not None and second is not None and isinstance(first.value, dict) and isinstance(second.value, dict):
        if not set(first.keys()) & set(second.keys()) and any(
            isinstance(one.value, dict) and set(first.keys()) & set(one.value) for _, one in second.entries()
        ):
            raise InputError(
                f"{root.place}: holds extrinsics of several recordings ({', '.join(second.keys()[:8])}); keep those of "
                "one, by camera."
            )
        for name, one in first.entries():
            there = second.at(name).value if second.has(name) else None
            yield name, Entry(one.place, {INTRINSICS[0]: one.value, EXTRINSICS[0]: there})
        return
    for name, one in inner.entries():
        if isinstance(one.value, dict) and (_first(one, MATRIX) or _first(one, ROTATION) or _first(one, EXTRINSICS)):
            yield name, one


def _first(entry: Entry, names: Sequence[str]) -> Entry | None:
    """What an object says under the first of some names that it has."""
    return next((entry.at(name) for name in names if entry.has(name)), None)


def _whole(camera: Entry) -> bool:
    return bool(_first(camera, MATRIX)) and bool(
        (_first(camera, ROTATION) and _first(camera, TRANSLATION)) or _first(camera, EXTRINSICS)
    )


def _view(name: str, camera: Entry) -> CameraParameters:
    inner = _first(camera, INTRINSICS)
    inside = [camera] if inner is None or not isinstance(inner.value, dict) else [inner, camera]
    matrix = _matrix(inside)
    rotation, translation = _pose(camera)
    size, guessed = _size(inside, matrix)
    lens = next((found for one in inside if (found := _first(one, LENS)) is not None), None)
    numbers = torch.zeros(0, dtype=torch.float64) if lens is None or is_null(lens.value) else lens.numbers()
    fisheye = camera.has("fisheye") and camera.at("fisheye").flag()
    # Cameras that say of themselves that they have no lens have one coefficient of 0, or none.
    numbers = torch.zeros(0, dtype=torch.float64) if not numbers.any() else numbers
    return CameraParameters(name, size, matrix, lens_of(camera.place, numbers, fisheye=fisheye), rotation, translation,
                            fisheye, guessed)  # fmt: skip


def _matrix(inside: Sequence[Entry]) -> Float[Tensor, "3 3"]:
    for one in inside:
        found = _first(one, MATRIX)
        if found is not None and isinstance(found.value, list):
            flat = found.numbers(9, 4)
            return flat.reshape(3, 3) if len(flat) == 9 else pinhole_matrix(*flat.tolist())
        if one.has("fx"):
            return pinhole_matrix(*(needed(one, key).number() for key in ("fx", "fy", "cx", "cy")))
    raise IncompleteCameraError(f"it has no matrix ({', '.join(MATRIX[:4])} …)")


def _pose(camera: Entry) -> tuple[Float[Tensor, "3 3"], Float[Tensor, " 3"]]:
    whole = _first(camera, EXTRINSICS)
    if whole is not None and is_null(whole.value):
        raise IncompleteCameraError("it has no extrinsics")
    if whole is not None and isinstance(whole.value, list):
        flat = whole.numbers(12, 16)
        table = flat.reshape(-1, 4)
        return table[:3, :3], table[:3, 3]
    inside = camera if whole is None else whole
    parts = []
    for names in (ROTATION, TRANSLATION):
        key = next((name for name in names if inside.has(name)), names[0])
        parts.append(needed(inside, key))
    return turn_of(parts[0].place, parts[0].numbers(3, 9)), parts[1].numbers(3)


def _size(inside: Sequence[Entry], matrix: Float[Tensor, "3 3"]) -> tuple[Float[Tensor, " 2"], bool]:
    for one in inside:
        width, height = _first(one, WIDTH), _first(one, HEIGHT)
        if width is not None and height is not None:
            return torch.tensor([width.number(), height.number()], dtype=torch.float64), False
        key = next((name for name in SIZE if one.has(name)), None)
        if key is not None:
            return size_or_guess(one, key, matrix)
    return size_or_guess(inside[0], SIZE[0], matrix)

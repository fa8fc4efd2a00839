"""Calibrations in XML: Qualisys' `.qca.txt` and Vicon's `.xcp`, as Pose2Sim's converters understand them, and Theia's.

Theia's has the elements of Qualisys' and means other things by them: pixels are not counted in 64ths, and its
``transform`` takes points of the world (mm) into OpenCV's camera axes.
"""

import math
from pathlib import Path
from xml.etree.ElementTree import Element

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.errors import InputError
from dispose.formats.calibration.rig import (
    MOST_PIXELS,
    CameraParameters,
    RigFile,
    pinhole_matrix,
    rotation_of_quaternion,
)
from dispose.formats.calibration.tables import IncompleteCameraError, refuse_misspelt
from dispose.formats.entry import Entry, number_of

OF_CAMERA = ("PIXEL_ASPECT_RATIO", "TYPE", "DEVICEID", "DISPLAY_TYPE", "SENSOR_SIZE")
"""Attributes of Vicon's cameras: a misspelt aspect or type would be taken for the usual one."""

OF_MATRIX = ("focalLengthU", "focalLengthV", "centerPointU", "centerPointV")
OF_LENS = ("radialDistortion1", "radialDistortion2", "tangentalDistortion1", "tangentalDistortion2")

SUBPIXELS = 64
"""Qualisys counts focal lengths, centres and distortion in 64ths."""

QUALISYS_AXES = torch.tensor([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]], dtype=torch.float64)
"""From Qualisys' camera axes (y up, looking along -z) to OpenCV's."""


def xml_rig(path: Path, root: Element) -> RigFile:
    """The rig of an XML file: Qualisys', Theia's or Vicon's."""
    kind = root.tag.lower()
    if kind == "calibration" and root.find("cameras/camera") is not None:
        cameras = root.findall("cameras/camera")
        of_theia = not any(camera.get("model") or camera.find("fov_video") is not None for camera in cameras)
        read = _theia_view if of_theia else _qualisys_view
        return _rig(path, cameras, "serial", "model", ("video", "none"), read)
    if kind == "cameras" and root.find("Camera") is not None:
        return _rig(path, root.findall("Camera"), "DEVICEID", "TYPE", ("video",), _vicon_view)
    if root.find(".//Camera/Extrinsic") is not None:
        raise InputError(
            f"{path}: is a calibration of OptiTrack's Motive, which is not read: its axes are not documented, and "
            "public readers contradict each other; write it as Pose2Sim's TOML."
        )
    raise InputError(f"{path}: is XML, but no calibration we know (neither Qualisys', Theia's, Vicon's nor OpenCV's).")


def _rig(path: Path, cameras: list[Element], name_key: str, kind_key: str, kinds: tuple[str, ...], read) -> RigFile:
    """Those of some cameras that take videos; the others see markers only."""
    views, notes, markers = [], [], []
    for camera in cameras:
        name = camera.get(name_key)
        if not name:
            raise InputError(f"{path}: a camera has no {name_key}.")
        # Vicon's files of video cameras only may not say what they are.
        refuse_misspelt(Entry(f"{path}: camera {name}", camera.attrib), OF_CAMERA)
        kind = camera.get(kind_key)
        if kind is not None and not any(one in kind.lower() for one in kinds):
            markers.append(name)
            continue
        try:
            views.append(read(f"{path}: camera {name}", name, camera))
        except IncompleteCameraError as lack:
            notes.append(f"camera {name} is left out: {lack}.")
    if markers:
        notes.append(f"cameras that see markers only are left out: {', '.join(markers)}.")
    return RigFile(str(path), tuple(views), 1.0, "z", tuple(notes))


def _qualisys_view(where: str, name: str, camera: Element) -> CameraParameters:
    field, inner, place = (_part(camera, tag) for tag in ("fov_video", "intrinsic", "transform"))
    left, top, right, bottom = (_number(where, field, key) for key in ("left", "top", "right", "bottom"))
    size = torch.tensor([right - left + 1, bottom - top + 1], dtype=torch.float64)
    fx, fy, cx, cy = (_number(where, inner, key) / SUBPIXELS for key in OF_MATRIX)
    lens = torch.tensor([_number(where, inner, key) / SUBPIXELS for key in OF_LENS], dtype=torch.float64)
    turn, centre = _transform(where, place)
    rotation = QUALISYS_AXES @ turn
    return CameraParameters(
        name, size, pinhole_matrix(fx, fy, cx - left, cy - top), lens, rotation, -(rotation @ centre)
    )


def _transform(where: str, place: Element) -> tuple[Float[Tensor, "3 3"], Float[Tensor, " 3"]]:
    numbers = [_number(where, place, key) for key in (*(f"r{i}{j}" for i in (1, 2, 3) for j in (1, 2, 3)), *"xyz")]
    return torch.tensor(numbers[:9], dtype=torch.float64).reshape(3, 3), torch.tensor(numbers[9:], dtype=torch.float64)


def _theia_view(where: str, name: str, camera: Element) -> CameraParameters:
    if camera.get("active") == "0":
        raise IncompleteCameraError("its file says active = 0")
    inner, place = (_part(camera, tag) for tag in ("intrinsic", "transform"))
    size = []
    for side in "UV":
        if inner.get(f"sensorDim{side}") is not None:
            size.append(_number(where, inner, f"sensorDim{side}"))
        else:
            # The last pixel, or the number of pixels: sides are even.
            most, least = (_number(where, inner, f"sensor{end}{side}") for end in ("Max", "Min"))
            size.append(2 * math.ceil((most - least) / 2))
    matrix = pinhole_matrix(*(_number(where, inner, key) for key in OF_MATRIX))
    keys = (*OF_LENS, "radialDistortion3")
    lens = torch.tensor([_number(where, inner, key) for key in keys], dtype=torch.float64)
    rotation, translation = _transform(where, place)
    return CameraParameters(name, torch.tensor(size, dtype=torch.float64), matrix, lens, rotation, translation)


def _vicon_view(where: str, name: str, camera: Element) -> CameraParameters:
    frame = _part(camera, "KeyFrames/KeyFrame")
    size = _numbers(where, camera, "SENSOR_SIZE", 2)
    focal = float(_numbers(where, frame, "FOCAL_LENGTH", 1))
    if focal == 0:
        # As Nexus writes a camera that is connected and not calibrated.
        raise IncompleteCameraError("its FOCAL_LENGTH is 0")
    aspect = 1.0
    if camera.get("PIXEL_ASPECT_RATIO") is not None:
        aspect = _number(where, camera, "PIXEL_ASPECT_RATIO")
    if aspect <= 0:
        raise InputError(f"{where}: PIXEL_ASPECT_RATIO is {aspect:g}.")
    cx, cy = _numbers(where, frame, "PRINCIPAL_POINT", 2).tolist()
    x, y, z, w = _numbers(where, frame, "ORIENTATION", 4).tolist()
    rotation = rotation_of_quaternion(where, torch.tensor([w, x, y, z], dtype=torch.float64))
    centre = _numbers(where, frame, "POSITION", 3)
    return CameraParameters(
        name, size, pinhole_matrix(focal, focal / aspect, cx, cy), _vicon_lens(where, frame), rotation,
        -(rotation @ centre),
    )  # fmt: skip


def _vicon_lens(where: str, frame: Element) -> Float[Tensor, " coefficients"]:
    """Radial coefficients: the words after ``ViconRadial2 x y``, two or three, or the two of the older entry.

    Where the middle is no place in an image, a number is lost or too much.
    """
    told = frame.get("VICON_RADIAL2")
    if told is None:
        if frame.get("VICON_RADIAL") is None:
            refuse_misspelt(Entry(where, frame.attrib), ("VICON_RADIAL2",))
            return torch.zeros(5, dtype=torch.float64)
        radial = _numbers(where, frame, "VICON_RADIAL", 2).tolist()
    else:
        words = told.split()
        middle = [_float(where, "VICON_RADIAL2", word) for word in words[1:3]]
        radial = [_float(where, "VICON_RADIAL2", word) for word in words[3:]]
        there = all(0 <= at <= MOST_PIXELS for at in middle)
        if words[:1] != ["ViconRadial2"] or len(radial) not in (2, 3) or not there:
            raise InputError(f"{where}: VICON_RADIAL2 is {told[:99]!r}; ViconRadial2, x and y of the middle and two or "
                             "three numbers are expected.")  # fmt: skip
    k1, k2, k3 = (*radial, 0.0, 0.0, 0.0)[:3]
    return torch.tensor([k1, k2, 0.0, 0.0, k3], dtype=torch.float64)


def _part(camera: Element, tag: str) -> Element:
    found = camera.find(tag)
    if found is None:
        raise IncompleteCameraError(f"it has no {tag.split('/')[-1]}")
    return found


def _number(where: str, element: Element, key: str) -> float:
    return float(_numbers(where, element, key, 1))


def _numbers(where: str, element: Element, key: str, count: int) -> Float[Tensor, " count"]:
    told = element.get(key)
    if told is None:
        raise IncompleteCameraError(f"it has no {key}")
    values = [_float(where, key, word) for word in told.split()]
    if len(values) != count:
        raise InputError(f"{where}: {key} has {len(values)} numbers, not {count}.")
    return torch.tensor(values, dtype=torch.float64)


def _float(where: str, key: str, word: str) -> float:
    try:
        value = number_of(word)
    except ValueError as error:
        raise InputError(f"{where}: {key} is {word[:40]!r}, which is no number.") from error
    if not math.isfinite(value):
        raise InputError(f"{where}: {key} is {value}.")
    return value

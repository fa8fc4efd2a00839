"""nerfstudio's and instant-ngp's ``transforms.json``: OpenGL's camera axes, z up, an unknown scale.

A frame's ``transform_matrix`` says how its camera stands in the world, with y up and looking along -z; intrinsics may
be told once for all frames. Pixels are COLMAP's: the middle of the first one is (0.5, 0.5).
"""

import torch

from dispose.errors import InputError
from dispose.formats.calibration.colmap import PIXEL_CENTRE
from dispose.formats.calibration.image_names import by_camera
from dispose.formats.calibration.records import rigid
from dispose.formats.calibration.rig import CameraParameters, RigFile, pinhole_matrix
from dispose.formats.calibration.tables import needed, refuse_misspelt, usable_cameras
from dispose.formats.entry import Entry

FROM_OPENGL = torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)

FISHEYE = "OPENCV_FISHEYE"
LENSES = {
    FISHEYE: ("k1", "k2", "k3", "k4"),
    **dict.fromkeys(("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "PERSPECTIVE"), ("k1", "k2", "p1", "p2", "k3")),
}


def is_nerfstudio(root: Entry) -> bool:
    """Whether a file holds frames, each with the place of its camera."""
    frames = root.at("frames").value if root.has("frames") else None
    return isinstance(frames, list) and any(isinstance(one, dict) and "transform_matrix" in one for one in frames)


def nerfstudio_rig(root: Entry) -> RigFile:
    """A camera per frame, or per folder or name of frames (`by_camera`)."""
    shared = {key: entry.value for key, entry in root.entries() if key != "frames"}
    frames = []
    for one in root.at("frames").items():
        name, own = one.at("file_path").text(), {key: entry.value for key, entry in one.entries()}
        frames.append((name, Entry(f"{root.place}: frame {name}", shared | own)))
    views, notes = usable_cameras(frames, _view)
    return RigFile(root.place, by_camera(root.place, views), None, "z", notes)


def _view(name: str, frame: Entry) -> CameraParameters:
    said = frame.has("is_fisheye") and frame.at("is_fisheye").flag()  # instant-ngp's
    model = frame.at("camera_model").text() if frame.has("camera_model") else FISHEYE if said else "OPENCV"
    if said and model != FISHEYE:
        raise InputError(f"{frame.place}: is_fisheye is true, and camera_model is {model!r}; keep the right one.")
    refuse_misspelt(frame, ("camera_model", "fl_x", "fl_y", "cx", "cy", "w", "h", "k4", *LENSES["OPENCV"]))
    if model not in LENSES:
        raise InputError(f"{frame.place}: lens model {model!r} is not supported; known: {', '.join(LENSES)}.")
    numbers = [frame.at(key).number() if frame.has(key) else 0.0 for key in LENSES[model]]
    if model != FISHEYE and frame.has("k4") and frame.at("k4").number() != 0:
        raise InputError(
            f"{frame.place}: k4 is {frame.at('k4').number():g}; a fourth radial coefficient is no OpenCV's."
        )
    fx, cx, cy, *size = (needed(frame, key).number() for key in ("fl_x", "cx", "cy", "w", "h"))
    fy = frame.at("fl_y").number() if frame.has("fl_y") else fx
    # From y up, looking along -z, to y down, looking along z.
    rotation, translation = rigid(needed(frame, "transform_matrix"), inverse=True)
    return CameraParameters(
        name,
        torch.tensor(size, dtype=torch.float64),
        pinhole_matrix(fx, fy, cx - PIXEL_CENTRE, cy - PIXEL_CENTRE),
        torch.tensor(numbers, dtype=torch.float64),
        FROM_OPENGL[:, None] * rotation,
        FROM_OPENGL * translation,
        model == FISHEYE,
    )

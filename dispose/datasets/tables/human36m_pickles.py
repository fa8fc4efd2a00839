"""Human3.6M as Context-Aware PoseFormer prepares it (zhao2023contextpose): pickled labels, read without executing them.

``h36m_train.pkl`` and ``h36m_validation.pkl`` are lists of a dictionary per picture: ``joints_2d_cpn`` (17, 2), screen
coordinates of a detector; ``joints_3d`` (17, 3), metres in the camera's axes; numbers of subject, action (from 2),
camera_id (from 0) and image_id (from 1); ``camera`` with R, T, fx, fy, cx, cy, k, p, of which T is the camera's centre;
``image`` and ``box`` (left, top, right, bottom, inferred from the true root). ``camera_data.pkl`` is a dictionary from
subject and camera (1 to 4) to R, T, f, c, k, p and the camera's name.

Joint 8 is the raw joint 16 where others take 13: the motion capture has both at one place, the neck.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from dispose.datasets.human36m_choice import ACTIONS, CAMERAS, SUBJECTS, FrameChoice
from dispose.datasets.labelled_people import LabelledPeople, Names, people_of, pixels_of_screen
from dispose.errors import InputError
from dispose.formats.calibration.rig import CameraParameters, check_view, pinhole_matrix
from dispose.formats.human36m import IMAGE_SIZES
from dispose.formats.plain_pickle import load_plain_pickle
from dispose.geometry.human36m_lens import opencv_place
from dispose.scene.cameras import Cameras
from dispose.skeletons.catalog import H36M_17

MM_PER_METRE = 1000.0
NUMBERS = ("subject", "action", "camera_id", "image_id")
IN_AN_ENTRY: Mapping[str, int] = {"R": 9, "T": 3, "fx": 1, "fy": 1, "cx": 1, "cy": 1, "k": 3, "p": 2}
"""The parts of a camera and how many numbers they have."""


@dataclass(frozen=True, eq=False)
class PicturedPeople:
    """People with the pictures that they are in.

    Attributes:
        people: a detector's keypoints and the truth, both of `H36M_17`.
        pictures: paths below the folder of the images.
        box: left, top, right, bottom of the published crop, pixels: 2 m about the true root.
    """

    people: LabelledPeople
    pictures: tuple[str, ...]
    box: Float[Tensor, "persons 4"]


def read_context_pickle(path: Path, choice: FrameChoice) -> PicturedPeople:
    """The chosen pictures of a labels file, in its order.

    Raises:
        InputError: the file is another, names the entry and value that are not as they should be, or the choice is of
            ambiguous frames, which these files do not mark.
    """
    if choice.hard:
        raise InputError(f"{path}: does not say which frames are ambiguous; the choice {choice.name!r} asks that.")
    stored = load_plain_pickle(path)
    if not isinstance(stored, list) or not all(isinstance(entry, dict) for entry in stored):
        raise InputError(f"{path}: holds {type(stored).__name__}, a list with a dictionary per picture is expected.")
    told = np.array([[_whole(f"{path}: entry {n}", e, name) for name in NUMBERS] for n, e in enumerate(stored)])
    told = told.reshape(-1, len(NUMBERS)).astype(np.int64)
    wanted = np.isin(told[:, 0], [int(name[1:]) for name in choice.subjects]) & ((told[:, 3] - 1) % choice.every == 0)
    rows = np.flatnonzero(wanted)
    if not len(rows):
        raise InputError(f"{path}: no picture is of the choice {choice.name!r}.")
    subject, action, camera, frame = torch.from_numpy(told[rows]).unbind(1)
    for name, numbers, least, most in (("action", action, 2, 1 + len(ACTIONS)), ("camera_id", camera, 0, 3)):
        if int(numbers.min()) < least or int(numbers.max()) > most:
            raise InputError(
                f"{path}: {name} goes from {numbers.min()} to {numbers.max()}, there are {least} to {most}."
            )
    found = [(f"{path}: entry {row}", stored[row]) for row in rows]
    cameras = _cameras(found, camera)
    xy = pixels_of_screen(_stacked(found, "joints_2d_cpn", 17, 2), cameras.size)
    xy = opencv_place(xy, cameras.matrix, cameras.distortion)
    subject = torch.tensor([SUBJECTS.index(f"S{number}") for number in subject.tolist()])
    who = torch.stack([subject, action - 2, frame - 1, torch.arange(len(rows))], 1)
    xyz = MM_PER_METRE * _stacked(found, "joints_3d", 17, 3)
    people = people_of(Names(H36M_17, H36M_17, SUBJECTS, ACTIONS), cameras, xy, xyz, who)
    left, box = people.row, _stacked(found, "box", 4)
    pictures = tuple(str(found[row][1].get("image", "")) for row in left.tolist())
    return PicturedPeople(replace(people, row=torch.from_numpy(rows)[left]), pictures, box[left])


def _cameras(found: Sequence[tuple[str, Mapping[str, object]]], camera: Int[Tensor, " persons"]) -> Cameras:
    """Of every entry its camera; there are few different ones."""
    numbers = np.stack([_numbers(where, entry.get("camera"), IN_AN_ENTRY) for where, entry in found])
    each = np.concatenate([numbers, camera.numpy()[:, None]], 1)
    known, first, which = np.unique(each, axis=0, return_index=True, return_inverse=True)
    views = [
        _camera(found[row][0], CAMERAS[int(one[-1])], one[:-1]) for row, one in zip(first.tolist(), known, strict=True)
    ]
    rows = torch.from_numpy(which.reshape(-1))
    names = ("size", "matrix", "rotation", "translation")
    fields = {name: torch.stack([vars(view)[name] for view in views])[rows, None] for name in names}
    bent = pad(torch.stack([view.distortion for view in views]), (0, 3))[rows, None]
    return Cameras(("camera",), distortion=bent, **fields)


def _numbers(where: str, given: object, parts: Mapping[str, int]) -> Float[np.ndarray, " 21"]:
    """The numbers of a camera, one part after the other; `InputError` where one lacks or has another size."""
    try:
        each = [np.asarray(given[name], np.float64).reshape(-1) for name in parts]  # type: ignore[index]
    except (KeyError, TypeError, ValueError):
        each = []
    if [len(part) for part in each] != list(parts.values()):
        told = ", ".join(f"{name} ({count})" for name, count in parts.items())
        raise InputError(f"{where}: its camera does not consist of the numbers {told}.")
    return np.concatenate(each)


def _camera(where: str, name: str, numbers: Float[np.ndarray, " 21"]) -> CameraParameters:
    """A camera in our form; `InputError` where it cannot be right."""
    rotation, centre, (fx, fy), (cx, cy), k, p = np.split(numbers, [9, 12, 14, 16, 19])
    turn = torch.from_numpy(rotation.reshape(3, 3))
    size = torch.tensor(IMAGE_SIZES.get(name, (1000, 1000)), dtype=torch.float64)
    bent, place = torch.from_numpy(np.concatenate([k[:2], p, k[2:]])), -turn @ torch.from_numpy(centre)
    found = CameraParameters(name, size, pinhole_matrix(fx, fy, cx, cy), bent, turn, place)
    check_view(where, found)
    return found


def _whole(where: str, entry: Mapping[str, object], name: str) -> int:
    """A whole number of an entry."""
    value = entry.get(name)
    if not isinstance(value, int):
        raise InputError(f"{where}: {name!r} is {type(value).__name__}, a whole number is expected.")
    return value


def _stacked(
    found: Sequence[tuple[str, Mapping[str, object]]], name: str, *shape: int
) -> Float[Tensor, "persons *shape"]:
    """An array of every entry."""
    each = [np.asarray(entry.get(name, ())) for _, entry in found]
    for (where, _), value in zip(found, each, strict=True):
        if value.shape != shape or value.dtype.kind not in "fiu":
            raise InputError(f"{where}: {name!r} is {list(value.shape)}, not {list(shape)}.")
    return torch.from_numpy(np.stack(each).astype(np.float64))

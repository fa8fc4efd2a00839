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
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn.functional import pad

from dispose.datasets.human36m_choice import ACTIONS, CAMERAS, SUBJECTS, FrameChoice
from dispose.datasets.labelled_people import LabelledPeople, Names, people_of, pixels_of_screen
from dispose.errors import InputError
from dispose.formats.calibration.rig import CameraParameters, as_cameras, check_view, pinhole_matrix
from dispose.formats.human36m import IMAGE_SIZES
from dispose.formats.plain_pickle import load_plain_pickle
from dispose.geometry.human36m_lens import opencv_place
from dispose.scene.cameras import Cameras
from dispose.skeletons.catalog import H36M_17

FIRST_ACTION = 2
MM_PER_METRE = 1000.0
NUMBERS = ("subject", "action", "camera_id", "image_id")


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
        raise InputError(
            f"{path}: does not say which frames are ambiguous: the choice {choice.name!r} needs other files."
        )
    stored = load_plain_pickle(path)
    if not isinstance(stored, list) or not all(isinstance(row, dict) for row in stored):
        raise InputError(f"{path}: holds {type(stored).__name__}, a list with a dictionary per picture is expected.")
    rows, numbers = list[int](), list[list[int]]()
    for row, entry in enumerate(stored):
        told = [_whole(path, row, entry, name) for name in NUMBERS]
        if f"S{told[0]}" in choice.subjects and (told[3] - 1) % choice.every == 0:
            rows.append(row)
            numbers.append(told)
    if not rows:
        raise InputError(f"{path}: no picture is of the choice {choice.name!r}.")
    found = [stored[row] for row in rows]
    subject, action, camera, frame = torch.tensor(numbers).unbind(1)
    if not bool(((action >= FIRST_ACTION) & (action < FIRST_ACTION + len(ACTIONS))).all()):
        raise InputError(f"{path}: actions go from {int(action.min())} to {int(action.max())}, there are 2 to 16.")
    cameras = _cameras(path, rows, found, camera.tolist())
    xy = pixels_of_screen(_stacked(path, rows, found, "joints_2d_cpn", 17, 2), cameras.size)
    xy = opencv_place(xy, cameras.matrix, cameras.distortion)
    xyz, box = MM_PER_METRE * _stacked(path, rows, found, "joints_3d", 17, 3), _stacked(path, rows, found, "box", 4)
    subject = torch.tensor([SUBJECTS.index(f"S{number}") for number in subject.tolist()])
    who = torch.stack([subject, action - FIRST_ACTION, frame - 1, torch.arange(len(rows))], 1)
    people = people_of(Names(H36M_17, H36M_17, SUBJECTS, ACTIONS), cameras, xy, xyz, who)
    pictures = tuple(str(found[row].get("image", "")) for row in people.row.tolist())
    return PicturedPeople(replace(people, row=torch.tensor(rows)[people.row]), pictures, box[people.row])


def read_camera_data(path: Path) -> Mapping[str, Cameras]:
    """The four cameras of every subject, in the order of `CAMERAS`.

    Raises:
        InputError: the file is another, or a camera lacks or cannot be right.
    """
    stored = load_plain_pickle(path)
    if not isinstance(stored, dict) or not all(isinstance(key, tuple) and len(key) == 2 for key in stored):
        raise InputError(f"{path}: holds no dictionary from subject and camera to a camera.")
    rigs = {}
    for subject in dict.fromkeys(key[0] for key in stored):
        views = []
        for number, name in enumerate(CAMERAS, 1):
            entry = stored.get((subject, number))
            if not isinstance(entry, Sequence) or len(entry) < 6:
                raise InputError(f"{path}: no R, T, f, c, k, p of subject {subject}, camera {number}.")
            rotation, centre, focal, middle, radial, tangential = (_flat(part) for part in entry[:6])
            parts = (rotation, centre, np.concatenate([focal, middle]), radial, tangential)
            views.append(_camera(f"{path}: subject {subject}, camera {number}", name, *parts))
        rigs[f"S{subject}"] = as_cameras(f"{path}: subject {subject}", views)
    return rigs


def _of_row(path: Path, number: int, row: Mapping[str, object], name: str) -> CameraParameters:
    """The camera of an entry."""
    where, given = f"{path}: entry {number}", row.get("camera")
    if not isinstance(given, dict) or not {"R", "T", "fx", "fy", "cx", "cy", "k", "p"} <= set(given):
        raise InputError(f"{where}: its camera has no R, T, fx, fy, cx, cy, k, p.")
    lens = np.concatenate([_flat(given[key]) for key in ("fx", "fy", "cx", "cy")])
    return _camera(where, name, _flat(given["R"]), _flat(given["T"]), lens, _flat(given["k"]), _flat(given["p"]))


def _camera(
    where: str, name: str, rotation: np.ndarray, centre: np.ndarray, lens: np.ndarray, k: np.ndarray, p: np.ndarray
) -> CameraParameters:
    """A camera in our form; `InputError` where it has too few or impossible numbers."""
    sizes = tuple(len(part) for part in (rotation, centre, lens, k, p))
    if sizes != (9, 3, 4, 3, 2):
        raise InputError(f"{where}: R, T, f and c, k, p have {sizes} numbers, (9, 3, 4, 3, 2) are expected.")
    turn = torch.from_numpy(rotation.reshape(3, 3))
    size = torch.tensor(IMAGE_SIZES.get(name, (1000, 1000)), dtype=torch.float64)
    bent = torch.from_numpy(np.concatenate([k[:2], p, k[2:]]))
    found = CameraParameters(name, size, pinhole_matrix(*lens.tolist()), bent, turn, -turn @ torch.from_numpy(centre))
    check_view(where, found)
    return found


def _cameras(path: Path, rows: Sequence[int], found: Sequence[Mapping[str, object]], numbers: Sequence[int]) -> Cameras:
    """Of every entry its camera; entries of one recording share one object."""
    known, views = dict[tuple[int, int], CameraParameters](), list[CameraParameters]()
    for row, entry, number in zip(rows, found, numbers, strict=True):
        if number not in range(len(CAMERAS)):
            raise InputError(f"{path}: entry {row}: camera_id is {number}, 0 to 3 are expected.")
        key = (id(entry.get("camera")), number)
        if key not in known:
            known[key] = _of_row(path, row, entry, CAMERAS[number])
        views.append(known[key])
    names = ("size", "matrix", "rotation", "translation")
    fields = {name: torch.stack([vars(view)[name] for view in views])[:, None] for name in names}
    bent = pad(torch.stack([view.distortion for view in views]), (0, 3))[:, None]
    return Cameras(("camera",), distortion=bent, **fields)


def _whole(path: Path, number: int, row: Mapping[str, object], name: str) -> int:
    """A whole number of an entry."""
    value = row.get(name)
    if not isinstance(value, int):
        raise InputError(f"{path}: entry {number}: {name!r} is {type(value).__name__}, a whole number is expected.")
    return value


def _stacked(
    path: Path, rows: Sequence[int], found: Sequence[Mapping[str, object]], name: str, *shape: int
) -> Float[Tensor, "persons *shape"]:
    """An array of every entry."""
    each = [np.asarray(row.get(name, ())) for row in found]
    for number, value in zip(rows, each, strict=True):
        if value.shape != shape or value.dtype.kind not in "fiu":
            raise InputError(f"{path}: entry {number}: {name!r} is {list(value.shape)}, not {list(shape)}.")
    return torch.from_numpy(np.stack(each).astype(np.float64))


def _flat(value: object) -> Shaped[np.ndarray, " numbers"]:
    """Numbers in whatever form; none of what is none."""
    try:
        return np.asarray(value, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError):
        return np.zeros(0)

"""Learnable Triangulation's files of Human3.6M (iskakov2019learnable): its labels, and the results that it stores.

``human36m-multiview-labels-GTbboxes.npy`` is a dictionary: names of subjects, cameras and actions; ``cameras[subject,
camera]`` with R, t, K, dist (five, OpenCV's order); ``table``, a row per instant, with the numbers of subject, action
and frame, joints in mm and a box per camera as top, left, bottom, right, which is empty where the camera is missing.
``results/train.pkl`` and ``val.pkl`` hold joints of a whole split and the rows that they are of, in any order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from dispose.errors import InputError
from dispose.formats.calibration.rig import CameraParameters, as_cameras
from dispose.formats.plain_pickle import load_plain_array, load_plain_pickle
from dispose.scene.cameras import Cameras
from dispose.skeletons.catalog import MPII_17
from dispose.tensors import stack

JOINTS = len(MPII_17)
IMAGE_SIZES = {"54138969": (1000, 1002), "60457274": (1000, 1002)}
"""Width and height of the pictures of these cameras; the others' are 1000 x 1000. The file does not say."""

TEXTS = ("subject_names", "camera_names", "action_names")
CAMERA_FIELDS: dict[str, tuple[tuple[int, ...], ...]] = {
    "R": ((3, 3),), "t": ((3, 1), (3,)), "K": ((3, 3),), "dist": ((5,), (1, 5)),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Human36mLabels:
    """Instants of one person before four cameras, in the order of the file.

    Attributes:
        subjects: names that `subject` counts.
        actions: names that `action` counts.
        rigs: the cameras of every subject.
        subject: who is filmed.
        action: what they do.
        number: of the frame, from 0.
        xyz_world: joints of `MPII_17`, mm.
        box: left, top, right, bottom in pixels; 0 where a camera is missing.
    """

    subjects: tuple[str, ...]
    actions: tuple[str, ...]
    rigs: Cameras
    subject: Int[Tensor, " frames"]
    action: Int[Tensor, " frames"]
    number: Int[Tensor, " frames"]
    xyz_world: Float[Tensor, "frames joints 3"]
    box: Int[Tensor, "frames views 4"]

    @property
    def seen(self) -> Bool[Tensor, "frames views"]:
        """Which cameras have a picture: those whose box has a height."""
        return self.box[..., 3] > self.box[..., 1]

    def rows(self, subjects: Sequence[str], without: Sequence[tuple[str, str]] = ()) -> Int[Tensor, " rows"]:
        """The instants of some subjects, in order; those of the pairs (subject, action) in `without` are left out.

        Raises:
            InputError: there is no such subject or action.
        """
        for name in (*subjects, *(subject for subject, _ in without)):
            if name not in self.subjects:
                raise InputError(f"no subject {name!r} in these labels (there is {', '.join(self.subjects)}).")
        for _, name in without:
            if name not in self.actions:
                raise InputError(f"no action {name!r} in these labels (there is {', '.join(self.actions)}).")
        wanted = torch.isin(self.subject, torch.tensor([self.subjects.index(name) for name in subjects]))
        for subject, action in without:
            same = (self.subject == self.subjects.index(subject)) & (self.action == self.actions.index(action))
            wanted = wanted & ~same
        return wanted.nonzero()[:, 0]


def read_human36m_labels(path: Path) -> Human36mLabels:
    """Read the labels file; `InputError` names the field, the row and the value of what is not as it should be."""
    stored = load_plain_array(path)
    if not isinstance(stored, Mapping):
        raise InputError(f"{path}: holds {type(stored).__name__}, a dictionary of labels is expected.")
    for name in (*TEXTS, "cameras", "table"):
        if name not in stored:
            raise InputError(f"{path}: no entry {name!r} (there is {', '.join(map(str, stored))}).")
    subjects, cameras, actions = (tuple(str(value) for value in stored[name]) for name in TEXTS)
    table, views = stored["table"], len(cameras)
    subject = _column(path, table, "subject_idx", (), most=len(subjects))
    action = _column(path, table, "action_idx", (), most=len(actions))
    number = _column(path, table, "frame_idx", (), most=None)
    xyz = torch.from_numpy(_column(path, table, "keypoints", (JOINTS, 3)).astype(np.float64))
    box = torch.from_numpy(_column(path, table, "bbox_by_camera_tlbr", (views, 4)).astype(np.int64))[..., [1, 0, 3, 2]]
    rigs = _rigs(path, stored["cameras"], subjects, cameras)
    who, what, when = (torch.from_numpy(column.astype(np.int64)) for column in (subject, action, number))
    return Human36mLabels(subjects, actions, rigs, who, what, when, xyz, box)


def _column(
    path: Path, table: object, name: str, shape: tuple[int, ...], *, most: int | None = None
) -> Shaped[np.ndarray, "..."]:
    """A column of the table, of finite numbers; those that count names lie below `most`."""
    names = table.dtype.names or () if isinstance(table, np.ndarray) else ()
    if not isinstance(table, np.ndarray) or table.ndim != 1 or name not in names:
        raise InputError(f"{path}: the table has no column {name!r} (there is {', '.join(names) or 'none'}).")
    column = table[name]
    if column.shape[1:] != shape or column.dtype.kind not in "iuf":
        raise InputError(f"{path}: column {name!r} holds {column.dtype}{list(column.shape[1:])}, not {list(shape)}.")
    wrong = ~np.isfinite(column)
    if shape == ():
        wrong |= column < 0
        wrong |= column >= (np.inf if most is None else most)
    if wrong.any():
        place = tuple(np.argwhere(wrong)[0])
        raise InputError(f"{path}: column {name!r} is {column[place]} in row {place[0]} of {len(column)}.")
    return column


def _rigs(path: Path, stored: object, subjects: tuple[str, ...], names: tuple[str, ...]) -> Cameras:
    """The rig of every subject."""
    if not isinstance(stored, np.ndarray) or stored.shape != (len(subjects), len(names)):
        found = list(stored.shape) if isinstance(stored, np.ndarray) else type(stored).__name__
        raise InputError(f"{path}: 'cameras' is {found}, not [{len(subjects)}, {len(names)}].")
    for field, shapes in CAMERA_FIELDS.items():
        if field not in (stored.dtype.names or ()) or stored[field].shape[2:] not in shapes:
            raise InputError(f"{path}: the cameras have no field {field!r} of the shape {list(shapes[0])}.")
    rigs = []
    for subject, row in zip(subjects, stored, strict=True):
        fields = ([entry[field] for field in CAMERA_FIELDS] for entry in row)
        views = [_camera(name, *values) for name, values in zip(names, fields, strict=True)]
        rigs.append(as_cameras(f"{path}: subject {subject}", views))
    return stack(rigs)


def _camera(name: str, *fields: Shaped[np.ndarray, "..."]) -> CameraParameters:
    rotation, translation, matrix, lens = (torch.from_numpy(np.asarray(field, np.float64)) for field in fields)
    size = torch.tensor(IMAGE_SIZES.get(name, (1000, 1000)), dtype=torch.float64)
    return CameraParameters(name, size, matrix, lens.flatten(), rotation, translation.flatten())


def read_stored_results(path: Path, instants: int) -> Float[Tensor, "frames 17 3"]:
    """The joints that the release stored for a split, mm, in the order of the split's rows.

    Joints are those of `MPII_17`. Rows that several processes answered occur several times; the first counts.

    Args:
        path: ``train.pkl`` or ``val.pkl``.
        instants: how many the split has.

    Raises:
        InputError: the file has no joints of an instant, or of one that the split does not have.
    """
    stored = load_plain_pickle(path)
    if not isinstance(stored, Mapping) or not {"keypoints_3d", "indexes"} <= set(stored):
        raise InputError(f"{path}: no 'keypoints_3d' and 'indexes' in it.")
    xyz, rows = np.asarray(stored["keypoints_3d"]), np.asarray(stored["indexes"])
    if xyz.ndim != 3 or xyz.shape[1:] != (JOINTS, 3) or xyz.dtype.kind != "f" or rows.shape != xyz.shape[:1]:
        raise InputError(f"{path}: 'keypoints_3d' is {list(xyz.shape)} for {rows.size} indexes, not [n, {JOINTS}, 3].")
    if rows.dtype.kind not in "iu" or (rows < 0).any() or (rows >= instants).any():
        raise InputError(
            f"{path}: 'indexes' goes from {rows.min()} to {rows.max()}, the split has {instants} instants."
        )
    known, first = np.unique(rows, return_index=True)
    if len(known) != instants:
        lacking = sorted(set(range(instants)) - set(known.tolist()))[0]
        raise InputError(f"{path}: no joints of instant {lacking} of {instants}.")
    found = torch.from_numpy(xyz[first].astype(np.float64))
    if not bool(torch.isfinite(found).all()):
        row = int((~torch.isfinite(found)).flatten(1).any(1).nonzero()[0, 0])
        raise InputError(f"{path}: 'keypoints_3d' of instant {row} has an entry that is not finite.")
    return found

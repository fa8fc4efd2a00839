"""Human3.6M with heat maps, as Holmquist and Wandt prepare it (holmquist2023diffpose): ``H36M_dataset_*.h5``.

A table of PyTables each for ``/dataset/trainset`` and ``/dataset/testset``, one row in four frames and view: action,
subject, subaction, cam, frame_orig, crop_size, hardsubset; ``gt_3d`` (3, 17), mm, camera's axes; ``gt_2d`` (2, 17),
pixels; ``gt_2d_image_coords`` (2, 32), the raw joints in the crop from 0 to 1; ``argmax_2d`` (2, 16), the peak of every
map as row and column over 64; ``heatmap`` (16, 64, 64). 131 kB a row: maps are read for the rows asked for only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from dispose.datasets.human36m_choice import (
    ACTIONS,
    CAMERAS,
    RAW_ROWS,
    SUBJECTS,
    TRAINING_SUBJECTS,
    FrameChoice,
    Rigs,
    action_number,
)
from dispose.datasets.labelled_people import CAMERA_FIELDS, LabelledPeople, Names, people_of
from dispose.errors import InputError
from dispose.formats.hdf5 import open_hdf5, stored_array
from dispose.geometry.human36m_lens import opencv_place
from dispose.scene.cameras import Cameras
from dispose.skeletons.catalog import H36M_17, MPII_16

FRAMES_A_ROW = 4
CELLS = 64
SAME_PX = 1.0
"""Two ways from the crop to the picture must agree to this."""

COLUMNS: Mapping[str, tuple[int, ...]] = {
    "action": (), "subject": (), "cam": (), "frame_orig": (), "crop_size": (), "hardsubset": (), "gt_3d": (3, 17),
    "gt_2d": (2, 17), "argmax_2d": (2, 16), "gt_2d_image_coords": (2, 32), "heatmap": (16, CELLS, CELLS),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class MappedPeople:
    """The peaks of heat maps as keypoints of `MPII_16`, and the truth; the maps stay in a table of their file."""

    people: LabelledPeople
    path: Path
    table: str

    def heatmaps(self, which: Int[Tensor, " some"]) -> Float[Tensor, "some joints height width"]:
        """Maps of some of the people, as the network gave them, joints of `MPII_16`."""
        rows, back = self.people.row[which].unique(return_inverse=True)
        with open_hdf5(self.path) as file:
            maps = _table(self.path, file, self.table).fields("heatmap")[rows.numpy()]
        return torch.from_numpy(maps.astype(np.float32))[back]


def read_human36m_h5(path: Path, rigs: Rigs, choice: FrameChoice) -> MappedPeople:
    """The chosen rows of a file: every so many-th of the whole table, as the published protocol counts.

    Peaks are moved from where Human3.6M's lens shows them to where OpenCV's does. Ambiguous frames are marked in the
    file.

    Raises:
        InputError: the file is another, or names the table, column and value that are not as they should be.
    """
    table = "trainset" if set(choice.subjects) <= set(TRAINING_SUBJECTS) else "testset"
    step = max(choice.every // FRAMES_A_ROW, 1)
    with open_hdf5(path) as file:
        stored = _table(path, file, table)
        # In one pass, since a row lies in one piece; the maps are not kept.
        column = stored.fields([name for name in COLUMNS if name != "heatmap"])[::step]
    wanted = np.isin(_texts(column["subject"]), choice.subjects)
    if choice.hard:
        wanted &= column["hardsubset"].reshape(len(wanted), -1)[:, 0].astype(bool)
    if not wanted.any():
        raise InputError(f"{path}: no row of {table} is of the choice {choice.name!r}.")
    return MappedPeople(_people(f"{path}: {table}", column[wanted], step * np.flatnonzero(wanted), rigs), path, table)


def _table(path: Path, file: Mapping[str, Any], table: str) -> Any:
    """A table whose columns have the expected shapes."""
    stored = stored_array(file, f"dataset/{table}")
    if stored is None or not stored.dtype.names:
        raise InputError(f"{path}: no table dataset/{table} in it (there is {', '.join(file) or 'nothing'}).")
    for name, shape in COLUMNS.items():
        found = stored.dtype[name].shape if name in stored.dtype.names else None
        if found is None or (found != shape and found != (1,)):
            told = f"is {list(found)}" if found is not None else "is missing"
            raise InputError(f"{path}: column {name!r} of {table} {told}, {list(shape)} is expected.")
    return stored


def _people(
    where: str, column: Shaped[np.ndarray, " rows"], rows: Shaped[np.ndarray, " rows"], rigs: Rigs
) -> LabelledPeople:
    """Rows as people."""
    subject, views = _texts(column["subject"]).tolist(), _texts(column["cam"]).tolist()
    if not set(views) <= set(CAMERAS):
        raise InputError(f"{where}: {min(set(views) - set(CAMERAS))!r} is no camera of Human3.6M.")
    known = {name: rigs(name) for name in dict.fromkeys(subject)}
    each = [known[name].select(views=[CAMERAS.index(view)]) for name, view in zip(subject, views, strict=True)]
    cameras = Cameras(("camera",), **{name: torch.stack([vars(one)[name] for one in each]) for name in CAMERA_FIELDS})
    names = ("gt_3d", "gt_2d", "argmax_2d", "gt_2d_image_coords", "crop_size")
    xyz, xy, peak, crop, side = (torch.from_numpy(column[name].astype(np.float64)) for name in names)
    side = side.reshape(-1, 1, 1)
    corner = xy - side * crop[..., list(RAW_ROWS)]
    off = (corner - corner[..., :1]).abs().flatten(1).amax(1)
    if bool((off > SAME_PX).any()):
        row = int(off.argmax())
        raise InputError(f"{where}, row {rows[row]}: gt_2d and gt_2d_image_coords are {off[row]:.1f} pixels apart.")
    # Peaks are stored as row and column.
    peaks = opencv_place((corner.mean(-1, keepdim=True) + side * peak.flip(1)).mT, cameras.matrix, cameras.distortion)
    actions = [action_number(where, name) for name in _texts(column["action"]).tolist()]
    who = np.stack([[SUBJECTS.index(name) for name in subject], actions, column["frame_orig"].reshape(-1), rows], 1)
    return people_of(Names(MPII_16, H36M_17, SUBJECTS, ACTIONS), cameras, peaks, xyz.mT, torch.from_numpy(who).long())


def _texts(column: Shaped[np.ndarray, " rows"]) -> Shaped[np.ndarray, " rows"]:
    """Texts, which PyTables stores as bytes."""
    return np.char.decode(column.reshape(-1).astype("S"), "ascii", "replace")

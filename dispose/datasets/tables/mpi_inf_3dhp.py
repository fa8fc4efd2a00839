"""MPI-INF-3DHP (mehta2017monocular): one person before several cameras, indoors before a green screen, and outdoors.

Training: ``S1/Seq1/annot.mat`` (MATLAB 5) with cells of 14 cameras: ``annot2`` (frames, 28 x 2), pixels; ``annot3``
(frames, 28 x 3), mm in the camera's axes. Test: ``TS1/annot_data.mat`` (MATLAB 7.3): ``annot2`` (frames, 1, 17, 2),
``annot3`` (frames, 1, 17, 3) and ``valid_frame``. What circulates beside them, ``data_train_3dhp.npz`` and
``data_test_3dhp.npz``, has the seventeen joints of both, of bodies rescaled to one height (``univ_annot3``), which
do not fall on the keypoints when they are projected.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dispose.datasets.labelled_people import LabelledPeople, Names, join_people, one_view, people_of
from dispose.errors import InputError
from dispose.formats.calibration.rig import pinhole_matrix
from dispose.formats.hdf5 import hdf5_array, open_hdf5
from dispose.formats.mat_cells import read_mat_cells
from dispose.formats.plain_pickle import load_plain_arrays
from dispose.scene.cameras import Cameras
from dispose.skeletons.catalog import MPI_INF_3DHP_17

TRAINING = tuple(f"S{subject} Seq{part}" for subject in range(1, 9) for part in (1, 2))
TEST = tuple(f"TS{number}" for number in range(1, 7))
SEQUENCES = (*TRAINING, *TEST)
NAMES = Names(MPI_INF_3DHP_17, MPI_INF_3DHP_17, SEQUENCES, SEQUENCES)

FILE_JOINTS = 28
FILE_ROWS = (7, 5, 14, 15, 16, 9, 10, 11, 23, 24, 25, 18, 19, 20, 4, 3, 6)
"""The joints of `MPI_INF_3DHP_17` among those of the training files."""

USED_CAMERAS = (0, 1, 2, 4, 5, 6, 7, 8)
"""At the height of a person; the others look down."""

STUDIO_SIZE, OUTDOORS_SIZE, OUTDOORS = (2048.0, 2048.0), (1920.0, 1080.0), ("TS5", "TS6")
LENSES = {
    "0": (1497.693, 1497.103, 1024.704, 1051.394), "1": (1495.217, 1495.52, 1030.519, 1052.626),
    "2": (1495.587, 1497.828, 983.8873, 987.5902), "4": (1490.952, 1491.108, 987.6075, 1019.069),
    "5": (1500.414, 1499.971, 1012.331, 998.5009), "6": (1498.471, 1498.8, 999.7319, 1010.251),
    "7": (1498.831, 1499.674, 987.2716, 976.8773), "8": (1500.172, 1500.837, 1017.387, 1043.032),
    "outdoors": (1683.98345952, 1672.59370772, 939.85754016, 560.140743168),
}  # fmt: skip
"""fx, fy, cx, cy of the cameras, for the files that cannot tell them; TS1 to TS4 are taken as camera 8 is."""

MOST_PX = 10.0
"""Largest accepted distance (root of the mean square) of projected joints from their keypoints."""


TEST_ARCHIVE = "data_test_3dhp.npz"


def read_3dhp(folder: Path, *, every: int = 1) -> tuple[LabelledPeople, str] | None:
    """What a folder has of the data set, and in which files: test sequences, else training ones, else the archive of
    the test; None where it has nothing of it. Raises as the readers of these.
    """
    kinds = ((TEST, "annot_data.mat", read_3dhp_test), (TRAINING, "annot.mat", read_3dhp_training))
    for sequences, name, read in kinds:
        there = [one for one in sequences if (folder / one.replace(" ", "/") / name).is_file()]
        if there:
            return read(folder, there, every=every), name
    path = folder / TEST_ARCHIVE
    return (read_3dhp_npz(path, every=every), TEST_ARCHIVE) if path.is_file() else None


def read_3dhp_training(folder: Path, sequences: Sequence[str] = TRAINING, *, every: int = 1) -> LabelledPeople:
    """Training sequences such as ``S1 Seq1``, eight cameras each; keypoints are projections of the truth.

    Intrinsics are those by which the joints fall on the keypoints.

    Raises:
        InputError: a file is another, its joints and keypoints do not belong together, or nobody is in it.
    """
    people = []
    for sequence in sequences:
        path = folder / sequence.replace(" ", "/") / "annot.mat"
        cells = [read_mat_cells(path, name) for name in ("annot2", "annot3")]
        for camera in USED_CAMERAS:
            where = f"{path}: camera {camera}"
            if any(camera >= len(some) for some in cells):
                raise InputError(f"{where}: there are only {min(map(len, cells))} cells.")
            both = (_joints(where, some[camera], FILE_JOINTS, n) for some, n in zip(cells, (2, 3), strict=True))
            xy, xyz = (some[::every, list(FILE_ROWS)] for some in both)
            people.append(_people(sequence, fitted_lens(where, xy, xyz), xy, xyz, torch.arange(len(xy)) * every))
    return join_people(people, folder)


def read_3dhp_test(folder: Path, sequences: Sequence[str] = TEST, *, every: int = 1) -> LabelledPeople:
    """Test sequences; frames that are not valid are left out (they are not scored). Raises as `read_3dhp_training`."""
    people = []
    for sequence in sequences:
        path = folder / sequence / "annot_data.mat"
        with open_hdf5(path) as file:
            xy, xyz = (hdf5_array(path, file, f"annot{n}", None, 1, 17, n)[:, 0] for n in (2, 3))
            valid = hdf5_array(path, file, "valid_frame", len(xy), 1)[:, 0] > 0
        rows = np.flatnonzero(valid)[::every]
        places, joints = (torch.from_numpy(some[rows].astype(np.float64)) for some in (xy, xyz))
        lens = fitted_lens(str(path), places, joints)
        people.append(_people(sequence, lens, places, joints, torch.from_numpy(rows)))
    return join_people(people, folder)


def read_3dhp_npz(path: Path, *, every: int = 1) -> LabelledPeople:
    """``data_train_3dhp.npz`` or ``data_test_3dhp.npz``; the truth is of bodies rescaled to one height.

    Raises:
        InputError: the file is another, or names sequence and camera of what is not as it should be.
    """
    tree = load_plain_arrays(path).get("data")
    if not isinstance(tree, Mapping):
        raise InputError(f"{path}: no dictionary 'data' of sequences in it.")
    people = []
    for sequence, stored in tree.items():
        if sequence not in SEQUENCES:
            raise InputError(f"{path}: {sequence!r} is no sequence of MPI-INF-3DHP.")
        views = stored[0] if isinstance(stored, list | tuple) and stored else {_camera_of(sequence): stored}
        for camera, view in views.items() if isinstance(views, Mapping) else ():
            where = f"{path}: {sequence}, camera {camera}"
            if camera not in LENSES or not isinstance(view, Mapping):
                raise InputError(f"{where}: no such camera is expected, or it is no dictionary.")
            xy, xyz = (_joints(where, view.get(f"data_{n}d"), 17, n) for n in (2, 3))
            valid = np.asarray(view.get("valid", np.ones(len(xy)))).reshape(-1) > 0
            if not len(xy) == len(xyz) == len(valid):
                told = f"{len(xy)}, {len(xyz)} and {len(valid)}"
                raise InputError(f"{where}: {told} frames of data_2d, data_3d and valid.")
            rows = torch.from_numpy(np.flatnonzero(valid)[::every])
            people.append(_people(sequence, LENSES[camera], xy[rows], xyz[rows], rows))
    return join_people(people, path)


def fitted_lens(
    where: str, xy: Float[Tensor, "frames joints 2"], xyz: Float[Tensor, "frames joints 3"]
) -> tuple[float, float, float, float]:
    """fx, fy, cx, cy by which joints fall on their keypoints (least squares); `InputError` where none do."""
    finite = torch.isfinite(xy).all(-1) & torch.isfinite(xyz).all(-1)
    places, plane = xy[finite], xyz[finite][:, :2] / xyz[finite][:, 2:]
    found, off = list[Tensor](), list[Tensor]()
    for axis in range(2):
        rows = torch.stack([plane[:, axis], torch.ones_like(plane[:, axis])], -1)
        solved = torch.linalg.lstsq(rows, places[:, axis, None]).solution
        found.append(solved[:, 0])
        off.append((rows @ solved)[:, 0] - places[:, axis])
    error = float(torch.stack(off).square().sum(0).mean().sqrt())
    (fx, cx), (fy, cy) = found[0].tolist(), found[1].tolist()
    if not (error <= MOST_PX and fx > 0 and fy > 0):
        told = f"of focal length {fx:.0f} and {fy:.0f}, is {error:.0f} pixels off"
        raise InputError(f"{where}: no camera shows annot3 at annot2 (the best, {told}).")
    return fx, fy, cx, cy


def _joints(where: str, value: object, joints: int, columns: int) -> Float[Tensor, "frames {joints} {columns}"]:
    """Joints of every frame, in a row or joint by joint."""
    array = np.asarray(value if isinstance(value, np.ndarray) else ())
    if array.dtype.kind not in "fiu" or array.shape[1:] not in ((joints * columns,), (joints, columns)):
        raise InputError(f"{where}: {list(array.shape)} where [frames, {joints}, {columns}] is expected.")
    return torch.from_numpy(array.astype(np.float64)).reshape(-1, joints, columns)


def _camera_of(sequence: str) -> str:
    return "outdoors" if sequence in OUTDOORS else "8"


def _people(
    sequence: str,
    lens: tuple[float, float, float, float],
    xy: Float[Tensor, "frames 17 2"],
    xyz: Float[Tensor, "frames 17 3"],
    frames: Int[Tensor, " frames"],
) -> LabelledPeople:
    """One view of a sequence; where the camera stands in the room is not told."""
    size = torch.tensor(OUTDOORS_SIZE if sequence in OUTDOORS else STUDIO_SIZE, dtype=torch.float64)
    still = torch.zeros(1, 8, dtype=torch.float64)
    turn = torch.eye(3, dtype=torch.float64)[None]
    single = Cameras(("camera",), size[None], pinhole_matrix(*lens)[None], still, turn, still[:, :3])
    number = torch.full_like(frames, SEQUENCES.index(sequence))
    return people_of(NAMES, one_view(single, 0, len(xy)), xy, xyz, torch.stack([number, number, frames, frames], 1))

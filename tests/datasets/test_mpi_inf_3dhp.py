"""MPI-INF-3DHP: one made person in all three forms of its files, and the camera that shows joints at keypoints."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch

from dispose.datasets.labelled_people import LabelledPeople
from dispose.datasets.tables.mpi_inf_3dhp import (
    FILE_ROWS,
    LENSES,
    USED_CAMERAS,
    fitted_lens,
    read_3dhp_npz,
    read_3dhp_test,
    read_3dhp_training,
)
from dispose.errors import InputError
from dispose.skeletons.catalog import H36M_17, MPI_INF_3DHP_17

h5py = pytest.importorskip("h5py")
FRAMES = 6
LENS = (1500.0, 1490.0, 1017.0, 1043.0)
NAMES_28 = [
    "spine3",
    "spine4",
    "spine2",
    "spine",
    "pelvis",
    "neck",
    "head",
    "head_top",
    "l_clavicle",
    "l_shoulder",
    "l_elbow",
    "l_wrist",
    "l_hand",
    "r_clavicle",
    "r_shoulder",
    "r_elbow",
    "r_wrist",
    "r_hand",
    "l_hip",
    "l_knee",
    "l_ankle",
    "l_foot",
    "l_toe",
    "r_hip",
    "r_knee",
    "r_ankle",
    "r_foot",
    "r_toe",
]
"""The order in which the data set's own tools name the joints of its training files."""


def person(joints: int, seed: int, lens: tuple[float, ...] = LENS) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints and joints of a person some metres away."""
    xyz = np.random.default_rng(seed).normal([0, 0, 3500], 350, (FRAMES, joints, 3))
    return xyz[..., :2] / xyz[..., 2:] * lens[:2] + lens[2:], xyz


def training_folder(folder: Path, **changed: Any) -> Path:
    cells = {name: np.empty((14, 1), object) for name in ("annot2", "annot3", "univ_annot3")}
    for camera in range(14):
        xy, xyz = person(28, camera)
        cells["annot2"][camera, 0], cells["annot3"][camera, 0] = xy.reshape(FRAMES, -1), xyz.reshape(FRAMES, -1)
        cells["univ_annot3"][camera, 0] = xyz.reshape(FRAMES, -1) * 0.9
    (folder / "S1" / "Seq2").mkdir(parents=True)
    scipy.io.savemat(folder / "S1" / "Seq2" / "annot.mat", {"frames": np.arange(FRAMES)} | cells | changed)
    return folder


def test_folder(folder: Path, **changed: Any) -> Path:
    (folder / "TS5").mkdir()
    xy, xyz = person(17, 3)
    valid = np.array([[1], [0], [1], [1], [0], [1]], dtype=np.uint8)
    fields = {"annot2": xy[:, None], "annot3": xyz[:, None], "univ_annot3": xyz[:, None] * 0.9, "valid_frame": valid}
    with h5py.File(folder / "TS5" / "annot_data.mat", "w") as file:
        for name, value in (fields | changed).items():
            file[name] = value
    return folder


test_folder.__test__ = False  # type: ignore[attr-defined]


def npz(path: Path, tree: object) -> Path:
    np.savez_compressed(path, data=np.array(tree, object))
    return path


def check_projection(people: LabelledPeople) -> None:
    xy, _ = people.cameras.project(people.xyz_camera)
    torch.testing.assert_close(xy[:, 0], people.xy_image, atol=1e-3, rtol=0)


def test_rows_of_the_training_files_go_by_their_names() -> None:
    alike = {"mid_hip": "pelvis"}
    assert [alike.get(j, j) for j in MPI_INF_3DHP_17.joints] == [NAMES_28[row] for row in FILE_ROWS]
    assert MPI_INF_3DHP_17.root == "mid_hip" and MPI_INF_3DHP_17.index("mid_hip") == 14


def test_training_sequences_are_read_with_their_camera(tmp_path: Path) -> None:
    people = read_3dhp_training(training_folder(tmp_path), ["S1 Seq2"], every=2)
    assert len(people) == 8 * 3 and people.number[:4].tolist() == [0, 2, 4, 0]
    check_projection(people)
    torch.testing.assert_close(people.cameras.matrix[5, 0, [0, 1, 0, 1], [0, 1, 2, 2]], torch.tensor(LENS).double())
    xyz = person(28, USED_CAMERAS[3])[1]
    np.testing.assert_allclose(people.xyz_camera[9, MPI_INF_3DHP_17.index("l_wrist")], xyz[0, 11])
    assert people.action_names[0] == "S1 Seq2"


def test_frames_that_are_not_valid_are_not_scored(tmp_path: Path) -> None:
    people = read_3dhp_test(test_folder(tmp_path), ["TS5"])
    assert people.number.tolist() == [0, 2, 3, 5]
    check_projection(people)
    assert people.cameras.size[0, 0].tolist() == [1920, 1080]
    np.testing.assert_allclose(people.xyz_camera[1], person(17, 3)[1][2])
    as_human36m = people.converted(H36M_17)
    assert not as_human36m.known[:, H36M_17.index("nose")].any()
    back = as_human36m.converted(MPI_INF_3DHP_17)
    shared = [j for j, name in enumerate(MPI_INF_3DHP_17.joints) if name != "head"]
    assert torch.equal(back.xyz_camera[:, shared], people.xyz_camera[:, shared])


def test_the_archives_in_circulation_are_read(tmp_path: Path) -> None:
    xy, xyz = person(17, 1, LENSES["8"])
    view = {"data_2d": xy, "data_3d": xyz}
    trained = read_3dhp_npz(npz(tmp_path / "data_train_3dhp.npz", {"S2 Seq1": [{"8": view, "0": view}, 25]}), every=3)
    assert len(trained) == 4 and trained.cameras.size[0, 0].tolist() == [2048, 2048]
    check_projection(trained[torch.tensor([0, 1])])
    outdoors = view | {"valid": np.array([0, 1, 1, 0, 0, 1.0])}
    tested = read_3dhp_npz(npz(tmp_path / "data_test_3dhp.npz", {"TS1": outdoors, "TS6": outdoors}))
    assert tested.number.tolist() == [1, 2, 5] * 2 and tested.action_names[4] == "TS6"
    assert tested.cameras.matrix[3, 0, 0, 0] == LENSES["outdoors"][0]
    check_projection(tested[:3])


def test_a_camera_is_fitted_to_what_is_known() -> None:
    xy, xyz = (torch.from_numpy(some) for some in person(17, 8))
    xy[0, 3], xyz[2, 1] = torch.nan, torch.nan
    np.testing.assert_allclose(fitted_lens("", xy, xyz), LENS, rtol=1e-9)
    with pytest.raises(InputError, match=r"no camera shows annot3 at annot2 \(the best, of focal length"):
        fitted_lens("", xy + 40 * torch.randn(xy.shape, generator=torch.Generator().manual_seed(1)), xyz)
    with pytest.raises(InputError, match="no camera"):
        fitted_lens("", xy[:, :1, :] * torch.nan, xyz[:, :1])


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no whole HDF5 file"):
        (tmp_path / "TS1").mkdir()
        (tmp_path / "TS1" / "annot_data.mat").write_bytes(b"MATLAB 5.0")
        read_3dhp_test(tmp_path, ["TS1"])
    with pytest.raises(InputError, match=r"array 'valid_frame' is float64 2x1, not 6x1"):
        read_3dhp_test(test_folder(tmp_path, valid_frame=np.ones((2, 1))), ["TS5"])
    with pytest.raises(InputError, match="is no MATLAB file of version 5"):
        (tmp_path / "S2" / "Seq1").mkdir(parents=True)
        (tmp_path / "S2" / "Seq1" / "annot.mat").write_bytes(b"\x89HDF\r\n")
        read_3dhp_training(tmp_path, ["S2 Seq1"])
    few = np.empty((1, 1), object)
    few[0, 0] = person(28, 0)[0].reshape(FRAMES, -1)
    with pytest.raises(InputError, match="camera 1: there are only 1 cells"):
        read_3dhp_training(training_folder(tmp_path, annot2=few), ["S1 Seq2"])
    for tree, sentence in (
        ([1], "no dictionary 'data'"), ({"S9 Seq1": {}}, "'S9 Seq1' is no sequence"),
        ({"S1 Seq1": [{"3": {}}, 25]}, "camera 3: no such camera"),
        ({"TS1": {"data_2d": np.zeros((2, 16, 2))}}, r"\[2, 16, 2\] where \[frames, 17, 2\] is expected"),
        ({"TS1": {"data_2d": np.zeros((2, 17, 2)), "data_3d": np.zeros((3, 17, 3))}}, "2, 3 and 2 frames"),
        ({"TS1": []}, "nobody in it|no dictionary"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=sentence) as stop:
            read_3dhp_npz(npz(tmp_path / "data_test_3dhp.npz", tree))
        assert "\n" not in str(stop.value)

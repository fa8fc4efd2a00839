"""The labels file of Learnable Triangulation, its stored results, and NumPy's files that hold objects."""

import collections
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dispose.datasets.layouts.human36m import DRIFTED, LABELS, TRAINING_SUBJECTS, open_human36m
from dispose.errors import InputError
from dispose.formats.human36m import read_human36m_labels, read_stored_results
from dispose.formats.plain_pickle import load_plain_array, load_plain_arrays
from dispose.skeletons.catalog import H36M_17, MPII_17
from dispose_synthetic.rigs import STUDIO, sample_rigs

CAMERAS = ("54138969", "55011271", "58860488", "60457274")
SUBJECTS = ("S1", "S9", "S11")
ACTIONS = ("Directions-1", "Directions-2", "Greeting-2")
CAMERA = np.dtype([("R", "<f4", (3, 3)), ("t", "<f4", (3, 1)), ("K", "<f4", (3, 3)), ("dist", "<f4", 5)])
ROW = np.dtype([
    ("subject_idx", "i1"), ("action_idx", "i1"), ("frame_idx", "<i2"),
    ("keypoints", "<f4", (17, 3)), ("bbox_by_camera_tlbr", "<i2", (4, 4)),
])  # fmt: skip


def labels_file() -> dict[str, Any]:
    """Two instants of every action of every subject; S11 has no picture of its first camera in Directions-2."""
    rigs = sample_rigs(torch.Generator().manual_seed(3), len(SUBJECTS), 4, [STUDIO])
    cameras = np.zeros((len(SUBJECTS), 4), CAMERA)
    for row, rig in enumerate(rigs):
        cameras["R"][row], cameras["t"][row] = rig.rotation.numpy(), rig.translation.numpy()[..., None]
        cameras["K"][row], cameras["dist"][row] = rig.matrix.numpy(), rig.distortion[:, :5].numpy()
    table = np.zeros(len(SUBJECTS) * len(ACTIONS) * 2, ROW)
    table["subject_idx"] = np.repeat(np.arange(len(SUBJECTS)), 6)
    table["action_idx"] = np.tile(np.repeat(np.arange(len(ACTIONS)), 2), len(SUBJECTS))
    table["frame_idx"] = np.tile([0, 5], 9)
    table["keypoints"] = np.random.default_rng(0).normal([0, 0, 900], 300, (18, 17, 3))
    table["bbox_by_camera_tlbr"] = [100, 200, 700, 600]
    table["bbox_by_camera_tlbr"][(table["subject_idx"] == 2) & (table["action_idx"] == 1), 0] = 0
    return {
        "subject_names": list(SUBJECTS), "camera_names": list(CAMERAS), "action_names": list(ACTIONS),
        "cameras": cameras, "table": table,
    }  # fmt: skip


def saved(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.array(value, dtype=object), allow_pickle=True)
    return path


def test_the_labels_are_read_as_they_were(tmp_path: Path):
    given = labels_file()
    found = read_human36m_labels(saved(tmp_path / "labels.npy", given))
    assert (found.subjects, found.actions) == (SUBJECTS, ACTIONS)
    np.testing.assert_array_equal(found.xyz_world.numpy(), given["table"]["keypoints"].astype(float))
    np.testing.assert_array_equal(found.number.numpy(), given["table"]["frame_idx"])
    # Top, left, bottom, right there; left, top, right, bottom here.
    assert found.box[0, 0].tolist() == [200, 100, 600, 700]
    np.testing.assert_allclose(found.rigs.translation.numpy(), given["cameras"]["t"][..., 0])
    np.testing.assert_allclose(found.rigs.distortion[..., :5].numpy(), given["cameras"]["dist"])
    assert found.rigs.names == CAMERAS and found.rigs.size[0].tolist() == [
        [1000, 1002],
        *[[1000, 1000]] * 2,
        [1000, 1002],
    ]
    assert (~found.seen).nonzero().tolist() == [[14, 0], [15, 0]]


def test_subjects_and_exclusions_choose_rows(tmp_path: Path):
    labels = read_human36m_labels(saved(tmp_path / "labels.npy", labels_file()))
    assert labels.rows(["S9", "S11"]).tolist() == list(range(6, 18))
    # S11's Greeting-2 stays: only S9's drifts.
    assert labels.rows(["S9", "S11"], [("S9", "Greeting-2")]).tolist() == [*range(6, 10), *range(12, 18)]
    for wrong, name in (
        (lambda: labels.rows(["S2"]), "S2"),
        (lambda: labels.rows(["S9"], [("S9", "Eating")]), "Eating"),
    ):
        with pytest.raises(InputError, match=name):
            wrong()


def test_the_layout_has_the_cameras_that_filmed_and_the_pictures_places(tmp_path: Path):
    saved(tmp_path / LABELS, labels_file())
    layout = open_human36m(tmp_path, without=DRIFTED[:1])
    assert len(layout.keys) == 10 and {key.sequence.split("/")[0] for key in layout.keys} == {"S9", "S11"}
    assert layout.rigs["S11/Directions-2"].names == CAMERAS[1:] and layout.rigs["S9/Directions-2"].names == CAMERAS
    assert float(layout.rigs["S9/Directions-1"].distortion.abs().max()) == 0
    key = layout.keys[1]
    assert (key.sequence, key.number) == ("S9/Directions-1", 5)
    place = "processed/S9/Directions-1/imageSequence-undistorted/55011271/img_000006.jpg"
    assert layout.image(key, 1) == tmp_path / place
    labels = read_human36m_labels(tmp_path / LABELS)
    truth = layout.truth(key).poses
    assert truth.skeleton == MPII_17 and torch.equal(truth.xyz_world[0], labels.xyz_world[7])
    bent = open_human36m(tmp_path, ("S9",), undistorted=False, every=3)
    assert [key.number for key in bent.keys] == [0, 5] and bent.rigs["S9/Directions-1"].distortion.abs().max() > 0
    assert bent.image(bent.keys[0], 0).parts[-3] == "imageSequence"
    with pytest.raises(InputError, match="S5"):
        open_human36m(tmp_path, TRAINING_SUBJECTS)


def spoiled(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    value = labels_file()
    change(value)
    return value


def without_the_boxes(value: dict[str, Any]) -> None:
    value["table"] = value["table"][["subject_idx", "action_idx", "frame_idx", "keypoints"]].copy()


BAD: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "no table": (lambda v: v.pop("table"), "'table'"),
    "no boxes": (without_the_boxes, "bbox_by_camera_tlbr"),
    "a subject without a name": (lambda v: v["table"]["subject_idx"].__setitem__(4, 3), "subject_idx.* 3 in row 4"),
    "an action before the first": (lambda v: v["table"]["action_idx"].__setitem__(2, -1), "action_idx.* -1 in row 2"),
    "a frame before the first": (lambda v: v["table"]["frame_idx"].__setitem__(2, -7), "frame_idx.* -7 in row 2"),
    "a joint nowhere": (lambda v: v["table"]["keypoints"].__setitem__((3, 1), np.nan), "keypoints.* nan in row 3"),
    "a camera too few": (lambda v: v.update(cameras=v["cameras"][:, :3]), r"'cameras' is \[3, 3\], not \[3, 4\]"),
    "no rotation": (lambda v: v["cameras"]["R"].__setitem__((1, 2), np.eye(3) * 2), "subject S9: camera 58860488"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_labels_are_refused_in_one_sentence(tmp_path: Path, name: str):
    change, sentence = BAD[name]
    with pytest.raises(InputError, match=sentence) as stop:
        read_human36m_labels(saved(tmp_path / "labels.npy", spoiled(change)))
    assert "labels.npy" in str(stop.value) and "\n" not in str(stop.value)


def test_the_two_skeletons_of_human36m_are_one_raw_order():
    # Rows of the raw skeleton of 32 joints, as the spec of either order has them.
    ours = dict(zip((0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27), H36M_17.joints, strict=True))
    raw = (3, 2, 1, 6, 7, 8, 0, 12, 13, 15, 27, 26, 25, 17, 18, 19, 14)
    assert tuple(ours[number] for number in raw) == MPII_17.joints
    assert MPII_17.root == "mid_hip" and MPII_17.index("mid_hip") == 6


def results_file(path: Path, rows: list[int], xyz: np.ndarray) -> Path:
    stored = collections.defaultdict(list)
    stored["keypoints_3d"], stored["indexes"] = xyz, np.array(rows)  # type: ignore[assignment]
    path.write_bytes(pickle.dumps(stored, 4))
    return path


def test_stored_results_come_back_in_the_order_of_the_split(tmp_path: Path):
    xyz = np.random.default_rng(1).normal(size=(5, 17, 3)).astype(np.float32)
    # Two processes answered instant 1; the first answer counts.
    found = read_stored_results(results_file(tmp_path / "val.pkl", [2, 1, 0, 3, 1], xyz), 4)
    np.testing.assert_array_equal(found.numpy(), xyz[[2, 1, 0, 3]].astype(float))
    for rows, given, instants, sentence in (
        ([0, 1, 2, 3, 5], xyz, 6, "no joints of instant 4 of 6"),
        ([0, 1, 2, 3, 4], xyz, 4, "from 0 to 4, the split has 4"),
        ([0, 1, 2, 3], xyz, 4, "5, 17, 3"),
        ([0, 1, 2, 3, 4], xyz[:, :16], 5, "16"),
        ([0, 1, 2, 3, 4], np.where(xyz == xyz[3, 2, 1], np.inf, xyz), 5, "instant 3"),
    ):
        with pytest.raises(InputError, match=sentence):
            read_stored_results(results_file(tmp_path / "val.pkl", rows, given), instants)


class Touch:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.path}",)


def test_objects_in_numpys_files_are_plain(tmp_path: Path):
    value = {"S1": {"Walking": np.arange(6.0).reshape(2, 3)}}
    np.savez_compressed(
        tmp_path / "x.npz", whole=np.array(value, object), plain=np.arange(3), many=np.arange(6).reshape(2, 3).T
    )
    found = load_plain_arrays(tmp_path / "x.npz")
    assert repr(found["whole"]) == repr(value)
    np.testing.assert_array_equal(found["many"], np.arange(6).reshape(2, 3).T)  # type: ignore[arg-type]
    np.save(tmp_path / "y.npy", np.array([Touch(tmp_path / "ran")], object))
    with pytest.raises(InputError, match="nothing in the file was executed"):
        load_plain_array(tmp_path / "y.npy")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.9, 0.99])
def test_files_that_break_off_are_refused(tmp_path: Path, share: float):
    whole = saved(tmp_path / "labels.npy", labels_file()).read_bytes()
    (tmp_path / "labels.npy").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match=r"labels\.npy"):
        read_human36m_labels(tmp_path / "labels.npy")
    np.savez_compressed(tmp_path / "x.npz", whole=np.array({"a": np.arange(500.0)}, object))
    whole = (tmp_path / "x.npz").read_bytes()
    (tmp_path / "x.npz").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match=r"x\.npz"):
        load_plain_arrays(tmp_path / "x.npz")
    with pytest.raises(InputError, match="nowhere"):
        load_plain_array(tmp_path / "nowhere.npy")

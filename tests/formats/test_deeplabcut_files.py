"""DeepLabCut's tables: names of joints, csv and h5 alike, rows that say no frame, pickles that are not executed."""

import pickle
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from dispose.errors import InputError
from dispose.formats.detections.deeplabcut import camera_of
from dispose.formats.detections.joint_names import joints_called, named_joints, skeleton_of_names
from dispose.formats.detections.people import NO_FRAME, FoundPeople
from dispose.formats.detections.read import open_detections
from dispose.skeletons.catalog import COCO_17, COCO_23, COCO_WHOLEBODY_133, HALPE_26, PANOPTIC_15, SHELF_14
from tests.formats.written_detections import CAMERAS, FRAMES, NAMES, SIZE, by_camera, deeplabcut, some_people, words


def test_joints_are_known_by_many_names() -> None:
    for name in ("left_wrist", "LWrist", "wrist_l", "Left Wrist", "wristL", "leftWrist", "wrist2"):
        assert joints_called(name) == ("l_wrist",), name
    assert joints_called("rbigtoe") == ("r_big_toe",) and joints_called("tail") == ()
    assert skeleton_of_names([words(joint) for joint in HALPE_26.joints]) == HALPE_26
    assert skeleton_of_names(COCO_17.joints[::-1]) is None
    whole = [*COCO_23.joints, *(f"face-{k}" for k in range(68)), *(f"hand{k}" for k in range(42))]
    assert skeleton_of_names(whole) == COCO_WHOLEBODY_133
    human = [
        "ankle1",
        "knee1",
        "hip1",
        "hip2",
        "knee2",
        "ankle2",
        "wrist1",
        "elbow1",
        "shoulder1",
        "shoulder2",
        "elbow2",
    ]
    found = named_joints([*human, "wrist2", "chin", "forehead"])
    assert found is not None and found.skeleton == SHELF_14 and found.columns == tuple(range(14))
    partly = named_joints(["tail", "r_knee", "l_knee", "nose", "mid_hip", "neck", "r_ankle"])
    assert partly is not None and partly.skeleton == PANOPTIC_15 and partly.strange == ("tail",)
    assert partly.columns[PANOPTIC_15.index("l_knee")] == 2 and partly.columns[PANOPTIC_15.index("l_wrist")] is None
    assert named_joints(["snout", "tail", "nose", "neck"]) is None


def read(folder: Path, camera: str, frame: int) -> FoundPeople:
    (view,) = (view for view in open_detections(folder) if view.camera == camera)
    assert (view.numbers, view.skeleton) == (FRAMES, COCO_17)
    return view.read(frame, SIZE)


def write_h5(path: Path, columns: Sequence[tuple[str, ...]], values: np.ndarray, frames: Sequence[int]) -> None:
    """As pandas writes a table with PyTables: records of an index and a block, columns as a pickle of protocol 0."""
    h5py = pytest.importorskip("h5py")
    kind = np.dtype([("index", "<i8"), ("values_block_0", "<f8", (len(columns),))])
    table = np.zeros(len(frames), kind)
    table["index"], table["values_block_0"] = frames, values
    with h5py.File(path, "w") as file:
        data = file.create_group("df_with_missing").create_dataset("table", data=table)
        data.attrs["values_block_0_kind"] = np.bytes_(pickle.dumps(list(columns), protocol=0))


def write_fixed_h5(path: Path, columns: Sequence[tuple[str, ...]], values: np.ndarray, frames: Sequence[int]) -> None:
    """As pandas writes in its other way: names of every level of the columns, and which of them each column has."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        group = file.create_group("df_with_missing")
        group["block0_values"], group["axis1"] = values, np.array(frames)
        for level, names in enumerate(zip(*columns, strict=True)):
            known = list(dict.fromkeys(names))
            group[f"block0_items_level{level}"] = np.array(known, dtype="S")
            group[f"block0_items_label{level}"] = np.array([known.index(name) for name in names], np.int8)


@pytest.mark.parametrize("write", [write_h5, write_fixed_h5])
def test_deeplabcuts_h5_says_what_its_csv_says(tmp_path: Path, write: Callable) -> None:
    people = some_people()
    deeplabcut(tmp_path / "csv", people)
    columns = [("DLC_net", who, name, c) for who in ("a", "b") for name in NAMES for c in ("x", "y", "likelihood")]
    for camera in CAMERAS:
        values = np.array([np.array(found).ravel() for _, found in by_camera(people, camera)])
        (tmp_path / "h5").mkdir(exist_ok=True)
        write(tmp_path / "h5" / f"{camera}DLC_net.h5", columns, values, FRAMES)
    for camera in CAMERAS:
        one, two = (read(tmp_path / kind, camera, 5) for kind in ("csv", "h5"))
        assert_close(torch.stack(one.keypoints), torch.stack(two.keypoints))
    # Beside a csv of the same name the h5 is not needed.
    (tmp_path / "csv" / "cam1DLC_resnet50_walkOct3shuffle1_50000.h5").write_bytes(b"not looked at")
    assert read(tmp_path / "csv", "cam1", 5).index == (0, 1)


def test_a_pickle_in_an_h5_is_not_executed(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "camDLC.h5"
    write_h5(path, [("s", "nose", "x"), ("s", "nose", "y")], np.zeros((1, 2)), [0])
    evil = b"cos\nsystem\n(S'touch " + str(tmp_path / "executed").encode() + b"'\ntR."
    with h5py.File(path, "a") as file:
        file["df_with_missing/table"].attrs["values_block_0_kind"] = np.bytes_(evil)
    with pytest.raises(InputError, match="nothing in the file was executed"):
        open_detections(path)
    assert not (tmp_path / "executed").exists()
    path.write_bytes(b"\x89HDF\r\n\x1a\n broken")
    with pytest.raises(InputError, match="no whole HDF5 file"):
        open_detections(path)


def test_rows_without_a_frame_are_counted_and_labelled_images_name_theirs(tmp_path: Path) -> None:
    joints = ("nose", "l_hip", "r_hip", "l_knee", "r_knee")
    head = [["scorer", "", "", *["s"] * 10], ["bodyparts", "", "", *[j for j in joints for _ in "xy"]],
            ["coords", "", "", *["x", "y"] * 5]]  # fmt: skip
    rows = ("img003.png", "img004.png", "last.png", "0x10", "1e2", "1.0.0", "-7", "5.0")
    body = [["labeled-data", "cam7", name, *["5.5"] * 8, "", ""] for name in rows]
    (tmp_path / "cam7.csv").write_text("\n".join(",".join(row) for row in (*head, *body)))
    (view,) = open_detections(tmp_path / "cam7.csv")
    assert view.numbers == (3, 4, 5) and [(odd.kind, odd.count) for odd in view.odd] == [(NO_FRAME, 5)]
    assert "row 3 is of image 'last.png'" in view.odd[0].first
    found = view.read(4, SIZE)
    assert view.skeleton is not None and int((found.keypoints[0][:, 2] == 1).sum()) == 4
    assert camera_of(Path("left_camDLC_resnet.csv")) == "left_cam"


@pytest.mark.parametrize("write", [write_h5, write_fixed_h5])
@pytest.mark.parametrize("kind", ["type", "group", "nothing"])
def test_what_is_called_like_an_array_and_is_none_is_refused(write: Callable, kind: str, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "camDLC.h5"
    names = [("s", "nose", name) for name in ("x", "y", "likelihood")]
    write(path, names, np.zeros((1, 3)), [0])
    with h5py.File(path) as file:
        (group,) = file.values()
        arrays = [array.name for array in group.values()]
    for array in arrays:
        write(path, names, np.zeros((1, 3)), [0])
        with h5py.File(path, "a") as file:
            del file[array]
            if kind == "type":
                file[array] = np.dtype("f8")
            elif kind == "group":
                file.create_group(array)
        # What is needed of them is refused in a sentence; any other error is one of ours.
        with suppress(InputError):
            open_detections(path)
    assert len(arrays) in (1, 8)


def sleap_h5(path: Path, *, scores: bool = True, other: Mapping[str, np.ndarray] = MappingProxyType({})) -> np.ndarray:
    """Two tracks of SLEAP's, the second absent in the first frame."""
    h5py = pytest.importorskip("h5py")
    table = np.random.default_rng(0).uniform(5, 400, (2, 3, 17, 3))
    table[1, 0] = np.nan
    with h5py.File(path, "w") as file:
        file["tracks"] = table[..., :2].transpose(0, 3, 2, 1)
        file["node_names"] = np.array([name.encode() for name in NAMES])
        file["track_names"] = np.array([b"a", b"b"])
        if scores:
            table[..., 2] /= 400
            file["point_scores"] = table[..., 2].transpose(0, 2, 1)
        else:
            table[..., 2] = 1.0
        for name, value in other.items():
            del file[name]
            file[name] = value
    return table


@pytest.mark.parametrize("scores", [True, False])
def test_sleaps_tracks_are_people(tmp_path: Path, scores: bool) -> None:
    wanted = sleap_h5(tmp_path / "cam1.analysis.h5", scores=scores)
    (view,) = open_detections(tmp_path)
    assert (view.camera, view.numbers, view.skeleton) == ("cam1", (0, 1, 2), COCO_17)
    first = view.read(0, SIZE)
    assert first.index == (0,)
    assert_close(first.keypoints[0], torch.from_numpy(wanted[0, 0]))
    assert_close(torch.stack(view.read(2, SIZE).keypoints), torch.from_numpy(wanted[:, 2]))


def test_sleaps_files_of_another_shape_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "cam1.h5"
    for other, sentence in (
        ({"node_names": np.array([b"nose"])}, "17 nodes in its tracks, but names of 1"),
        ({"tracks": np.zeros((2, 3, 17, 3))}, "array 'tracks' is float64 2x3x17x3, not"),
        ({"point_scores": np.zeros((2, 17, 5))}, "array 'point_scores' is float64 2x17x5, not 2x17x3"),
    ):
        sleap_h5(path, other=other)
        with pytest.raises(InputError, match=sentence):
            open_detections(tmp_path)


def test_lengths_of_bones_beside_a_table_are_no_second_one(tmp_path: Path) -> None:
    deeplabcut(tmp_path, some_people())
    for path in list(tmp_path.glob("*.csv")):
        path.with_name(f"{path.stem}_skeleton.csv").write_text("scorer,a\n")
        path.write_text(path.read_text().replace(",", ";"))
    assert read(tmp_path, "cam1", 4).index == (0, 1)
    path.with_name(f"{path.stem}_filtered.csv").write_text(path.read_text())
    with pytest.raises(InputError, match=r"two files of camera .*; leave one of every camera there"):
        open_detections(tmp_path)


def test_rows_without_a_column_of_frames_are_frames(tmp_path: Path) -> None:
    head = ",".join(f"x_{name},y_{name}" for name in NAMES)
    rows = [",".join(str(float(10 * row + at)) for at in range(1, 35)) for row in range(3)]
    (tmp_path / "cam1.csv").write_text("\n".join([head, *rows]))
    (view,) = open_detections(tmp_path)
    assert view.numbers == (0, 1, 2)
    assert view.read(2, SIZE).keypoints[0][0].tolist() == [21.0, 22.0, 1.0]

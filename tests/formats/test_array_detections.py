"""NumPy's arrays of keypoints: a file per camera, or one of all cameras as FreeMoCap writes it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from dispose.errors import InputError
from dispose.formats.detections.people import EMPTY
from dispose.formats.detections.read import open_detections
from dispose.skeletons.catalog import COCO_17, MEDIAPIPE_21, MEDIAPIPE_33, MEDIAPIPE_543
from tests.formats.written_detections import SIZE

TABLE = np.random.default_rng(0).uniform(5, 400, (3, 2, 17, 3))
TABLE[..., 2] /= 400


def read(folder: Path, at: int = 0, frame: int = 1) -> torch.Tensor:
    view = open_detections(folder)[at]
    assert view.numbers == (0, 1, 2)
    return torch.stack(replace(view, skeleton=COCO_17).read(frame, SIZE).keypoints)


def test_frames_people_and_joints_of_each_camera(tmp_path: Path) -> None:
    np.save(tmp_path / "cam1.npy", TABLE)
    np.savez(tmp_path / "cam2.npz", ids=np.arange(3), keypoints=TABLE[..., :2], keypoint_scores=TABLE[..., 2])
    np.savez(tmp_path / "cam3.npz", found=TABLE[:, 0].astype(np.float32), boxes=np.zeros((3, 4)))
    assert [view.camera for view in open_detections(tmp_path)] == ["cam1", "cam2", "cam3"]
    for at in (0, 1):
        assert_close(read(tmp_path, at), torch.from_numpy(TABLE[1]))
    assert_close(read(tmp_path, 2), torch.from_numpy(TABLE[1, :1]), rtol=1e-6, atol=1e-4)


def test_one_array_of_all_cameras(tmp_path: Path) -> None:
    """As FreeMoCap's: cameras, frames, MediaPipe's 543 points, x y."""
    table = np.random.default_rng(1).uniform(5, 400, (4, 3, 543, 2))
    table[2, 1] = np.nan
    np.save(tmp_path / "mediapipe_2dData_numCams_numFrames_numTrackedPoints_pixelXY.npy", table)
    views = open_detections(tmp_path)
    assert [view.camera for view in views] == ["0", "1", "2", "3"] and "4 cameras without names" in views[0].notes[0]
    (person,) = replace(views[3], skeleton=MEDIAPIPE_543).read(2, SIZE).keypoints
    rows = MEDIAPIPE_33.indices(MEDIAPIPE_21.joints)
    assert_close(person[:, :2], torch.from_numpy(table[3, 2, rows]))
    assert person[:, 2].tolist() == [1.0] * 21
    lost = replace(views[2], skeleton=MEDIAPIPE_543).read(1, SIZE)
    assert lost.keypoints == () and [odd.kind for odd in lost.odd] == [EMPTY]
    np.save(
        tmp_path / "mediapipe_2dData_numCams_numFrames_numTrackedPoints_pixelXY.npy", np.stack([TABLE, TABLE[::-1]])
    )
    assert_close(read(tmp_path, 1, 0), torch.from_numpy(TABLE[2]))


WRONG = {
    "flat": (np.zeros((3, 51)), "no keypoints in it .there is arr_0 3 x 51.; keypoints are an array of frames"),
    "objects": (np.array([{"a": 1}], object), "no keypoints in it .there is no array of numbers"),
    "cameras": (TABLE[None], "the array is 1 x 3 x 2 x 17 x 3; keypoints are an array of frames"),
    "texts": (np.array(["a"]), ".*there is no array of numbers"),
}


@pytest.mark.parametrize("case", WRONG)
def test_other_arrays_are_one_sentence(tmp_path: Path, case: str) -> None:
    array, sentence = WRONG[case]
    for name in ("cam1", "cam2"):
        np.save(tmp_path / f"{name}.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=rf"cam1\.npy: {sentence}"):
        open_detections(tmp_path)


def test_an_array_of_one_camera_is_not_all_cameras(tmp_path: Path) -> None:
    path = tmp_path / "all.npy"
    np.save(path, TABLE[:, 0])
    with pytest.raises(InputError, match="3 x 17 x 3; of several cameras the first axis counts them"):
        open_detections(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="is no whole NumPy array"):
        open_detections(path)


def test_arrays_beside_other_files_are_left_alone(tmp_path: Path) -> None:
    np.save(tmp_path / "boxes.npy", TABLE)
    (tmp_path / "cam1.json").write_text("[]")
    (view,) = open_detections(tmp_path)
    assert view.camera == "cam1"

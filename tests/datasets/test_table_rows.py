"""Rows of converted tables as records."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dispose.datasets.tables.reading import Table, detections_of, poses_of, read_detections, read_poses
from dispose.errors import InputError
from dispose.skeletons.catalog import COCO_17


def test_a_row_of_a_camera_that_is_not_there_is_said() -> None:
    table = Table(np.array([7, 7]), np.array([0, 2]), np.ones((2, 17, 3)), np.ones(2))
    assert len(detections_of(table, COCO_17, views=3).valid) == 3
    with pytest.raises(InputError, match="frame 7: detections of view 2, and there are 2 cameras"):
        detections_of(table, COCO_17, views=2)


def test_rows_of_another_skeleton_are_said() -> None:
    table = Table(np.array([7]), np.array([0]), np.ones((1, 13, 4)), np.ones(1), "a.npz")
    for read in (lambda: poses_of(table, COCO_17), lambda: detections_of(table, COCO_17, views=1)):
        with pytest.raises(InputError, match=r"a\.npz: people have 13 joints, coco_17 has 17"):
            read()


@pytest.mark.parametrize(
    ("column", "change", "said"),
    [
        ("frame", lambda a: a + 0.5, "column 'frame' has float64; whole numbers from 0 on"),
        ("frame", lambda a: a - 9, "column 'frame' has -2"),
        ("view", lambda a: -a, "column 'view' has -1"),
        ("person_id", lambda a: a * 0, "person 0 is there twice in frame 7"),
        ("kpts", lambda a: a[..., :2], "'kpts' is 2x17x2 float64; people, joints and"),
        ("kpts", lambda a: a * [1, 1e9, 1, 1][: a.shape[-1]], "row 0, frame 7: joint 0 has 1e.09; possible is up to"),
        ("kpts", lambda a: a * [1, 1, 1, 300][-a.shape[-1] :], "row 0, frame 7: joint 0 has 300; possible is up to 2"),
    ],
)
def test_impossible_tables_are_said(
    tmp_path: Path, column: str, change: Callable[[np.ndarray], np.ndarray], said: str
) -> None:
    rows = {"frame": np.array([7, 7]), "score": np.ones(2)}
    for key, width, read in (("view", 3, read_detections), ("person_id", 4, read_poses)):
        arrays = rows | {key: np.array([0, 1]), "kpts": np.ones((2, 17, width))}
        np.savez(tmp_path / "a.npz", allow_pickle=False, **arrays)
        assert len(read(tmp_path / "a.npz")) == 2
        if column in arrays:
            np.savez(tmp_path / "a.npz", allow_pickle=False, **arrays | {column: change(arrays[column])})
            with pytest.raises(InputError, match=rf"a\.npz: .*{said}"):
                read(tmp_path / "a.npz")

"""Folders of images and videos: numbered, read in any order, refused by name where they cannot be."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from dispose.errors import InputError
from dispose.formats.detections.people import DamagedFrameError
from dispose.formats.images.series import Video, open_image_folder, open_image_series

SIZE = (64, 48)


def write_video(path: Path, values: list[int]) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, SIZE)
    assert writer.isOpened()
    for value in values:
        writer.write(np.full((*SIZE[::-1], 3), value, np.uint8))
    writer.release()


def test_a_video_is_read_in_any_order(tmp_path: Path) -> None:
    write_video(tmp_path / "cam.avi", [10, 60, 110, 160, 210])
    video = Video("cam", tmp_path / "cam.avi")
    assert list(video.numbers) == [0, 1, 2, 3, 4]
    for number in (0, 1, 4, 2, 2, 3, 0):
        assert video.read(number).shape == (48, 64, 3)
        assert abs(float(video.read(number).mean()) - (10 + 50 * number)) < 3
    with pytest.raises(DamagedFrameError, match=r"cam\.avi: camera cam, frame 5: .*breaks off at frame 5"):
        video.read(5)
    assert abs(float(video.read(1).mean()) - 60) < 3


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cam.mp4").write_bytes(b"no video" * 100)
    with pytest.raises(InputError, match=r"cam\.mp4: camera cam"):
        Video("cam", tmp_path / "cam.mp4")


def test_a_folder_is_numbered_by_its_names(tmp_path: Path) -> None:
    for name in ("00_03_00000007.png", "00_03_00000012.PNG", "notes.txt", ".00_03_00000001.png"):
        cv2.imwrite(str(tmp_path / name), np.full((4, 6), 9, np.uint8)) if "png" in name.lower() else (
            tmp_path / name
        ).write_text("")
    series = open_image_folder(tmp_path)
    assert series.numbers == (7, 12) and series.read(12).shape == (4, 6, 3)
    (tmp_path / "00_03_00000012.PNG").write_bytes(b"")
    with pytest.raises(DamagedFrameError, match=r"00000012\.PNG: camera .*, frame 12: is empty"):
        series.read(12)
    (tmp_path / "x_7.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="frame 7 has two files"):
        open_image_folder(tmp_path)
    (tmp_path / "x_7.jpg").rename(tmp_path / "cover.jpg")
    with pytest.raises(InputError, match="holds no frame number"):
        open_image_folder(tmp_path)


def test_cameras_are_folders_or_videos(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither"):
        open_image_series(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        open_image_series(tmp_path / "nowhere")
    (tmp_path / "b").mkdir()
    cv2.imwrite(str(tmp_path / "b" / "1.png"), np.zeros((4, 6), np.uint8))
    (tmp_path / "empty").mkdir()
    write_video(tmp_path / "a.avi", [1, 2])
    assert [(one.camera, list(one.numbers)) for one in open_image_series(tmp_path)] == [("a", [0, 1]), ("b", [1])]
    write_video(tmp_path / "b.avi", [1])
    with pytest.raises(InputError, match="camera b is there 2 times"):
        open_image_series(tmp_path)

"""Captures of images: matched by name and number, tolerant of what is missing, strict about sizes."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from dispose.errors import InputError
from dispose.formats.calibration.pose2sim import write_calibration_toml
from dispose.inference.capture import image_source_of, read_image_capture, read_image_frame, select_frames
from dispose.inference.readings import Reading, Summary
from dispose.inference.sizes import check_sizes

INPUT = (96, 64)


def readings(folder: Path) -> list[Reading]:
    source = image_source_of(read_image_capture(folder), INPUT)
    found = [source.read(number) for number in source.numbers]
    return [reading for reading in found if reading is not None]


@pytest.fixture
def folder(walk, tmp_path: Path) -> Path:
    """Four cameras, five frames of flat images; the grey value is 20 x frame + view."""
    rig = walk.rig()
    (tmp_path / "calib").mkdir()
    write_calibration_toml(tmp_path / "calib" / "cameras.toml", rig)
    for view, name in enumerate(rig.names):
        (tmp_path / "images" / name).mkdir(parents=True)
        width, height = (int(x) for x in rig.size[view])
        for number in range(5):
            flat = np.full((height, width), 20 * number + view, np.uint8)
            cv2.imwrite(str(tmp_path / "images" / name / f"frame_{number:04d}.png"), flat)
    return tmp_path


def test_frames_are_what_lies_there(folder: Path, walk) -> None:
    capture = read_image_capture(folder)
    assert capture.numbers == (0, 1, 2, 3, 4) and capture.cameras.names == walk.rig().names and not capture.notes
    account = Summary()
    for reading in readings(folder):
        account = account.plus(reading)
        frame = reading.frame
        assert frame.require_images().pixels.shape == (4, 3, 64, 96) and bool(frame.require_images().present.all())
        for view in range(4):
            value = 255 * (float(frame.require_images().pixels[view, 0, 32, 48]) * 0.229 + 0.485)
            assert value == pytest.approx(20 * frame.number + view, abs=1e-2)
    assert account.sentences() == ("5 frames read, 20 pictures.",)


def test_missing_and_damaged_pictures_leave_their_view_out(folder: Path) -> None:
    (folder / "images" / "cam_02" / "frame_0003.png").unlink()
    (folder / "images" / "cam_04" / "frame_0003.png").write_bytes(b"\x89PNG torn")
    capture = read_image_capture(folder)
    reading = read_image_frame(capture, 3, INPUT)
    assert reading.frame.require_images().present.tolist() == [True, False, True, False]
    assert bool((reading.frame.require_images().pixels[[1, 3]] == 0).all())
    account = Summary()
    for one in readings(folder):
        account = account.plus(one)
    assert (account.frames, account.found) == (5, 18)
    text = "\n".join(account.sentences())
    assert "camera cam_02 has no picture for 1 frames (3)" in text and "frame_0003.png: camera cam_04, frame 3" in text


def test_a_picture_of_another_size_leaves_its_view_out_and_all_of_them_are_refused(folder: Path) -> None:
    small = np.zeros((100, 200), np.uint8)
    files = sorted((folder / "images" / "cam_03").iterdir())
    cv2.imwrite(str(files[1]), small)
    capture = read_image_capture(folder)
    reading = read_image_frame(capture, 1, INPUT)
    assert reading.frame.require_images().present.tolist() == [True, True, False, True]
    assert "frame_0001.png: camera cam_03, frame 1: the picture is 200 x 100" in reading.damaged[0].reason
    check_sizes(capture.cameras, capture.views)
    files[0].write_bytes(b"no picture")
    check_sizes(capture.cameras, capture.views)
    for path in files[2:]:
        cv2.imwrite(str(path), small)
    with pytest.raises(InputError, match=r"frame_0001\.png: camera cam_03, frame 1: the picture is 200 x 100"):
        check_sizes(capture.cameras, capture.views)


def test_frames_with_fewer_than_two_pictures_are_told(folder: Path) -> None:
    for camera in ("cam_01", "cam_02", "cam_03"):
        (folder / "images" / camera / "frame_0002.png").unlink()
    account = Summary()
    for one in readings(folder):
        account = account.plus(one)
    assert (
        account.alone.count == 1 and "fewer than two pictures, nobody is placed in them: 2." in account.sentences()[-1]
    )


def test_names_are_matched_and_what_has_no_partner_is_told(folder: Path) -> None:
    (folder / "images" / "cam_01").rename(folder / "images" / "Cam01")
    (folder / "images" / "cam_04").rename(folder / "images" / "other")
    capture = read_image_capture(folder)
    assert capture.cameras.names == ("cam_01", "cam_02", "cam_03")
    text = "\n".join(capture.notes)
    assert "cam_01 is Cam01" in text and "left out: cam_04" in text and "left out: other" in text
    for name, other in (("cam_02", "left"), ("cam_03", "right")):
        (folder / "images" / name).rename(folder / "images" / other)
    with pytest.raises(InputError, match="1 of its cameras"):
        read_image_capture(folder)


def test_numbers_that_do_not_meet_are_refused(folder: Path) -> None:
    for view, name in enumerate(("cam_01", "cam_02", "cam_03", "cam_04")):
        for path in sorted((folder / "images" / name).iterdir(), reverse=True):
            number = int(path.stem[-4:]) + 100 * view
            path.rename(path.with_name(f"frame_{number:04d}.png"))
    with pytest.raises(InputError, match=r"no frame number occurs in two cameras \(cam_01: 0-4, cam_02: 100-104"):
        read_image_capture(folder)


def test_ranges_of_frames(folder: Path) -> None:
    capture = read_image_capture(folder)
    assert select_frames(capture, 1, 3).numbers == (1, 2) and select_frames(capture, 4, None).numbers == (4,)
    with pytest.raises(InputError, match="no frame in 9:"):
        select_frames(capture, 9, None)


def test_no_pictures_and_no_calibration_are_told(folder: Path) -> None:
    (folder / "images").rename(folder / "elsewhere")
    with pytest.raises(InputError, match="looked for images, videos-sync, videos"):
        read_image_capture(folder)
    assert len(read_image_capture(folder, pictures=folder / "elsewhere").views) == 4
    (folder / "calib" / "cameras.toml").unlink()
    with pytest.raises(InputError, match="no calibration"):
        read_image_capture(folder, pictures=folder / "elsewhere")


def test_real_videos(shared_data: Path) -> None:
    capture = read_image_capture(shared_data / "raw" / "pose2sim_multi")
    assert len(capture.cameras) == 4 and capture.numbers == tuple(range(100))
    reading = read_image_frame(capture, 3, (288, 512))
    assert bool(reading.frame.require_images().present.all()) and not reading.missing and not reading.damaged
    assert reading.frame.require_images().pixels.shape == (4, 3, 512, 288)
    assert bool((reading.frame.require_images().pixels.std((1, 2, 3)) > 0.2).all())

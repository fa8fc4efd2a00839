"""Detections over frames and cameras: every frame once, the same bytes however a run was interrupted."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from dispose.errors import InputError
from dispose.formats.detections.manifest import NAME, read_manifest
from dispose.formats.files import ASIDE
from dispose.formats.folders import lock_folder
from dispose.preparation.detecting import DetectOrder, detect
from dispose.preparation.detection_files import CameraFiles
from dispose.skeletons.catalog import COCO_17


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Every file by its path, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def order_of(capture: Path, folder: Path, **options: int) -> DetectOrder:
    """All frames of the capture, searched every fourth."""
    return DetectOrder(capture / "images", folder, search_every=4, **options)


@pytest.fixture
def whole(dots: ModuleType, capture: Path, tmp_path: Path) -> dict[str, bytes]:
    """What a run that nobody interrupts writes."""
    detect(order_of(capture, tmp_path / "whole"), dots.DotDetector)
    return bytes_of(tmp_path / "whole")


def test_every_frame_is_a_file_and_one_that_cannot_be_decoded_is_none(dots: ModuleType, capture: Path, tmp_path: Path):
    accounts = detect(order_of(capture, tmp_path / "out"), dots.DotDetector)
    names = {f"cam{camera}_json/cam{camera}_{n:06d}.json" for camera in range(2) for n in range(12)}
    assert set(bytes_of(tmp_path / "out")) == {NAME, *names} - {"cam1_json/cam1_000007.json"}
    assert [accounts["cam0"].frames, accounts["cam1"].frames, accounts["cam1"].lost] == [12, 11, 1]
    assert "camera cam1, frame 7" in accounts["cam1"].reasons[0]
    first = json.loads((tmp_path / "out" / "cam0_json" / "cam0_000000.json").read_text())
    (person,) = first["people"]
    table = np.array(person["pose_keypoints_2d"]).reshape(17, 3)
    assert table[0].tolist() == [0.0, 0.0, 0.7778] and table[3].tolist() == [0, 0, 0] and table[16, 0] == 16


def test_what_a_frame_is_told_is_what_the_file_before_holds(dots: ModuleType, whole: dict[str, bytes], tmp_path: Path):
    files = CameraFiles(tmp_path / "whole", "cam0", COCO_17)
    for number in range(1, 12):
        before, people = files.read(number - 1), files.read(number)
        assert before is not None and people is not None
        assert np.array_equal(people.keypoints[0, 0, :2], (before.keypoints[0, 0, :2] * 0.9 + 1.23456).round(2))


def test_frames_that_are_there_stay_and_gaps_are_filled_with_the_same_bytes(
    dots: ModuleType, capture: Path, tmp_path: Path, whole: dict[str, bytes]
):
    folder = tmp_path / "whole"
    kept = folder / "cam0_json" / "cam0_000000.json"
    written = kept.stat().st_mtime_ns
    for name in ("cam0_json/cam0_000005.json", "cam1_json/cam1_000008.json", "cam1_json/cam1_000009.json"):
        (folder / name).unlink()
    (folder / "cam0_json" / f"{ASIDE}999999999-abc.json").write_text("half")
    accounts = detect(order_of(capture, folder), dots.DotDetector)
    assert bytes_of(folder) == whole and kept.stat().st_mtime_ns == written
    assert [accounts["cam0"].frames, accounts["cam0"].kept, accounts["cam1"].frames] == [1, 11, 2]


def test_part_by_part_is_the_whole(dots: ModuleType, capture: Path, tmp_path: Path, whole: dict[str, bytes]):
    for start, stop in ((None, 3), (3, 8), (8, None)):
        detect(DetectOrder(capture / "images", tmp_path / "parts", start, stop, 4), dots.DotDetector)
    assert bytes_of(tmp_path / "parts") == whole


def test_processes_write_what_one_writes(dots: ModuleType, capture: Path, tmp_path: Path, whole: dict[str, bytes]):
    command = [sys.executable, dots.__file__, str(capture), str(tmp_path / "many"), "2", "0"]
    assert subprocess.run(command, capture_output=True, timeout=120).returncode == 0
    assert bytes_of(tmp_path / "many") == whole


def kill_and_go_on(program: str, capture: Path, folder: Path, seconds: float) -> bool:
    """Kill a run after some time, with its processes; whether it was still running."""
    command = [sys.executable, program, str(capture), str(folder), "2", "0.02"]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        run.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        os.kill(run.pid, signal.SIGKILL)  # its processes notice by themselves
        run.wait()
        return True


@pytest.mark.parametrize("times", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_and_started_again_writes_the_same_bytes(
    times: int, dots: ModuleType, capture: Path, tmp_path: Path, whole: dict[str, bytes]
):
    draw, folder, killed = random.Random(14), tmp_path / "killed", 0
    program = str(dots.__file__)
    for _ in range(times):
        killed += kill_and_go_on(program, capture, folder, draw.uniform(1.0, 5.0))
        if draw.random() < 0.2:
            shutil.rmtree(folder, ignore_errors=True)
    deadline = time.monotonic() + 60
    while subprocess.run(
        [sys.executable, program, str(capture), str(folder), "2", "0"], capture_output=True
    ).returncode:
        assert time.monotonic() < deadline
    assert killed and bytes_of(folder) == whole


def test_images_that_are_far_apart_are_searched_anew(dots: ModuleType, capture: Path, tmp_path: Path):
    folder = capture / "images" / "cam0"
    for number in range(1, 12):
        (folder / f"{number:04d}.png").rename(folder / f"{100 * number:04d}.png")
    detect(order_of(capture, tmp_path / "out"), dots.DotDetector)
    files = CameraFiles(tmp_path / "out", "cam0", COCO_17)
    for number in range(12):
        people = files.read(100 * number)
        assert people is not None and people.keypoints[:, 0, :2].tolist() == [[7 * number % 64, 5 * number % 48]]


def test_other_weights_and_settings_are_refused_and_named(
    dots: ModuleType, capture: Path, tmp_path: Path, whole: dict[str, bytes]
):
    order = order_of(capture, tmp_path / "whole")
    with pytest.raises(InputError, match=r"the weights net was sha of 1, now it is sha of 2"):
        detect(order, partial(dots.DotDetector, "2"))
    with pytest.raises(InputError, match=r"the setting search_every was 4, now it is 5"):
        detect(DetectOrder(order.images, order.folder), dots.DotDetector)
    assert bytes_of(tmp_path / "whole") == whole


def test_a_new_camera_is_added_and_the_manifest_names_all(
    dots: ModuleType, capture: Path, tmp_path: Path, whole: dict[str, bytes]
):
    shutil.copytree(capture / "images" / "cam0", capture / "images" / "cam2")
    accounts = detect(order_of(capture, tmp_path / "whole"), dots.DotDetector)
    manifest = read_manifest(tmp_path / "whole")
    assert accounts["cam2"].frames == 12 and accounts["cam0"].kept == 12
    assert manifest is not None and [name for name, _ in manifest.recordings] == ["cam0", "cam1", "cam2"]


def test_detections_of_others_are_never_touched(dots: ModuleType, capture: Path, tmp_path: Path):
    theirs = capture / "pose" / "cam0_json" / "cam0_000000.json"
    theirs.parent.mkdir(parents=True)
    theirs.write_text('{"people": []}')
    with pytest.raises(InputError, match="are not ours"):
        detect(order_of(capture, capture / "pose"), dots.DotDetector)
    assert list(bytes_of(capture / "pose").values()) == [b'{"people": []}']


def test_two_runs_at_once_are_refused(dots: ModuleType, capture: Path, tmp_path: Path):
    with lock_folder(tmp_path / "out"), pytest.raises(InputError, match="another run is writing"):
        detect(order_of(capture, tmp_path / "out"), dots.DotDetector)


def test_a_frame_range_without_frames_says_which_there_are(dots: ModuleType, capture: Path, tmp_path: Path):
    with pytest.raises(InputError, match=r"no frame in 90: \(cam0: 0-11"):
        detect(DetectOrder(capture / "images", tmp_path / "out", 90), dots.DotDetector)

"""Names that are scripts, in the pages that go out of the house: nothing of them runs, and the pages stay whole."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from dispose.cli.main import main
from dispose.formats.calibration.pose2sim import write_calibration_toml
from dispose.formats.detections.openpose import write_openpose
from dispose.formats.lifted import image_text, read_lifted
from dispose_viz.lifting.__main__ import draw_image
from dispose_workbench.notebooks.run import notebook_path, run_notebook
from tests.attacks.more_targets import write_lifted
from tests.attacks.targets import write_detections
from tests.browser.conftest import Watched
from tests.inference.conftest import detections_at, rig

NAME = "</script><script>window.owned=1</script><svg onload=window.owned=1><!--<script>"
"""Of a camera; a folder's cannot hold a slash."""

FOLDER = "<img src=x onerror=window.owned=1><!--<script>"


def check_page(offline: Watched, page: Path, *words: str) -> None:
    """Nothing ran, nothing broke, and the name is there to be read."""
    offline.page.goto(page.as_uri())
    offline.page.wait_for_timeout(500)
    assert offline.page.evaluate("window.owned") is None, page
    text = offline.page.text_content(":root") or ""
    assert not [word for word in words if word not in text], page
    assert not offline.errors, page


def hostile_capture(folder: Path, frames: int) -> Path:
    """A capture whose folder and whose cameras are called like that."""
    capture, cameras = folder / FOLDER, rig(tuple(f"{FOLDER}{k}" for k in range(4)))
    write_calibration_toml(capture / "calib" / "Calib.toml", cameras)
    for frame in range(frames):
        write_openpose(capture / "pose", frame, cameras.names, detections_at(cameras, frame))
    return capture


def test_nothing_runs_on_the_page_of_a_check(offline: Watched, tmp_path: Path) -> None:
    capture, out = tmp_path / FOLDER, tmp_path / "out"
    capture.mkdir()
    write_detections(capture)
    calibration = capture / "calibration" / "Calib.toml"
    calibration.write_text(calibration.read_text().replace('name = "cam_01"', f"name = '{NAME}'"))
    pairs = [f"{NAME}=cam_01", *(f"cam_0{k}=cam_0{k}" for k in (2, 3, 4))]
    assert main(["check", str(capture), "--cameras", *pairs, "--out", str(out)]) == 0
    check_page(offline, out / "check.html", f"Check of {FOLDER}")
    check_page(offline, out / "cameras.svg", "cam_02")


def test_nothing_runs_in_the_images_of_other_commands(offline: Watched, tmp_path: Path) -> None:
    capture, run = hostile_capture(tmp_path, 14), tmp_path / FOLDER[::-1]
    assert main(
        [
            "calibrate",
            "refine",
            str(capture),
            "--out",
            str(tmp_path / "rig.toml"),
            "--report",
            str(tmp_path / "refined"),
        ]
    ) in (0, 1)
    check_page(offline, tmp_path / "refined" / "refine.svg", FOLDER)
    assert main(["predict", str(capture), "--associator", "greedy", "--out", str(run)]) == 0
    assert main(["smooth", str(run), "--rate-hz", "30", "--out", str(tmp_path / "smooth")]) == 0
    check_page(offline, tmp_path / "smooth" / "bones.svg")
    write_lifted(tmp_path)
    header, frames = read_lifted(tmp_path / "lifted.json")
    source = tmp_path / f"{FOLDER}.png"
    cv2.imwrite(str(source), np.zeros((1080, 1920, 3), np.uint8))
    camera = replace(header.camera, name=NAME)
    header = replace(header, model=NAME, source=str(source), keypoints=NAME, camera=camera)
    (tmp_path / "lifted.json").write_text(image_text(header, next(iter(frames))))
    draw_image(tmp_path)
    check_page(offline, tmp_path / "lifted.svg")


BOOKS = (
    "00_start_here", "04_sinkhorn_projection", "07_reverse_diffusion", "09_skeletons_in_3d", "10_reprojections",
    "11_failure_cases", "your_own_rig",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("book", BOOKS)
def test_nothing_runs_in_pages_of_notebooks(book: str, offline: Watched, tmp_path: Path) -> None:
    capture, run = hostile_capture(tmp_path, 44), tmp_path / FOLDER[::-1]
    given = [("capture", str(capture))]
    if book.startswith("11"):
        assert main(["predict", str(capture), "--associator", "greedy", "--out", str(run)]) == 0
        given = [("results", str(run))]
    check_page(offline, run_notebook(notebook_path(book), given, tmp_path / "page").page)

"""Areas as a reader draws them: clicks on an image in JupyterLab, the file, and whom `dispose prepare` leaves out."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import nbformat
import numpy as np
import pytest
from playwright.sync_api import Locator

from dispose.cli.main import main
from dispose.datasets.samples import sample_folder
from dispose.inference.capture import read_capture, read_frame
from tests.browser.test_live_pages import bring, run_all, until

FRAMES = range(10, 22)
CORNERS = ((600, 50), (1250, 50), (1250, 700), (600, 700))


def capture_of(folder: Path) -> Path:
    """The sample with a picture of every camera beside its detections, cameras of the pictures written otherwise."""
    sample = sample_folder("crossing")
    for part in ("calibration", "pose"):
        shutil.copytree(sample / part, folder / part)
    capture = read_capture(folder)
    for name, (width, height) in zip(capture.cameras.names, capture.cameras.size.int().tolist(), strict=True):
        picture = np.full((height, width, 3), 90, np.uint8)
        file = folder / "images" / name.replace("cam", "Cam_") / "0000.png"
        file.parent.mkdir(parents=True)
        cv2.imwrite(str(file), picture)
    return folder


def seen_inside(folder: Path, view: int) -> int:
    """How many detections of a view have nine tenths of their joints in the rectangle."""
    capture, count = read_capture(folder), 0
    low, high = np.array(CORNERS[0]), np.array(CORNERS[2])
    for number in FRAMES:
        found = read_frame(capture, number).frame.detections
        for slot in found.valid[view].nonzero()[:, 0].tolist():
            xy = found.xy_image[view, slot][found.visible[view, slot]].numpy()
            count += bool(((xy >= low) & (xy <= high)).all(1).mean() >= 0.9)
    return count


def click_at(image: Locator, corners: tuple[tuple[int, int], ...], width: int) -> None:
    """Click pixels of the image, however large it is shown."""
    for x, y in corners:
        box = image.bounding_box()
        assert box is not None
        scale = box["width"] / width
        image.click(position={"x": (x + 0.5) * scale, "y": (y + 0.5) * scale})


@pytest.mark.slow
@pytest.mark.xdist_group("jupyterlab")
def test_who_stands_in_an_area_drawn_by_clicks_is_left_out(
    page, start_lab: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    capture, file, tab = capture_of(tmp_path / "room"), tmp_path / "areas.json", page.page
    address = start_lab("draw_areas")
    notebook = tmp_path / "notebooks" / "draw_areas.ipynb"
    book = nbformat.read(notebook, as_version=4)
    for cell in book.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source += f"\ncapture, areas = Path({str(capture)!r}), Path({str(file)!r})"
    nbformat.write(book, notebook)
    run_all(tab, address, "draw_areas")
    bring(tab, "svg[style*=crosshair]")
    image, words = tab.locator("svg[style*=crosshair]").first, tab.locator(".jp-OutputArea .widget-label").last
    width = int(read_capture(capture).cameras.size[1, 0])
    # The first camera: two corners are no area, and are not lost where another camera is looked at.
    click_at(image, CORNERS[:2], width)
    until(lambda: image.locator("circle").count() == 2, "no corners")
    tab.get_by_role("button", name="close area", exact=True).click()
    until(lambda: "at least three corners" in words.inner_text(), "nothing is said of two corners")
    tab.locator(".jp-OutputArea select").first.select_option("Cam_02")
    until(lambda: image.locator("circle").count() == 0, "the corners of another camera are shown")
    click_at(image, CORNERS, width)
    until(lambda: image.locator("circle").count() == 4, "no corners")
    tab.get_by_role("button", name="close area", exact=True).click()
    until(lambda: image.locator("polygon").count() == 1, "no area")
    page.shot("lab_areas")
    tab.get_by_role("button", name="save", exact=True).click()
    until(lambda: "corners of Cam_01 are no area yet" in words.inner_text(), "two corners are left out in silence")
    assert not file.exists()
    tab.locator(".jp-OutputArea select").first.select_option("Cam_01")
    until(lambda: image.locator("circle").count() == 2, "the corners are lost")
    for left in (1, 0):
        tab.get_by_role("button", name="take back", exact=True).click()
        until(lambda left=left: image.locator("circle").count() == left, "the corner stays")
    tab.get_by_role("button", name="save", exact=True).click()
    until(lambda: f"wrote {file}; areas: Cam_02 1" in words.inner_text(), "nothing is written")
    cameras = json.loads(file.read_text())["cameras"]
    assert list(cameras) == ["Cam_02"] and np.abs(np.array(cameras["Cam_02"][0]) - CORNERS).max() <= width / 200
    assert page.errors == []
    leaves_out(capture, file, seen_inside(capture, 1), capsys)


def leaves_out(capture: Path, file: Path, count: int, capsys: pytest.CaptureFixture[str]) -> None:
    """`dispose prepare` leaves out that many detections, all of the camera that has an area, and says so."""
    assert count > 3, "nobody stands where the area is"
    out = file.parent / "labels.npz"
    frames = f"{FRAMES.start}:{FRAMES.stop}"
    assert main(["prepare", str(capture), "--frames", frames, "--areas", str(file), "--out", str(out)]) == 0
    assert re.search(rf"\b{count}\b[^\n]*in an area|in an area[^\n]*\b{count}\b", capsys.readouterr().out)
    report = json.loads(out.with_suffix(".report.json").read_text())
    gone = [one for one in find_removals(report) if one["reason"] == "in an area"]
    assert len(gone) == count and {one["camera"] for one in gone} == {"cam02"}


def find_removals(report: object) -> list[dict]:
    """Everything in the account that has a reason."""
    if isinstance(report, list):
        return [found for one in report for found in find_removals(one)]
    if not isinstance(report, dict):
        return []
    return [report] if "reason" in report else [found for one in report.values() for found in find_removals(one)]

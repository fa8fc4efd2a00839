"""Names that are scripts, in the pages that go out of the house: nothing of them runs, and the pages stay whole."""

from pathlib import Path

from dispose.cli.main import main
from tests.attacks.targets import write_detections
from tests.browser.conftest import Watched

NAME = "</script><script>window.owned=1</script><svg onload=window.owned=1><!--<script>"
"""Of a camera; a folder's cannot hold a slash."""

FOLDER = "<img src=x onerror=window.owned=1><!--<script>"


def test_nothing_runs_on_the_page_of_a_check(offline: Watched, tmp_path: Path) -> None:
    capture, out = tmp_path / FOLDER, tmp_path / "out"
    capture.mkdir()
    write_detections(capture)
    calibration = capture / "calibration" / "Calib.toml"
    calibration.write_text(calibration.read_text().replace('name = "cam_01"', f"name = '{NAME}'"))
    pairs = [f"{NAME}=cam_01", *(f"cam_0{k}=cam_0{k}" for k in (2, 3, 4))]
    assert main(["check", str(capture), "--cameras", *pairs, "--out", str(out)]) == 0
    for page, words in (("check.html", f"Check of {FOLDER}"), ("cameras.svg", "cam_02")):
        offline.page.goto((out / page).as_uri())
        assert offline.page.evaluate("window.owned") is None, page
        assert words in (offline.page.text_content(":root") or ""), page
    assert not offline.errors

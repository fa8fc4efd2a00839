"""An exported page opened from disk, the network off: the 3-D scene is there and turns."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from dispose_workbench.notebooks.run import notebook_path, run_notebook

SCENE = ".js-plotly-plot"


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    return run_notebook(notebook_path("00_start_here"), [], tmp_path_factory.mktemp("exported") / "run").page


def colours(picture: np.ndarray) -> int:
    """How many strongly coloured pixels a screenshot has: people are drawn in colours, the rest is grey."""
    hsv = cv2.cvtColor(picture, cv2.COLOR_BGR2HSV)
    return int(((hsv[..., 1] > 90) & (hsv[..., 2] > 60)).sum())


def test_the_scene_is_drawn_and_the_slider_moves_the_people(exported: Path, offline):
    page = offline.page
    page.goto(exported.as_uri())
    scene = page.locator(SCENE).first
    scene.scroll_into_view_if_needed()
    page.wait_for_function(f"() => document.querySelector('{SCENE} canvas') !== null", timeout=30_000)
    page.wait_for_timeout(1500)
    before = offline.shot("offline_page")
    assert colours(before) > 1000, "nobody is drawn"
    handle = scene.locator(".slider-rail-touch-rect").bounding_box()
    assert handle is not None
    page.mouse.click(handle["x"] + 0.9 * handle["width"], handle["y"] + 0.5 * handle["height"])
    page.wait_for_timeout(1500)
    after = offline.shot("offline_page_later")
    changed = np.abs(before.astype(int) - after.astype(int)).max(-1) > 40
    assert changed.sum() > 1000, "the slider moved nobody"
    assert offline.errors == []

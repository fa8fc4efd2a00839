"""Pages with a kernel as a reader uses them: JupyterLab's menu, a slider, a click on a failure, `dispose inspect`."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page

from dispose.datasets.samples import sample_folder

SCREENSHOTS = Path(__file__).resolve().parents[2] / "out" / "screenshots"
OPEN_S, RUN_S = 60, 240
# No code cell waits ([ ]) or runs ([*]), folded ones show no number, and the kernel has nothing left to do.
FINISHED = """() => {
    const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(p => p.textContent);
    const idle = document.body.innerText.includes('| Idle');
    return idle && prompts.some(text => /\\d/.test(text)) && prompts.every(text => !/\\[[ *]\\]/.test(text));
}"""

EYE = "document.querySelector('.dispose-scene .js-plotly-plot')._fullLayout.scene.camera.eye"


def run_all(page: Page, address: str, name: str, *, seconds: float = RUN_S) -> float:
    """Open a notebook and run all its cells from the menu; the seconds until its kernel has nothing left to do."""
    start = time.monotonic()
    page.goto(f"{address}/lab/tree/{name}.ipynb", wait_until="domcontentloaded")
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=1000 * OPEN_S)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=1000 * OPEN_S)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    wrong = page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.error']")
    while time.monotonic() < start + seconds:
        assert wrong.count() == 0, wrong.first.inner_text()
        if page.evaluate(FINISHED):
            return time.monotonic() - start
        page.wait_for_timeout(250)
    page.screenshot(path=SCREENSHOTS / f"lab_{name}_unfinished.png")
    pytest.fail(f"{name} has not finished after {seconds:.0f} s; see the screenshot")


def change(before: np.ndarray, after: np.ndarray) -> int:
    """How many pixels differ clearly between two screenshots."""
    return int((np.abs(before.astype(int) - after.astype(int)).max(-1) > 40).sum())


def open_failure(page, position: int, name: str) -> None:
    """Click a frame of the inspector's list: words, views and scene must become another frame's."""
    tab = page.page
    bring(tab, ".dispose-inspector")
    tab.locator(".dispose-scene canvas").first.wait_for(state="attached", timeout=30_000)
    tab.wait_for_timeout(1500)
    words, views = tab.locator(".dispose-headline").inner_text(), tab.locator("img.dispose-views").get_attribute("src")
    before = page.shot(f"{name}_before")
    scene = tab.locator(".dispose-scene").screenshot()
    tab.locator(".dispose-frames select option").nth(position).click()
    changed = "before => document.querySelector('.dispose-headline').innerText !== before"
    tab.wait_for_function(changed, arg=words, timeout=15_000)
    until(lambda: tab.locator("img.dispose-views").get_attribute("src") != views, "the views have not changed")
    until(lambda: tab.locator(".dispose-scene").screenshot() != scene, "the scene has not changed")
    assert change(before, page.shot(f"{name}_after")) > 5000
    assert page.errors == []


def until(holds: Callable[[], bool], otherwise: str, *, seconds: float = 30) -> None:
    """Return as soon as something holds; fail where it never does."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, otherwise
        time.sleep(0.25)


def bring(page: Page, selector: str) -> None:
    """Scroll until a part of the notebook is there: what is far away is not in the page at all."""
    found = page.locator(selector).first
    found.wait_for(state="attached", timeout=30_000)
    found.scroll_into_view_if_needed()
    page.wait_for_timeout(700)


@pytest.mark.xdist_group("jupyterlab")
def test_start_here_runs_to_its_last_figure(page, start_lab: Callable[..., str]):
    seconds = run_all(page.page, start_lab("00_start_here"), "00_start_here")
    bring(page.page, ".js-plotly-plot")
    page.shot("lab_start_here")
    print(f"from the address to the last cell: {seconds:.1f} s")
    assert page.errors == []


@pytest.mark.xdist_group("jupyterlab")
def test_the_slider_of_the_toy_moves_its_picture(page, start_lab: Callable[..., str]):
    run_all(page.page, start_lab("05_toy_diffusion"), "05_toy_diffusion")
    bring(page.page, ".widget-image")
    before = page.shot("lab_toy_start")
    handle = page.page.locator(".widget-slider .noUi-handle").first
    handle.focus()
    for _ in range(8):
        handle.press("ArrowRight")
    page.page.wait_for_timeout(700)
    assert change(before, page.shot("lab_toy_later")) > 2000, "the slider moved and the picture stayed"
    assert page.errors == []


@pytest.mark.xdist_group("jupyterlab")
def test_a_click_on_a_failure_opens_it_in_jupyterlab(page, start_lab: Callable[..., str]):
    run_all(page.page, start_lab("11_failure_cases"), "11_failure_cases")
    open_failure(page, 3, "lab_inspector")


@pytest.fixture
def inspected(tmp_path: Path) -> Iterator[str]:
    """The address of `dispose inspect` on a finished run of the sample capture."""
    dispose = [sys.executable, "-m", "dispose.cli.main"]
    sample = str(sample_folder("crossing"))
    subprocess.run([*dispose, "predict", sample, "--frames", "10:22", "--out", str(tmp_path / "run")], check=True)
    command = [*dispose, "inspect", str(tmp_path / "run"), "--no-browser", "--out", str(tmp_path / "marks")]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    yield server.stdout.readline().split()[0]
    server.terminate()  # not SIGINT, which processes in the background of a shell do not hear
    server.wait(timeout=30)


@pytest.mark.xdist_group("voila")
def test_a_click_on_a_failure_opens_it_on_the_page_of_dispose_inspect(page, inspected: str):
    page.page.goto(inspected, timeout=120_000)
    page.page.locator(".dispose-frames select option").first.wait_for(state="attached", timeout=120_000)
    # A reader who clicks before the 3-D is loaded gets the frame that was clicked.
    page.page.locator(".dispose-frames select option").nth(3).click()
    open_failure(page, 0, "inspect_early")
    viewpoint = turn(page.page)
    open_failure(page, 3, "inspect_turned")
    assert page.page.evaluate(EYE) == viewpoint, "another frame moved the reader's viewpoint"


def turn(page: Page) -> object:
    """Turn the 3-D scene with the mouse; where the reader's eye is then."""
    before, box = page.evaluate(EYE), page.locator(".dispose-scene canvas").first.bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 90, middle[1] + 30, steps=5)
    page.mouse.up()
    until(lambda: page.evaluate(EYE) != before, "the scene did not turn")
    page.wait_for_timeout(700)
    return page.evaluate(EYE)

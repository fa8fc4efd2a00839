"""A real browser (Debian's chromium, driven by Playwright) and a JupyterLab of its own for the tests of this folder.

Screenshots go to out/screenshots: they are made to be looked at.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "out" / "screenshots"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Software rendering: there is no graphics card in a test machine.
FLAGS = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
START_S = 60


@dataclass
class Watched:
    """A page and everything that went wrong on it."""

    page: Page
    errors: list[str] = field(default_factory=list)

    def shot(self, name: str) -> np.ndarray:
        """A screenshot under out/screenshots; its pixels."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        self.page.screenshot(path=path)
        pixels = cv2.imread(str(path))
        assert pixels is not None
        return pixels


def watch(context: BrowserContext) -> Watched:
    """A new page of which every console error and every failed script is kept."""
    watched = Watched(context.new_page())

    def heard(message: ConsoleMessage) -> None:
        if message.type == "error":
            watched.errors.append(f"{message.text} ({message.location.get('url')})")

    watched.page.on("console", heard)
    watched.page.on("pageerror", lambda error: watched.errors.append(f"uncaught: {error}"))
    return watched


# Of one module: while Playwright runs, no other test of the process could start an event loop.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next((path for path in map(shutil.which, NAMES) if path), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """A page with a network."""
    yield from watched_page(browser, request.node.name, offline=False)


@pytest.fixture
def offline(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """A page whose network is off."""
    yield from watched_page(browser, request.node.name, offline=True)


def watched_page(browser: Browser, test: str, *, offline: bool) -> Iterator[Watched]:
    """A page of its own for a test; how it looked at the end is kept, whether the test passed or not."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000}, offline=offline)
    watched = watch(context)
    yield watched
    watched.shot(f"last_{test}")
    context.close()


@pytest.fixture
def start_lab(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """A function that opens JupyterLab on copies of the notebooks named and returns the server's address."""
    servers: list[subprocess.Popen[bytes]] = []
    folder = tmp_path / "notebooks"
    folder.mkdir()

    def start(*names: str) -> str:
        for name in names:
            shutil.copy(ROOT / "notebooks" / f"{name}.ipynb", folder)
        port = free_port()
        # Settings of whoever runs the tests must not matter.
        private = {
            "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
            "JUPYTERLAB_WORKSPACES_DIR": str(tmp_path / "spaces"),
        }
        words = ["lab", "--no-browser", "--allow-root", f"--port={port}", f"--ServerApp.root_dir={folder}"]
        open_to_tests = ["--IdentityProvider.token=", "--ServerApp.port_retries=0"]
        with (tmp_path / "lab.log").open("wb") as log:
            command = [sys.executable, "-m", "jupyter", *words, *open_to_tests]
            env = {**os.environ, **private}
            servers.append(subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT))
        wait_for(port, servers[-1], tmp_path / "lab.log")
        return f"http://127.0.0.1:{port}"

    yield start
    for server in servers:
        server.terminate()
        server.wait(timeout=20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    """Return when something answers there; fail with the server's own words where nothing does."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text()[-2000:]
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    pytest.fail(f"nothing answers on port {port}:\n{log.read_text()[-2000:]}")

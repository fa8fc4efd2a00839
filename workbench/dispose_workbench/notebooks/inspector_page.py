"""The page of `dispose inspect`: the inspector's notebook without its code, served on this computer by Voilà.

Its address is a secret that only who started it is told (`dispose_workbench.notebooks.page_server`).
"""

import errno
import html
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dispose.errors import DisposeError, InputError
from dispose_workbench.notebooks.page import TEMPLATES
from dispose_workbench.notebooks.run import notebook_path

SECRET = "DISPOSE_PAGE_SECRET"
"""Variable of the environment that tells the server the secret part of its address."""

NOTEBOOK = "11_failure_cases"
HOST, FIRST_PORT, PORTS = "127.0.0.1", 8866, 100
FORBIDDEN = 403
PATIENCE_S = 60.0
"""How long the server may take until it answers."""

NOT_HERE = ("open3d", "jupyterlab-jupytext")
"""Extensions of JupyterLab that the page does not need, and that complain in it because it is no JupyterLab."""

ATTEMPTS = 10
"""Ports tried where none was asked for: two pages that start at one moment both find the same one free."""

LAST_WORDS = 12
"""Lines of the server's log that are shown when it fails."""


class PageError(DisposeError):
    """The server of a page that did not start; the message shows its last words."""


@dataclass(frozen=True, eq=False)
class Page:
    """A server that answers; it and its kernels form a group of processes of their own."""

    address: str
    process: subprocess.Popen[bytes]


@contextmanager
def page_notebook(values: Sequence[tuple[str, str]]) -> Iterator[Path]:
    """The cells of the inspector's notebook that are tagged ``page``, with these parameters, in a temporary folder.

    Raises:
        InputError: the notebooks are not there.
    """
    import nbformat
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    book = parameterize_notebook(load_notebook_node(str(notebook_path(NOTEBOOK))), dict(values))
    wanted = {"page", "parameters", "injected-parameters"}
    book.cells = [cell for cell in book.cells if wanted & set(cell.metadata.get("tags", []))]
    with tempfile.TemporaryDirectory(prefix="dispose-inspect-") as folder:
        path = Path(folder) / "inspect.ipynb"
        nbformat.write(book, path)
        yield path


@contextmanager
def serve(notebook: Path, port: int | None) -> Iterator[Page]:
    """Serve a notebook while the block runs; afterwards neither the server nor a kernel is left.

    Raises:
        InputError: the port is taken.
        PageError: the server ended, or has not answered for too long.
    """
    page = start_server(notebook, port)
    try:
        yield page
    finally:
        end_server(page)


def start_server(notebook: Path, port: int | None) -> Page:
    """A server that answers; where another one takes the port while it starts, the next free port is tried."""
    for _ in range(ATTEMPTS):
        number, log = free_port(port), notebook.with_suffix(".log")
        page = start_process(notebook, number, log)
        try:
            trouble = wait_for_answer(page)
        except BaseException:
            end_server(page)
            raise
        if not trouble:
            return page
        end_server(page)
        if port is not None or not is_taken(number):
            break
    last = "\n".join(f"    {line}" for line in log.read_text(errors="replace").splitlines()[-LAST_WORDS:])
    raise PageError(f"{trouble}:\n{last}")


def start_process(notebook: Path, number: int, log: Path) -> Page:
    """Start the server's process; whether it answers is not known yet."""
    secret = secrets.token_urlsafe(24)
    command = [
        sys.executable, "-m", "dispose_workbench.notebooks.page_server", str(notebook),
        "--no-browser", f"--port={number}", "--Voila.port_retries=0", f"--Voila.ip={HOST}",
        "--strip_sources=True", "--show_tracebacks=True",
        "--template=offline", *(f"--VoilaConfiguration.extension_denylist={name}" for name in NOT_HERE),
    ]  # fmt: skip
    searched = os.pathsep.join([str(TEMPLATES), *filter(None, [os.environ.get("JUPYTER_PATH")])])
    told = {"JUPYTER_PATH": searched, "PYDEVD_DISABLE_FILE_VALIDATION": "1", SECRET: secret}
    with open(log, "wb", opener=private) as words:
        # The server reads its input to the end, which comes when this process is gone, however that ended.
        process = subprocess.Popen(
            command, stdout=words, stderr=subprocess.STDOUT, stdin=subprocess.PIPE, cwd=notebook.parent,
            start_new_session=True, env={**os.environ, **told},
        )  # fmt: skip
    return Page(f"http://{HOST}:{number}/{secret}/", process)


def private(path: str, flags: int) -> int:
    """Opens a file that nobody else may read: the server's log tells its address."""
    return os.open(path, flags, 0o600)


def write_opener(address: str, folder: Path) -> Path:
    """A private file that leads whoever opens it to the page: a browser's arguments are there for everybody to read."""
    path, link = folder / "open.html", html.escape(address)
    with open(path, "w", encoding="utf-8", opener=private) as file:
        file.write(f'<!doctype html><meta http-equiv="refresh" content="0; url={link}"><a href="{link}">page</a>\n')
    return path


def end_server(page: Page) -> None:
    """End a server and its kernels: at the end of its input it removes what it has put aside, and goes."""
    assert page.process.stdin is not None
    page.process.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        page.process.wait(5)
    page.process.terminate()
    try:
        page.process.wait(10)
    except subprocess.TimeoutExpired:
        page.process.kill()
        page.process.wait()


def is_taken(port: int) -> bool:
    """Whether somebody listens at a port of this computer."""
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return True
    return False


def free_port(port: int | None) -> int:
    """The port asked for, or the first free one; `InputError` where it is taken or not allowed."""
    if port is not None and not 0 < port < 65536:
        raise InputError(f"--port is {port}; ports go from 1 to 65535.")
    for number in range(FIRST_PORT, FIRST_PORT + PORTS) if port is None else (port,):
        try:
            # As the server will do it: a port that the last one has just left counts as free.
            socket.create_server((HOST, number)).close()
            return number
        except OSError as error:
            if port is not None and error.errno == errno.EACCES:
                raise InputError(f"--port is {port}, which only the administrator may use.") from error
            if port is not None:
                raise InputError(f"port {port} is in use; name another with --port, or leave it out.") from error
    raise InputError(f"no port from {FIRST_PORT} to {FIRST_PORT + PORTS - 1} is free; name one with --port.")


def wait_for_answer(page: Page) -> str:
    """Wait until the server answers; why it does not, or an empty string."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if page.process.poll() is not None:
            return "the page's server ended at once"
        try:
            with urllib.request.urlopen(f"{page.address}voila/static/", timeout=5):
                return ""
        except urllib.error.HTTPError as error:
            # Whoever refuses this address is another page's server that took the port meanwhile.
            if error.code != FORBIDDEN:
                return ""
            time.sleep(0.2)
        except OSError:
            time.sleep(0.2)
    return f"the page's server has not answered for {PATIENCE_S:.0f} s"

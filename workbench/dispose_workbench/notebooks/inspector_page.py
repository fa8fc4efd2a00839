"""The page of `dispose inspect`: the inspector's notebook without its code, served on this computer by Voilà."""

import errno
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dispose.errors import DisposeError, InputError
from dispose_workbench.notebooks.run import notebook_path

NOTEBOOK = "11_failure_cases"
HOST, FIRST_PORT, PORTS = "127.0.0.1", 8866, 100
PATIENCE_S = 60.0
"""How long the server may take until it answers."""

TEMPLATE = """{%- extends 'voila/templates/lab/index.html.j2' -%}
{%- block notebook_css -%}
{{ super() | replace('https://cdn.jsdelivr.net/npm/@fortawesome/fontawesome-free@^5/css/', 'data:text/css,') }}
{%- endblock -%}
"""
"""Voilà's own page, but for two style sheets that it would load from the net and the page does not need."""

NOT_HERE = ("open3d", "jupyterlab-jupytext")
"""Extensions of JupyterLab that the page does not need, and that complain in it because it is no JupyterLab."""

LAST_WORDS = 12
"""Lines of the server's log that are shown when it fails."""


class PageError(DisposeError):
    """The server of a page that did not start; the message shows its last words."""


@dataclass(frozen=True, eq=False)
class Page:
    """A server that runs.

    Attributes:
        address: of the page.
        process: the server; it and its kernels form a group of their own.
        log: what it writes.
    """

    address: str
    process: subprocess.Popen[bytes]
    log: Path


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
def serving(notebook: Path, port: int | None) -> Iterator[Page]:
    """Serve a notebook while the block runs; afterwards neither the server nor a kernel is left.

    Raises:
        InputError: the port is taken.
    """
    number = free_port(port)
    log, shared = notebook.with_suffix(".log"), notebook.parent / "share"
    template = shared / "voila" / "templates" / "offline"
    template.mkdir(parents=True)
    (template / "conf.json").write_text('{"base_template": "lab"}')
    (template / "index.html.j2").write_text(TEMPLATE)
    searched = os.pathsep.join([str(shared), *filter(None, [os.environ.get("JUPYTER_PATH")])])
    command = [
        sys.executable, "-m", "voila", str(notebook), "--no-browser", f"--port={number}", f"--Voila.ip={HOST}",
        "--strip_sources=True", "--show_tracebacks=True",
        "--template=offline", *(f"--VoilaConfiguration.extension_denylist={name}" for name in NOT_HERE),
    ]  # fmt: skip
    with log.open("wb") as words:
        process = subprocess.Popen(
            command, stdout=words, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=notebook.parent,
            start_new_session=True, env={**os.environ, "JUPYTER_PATH": searched, "PYDEVD_DISABLE_FILE_VALIDATION": "1"},
        )  # fmt: skip
    try:
        yield Page(f"http://{HOST}:{number}/", process, log)
    finally:
        end(process)


def free_port(port: int | None) -> int:
    """The port asked for, or the first free one; `InputError` where it is taken or not allowed."""
    for number in range(FIRST_PORT, FIRST_PORT + PORTS) if port is None else (port,):
        if not 0 < number < 65536:
            raise InputError(f"--port is {number}; ports go from 1 to 65535.")
        with socket.socket() as probe:
            # As the server will do it: a port that the last one has just left counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, number))
                return number
            except OSError as error:
                if port is not None and error.errno == errno.EACCES:
                    raise InputError(f"--port is {number}, which only the administrator may use.") from error
                if port is not None:
                    raise InputError(f"port {number} is in use; name another with --port, or leave it out.") from error
    raise InputError(f"no port from {FIRST_PORT} to {FIRST_PORT + PORTS - 1} is free; name one with --port.")


def answering(page: Page) -> None:
    """Wait until the server answers. Raises `PageError` where it ends, or takes too long."""
    end_of_patience = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_of_patience:
        if page.process.poll() is not None:
            raise PageError(f"the page's server ended at once:\n{last_words(page.log)}")
        try:
            with urllib.request.urlopen(f"{page.address}voila/static/", timeout=5):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)
    raise PageError(f"the page's server has not answered for {PATIENCE_S:.0f} s:\n{last_words(page.log)}")


def last_words(log: Path) -> str:
    """The end of a server's log."""
    return "\n".join(f"    {line}" for line in log.read_text(errors="replace").splitlines()[-LAST_WORDS:])


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a server to end (it ends its kernels), and insist where it does not."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

"""Running a notebook without a browser: parameters checked first, results appear whole or not at all.

Progress is shown as the cells run, and said where and why one failed.
"""

import contextlib
import glob
import math
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tqdm import tqdm

import dispose
from dispose.errors import DisposeError, InputError, OutputError, unwritable
from dispose.formats.files import replacing
from dispose.formats.folders import lock_folder, remove_leftovers
from dispose.formats.provenance import commit, versions
from dispose_workbench.notebooks.page import heading_of, page_of, without_widgets
from dispose_workbench.notebooks.parameters import all_values, parameters_of, read_values
from dispose_workbench.results.run_folders import DONE, FAILED, RunRecord, Value, write_record

PACKAGES = ("dispose", "torch", "numpy", "scipy", "plotly", "matplotlib")
INTERRUPTED = "interrupted"
"""Why a run failed that somebody stopped."""
NOTEBOOKS = Path(dispose.__file__).resolve().parents[1] / "notebooks"

Finish = Callable[[Path, Path], None]
"""What else is made of an executed notebook, whose path and folder it is given."""

SAVED_EVERY_S = 2.0
"""Writing the whole notebook at every cell takes longer than many cells do."""

LINE_EVERY_S = 10.0
BAR = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}]"

LONGEST_SOCKET_FOLDER = 90
"""A socket's path has at most 107 bytes."""

INJECTED = "injected-parameters"
"""papermill's tag of the cell that it puts behind the one with the parameters."""

ENVIRONMENT = {
    "PLOTLY_RENDERER": "plotly_mimetype",  # plotly writes data instead of scripts from the net
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "OPEN3D_DISABLE_WEB_VISUALIZER": "true",  # Open3D starts no server
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    "TQDM_DISABLE": "1",  # a bar that nobody watches is a pile of lines in the page
}
"""What the kernel is told besides what this process knows."""


class NotebookError(DisposeError):
    """A notebook that stopped; the message names the cell and shows its source."""


@dataclass(frozen=True)
class Done:
    """The files of a finished run."""

    folder: Path
    notebook: Path
    page: Path


def notebook_path(name: str) -> Path:
    """A file of one's own (``mine/look.ipynb``), or the notebook of that name in the checkout's ``notebooks`` folder.

    Raises:
        InputError: there is none; the message lists those of the checkout.
    """
    if name.endswith(".ipynb") and Path(name).is_file():
        return Path(name).resolve()
    path = NOTEBOOKS / f"{name.removesuffix('.ipynb')}.ipynb"
    if Path(name).name == name and path.is_file():
        return path
    names = ", ".join(notebook_names())
    if not names:
        raise InputError(
            "the notebooks lie in the project's repository, not in this package: clone it and `make setup`"
        )
    raise InputError(f"there is no notebook {name!r}; there are {names}")


def notebook_names() -> list[str]:
    """Names of all notebooks of the checkout."""
    return sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))


def run_notebook(path: Path, given: Sequence[tuple[str, str]], folder: Path, *, finish: Finish | None = None) -> Done:
    """Execute a notebook in a folder of its own, with what it writes there, and as an HTML page.

    The kernel works inside a temporary folder that becomes `folder` when all is done. Of a run that fails or is
    interrupted, ``<folder>-failed`` keeps what there was, with the partly executed notebook.

    Args:
        path: the notebook.
        given: values for its parameters cell, as text.
        folder: of the run; must not exist.
        finish: what else is made of the executed notebook.

    Raises:
        InputError: a wrong parameter, or `folder` exists or is being written (nothing has run then).
        NotebookError: a cell failed or the kernel died.
    """
    started, clock = datetime.now().astimezone(), time.perf_counter()
    declared = parameters_of(path)
    values = read_values(declared, given, Path.cwd())
    folder = folder.resolve()

    def record(status: str, message: str) -> RunRecord:
        return RunRecord(
            path.stem, status, message, all_values(declared, values), tuple(name for name, _ in values),
            time.perf_counter() - clock, started.isoformat(timespec="seconds"), commit(), tuple(versions(*PACKAGES)),
        )  # fmt: skip

    with lock_folder(folder):
        if folder.exists():
            raise InputError(f"{folder} exists already; name another folder with --out, or remove it first")
        keep_killed(folder)
        work = folder_beside(folder)
        try:
            executed = execute(path, values, work)
            with replacing(work / f"{path.stem}.html") as file:
                file.write(page_of(executed))
            if finish is not None:
                finish(work / path.name, work)
            write_record(work, record(DONE, ""))
            os.replace(work, folder)
        except BaseException as error:
            # What is no `Exception` is somebody who stopped the run.
            reason = str(error) or type(error).__name__ if isinstance(error, Exception) else INTERRUPTED
            with contextlib.suppress(OutputError):  # a full disk, say: what is raised is the first error
                write_record(work, record(FAILED, reason))
            where = f"  what had run is kept in {keep_failed(work, folder) / path.name}"
            if isinstance(error, NotebookError):
                raise NotebookError(f"{error}\n{where}") from error
            print(where, file=sys.stderr)
            raise
    return Done(folder, folder / path.name, folder / f"{path.stem}.html")


def execute(path: Path, values: Sequence[tuple[str, Value]], work: Path) -> Any:
    """Run all cells inside `work`, where the executed notebook is written; returns it (without widgets' state).

    Raises:
        NotebookError: a cell failed or the kernel died; what had run is in the notebook.
    """
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    notebook, out = load_notebook_node(str(path)), work / path.name
    if values:
        notebook = parameterize_notebook(notebook, dict(values))
    client = NotebookClient(
        notebook, timeout=None, kernel_name="python3", resources={"metadata": {"path": str(work)}},
        raise_on_iopub_timeout=True,
        extra_arguments=["--log-level=ERROR"],  # the kernel would warn that it talks over TCP
    )  # fmt: skip
    place, saved = 0, -math.inf
    with progress(path.stem, len(notebook.cells)) as show, tempfile.TemporaryDirectory(prefix="kernel-") as sockets:
        if os.name == "posix" and len(sockets) < LONGEST_SOCKET_FOLDER:
            # Two kernels that start at once may be given one port; files of their own they cannot share.
            client.km = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=str(Path(sockets) / "kernel"))
        try:
            # Not `client.execute()`, which takes the handling of signals over and ends only the kernel.
            with client.setup_kernel(env={**os.environ, **ENVIRONMENT}):
                for place, cell in enumerate(notebook.cells):
                    show(cell)
                    if time.monotonic() - saved >= SAVED_EVERY_S:
                        save(notebook, out)
                        saved = time.monotonic()
                    client.execute_cell(cell, place)
        except CellExecutionError as error:
            said = place_of(notebook, place, f"failed with {error.ename}: {without_colours(error.evalue)}")
            mark_error(notebook, out)
            raise NotebookError(f"{path.stem}: {said}") from error
        except DeadKernelError as error:
            said = place_of(notebook, place, "ended with its kernel; is there enough memory?")
            raise NotebookError(f"{path.stem}: {said}") from error
        finally:
            save(without_widgets(notebook), out)
    return notebook


@contextmanager
def progress(name: str, cells: int) -> Iterator[Callable[[Any], None]]:
    """A bar with the section, to be called with every cell that begins; a line now and then where nobody watches."""
    watched, started, last, section = sys.stderr.isatty(), time.monotonic(), -math.inf, name
    with tqdm(total=cells, desc=name, bar_format=BAR, dynamic_ncols=True, disable=not watched) as bar:
        begun = 0

        def show(cell: Any) -> None:
            nonlocal begun, last, section
            heading, now = heading_of(cell), time.monotonic()
            section = f"{name}: {heading}" if heading else section
            if watched:
                bar.set_description_str(section)
                bar.update()
            elif heading or now - last >= LINE_EVERY_S:
                print(f"{section} | {begun} of {cells} cells, {now - started:.0f} s", file=sys.stderr, flush=True)
                last = now
            begun += 1

        yield show


def save(notebook: Any, path: Path) -> None:
    """Write a notebook; a reader meets the old one or the new one."""
    import nbformat

    with replacing(path) as file:
        nbformat.write(notebook, file)


def place_of(notebook: Any, place: int, what: str) -> str:
    """The sentence about what happened to a cell, and its source.

    Cells are counted as in the notebook that is opened and edited, where papermill has added none.
    """
    own = [INJECTED not in cell.metadata.get("tags", []) for cell in notebook.cells]
    count = notebook.cells[place].get("execution_count")
    source = "\n".join(f"    {line}" for line in notebook.cells[place].source.strip().splitlines())
    return f"cell {sum(own[: place + 1])} of {sum(own)}{f' [{count}]' if count else ''} {what}\n{source}"


def mark_error(notebook: Any, out: Path) -> None:
    """What papermill adds to a notebook that failed: a line at its top that leads to the cell."""
    from papermill.exceptions import PapermillExecutionError
    from papermill.execute import raise_for_execution_errors

    with contextlib.suppress(PapermillExecutionError):
        raise_for_execution_errors(notebook, str(out))


def without_colours(text: str) -> str:
    """A message without those of a terminal."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def keep_failed(work: Path, folder: Path) -> Path:
    """Move what a run into `folder` has left to ``<folder>-failed``, or with the first number behind it; returns it."""
    kept = free_folder(folder.with_name(f"{folder.name}-failed"))
    os.replace(work, kept)
    return kept


def keep_killed(folder: Path) -> None:
    """Keep what killed runs into `folder` have left; only for who holds the folder's lock."""
    for left in sorted(folder.parent.glob(f".{glob.escape(folder.name)}.running-*")):
        remove_leftovers(keep_failed(left, folder))


def folder_beside(folder: Path) -> Path:
    """A new hidden folder that can take `folder`'s place, whatever an earlier run that was killed left there.

    Raises `OutputError` where there can be none.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.running-", dir=folder.parent))
    except OSError as error:
        raise unwritable(folder, error) from error
    # mkdtemp's folder is private; results are as readable as any folder of the user's.
    mask = os.umask(0)
    os.umask(mask)
    work.chmod(0o777 & ~mask)
    return work


def free_folder(folder: Path) -> Path:
    """The folder itself, or with the first number behind it that is free."""
    number, free = 1, folder
    while free.exists():
        number += 1
        free = folder.with_name(f"{folder.name}-{number}")
    return free


def replace_folder(new: Path, old: Path) -> None:
    """Put a finished folder in another's place, which is whole until then; for who holds the lock of that place."""
    aside = old.with_name(f".{old.name}.old")
    if old.exists():
        shutil.rmtree(aside, ignore_errors=True)  # what was killed here has left
        os.replace(old, aside)
    os.replace(new, old)
    shutil.rmtree(aside, ignore_errors=True)

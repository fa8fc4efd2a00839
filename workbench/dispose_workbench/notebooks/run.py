"""Running a notebook without a browser: parameters checked first, results appear whole or not at all."""

import contextlib
import glob
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import dispose
from dispose.errors import InputError, OutputError
from dispose.formats.files import replacing
from dispose.formats.locking import lock_folder
from dispose.formats.provenance import commit, versions
from dispose_workbench.notebooks.execute import NotebookError, execute
from dispose_workbench.notebooks.page import page_of
from dispose_workbench.notebooks.parameters import all_values, parameters_of, read_values
from dispose_workbench.results.run_folders import DONE, FAILED, RunRecord, write_record

PACKAGES = ("dispose", "torch", "numpy", "scipy", "plotly", "matplotlib")
INTERRUPTED = "interrupted"
"""Why a run failed that somebody stopped."""
NOTEBOOKS = Path(dispose.__file__).resolve().parents[1] / "notebooks"

Finish = Callable[[Path, Path], None]
"""What else is made of an executed notebook, whose path and folder it is given."""


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


def keep_failed(work: Path, folder: Path) -> Path:
    """Move what a run into `folder` has left to ``<folder>-failed``, or with the first number behind it; returns it."""
    kept = free_folder(folder.with_name(f"{folder.name}-failed"))
    os.replace(work, kept)
    return kept


def keep_killed(folder: Path) -> None:
    """Keep what killed runs into `folder` have left; only for who holds the folder's lock."""
    for left in sorted(folder.parent.glob(f".{glob.escape(folder.name)}.running-*")):
        keep_failed(left, folder)


def folder_beside(folder: Path) -> Path:
    """A new hidden folder that can take `folder`'s place, whatever an earlier run that was killed left there.

    Raises `OutputError` where there can be none.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.running-", dir=folder.parent))
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror}).") from error
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
    """Put a finished folder in another's place; the other is whole until then."""
    aside = free_folder(old.with_name(f".{old.name}.old"))
    if old.exists():
        os.replace(old, aside)
    os.replace(new, old)
    shutil.rmtree(aside, ignore_errors=True)

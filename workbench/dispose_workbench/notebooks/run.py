"""Running a notebook without a browser: parameters checked first, results appear whole or not at all."""

import ast
import contextlib
import glob
import math
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
from dispose_workbench.results.run_folders import DONE, FAILED, Parameters, RunRecord, Value, write_record

PACKAGES = ("dispose", "torch", "numpy", "scipy", "plotly", "matplotlib")
PATHS = "list[Path]"
OUT = "out"
"""The parameter that says where a notebook writes; a headless run gives it a folder of its own."""
INTERRUPTED = "interrupted"
"""Why a run failed that somebody stopped."""
NOTEBOOKS = Path(dispose.__file__).resolve().parents[1] / "notebooks"


@dataclass(frozen=True)
class Parameter:
    """One line of a notebook's parameters cell.

    Attributes:
        name: the variable.
        kind: its annotation: int, float, bool, str, Path or list[Path] (on a command line, with commas between).
        default: the value's source text.
        help: the comment behind it.
    """

    name: str
    kind: str
    default: str
    help: str


Finish = Callable[[Path, Path], None]


def nothing_more(notebook: Path, folder: Path) -> None:
    """The end of a run that makes nothing else of its notebook."""


@dataclass(frozen=True)
class Done:
    """The files of a finished run."""

    folder: Path
    notebook: Path
    page: Path


def notebook_path(name: str) -> Path:
    """The notebook of that name (with or without ending) in the checkout's ``notebooks`` folder.

    Raises:
        InputError: there is none; the message lists those that are there.
    """
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


def parameters_of(path: Path) -> tuple[Parameter, ...]:
    """What a notebook's parameters cell declares."""
    import papermill

    found = papermill.inspect_notebook(str(path)).values()
    return tuple(Parameter(p["name"], p["inferred_type_name"], p["default"], p["help"]) for p in found)


def checked_values(
    declared: Sequence[Parameter], given: Sequence[tuple[str, str]], folder: Path
) -> list[tuple[str, Value]]:
    """Values in the types that the notebook declares; relative paths start at `folder`.

    Raises:
        InputError: an unknown or repeated name, or a text that is not of the declared type.
    """
    kinds = {parameter.name: parameter.kind for parameter in declared}
    values: list[tuple[str, Value]] = []
    for name, text in given:
        if name not in kinds:
            known = ", ".join(f"{p.name}: {p.kind}" for p in declared) or "none"
            raise InputError(f"the notebook has no parameter {name!r}; it has {known}")
        if name in [n for n, _ in values]:
            raise InputError(f"the parameter {name!r} is given twice")
        if name == OUT:
            raise InputError("the notebook writes into the folder of its run: name that one, with --out")
        if kinds[name] == "Path":
            if not text.strip():
                raise InputError(f"the parameter {name!r} must be of type Path, got {text!r}")
            values.append((name, str((folder / Path(text).expanduser()).resolve())))
        elif kinds[name] == PATHS:
            words = [word.strip() for word in text.split(",")]
            if not all(words):
                raise InputError(
                    f"the parameter {name!r} names paths with commas between, and one is missing in {text!r}"
                )
            values.append((name, [str((folder / Path(word).expanduser()).resolve()) for word in words]))
        elif kinds[name] in READERS:
            values.append((name, _read(name, kinds[name], text)))
        else:
            raise InputError(f"the notebook declares {name!r} as {kinds[name]}, which no command line can give")
    return values


def _read(name: str, kind: str, text: str) -> Value:
    try:
        return READERS[kind](text)
    except ValueError:
        raise InputError(f"the parameter {name!r} must be of type {kind}, got {text!r}") from None


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


READERS: dict[str, Callable[[str], Value]] = {"int": int, "float": _finite, "bool": _boolean, "str": str}


def run_notebook(path: Path, given: Sequence[tuple[str, str]], folder: Path, *, finish: Finish = nothing_more) -> Done:
    """Execute a notebook in a folder of its own, with what it writes there, and as an HTML page.

    The kernel works inside a temporary folder that becomes `folder` when all is done. Of a run that fails or is
    interrupted, ``<folder>-failed`` keeps what there was, with the partly executed notebook.

    Args:
        path: the notebook.
        given: values for its parameters cell, as text.
        folder: of the run; must not exist.
        finish: what else is made of the executed notebook, whose path and folder it is given.

    Raises:
        InputError: a wrong parameter, or `folder` exists or is being written (nothing has run then).
        NotebookError: a cell failed or the kernel died.
    """
    started, clock = datetime.now().astimezone(), time.perf_counter()
    declared = parameters_of(path)
    values = checked_values(declared, given, Path.cwd())
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
            finish(work / path.name, work)
            write_record(work, record(DONE, ""))
            os.replace(work, folder)
        except BaseException as error:
            with contextlib.suppress(OutputError):  # a full disk, say: what is raised is the first error
                write_record(work, record(FAILED, _reason(error)))
            kept = free_folder(folder.with_name(f"{folder.name}-failed"))
            os.replace(work, kept)
            where = f"  what had run is kept in {kept / path.name}"
            if isinstance(error, NotebookError):
                raise NotebookError(f"{error}\n{where}") from error
            print(where, file=sys.stderr)
            raise
    return Done(folder, folder / path.name, folder / f"{path.stem}.html")


def _reason(error: BaseException) -> str:
    """Why a run failed; what is no `Exception` is somebody who stopped it."""
    return str(error) or type(error).__name__ if isinstance(error, Exception) else INTERRUPTED


def all_values(declared: Sequence[Parameter], given: Sequence[tuple[str, Value]]) -> Parameters:
    """Every parameter with its value: what was given, else the default, or its source text where it is no literal."""
    known = dict(given)
    return tuple((p.name, known[p.name] if p.name in known else _literal(p.default)) for p in declared)


def _literal(source: str) -> Value:
    try:
        value = ast.literal_eval(source)
    except (ValueError, SyntaxError):
        return source
    return value if isinstance(value, int | float | str) else source


def keep_killed(folder: Path) -> None:
    """What killed runs into `folder` have left becomes ``<folder>-failed``; only for who holds the folder's lock."""
    for left in sorted(folder.parent.glob(f".{glob.escape(folder.name)}.running-*")):
        os.replace(left, free_folder(folder.with_name(f"{folder.name}-failed")))


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

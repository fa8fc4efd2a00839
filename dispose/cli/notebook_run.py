"""Running a notebook without a browser: parameters checked first, results appear whole or not at all."""

import contextlib
import logging
import math
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dispose
from dispose.cli.notebook_page import page_of, without_widgets
from dispose.errors import DisposeError, InputError, OutputError
from dispose.formats.files import replacing

NOTEBOOKS = Path(dispose.__file__).resolve().parents[1] / "notebooks"

Value = int | float | bool | str


class NotebookError(DisposeError):
    """A notebook that stopped; the message names the cell and shows its source."""


@dataclass(frozen=True)
class Parameter:
    """One line of a notebook's parameters cell.

    Attributes:
        name: the variable.
        kind: its annotation: int, float, bool, str or Path.
        default: the value's source text.
        help: the comment behind it.
    """

    name: str
    kind: str
    default: str
    help: str


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
        if kinds[name] == "Path":
            values.append((name, str((folder / Path(text).expanduser()).resolve())))
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


def run_notebook(path: Path, given: Sequence[tuple[str, str]], folder: Path) -> Done:
    """Execute a notebook in a folder of its own, with what it writes there, and as an HTML page.

    The kernel works inside a temporary folder that becomes `folder` when all is done. Of a run that fails or is
    interrupted, ``<folder>-failed`` keeps what there was, with the partly executed notebook.

    Raises:
        InputError: a wrong parameter, or `folder` exists (nothing has run then).
        NotebookError: a cell failed or the kernel died.
    """
    values = checked_values(parameters_of(path), given, Path.cwd())
    folder = folder.resolve()
    if folder.exists():
        raise InputError(f"{folder} exists already; name another folder with --out, or remove it first")
    work = folder_beside(folder)
    try:
        executed = _execute(path, values, work)
        with replacing(work / f"{path.stem}.html") as file:
            file.write(page_of(executed))
        os.replace(work, folder)
    except BaseException as error:
        kept = free_folder(folder.with_name(f"{folder.name}-failed"))
        os.replace(work, kept)
        if isinstance(error, NotebookError):
            raise NotebookError(f"{error}\n  what had run is kept in {kept / path.name}") from error
        raise
    return Done(folder, folder / path.name, folder / f"{path.stem}.html")


def _execute(path: Path, values: Sequence[tuple[str, Value]], work: Path) -> Any:
    """Run all cells; the executed notebook (without the state of widgets, which repeats whole libraries)."""
    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    out = work / path.name
    try:
        with _quiet_kernel():
            papermill.execute_notebook(
                str(path), str(out), dict(values), kernel_name="python3", cwd=str(work), progress_bar=True,
                extra_arguments=["--log-level=ERROR"],  # the kernel would warn that it talks over TCP
            )  # fmt: skip
    except PapermillExecutionError as error:
        source = "\n".join(f"    {line}" for line in error.source.strip().splitlines())
        what = f"{error.ename}: {_plain(error.evalue)}"
        raise NotebookError(f"{path.stem}: cell [{error.exec_count}] failed with {what}\n{source}") from error
    except DeadKernelError as error:
        raise NotebookError(f"{path.stem}: the kernel died ({error}); is there enough memory?") from error
    executed = without_widgets(nbformat.read(out, as_version=4))
    with replacing(out) as file:
        nbformat.write(executed, file)
    return executed


def _plain(text: str) -> str:
    """A message without terminal colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@contextlib.contextmanager
def _quiet_kernel() -> Iterator[None]:
    """What the kernel inherits: plotly writes data instead of scripts from the net, Open3D starts no server."""
    wanted = {
        "PLOTLY_RENDERER": "plotly_mimetype",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "OPEN3D_DISABLE_WEB_VISUALIZER": "true",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    # papermill logs what its own progress bar already shows.
    logger = logging.getLogger("papermill")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


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

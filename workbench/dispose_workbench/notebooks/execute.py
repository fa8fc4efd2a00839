"""Executing the cells of a notebook: progress as they run, and where and why one failed."""

import contextlib
import logging
import math
import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dispose.errors import DisposeError
from dispose.formats.files import replacing
from dispose_workbench.notebooks.page import without_widgets
from dispose_workbench.notebooks.progress import bar_options, name_sections
from dispose_workbench.results.run_folders import Value

ENGINE = "dispose"


class NotebookError(DisposeError):
    """A notebook that stopped; the message names the cell and shows its source."""


def execute(path: Path, values: Sequence[tuple[str, Value]], work: Path) -> Any:
    """Run all cells inside `work`, where the executed notebook is written; returns it (without widgets' state).

    Raises:
        NotebookError: a cell failed or the kernel died; what had run is in the notebook.
    """
    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    _register_engine()
    bar: Any = bar_options(path.stem)  # papermill says bool and takes tqdm's options too
    out = work / path.name
    try:
        with _quiet_kernel():
            papermill.execute_notebook(
                str(path), str(out), dict(values), kernel_name="python3", cwd=str(work), engine_name=ENGINE,
                progress_bar=bar,
                extra_arguments=["--log-level=ERROR"],  # the kernel would warn that it talks over TCP
            )  # fmt: skip
    except PapermillExecutionError as error:
        raise NotebookError(_where(path, out, f"failed with {error.ename}: {_plain(error.evalue)}")) from error
    except DeadKernelError as error:
        raise NotebookError(_where(path, out, "ended with its kernel; is there enough memory?")) from error
    executed = without_widgets(nbformat.read(out, as_version=4))
    with replacing(out) as file:
        nbformat.write(executed, file)
    return executed


def _register_engine() -> None:
    """An engine of papermill's own kind whose bar names the sections."""
    from papermill.engines import NBClientEngine, papermill_engines

    class Engine(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> Any:
            name_sections(nb_man, Path(nb_man.output_path).stem)
            _save_rarely(nb_man)
            try:
                return super().execute_managed_notebook(nb_man, kernel_name, **options)
            finally:
                del nb_man.save  # the last one, which papermill does next, is always done

    papermill_engines.register(ENGINE, Engine)


def _save_rarely(manager: Any, every_s: float = 2.0) -> None:
    """Writing the whole notebook before and after every cell takes longer than many cells do."""
    save, last = manager.save, -math.inf

    def rarely(**options: Any) -> None:
        nonlocal last
        if time.monotonic() - last >= every_s:
            save(**options)
            last = time.monotonic()

    manager.save = rarely


def _where(path: Path, out: Path, what: str) -> str:
    """The sentence about the cell of a partly executed notebook that was the last to run, and its source.

    Cells are counted as in the notebook that is opened and edited, where papermill has added none.
    """
    import nbformat

    added = ("papermill-error-cell-tag", "injected-parameters")
    cells = [
        cell for cell in nbformat.read(out, as_version=4).cells if not set(added) & set(cell.metadata.get("tags", []))
    ]
    begun = [place for place, cell in enumerate(cells) if cell.metadata.get("papermill", {}).get("start_time")]
    place = begun[-1] if begun else 0
    count = cells[place].get("execution_count")
    source = "\n".join(f"    {line}" for line in cells[place].source.strip().splitlines())
    return f"{path.stem}: cell {place + 1} of {len(cells)}{f' [{count}]' if count else ''} {what}\n{source}"


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
        "TQDM_DISABLE": "1",  # a bar that nobody watches is a pile of lines in the page
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    # papermill logs what its progress bar shows already, and errors that are raised as well.
    logger = logging.getLogger("papermill")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

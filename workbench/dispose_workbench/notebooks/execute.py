"""Executing the cells of a notebook: progress as they run, and where and why one failed."""

import contextlib
import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dispose.errors import DisposeError
from dispose.formats.files import replacing
from dispose_workbench.notebooks.page import heading_of, without_widgets
from dispose_workbench.results.run_folders import Value

SAVED_EVERY_S = 2.0
"""Writing the whole notebook at every cell takes longer than many cells do."""

LINE_EVERY_S = 10.0
BAR = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}]"

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


def execute(path: Path, values: Sequence[tuple[str, Value]], work: Path) -> Any:
    """Run all cells inside `work`, where the executed notebook is written; returns it (without widgets' state).

    Raises:
        NotebookError: a cell failed or the kernel died; what had run is in the notebook.
    """
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
    with progress(path.stem, len(notebook.cells)) as show:
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

"""Plotly figures as pictures: a notebook names them, a headless run writes them as PNG and SVG.

``python -m dispose_viz.export EXECUTED.ipynb FOLDER`` draws all figures of an executed notebook in one browser; its
status is 3 where there is none.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from dispose.errors import InputError, MissingBackendError
from dispose.formats.files import replacing_path

MIME = "application/vnd.plotly.v1+json"
KINDS = ("png", "svg")
WIDTH, HEIGHT = 1000, 700
NO_BROWSER = 3


@dataclass(frozen=True)
class NotebookFigure:
    """A plotly figure of an executed notebook, as plotly.js draws it; the name of its files is its own."""

    name: str
    figure: Any


def name_figure(figure: go.Figure, name: str) -> go.Figure:
    """Say under which file name a headless run exports a plotly figure; returns the figure.

    Raises:
        InputError: a name that cannot be one of a file.
    """
    if not name or not name.replace("_", "").replace("-", "").isalnum():
        raise InputError(f"{name!r} cannot name a file: letters, digits, - and _ can.")
    return figure.update_layout(meta={"name": name})


def figures_of(notebook: Path) -> tuple[NotebookFigure, ...]:
    """The plotly figures among a notebook's outputs; those without a name are numbered: figure_1, figure_2, …"""
    book = json.loads(notebook.read_text(encoding="utf-8"))
    outputs = [output for cell in book["cells"] for output in cell.get("outputs", [])]
    found: list[NotebookFigure] = []
    for figure in [output["data"][MIME] for output in outputs if MIME in output.get("data", {})]:
        meta = figure.get("layout", {}).get("meta")
        name = meta.get("name", "figure") if isinstance(meta, dict) else "figure"
        taken = {other.name for other in found}
        free = (f"{name}_{number}" for number in range(1, len(taken) + 3) if f"{name}_{number}" not in taken)
        found.append(NotebookFigure(next(free) if name == "figure" or name in taken else name, figure))
    return tuple(found)


def drop_controls(figure: Any) -> Any:
    """The figure without what only moves in a page: buttons, sliders and the frames they lead to."""
    layout = {key: value for key, value in figure.get("layout", {}).items() if key not in ("updatemenus", "sliders")}
    return {"data": figure.get("data", []), "layout": layout}


async def export(figures: Sequence[NotebookFigure], folder: Path) -> tuple[Path, ...]:
    """Write figures into a folder as ``NAME.png`` and ``NAME.svg``, in one browser; files that are there stay.

    Raises:
        MissingBackendError: no browser, or one that does not start.
    """
    import kaleido
    from kaleido.errors import BrowserClosedError, BrowserFailedError, ChromeNotFoundError

    paths = [(one, folder / f"{one.name}.{kind}") for one in figures for kind in KINDS]
    missing = [(one, path) for one, path in paths if not path.exists()]
    if not missing:
        return ()
    try:
        # No mathematics: its script would come from the net.
        async with kaleido.Kaleido(n=1, mathjax=False) as browser:
            for one, path in missing:
                opts = options(one.figure, path.suffix.strip("."))
                drawn = await browser.calc_fig(drop_controls(one.figure), opts=opts)
                with replacing_path(path) as temporary:
                    temporary.write_bytes(drawn)
    except (ChromeNotFoundError, BrowserFailedError, BrowserClosedError) as error:
        raise MissingBackendError(f"no browser to draw plotly figures with ({type(error).__name__})") from error
    return tuple(path for _, path in missing)


def options(figure: Any, kind: str) -> Any:
    """Kaleido's options of a picture: its kind, and its size as the figure says."""
    layout = figure.get("layout", {})
    size = {"width": layout.get("width") or WIDTH, "height": layout.get("height") or HEIGHT}
    return {"format": kind, "scale": 1.5 if kind == "png" else 1, **size}


def main(arguments: Sequence[str]) -> int:
    """Export all figures of one notebook; the exit status."""
    notebook, folder = map(Path, arguments)
    try:
        for path in asyncio.run(export(figures_of(notebook), folder)):
            print(path)
    except MissingBackendError as error:
        print(error, file=sys.stderr)
        return NO_BROWSER
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What evaluation passes around, figures and rows of tables, and result files.

``data/results/<name>.json`` is one object: ``schema`` (``dispose.results/1``), ``protocol``, ``views`` (null = all),
``rows`` (one object per method: ``method``, ``detections``, ``frames``, ``gate_mm``, ``seconds`` per frame, and every
figure by name; shares in percent, lengths in mm, null where a figure does not exist), ``sweep`` (association
figures of all gates that were tried), ``published`` (names of the tables of data/published that belong beside these
figures), ``commit``, ``command``, ``versions`` (name and version) and ``seconds``
of the whole run.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dispose.errors import InputError
from dispose.formats.files import replacing
from dispose.formats.provenance import commit, versions
from dispose.scene.results import FrameResult


@dataclass(frozen=True)
class Figure:
    """One number of a table (or one per actor); shares are in percent, distances in mm."""

    name: str
    value: float | tuple[float, ...]


Measure = Callable[[Sequence[FrameResult]], tuple[Figure, ...]]
"""From what a method said about frames, beside their labels, to figures."""


@dataclass(frozen=True)
class Row:
    """The figures of one method on one set of frames; `seconds` is the mean time of a frame's association."""

    method: str
    detections: str
    frames: int
    gate_mm: float | None
    figures: tuple[Figure, ...]
    seconds: float

    def value(self, name: str) -> float:
        """A figure that is one number. Raises `InputError` where the row has none of that name."""
        for figure in self.figures:
            if figure.name == name and isinstance(figure.value, float):
                return figure.value
        raise InputError(f"{self.method}: no figure {name!r}; there are {', '.join(f.name for f in self.figures)}")


def figures_of(results: Sequence[FrameResult], measures: Sequence[Measure]) -> tuple[Figure, ...]:
    """The figures of several measures."""
    return tuple(figure for measure in measures for figure in measure(results))


SCHEMA = "dispose.results/1"
PACKAGES = ("dispose", "torch", "numpy", "scipy")


@dataclass(frozen=True)
class Report:
    """The rows of one run."""

    protocol: str
    views: tuple[int, ...] | None
    rows: tuple[Row, ...]
    sweep: tuple[Row, ...]
    command: str
    seconds: float
    published: tuple[str, ...] = ()


def write_report(path: Path, report: Report) -> None:
    """Write a result file; the old one stays until the new one is complete."""
    content = {
        "schema": SCHEMA,
        "protocol": report.protocol,
        "views": report.views,
        "rows": [plain_row(row) for row in report.rows],
        "sweep": [plain_row(row) for row in report.sweep],
        **({"published": report.published} if report.published else {}),
        "commit": commit(),
        "command": report.command,
        "versions": dict(versions(*PACKAGES)),
        "seconds": round(report.seconds, 1),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        json.dump(content, file, indent=1, ensure_ascii=False, allow_nan=False)
        file.write("\n")


def plain_row(row: Row) -> dict[str, object]:
    """A row as a JSON object."""
    fixed = {
        "method": row.method,
        "detections": row.detections,
        "frames": row.frames,
        "gate_mm": row.gate_mm,
        "seconds": round(row.seconds, 5),
    }
    return fixed | {figure.name: plain_value(figure.value) for figure in row.figures}


def plain_value(value: float | tuple[float, ...]) -> object:
    """Four decimals, null for what is not a number."""
    if isinstance(value, tuple):
        return [plain_value(one) for one in value]
    return round(value, 4) if math.isfinite(value) else None


def text_table(rows: tuple[Row, ...]) -> str:
    """The rows for a terminal: the figures that are one number, columns of one width."""
    names = [figure.name for figure in rows[0].figures if isinstance(figure.value, float)] if rows else []
    width = max([len(row.method) for row in rows], default=6)
    deep = max([len(row.detections) for row in rows], default=10)
    lines = [f"{'method':<{width}}  {'detections':<{deep}}  " + "  ".join(f"{name:>9}" for name in short(names))]
    for row in rows:
        cells = (f"{row.value(name):>9.1f}" if math.isfinite(row.value(name)) else f"{'–':>9}" for name in names)
        lines.append(f"{row.method:<{width}}  {row.detections:<{deep}}  " + "  ".join(cells))
    return "\n".join(lines)


def short(names: list[str]) -> list[str]:
    """Column heads of at most nine letters."""
    return [name.removeprefix("pair_").removesuffix("_mm")[:9] for name in names]

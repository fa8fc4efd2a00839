"""Published figures as data, with where they were printed, and beside ours.

``data/published/<name>.json``: ``schema`` (``dispose.published/1``), ``name``, ``title``, ``source``, ``arxiv``,
``table``, ``protocol`` (how the figures were counted), ``units`` of every figure, ``note``, and ``rows``: ``method``,
``note`` and the figures, null where none was printed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dispose.errors import InputError
from dispose.evaluation.reports import Figure, Row
from dispose.formats.entry import Entry

SCHEMA = "dispose.published/1"
FOLDER = Path("data/published")
TEXTS = ("name", "title", "source", "arxiv", "table", "protocol", "note")


@dataclass(frozen=True)
class PublishedRow:
    """A line of a published table; figures that were not printed are left out."""

    method: str
    note: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class PublishedTable:
    """A published table, as its file has it; comparable only with figures of ours that were counted in the same way."""

    name: str
    title: str
    source: str
    arxiv: str
    table: str
    protocol: str
    note: str
    units: tuple[tuple[str, str], ...]
    rows: tuple[PublishedRow, ...]


def read_published(path: Path) -> PublishedTable:
    """Read a published table.

    Raises:
        InputError: the file is missing, no JSON, of another schema, or holds a figure without a unit.
    """
    entry = Entry.of_json(path)
    if entry.at("schema").text() != SCHEMA:
        raise InputError(f"{path}: the schema is {entry.at('schema').text()!r}; {SCHEMA!r} is needed.")
    measured = entry.at("units").keys()
    units = tuple((name, entry.at("units").at(name).text()) for name in measured)
    rows = tuple(_row(row, [name for name, _ in units]) for row in entry.at("rows").items())
    texts = {key: entry.at(key).text() for key in TEXTS}
    return PublishedTable(**texts, units=units, rows=rows)


def _row(entry: Entry, names: Sequence[str]) -> PublishedRow:
    """A line; `InputError` for a figure without a unit."""
    figures = []
    given = entry.keys()
    for name in given:
        if name in ("method", "note"):
            continue
        if name not in names:
            raise InputError(f"{entry.place}: the figure {name!r} has no unit.")
        found = _figure(name, entry.at(name))
        figures += [found] if found is not None else []
    return PublishedRow(entry.at("method").text(), entry.at("note").text(), tuple(figures))


def _figure(name: str, entry: Entry) -> Figure | None:
    """One number, or one per actor; None where none was printed."""
    if entry.value is None:
        return None
    if isinstance(entry.value, list):
        return Figure(name, tuple(float(v) for v in entry.numbers()))
    return Figure(name, entry.number())


def side_by_side(ours: Sequence[Row], published: PublishedTable) -> str:
    """Our lines above the published ones, the figures that the published table has, for a terminal.

    The second column says how a line was counted; lines of different protocols are not comparable.
    """
    names = [name for name, _ in published.units]
    lines = [(row.method, f"ours, {row.detections}", {f.name: f.value for f in row.figures}) for row in ours]
    told = f"published, {published.protocol}"
    lines += [(row.method, told, {f.name: f.value for f in row.figures}) for row in published.rows]
    first = max(len("method"), *(len(line[0]) for line in lines))
    second = max(len("counted"), *(len(line[1]) for line in lines))
    text = [f"{'method':<{first}}  {'counted':<{second}}  " + "  ".join(f"{name:>10}" for name in names)]
    for method, counted, values in lines:
        cells = "  ".join(f"{_cell(values.get(name)):>10}" for name in names)
        text.append(f"{method:<{first}}  {counted:<{second}}  {cells}")
    text.append(f"Published: {published.source}. {published.note}".rstrip())
    return "\n".join(text)


def _cell(value: float | tuple[float, ...] | None) -> str:
    if value is None:
        return "–"
    if isinstance(value, tuple):
        return " ".join(_cell(one) for one in value)
    return f"{value:.1f}" if math.isfinite(value) else "–"

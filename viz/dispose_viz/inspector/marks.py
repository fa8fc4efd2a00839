"""Frames that a person has marked while looking at results, with a note each: kept as JSON and as CSV."""

import csv
import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from dispose.errors import InputError
from dispose.formats.entry import Entry
from dispose.formats.files import read_text, replacing
from dispose.scene.results import Results

SCHEMA = "dispose.marks/1"


@dataclass(frozen=True)
class Mark:
    """A frame, what somebody wrote about it, and the sentence why it failed that stood beside it."""

    frame: int
    note: str
    why: str


@dataclass(frozen=True)
class MarkFile:
    """Marks, by rising frame number, as a JSON file (the CSV has the same name) holds them.

    `text` is what the file held when it was read or written last, None where there was none.
    """

    path: Path
    marks: tuple[Mark, ...]
    text: str | None


def open_marks(folder: Path, results: Results) -> MarkFile:
    """The marks that this folder holds of these results; none where there is no file yet.

    Raises:
        InputError: the file is broken, or speaks of other results.
    """
    words = re.sub(r"[^\w]+", "-", f"{results.name} {results.method}".lower()).strip("-") or "results"
    path = folder / f"marks-{words[:80]}.json"
    if not path.exists():
        return MarkFile(path, (), None)
    entry = Entry.of_json(path)
    if entry.at("schema").text() != SCHEMA:
        raise InputError(f"{path}: schema is {entry.at('schema').text()!r}, this version reads {SCHEMA!r}.")
    about = (entry.at("results").text(), entry.at("method").text())
    if about != (results.name, results.method):
        raise InputError(f"{path}: holds marks of {about[0]} by {about[1]}, not of {results.name} by {results.method}.")
    marks = tuple(
        Mark(int(one.at("frame").number()), one.at("note").text(), one.at("why").text())
        for one in entry.at("marks").items()
    )
    return MarkFile(path, marks, read_text(path))


def write_marks(file: MarkFile, results: Results, marks: Sequence[Mark]) -> MarkFile:
    """Write the marks as JSON and as CSV, each whole or not at all.

    What somebody else wrote there in the meantime is kept: the marks then go to the next free name.
    """
    rows = [asdict(mark) for mark in marks]
    content = {"schema": SCHEMA, "results": results.name, "method": results.method, "marks": rows}
    path, text = file.path, json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    if (read_text(path) if path.exists() else None) != file.text:
        names = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in itertools.count(2))
        path = next(name for name in names if not name.exists())
    with replacing(path) as out:
        out.write(text)
    with replacing(path.with_suffix(".csv")) as out:
        table = csv.DictWriter(out, [field.name for field in fields(Mark)])
        table.writeheader()
        table.writerows(rows)
    return MarkFile(path, tuple(marks), text)

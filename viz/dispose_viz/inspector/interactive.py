"""The failure inspector: a ranked list of frames, everything about the chosen one, and marks to take along.

Live in JupyterLab and Voilà; an executed notebook keeps the page of the worst frame (`dispose_viz.inspector.page`).
Marks are kept as JSON and as CSV.
"""

import csv
import itertools
import json
import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import ipywidgets

from dispose.errors import DisposeError, InputError
from dispose.formats.entry import Entry
from dispose.formats.files import read_text, replacing
from dispose.scene.results import Results
from dispose_viz.inspector.frame_view import FrameView, headline_html, note_html
from dispose_viz.inspector.page import page_of
from dispose_viz.inspector.ranking import ranking_of, value_text
from dispose_viz.style import LIGHT, Theme
from dispose_viz.widgets import still_images_of
from dispose_workbench.failures.measures import MEASURES, Measure

SCHEMA = "dispose.marks/1"

ROWS = 22
LONGEST = 60
"""Letters of a reason in the list."""


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
        Mark(one.at("frame").whole(least=0), one.at("note").text(), one.at("why").text())
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


class Inspector:
    """A finished run frame by frame, worst first: a list of frames and the frame that is chosen; `widget` is all of it.

    `rank` is what the frames are ranked by, `frames` the ranked list (its value is a position in `results.cases`),
    `view` the frame that is shown; `mark` keeps the `note` that the reader writes about it, `export` writes all marks,
    and `status` says what has just happened.
    """

    def __init__(self, results: Results, out: Path, *, rank_by: str = MEASURES[0].key, theme: Theme = LIGHT) -> None:
        """Look at some results.

        Args:
            results: ours or other people's (`dispose_workbench.results.open.read_results`).
            out: the folder that marks are exported to, and found in again.
            rank_by: the key of one of `dispose_workbench.failures.measures.MEASURES`; where these results do not know
                it, the usual one is taken, and that is said.
            theme: the colours.

        Raises:
            InputError: marks in `out` that cannot be read; they are left as they are.
        """
        self.results, self.theme = results, theme
        self.ranking = ranking_of(results)
        self.file = open_marks(out, results)
        self.marks = {mark.frame: mark for mark in self.file.marks}
        known = self.ranking.known
        self._build(known, next((measure for measure in known if measure.key == rank_by), known[0]))
        hints = [*self._missing(known, rank_by), *results.notes]
        self.hints.value = note_html(hints, theme=theme) if hints else ""
        self._rank(None)

    def _build(self, known: tuple[Measure, ...], first: Measure) -> None:
        """All controls, laid out and connected."""
        wide = ipywidgets.Layout(width="100%")
        self.rank = ipywidgets.Dropdown(options=[(m.title, m) for m in known], value=first, layout=wide)
        self.frames = ipywidgets.Select(options=[], rows=ROWS, layout=wide)
        self.note = ipywidgets.Textarea(placeholder="a note about this frame", rows=2, layout=wide)
        self.mark = ipywidgets.Button(description="mark", icon="flag")
        self.export = ipywidgets.Button(description="export marks", icon="save")
        self.status, self.headline, self.hints = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.HTML()
        for part, name in (
            (self.rank, "rank"), (self.frames, "frames"), (self.note, "note"), (self.mark, "mark"),
            (self.export, "export"), (self.status, "status"), (self.headline, "headline"), (self.hints, "hints"),
        ):  # fmt: skip
            part.add_class(f"dispose-{name}")
        self.view = FrameView(self.results, theme=self.theme)
        buttons = ipywidgets.HBox([self.mark, self.export])
        left = ipywidgets.VBox(
            [ipywidgets.Label("frames, worst first, by"), self.rank, self.frames, self.note, buttons, self.status,
             self.hints],
            layout=ipywidgets.Layout(width="380px", min_width="380px", padding="0 12px 0 0"),
        )  # fmt: skip
        right = ipywidgets.VBox([self.headline, self.view.widget], layout=ipywidgets.Layout(flex="1 1 auto", width="0"))
        self.widget = ipywidgets.HBox([left, right])
        self.widget.add_class("dispose-inspector")
        self.rank.observe(self._rank, names="value")
        self.frames.observe(self._open, names="value")
        self.mark.on_click(self._mark)
        self.export.on_click(self._export)

    def _missing(self, known: tuple[Measure, ...], rank_by: str) -> list[str]:
        """What these results cannot be ranked by."""
        titles = [measure.title for measure in MEASURES if measure not in known]
        said = [f"Not known of these results: {', '.join(titles)}."] if titles else []
        wanted = next((measure.title for measure in MEASURES if measure.key == rank_by), rank_by)
        if rank_by not in [measure.key for measure in known]:
            said.insert(0, f"They cannot be ranked by {wanted}.")
        return said

    def _rank(self, _: object) -> None:
        """List the frames anew, the worst one first and open."""
        if not self.results.cases:
            self.headline.value = note_html(["These results hold no frame."], theme=self.theme)
            self.mark.disabled = self.note.disabled = True
            return
        self.ranking = self.ranking.by(self.measure)
        self._list(self.ranking.order, self.ranking.order[0])

    def _list(self, order: tuple[int, ...], chosen: int) -> None:
        self.frames.unobserve(self._open, names="value")
        self.frames.options = [(self._line(index), index) for index in order]
        self.frames.value = chosen
        self.frames.observe(self._open, names="value")
        if chosen != self.view.shown:
            self._open(None)

    def _line(self, index: int) -> str:
        failure, reason = self.ranking.failures[index], self.ranking.reasons[index]
        short = reason if len(reason) <= LONGEST else f"{reason[: LONGEST - 1]}…"
        flag = "⚑ " if failure.number in self.marks else ""
        return f"{flag}{failure.number} · {value_text(self.measure, failure)} · {short}"

    @property
    def place(self) -> int:
        """The position of the chosen frame in `results.cases`."""
        value = self.frames.value
        assert isinstance(value, int), "a list with frames always has one chosen"
        return value

    @property
    def measure(self) -> Measure:
        """What the frames are ranked by."""
        value = self.rank.value
        assert isinstance(value, Measure)
        return value

    def _open(self, _: object) -> None:
        """Show the chosen frame."""
        index = self.place
        failure = self.ranking.failures[index]
        self.headline.value = headline_html(self.results, failure, self.ranking.reasons[index], theme=self.theme)
        mark = self.marks.get(failure.number)
        self.note.value = "" if mark is None else mark.note
        self.mark.description = "mark" if mark is None else "change mark"
        try:
            self.view.show(index)
        except DisposeError as error:
            # Raised here it would end in a log that nobody reads.
            self.tell(str(error), alarm=True)

    def tell(self, sentence: str, *, alarm: bool = False) -> None:
        """Say what has just happened."""
        self.status.value = note_html([sentence], theme=self.theme, alarm=alarm)

    def _mark(self, _: object) -> None:
        """Mark the frame that is shown with the note that is written."""
        index = self.place
        number = self.ranking.failures[index].number
        self.marks[number] = Mark(number, self.note.value.strip(), self.ranking.reasons[index])
        self.mark.description = "change mark"
        self._list(tuple(place for _, place in self.frames.options), index)
        self.tell(f"frame {number} is marked; {len(self.marks)} marks, not exported yet.")

    def _export(self, _: object) -> None:
        """Write all marks as JSON and CSV."""
        marks = sorted(self.marks.values(), key=lambda mark: mark.frame)
        try:
            self.file = write_marks(self.file, self.results, marks)
        except DisposeError as error:
            self.tell(str(error), alarm=True)
            return
        self.tell(f"{len(marks)} marks are in {self.file.path} and {self.file.path.with_suffix('.csv').name}.")

    @property
    def png(self) -> bytes:
        """The page of the frame that is shown."""
        index = self.place
        headline, reason = self.ranking.headline(index), self.ranking.reasons[index]
        page = page_of(self.results, index, headline=headline, reason=reason, theme=self.theme)
        return still_images_of([page])[0]

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        """The live view, and the page of the shown frame for readers without a kernel."""
        live = self.widget._repr_mimebundle_() or {}
        if not self.results.cases:
            return {**live, "text/plain": "These results hold no frame."}
        words = f"frame {self.ranking.failures[self.place].number}: {self.ranking.reasons[self.place]}"
        return {**live, "text/plain": words, "image/png": b64encode(self.png).decode()}

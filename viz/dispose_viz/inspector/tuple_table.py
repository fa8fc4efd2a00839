"""The competing tuples of a frame as a table, on a page and in HTML: a box is a detection, coloured by whose it is.

A tuple of one colour is one person. Without a truth the boxes have the colours of the predicted owners.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from itertools import takewhile

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from dispose.scene.frame import Frame
from dispose.tensors import ABSENT
from dispose_viz.inspector.competitors import REFERENCE, Competitor
from dispose_viz.inspector.identities import IdentityMatch
from dispose_viz.style import LIGHT, Theme, color_of, theme_of
from dispose_viz.words import shorten

FIGURES = (("error (px)", ".1f"), ("cost", ".0f"), ("cue", ".2f"), ("mass before", ".2f"), ("mass after", ".2f"))
"""Columns besides the views, and how their numbers are written."""

HEADING = -1.0
"""Where columns are named, in rows above the first."""

ROOMY, SMALL = 8, 8
"""So many views have room for words in a table; of more, letters are this small."""

CELL = "padding:2px 8px;text-align:center;line-height:1.5"


@dataclass(frozen=True)
class TupleBox:
    """A detection of a tuple.

    Attributes:
        number: in its file.
        person: whose it is, where that is known.
        color: of that person, else of who was given it.
    """

    number: str
    person: str
    color: str


@dataclass(frozen=True)
class TupleRow:
    """A tuple as text.

    Attributes:
        name: who holds it to be a person.
        strong: whether anybody does.
        boxes: its detection in every view, None where it leaves the view out.
        figures: error, cost, cue and the two masses; a dash where the tuple was no candidate.
    """

    name: str
    strong: bool
    boxes: tuple[TupleBox | None, ...]
    figures: tuple[str, ...]


def rows_of(
    competitors: Sequence[Competitor], match: IdentityMatch, frame: Frame, *, theme: Theme = LIGHT
) -> list[TupleRow]:
    """The table of some tuples."""
    places = {place for one in competitors for place in enumerate(one.members) if place[1] != ABSENT}
    truth_known = any(match.identity[place] != ABSENT for place in places)

    def box(view: int, slot: int) -> TupleBox:
        true = int(match.identity[view, slot])
        shown = match.true_color(true) if true != ABSENT else ABSENT if truth_known else int(match.owner[view, slot])
        person = f"T{true}" if true != ABSENT else ""
        return TupleBox(f"#{int(frame.detections.index[view, slot])}", person, color_of(shown, theme))

    rows = []
    for one in competitors:
        values = (one.error_px, one.cost, one.cue, one.before, one.after)
        figures = [format(v, form) if np.isfinite(v) else "–" for v, (_, form) in zip(values, FIGURES, strict=True)]
        boxes = [None if slot == ABSENT else box(view, slot) for view, slot in enumerate(one.members)]
        rows.append(TupleRow(source_words(one), bool(one.sources), tuple(boxes), tuple(figures)))
    return rows


def source_words(one: Competitor) -> str:
    """Who holds a tuple to be a person, in a few words."""
    if one.sources:
        return " = ".join(source.replace(REFERENCE, "int. programme") for source in one.sources)
    return "weighed, alone" if sum(slot != ABSENT for slot in one.members) < 2 else "also weighed"


def draw_table(axes: Axes, rows: Sequence[TupleRow], cameras: Sequence[str]) -> Axes:
    """The table on a page."""
    theme = theme_of(axes)
    common, names = short_names(cameras)
    # Of many views the boxes are narrow: numbers alone in them, names upright above.
    unit, narrow = max(1.0, len(names) / ROOMY), len(names) > ROOMY
    left = unit * max([3.3, *(0.155 * len(row.name) for row in rows)])
    columns = [left + len(names) + unit * (0.6 + 1.2 * i) for i in range(len(FIGURES))]
    write = partial(axes.text, ha="center", va="center", fontsize=11, color=theme.ink, parse_math=False)
    write(left, HEADING, common, ha="right")
    for view, name in enumerate(names):
        write(left + view + 0.5, HEADING, shorten(name, 10), rotation=90 if narrow else 0,
              fontsize=SMALL if narrow else 11)  # fmt: skip
    for x, (head, _) in zip(columns, FIGURES, strict=True):
        write(x, HEADING, head.replace(" ", "\n"))
    for y, row in enumerate(rows):
        write(0.0, y, row.name, ha="left", fontsize=12, color=theme.ink if row.strong else theme.muted,
              fontweight="bold" if row.strong else "normal")  # fmt: skip
        for x, box in enumerate(row.boxes, 1):
            if box is None:
                write(left + x - 0.5, y, "·", color=theme.muted)
                continue
            axes.add_patch(Rectangle((left + x - 0.92, y - 0.38), 0.84, 0.76, facecolor=box.color, edgecolor="none"))
            words = box.number.lstrip("#") if narrow else f"{box.number} {box.person}".strip()
            write(left + x - 0.5, y, words, color="#FFFFFF", fontweight="bold", fontsize=SMALL if narrow else 11)
        for x, text in zip(columns, row.figures, strict=True):
            write(x, y, text, fontsize=12)
    axes.set(xlim=(0, columns[-1] + 0.6 * unit), ylim=(max(len(rows), 5) - 0.4, HEADING - 0.6))
    axes.set_axis_off()
    return axes


def table_html(rows: Sequence[TupleRow], cameras: Sequence[str], *, theme: Theme = LIGHT) -> str:
    """The table in HTML; whatever comes from a file is escaped."""

    def cell(text: str, style: str = "", tag: str = "td") -> str:
        return f'<{tag} style="{CELL}{style}">{escape(text)}</{tag}>'

    lines = ["".join(cell(head, tag="th") for head in ["", *cameras, *(head for head, _ in FIGURES)])]
    for row in rows:
        cells = [cell(row.name, f";text-align:left;font-weight:{600 if row.strong else 400}")]
        for box in row.boxes:
            look = "" if box is None else f";background:{box.color};color:#fff;font-weight:600"
            cells.append(cell("·" if box is None else f"{box.number} {box.person}".strip(), look))
        lines.append("".join([*cells, *map(cell, row.figures)]))
    return (
        f'<table class="dispose-tuples" style="color:{theme.ink};font-size:14px;border-collapse:separate;'
        f'border-spacing:3px">{"".join(f"<tr>{line}</tr>" for line in lines)}</table>'
    )


def short_names(names: Sequence[str]) -> tuple[str, list[str]]:
    """What more than three cameras' names all begin with, and the names without it; a number is never cut."""
    equal = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    common = "".join(letters[0] for letters in equal).rstrip("0123456789") if len(names) > 3 else ""
    cut = [name[len(common) :] for name in names]
    return (common, cut) if all(cut) else ("", list(names))

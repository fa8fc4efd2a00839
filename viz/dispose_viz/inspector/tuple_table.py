"""The competing tuples of a frame: as a table, on a page and in HTML, and as curves of their mass over diffusion time.

A box of the table is a detection, coloured by whose it is: a tuple of one colour is one person. Without a truth the
boxes have the colours of the predicted owners.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from itertools import takewhile

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from dispose.scene.frame import Frame
from dispose.scene.results import Hypotheses
from dispose.tensors import ABSENT
from dispose_viz.inspector.competitors import REFERENCE, Competitor, IdentityMatch
from dispose_viz.movie import png_of
from dispose_viz.style import LIGHT, POINTS_PER_INCH, Theme, blend, color_of, dress, theme_of
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
    """A detection of a tuple: its number in its file, whose it is where that is known, and the colour of that person.

    Where it is not known the colour is that of who was given it.
    """

    number: str
    person: str
    color: str

    def __str__(self) -> str:
        return f"#{self.number} {self.person}".strip()


@dataclass(frozen=True)
class TupleRow:
    """A tuple as text: who holds it to be a person, whether anybody does, its detection in every view, and numbers.

    A box is None where the tuple leaves the view out, a figure a dash where the tuple was no candidate.
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
        return TupleBox(str(int(frame.detections.index[view, slot])), person, color_of(shown, theme))

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
            words, size = (box.number, SMALL) if narrow else (str(box), 11)
            write(left + x - 0.5, y, words, color="#FFFFFF", fontweight="bold", fontsize=size)
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
            cells.append(cell("·" if box is None else str(box), look))
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


def draw_mass_curves(axes: Axes, hypotheses: Hypotheses, competitors: Sequence[Competitor]) -> Axes:
    """Mass of the competing tuples over diffusion time, from noise on the left to the decision on the right."""
    theme = theme_of(axes)
    time = hypotheses.time.double().numpy()
    named = []
    for one in (one for one in reversed(competitors) if one.row != ABSENT):
        color, width, style = _line_of(one, theme)
        (curve,) = axes.plot(time, hypotheses.mass[:, one.row].double(), style, color=color, linewidth=width)
        if one.sources:
            curve.set_label((f"P{one.person}: " if one.person != ABSENT else "") + source_words(one))
            named.append(curve)
    axes.set(xlabel="diffusion time (1 = noise, 0 = decided)", ylabel="mass", xlim=(1.02, -0.02), ylim=(-0.03, 1.05))
    axes.grid(color=theme.grid, linewidth=0.6)
    if named:
        axes.legend(handles=named[::-1], fontsize=11, loc="best", facecolor=theme.paper, edgecolor=theme.grid,
                    labelcolor=theme.ink, framealpha=0.85)  # fmt: skip
    return dress(axes)


def mass_curve_images(
    hypotheses: Hypotheses, competitors: Sequence[Competitor], *, theme: Theme = LIGHT
) -> tuple[bytes, ...]:
    """One PNG per step of how the mass of the competing tuples moved, the step marked.

    The curves are drawn once and the marks painted over them: text is what takes time.
    """
    figure = Figure(figsize=(6.2, 3.4), dpi=POINTS_PER_INCH, facecolor=theme.paper)
    canvas = FigureCanvasAgg(figure)
    axes = draw_mass_curves(figure.add_axes((0.115, 0.165, 0.87, 0.82)), hypotheses, competitors)
    canvas.draw()
    curves, images = canvas.copy_from_bbox(figure.bbox), []
    for step in range(len(hypotheses.time)):
        canvas.restore_region(curves)
        time, marks = float(hypotheses.time[step]), list[Line2D]()
        marks.append(axes.axvline(time, color=theme.muted, linewidth=1.4))
        for one in (one for one in reversed(competitors) if one.row != ABSENT):
            color, width, _ = _line_of(one, theme)
            mass = float(hypotheses.mass[step, one.row])
            marks += axes.plot(time, mass, "o", color=color, markersize=2.5 * width + 3)
        for mark in marks:
            axes.draw_artist(mark)
            mark.remove()
        images.append(png_of(np.asarray(canvas.buffer_rgba()), level=1))
    return tuple(images)


def _line_of(one: Competitor, theme: Theme) -> tuple[str, float, str]:
    """Colour, width and stroke: what was decided is strong, the truth is dashed, the rest is faint."""
    if one.person != ABSENT:
        return color_of(one.person, theme), 3.2, "-"
    if one.is_true:
        return theme.alarm, 2.6, "--"
    if REFERENCE in one.sources:
        return theme.ink, 2.0, ":"
    return blend(theme.muted, theme.paper, 0.35), 1.4, "-"

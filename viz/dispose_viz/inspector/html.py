"""Texts of the failure inspector as HTML; whatever comes from a file is escaped."""

from collections.abc import Sequence
from html import escape

from dispose.scene.frame import Frame
from dispose.scene.results import Results
from dispose.tensors import ABSENT
from dispose_viz.inspector.contest import Contender, Verdict
from dispose_viz.inspector.panels import HEADS, box_color, box_word, figures_of, speakers
from dispose_viz.inspector.ranking import value_text
from dispose_viz.style import LIGHT, Theme
from dispose_workbench.failures.measures import MEASURES, Failure

CELL = "padding:2px 8px;text-align:center;line-height:1.5"


def headline_html(results: Results, failure: Failure, why: str, *, theme: Theme = LIGHT) -> str:
    """The frame's number, everything that is known to be wrong with it, and why."""
    known = [(m, value_text(m, failure)) for m in MEASURES[1:] if m.value(failure) is not None]
    chips = "".join(
        f'<span style="display:inline-block;margin:0 14px 0 0;white-space:nowrap">{escape(measure.title)} '
        f"<b>{escape(text)}</b></span>"
        for measure, text in known
    )
    return (
        f'<div style="color:{theme.ink};line-height:1.5"><div style="font-size:20px;font-weight:600">'
        f"frame {failure.number} · {escape(results.method)}</div>"
        f'<div style="font-size:16px">{escape(why)}</div><div style="font-size:14px">{chips}</div></div>'
    )


def note_html(sentences: Sequence[str], *, theme: Theme = LIGHT, alarm: bool = False) -> str:
    """Sentences for the reader, one per line."""
    color = theme.alarm if alarm else theme.ink
    lines = "<br>".join(escape(sentence) for sentence in sentences)
    return f'<div style="color:{color};font-size:14px;line-height:1.4">{lines}</div>'


def table_html(contenders: Sequence[Contender], verdict: Verdict, frame: Frame, *, theme: Theme = LIGHT) -> str:
    """The competing tuples: a box is a detection, in the colour of the person that it truly is."""
    heads = ["", *frame.cameras.names, *HEADS]
    first = "".join(f'<th style="{CELL}">{escape(head)}</th>' for head in heads)
    rows = "".join(_row_html(contenders, one, verdict, frame, theme) for one in contenders)
    return (
        f'<table class="dispose-tuples" style="color:{theme.ink};font-size:14px;border-collapse:separate;'
        f'border-spacing:3px"><tr>{first}</tr>{rows}</table>'
    )


def _row_html(
    contenders: Sequence[Contender], one: Contender, verdict: Verdict, frame: Frame, theme: Theme
) -> str:  # fmt: skip
    weight = 600 if one.said_by else 400
    cells = [f'<td style="{CELL};text-align:left;font-weight:{weight}">{escape(speakers(one))}</td>']
    for view, slot in enumerate(one.members):
        if slot == ABSENT:
            cells.append(f'<td style="{CELL}">·</td>')
            continue
        face = box_color(contenders, verdict, view, slot, theme=theme)
        word = escape(box_word(verdict, frame, view, slot))
        cells.append(f'<td style="{CELL};background:{face};color:#fff;font-weight:600">{word}</td>')
    cells += [f'<td style="{CELL}">{escape(text)}</td>' for text in figures_of(one)]
    return f"<tr>{''.join(cells)}</tr>"

"""Texts of the failure inspector as HTML; whatever comes from a file is escaped."""

from collections.abc import Sequence
from html import escape

from dispose.scene.results import Results
from dispose_viz.inspector.ranking import value_text
from dispose_viz.style import LIGHT, Theme
from dispose_workbench.failures.measures import MEASURES, Failure


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

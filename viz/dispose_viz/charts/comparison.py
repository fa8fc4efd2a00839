"""Runs beside each other: a table of what differs between them, and their key figures as dots."""

import html
import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from dispose_viz.charts.curves import look_of, shared_first
from dispose_viz.style import dress_chart, panels
from dispose_workbench.results.run_folders import RunFolder, Value

MARKERS = "osD^vPX*"
MOST = 8
"""Columns of either kind that a table has room for."""


def figures_of(runs: Sequence[RunFolder]) -> tuple[str, ...]:
    """Names of the key figures, those that most runs have first."""
    return shared_first([name for run in runs for name, _ in run.metrics])


def find_differences(runs: Sequence[RunFolder]) -> tuple[str, ...]:
    """Names of the parameters that are not the same in all runs that have them."""
    names = dict.fromkeys(name for run in runs for name, _ in run.parameters)
    values = {name: [dict(run.parameters)[name] for run in runs if name in dict(run.parameters)] for name in names}
    return tuple(name for name in names if any(value != values[name][0] for value in values[name]))


def remarks(runs: Sequence[RunFolder]) -> tuple[str, ...]:
    """What a table of these runs cannot show, a sentence each: figures that only some have, columns beyond `MOST`."""
    sentences = []
    figures, settings = figures_of(runs), find_differences(runs)
    everywhere = [name for name in figures if all(name in dict(run.metrics) for run in runs)]
    if len(runs) > 1 and not everywhere:
        sentences.append("The runs have no key figure in common: only their logs can be compared.")
    elif len(everywhere) < len(figures):
        sentences.append(f"{len(figures) - len(everywhere)} of {len(figures)} key figures are not in every run.")
    if len(figures) > MOST:
        sentences.append(f"{len(figures) - MOST} more key figures are in metrics.json.")
    if len(settings) > MOST:
        sentences.append(f"{len(settings) - MOST} more settings differ: {', '.join(settings[MOST:])}.")
    return tuple(sentences)


def table(runs: Sequence[RunFolder]) -> str:
    """HTML of one row per run: parameters that differ, then key figures, up to `MOST` each; a dash for what is not."""
    names, figures = find_differences(runs)[:MOST], figures_of(runs)[:MOST]
    head = "".join(f"<th>{html.escape(name)}</th>" for name in ("run", *names, *figures))
    rows = []
    for run in runs:
        values = dict(run.parameters)
        cells = [run.name, *(_text(values[name]) if name in values else "–" for name in names)]
        cells += [_number(run.metric(name)) for name in figures]
        rows.append("".join(f"<td>{html.escape(cell)}</td>" for cell in cells))
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def draw_figures(figure: Figure, runs: Sequence[RunFolder], *, most: int = 6) -> Figure:
    """One axes per key figure, one dot per run that has it; runs keep colour and marker, and stand at the left."""
    names = figures_of(runs)[:most]
    for place, (name, axes) in enumerate(zip(names, panels(figure, len(names), 3), strict=True)):
        for i, run in enumerate(runs):
            color, marker = look_of(i, MARKERS)
            axes.plot(run.metric(name), i, marker=marker, color=color, markersize=11)
        axes.set(xlabel=name, ylim=(len(runs) - 0.4, -0.6))
        axes.set_yticks(range(len(runs)), ["" if place % 3 else run.name for run in runs])
        dress_chart(axes)
    return figure


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4g}"


def _text(value: Value) -> str:
    """A setting, of a path its end."""
    return Path(value).name if isinstance(value, str) and "/" in value else str(value)

"""Runs and methods as charts: training curves over each other, key figures side by side, scores over difficulty."""

import csv
import html
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dispose.errors import InputError
from dispose.formats.entry import number_of
from dispose.formats.files import read_text
from dispose_viz.style import PALETTE, dress_chart, panels, theme_of
from dispose_workbench.results.run_folders import RunFolder, logs_of

LINES = ("-", "--", "-.", ":")
"""Line styles that go with the colours, so that no line is known by its colour alone."""

SMOOTH = 9
"""Steps that a training's curve is averaged over."""

MARKERS = "osD^vPX*"
MOST = 8
"""Columns of either kind that a table has room for."""


@dataclass(frozen=True)
class Curve:
    """One quantity of a log, in its own unit, over the rising optimiser steps of a run."""

    name: str
    step: Float[np.ndarray, " steps"]
    value: Float[np.ndarray, " steps"]


@dataclass(frozen=True)
class Log:
    """What one run, by its name in legends, logged: quantities named by stage and column."""

    run: str
    curves: tuple[Curve, ...]


def read_logs(runs: Sequence[RunFolder]) -> tuple[tuple[Log, ...], tuple[str, ...]]:
    """The logs of all runs that have some, and a sentence for every log that cannot be read."""
    logs, sentences = [], []
    for run in runs:
        stages, unread = _read_stages(run.logs)
        sentences += unread
        if stages:
            found = [replace(c, name=f"{stage.run}: {c.name}") for stage in stages for c in stage.curves]
            logs.append(Log(run.name, tuple(found)))
    return tuple(logs), tuple(sentences)


def _read_stages(paths: Iterable[tuple[str, Path]]) -> tuple[list[Log], list[str]]:
    """One log per stage of a run, and a sentence for every one that cannot be read."""
    logs, sentences = [], []
    for stage, path in paths:
        try:
            logs.append(Log(stage, read_curves(path)))
        except InputError as error:
            sentences.append(str(error))
    return logs, sentences


def shared_first(names: Sequence[str]) -> tuple[str, ...]:
    """Every name once: those that come most often first, among them losses, then in order of appearance."""
    once = list(dict.fromkeys(names))
    return tuple(sorted(once, key=lambda name: (-names.count(name), "loss" not in name, once.index(name))))


def look_of(run: int, kinds: Sequence[str]) -> tuple[str, str]:
    """Colour and line style, or marker, of a run: neither comes alone, and no two runs have both in common.

    (Of the first eight times as many as there are kinds; the ninth run has the first one's colour and another line.)
    """
    return PALETTE[run % len(PALETTE)], kinds[(run + run // len(PALETTE)) % len(kinds)]


def draw_logs(figure: Figure, logs: Sequence[Log], *, most: int = 6, smooth: int = 1) -> Figure:
    """Several runs over each other: one axes per quantity, one colour and line style per run, one legend for all."""
    names = shared_first([curve.name for log in logs for curve in log.curves])[:most]
    lines: dict[str, Line2D] = {}
    for name, axes in zip(names, panels(figure, len(names), 3), strict=True):
        for i, log in enumerate(logs):
            for curve in (curve for curve in log.curves if curve.name == name):
                lines[log.run] = _draw_curve(axes, curve, smooth, *look_of(i, LINES))
        axes.set(title=name, xlabel="optimiser step", ylabel=name.rpartition("/")[2].rpartition(": ")[2])
        dress_chart(axes)
    if lines:
        figure.legend(
            lines.values(), lines.keys(), loc="outside upper center", ncols=min(len(lines), 4), frameon=False,
            labelcolor=theme_of(figure).ink, fontsize=12, handlelength=3.2,
        )  # fmt: skip
    return figure


def read_training(folder: Path) -> tuple[Log, ...]:
    """What every stage of a training has logged so far, losses alone where it has some; nothing before it starts."""
    logs = []
    for log in _read_stages(logs_of(folder))[0]:  # a stage may have made a file and no step
        losses = tuple(curve for curve in log.curves if curve.name.endswith("loss"))
        logs.append(Log(log.run, losses or log.curves))
    return tuple(logs)


def draw_training(figure: Figure, stages: Sequence[Log]) -> Figure:
    """One axes per stage of a training, as far as it is; a line of words before the first step."""
    if not stages:
        words, ink = "no step yet: examples are being made", theme_of(figure).ink
        figure.text(0.5, 0.5, words, ha="center", color=ink, fontsize=13)
    for log, axes in zip(stages, panels(figure, len(stages), max(len(stages), 1)), strict=True):
        draw_curves(axes, log.curves, f"loss: {log.run}", smooth=SMOOTH)
    return figure


def last_values(logs: Sequence[Log]) -> tuple[tuple[str, float], ...]:
    """The mean of the last few values of every curve, by name: what a training has come to."""
    return tuple((curve.name, float(curve.value[-SMOOTH:].mean())) for log in logs for curve in log.curves)


def read_curves(path: Path) -> tuple[Curve, ...]:
    """All numeric columns of a metrics log, CSV or JSON lines, that has a ``step`` column.

    Empty cells and a last line that a running training has not finished yet are left out.

    Raises:
        InputError: no such file, a log without steps, or one that says two values of one step.
    """
    if not path.is_file():
        raise InputError(f"{path}: no metrics log there; start a training first or name its folder")
    text = read_text(path).splitlines()
    rows = _rows_of_jsonl(path, text) if path.suffix == ".jsonl" else csv.DictReader(text)
    try:
        steps = [(step, row) for row in rows if (step := _number(row.get("step"))) is not None]
    except csv.Error as error:
        raise InputError(f"{path}: is no table of numbers ({error})") from error
    points: dict[str, list[tuple[float, float]]] = {}
    for step, row in steps:
        for name, cell in row.items():
            value = _number(cell)
            if name not in {"step", "epoch"} and value is not None:
                points.setdefault(name, []).append((step, value))
    for name, pairs in points.items():
        if twice := [step for step, count in Counter(step for step, _ in pairs).items() if count > 1]:
            raise InputError(f"{path}: {name} is there twice for step {twice[0]:g}: rows of two runs, or changed ones.")
    if not steps:
        raise InputError(f"{path}: no 'step' column with numbers, so there is nothing to draw")
    return tuple(Curve(name, *np.array(sorted(pairs)).T) for name, pairs in sorted(points.items()))


def draw_curves(axes: Axes, curves: Sequence[Curve], ylabel: str, *, smooth: int = 1) -> Axes:
    """Curves over steps with their names in a legend; `smooth` > 1 draws a running mean over the raw line."""
    for i, curve in enumerate(curves):
        _draw_curve(axes, curve, smooth, PALETTE[i % len(PALETTE)], "-").set_label(curve.name)
    axes.set(xlabel="optimiser step", ylabel=ylabel)
    if curves:
        axes.legend(frameon=False, labelcolor=theme_of(axes).ink)
    return dress_chart(axes)


def _draw_curve(axes: Axes, curve: Curve, smooth: int, color: str, style: str) -> Line2D:
    """The running mean of a curve, over the raw line where they differ."""
    if smooth > 1:
        axes.plot(curve.step, curve.value, color=color, linewidth=0.8, alpha=0.3)
    (line,) = axes.plot(curve.step, running_mean(curve.value, smooth), color=color, linestyle=style, linewidth=2.2)
    return line


def running_mean(value: Float[np.ndarray, " steps"], width: int) -> Float[np.ndarray, " steps"]:
    """Mean over the `width` values around every step (fewer at the ends); `InputError` for a width below 1."""
    if width < 1:
        raise InputError(f"a curve is averaged over at least 1 step, not {width}")
    total = np.concatenate([[0.0], np.cumsum(value)])
    here = np.arange(len(value))
    start, end = np.maximum(here - (width - 1) // 2, 0), np.minimum(here + width // 2 + 1, len(value))
    return (total[end] - total[start]) / (end - start)


def _rows_of_jsonl(path: Path, lines: Sequence[str]) -> Iterable[Mapping[str, object]]:
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):
                return
            raise InputError(f"{path}, line {number}: not JSON ({error.msg})") from None
        if isinstance(row, dict):
            yield row


def _number(cell: object) -> float | None:
    """A finite number, or None for what is none."""
    if isinstance(cell, bool) or not isinstance(cell, (int, float, str)):
        return None
    try:
        value = number_of(cell) if isinstance(cell, str) else float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


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
        # Of a path its end.
        settings = {n: Path(v).name if isinstance(v, str) and "/" in v else str(v) for n, v in run.parameters}
        metrics = {name: f"{value:.4g}" for name, value in run.metrics}
        cells = [run.name, *(settings.get(name, "–") for name in names), *(metrics.get(name, "–") for name in figures)]
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


@dataclass(frozen=True)
class Score:
    """One method's score for every group of cases, NaN where a group has no case."""

    name: str
    value: Float[np.ndarray, " groups"]


def draw_scores(axes: Axes, groups: Sequence[int], scores: Sequence[Score], *, xlabel: str, ylabel: str) -> Axes:
    """One line per method over the groups; the first method is drawn bold and on top."""
    for i, score in enumerate(scores):
        width, size, order = (3.2, 8, 3) if i == 0 else (1.6, 5, 2)
        axes.plot(groups, score.value, marker=MARKERS[i % len(MARKERS)], color=PALETTE[i % len(PALETTE)],
                  linewidth=width, markersize=size, zorder=order, label=score.name)  # fmt: skip
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.set_xticks(list(groups))
    axes.legend(frameon=False, labelcolor=theme_of(axes).ink, fontsize=11)
    return dress_chart(axes)

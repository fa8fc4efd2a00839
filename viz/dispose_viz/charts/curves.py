"""Training curves from the files that a training run writes, of one run or of several over each other."""

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dispose.errors import InputError
from dispose_viz.style import PALETTE, dress_chart, panels, theme_of
from dispose_workbench.results.run_folders import RunFolder, logs_of

LINES = ("-", "--", "-.", ":")
"""Line styles that go with the colours, so that no line is known by its colour alone."""

SMOOTH = 9
"""Steps that a training's curve is averaged over."""


@dataclass(frozen=True)
class Curve:
    """One quantity over the steps of a run.

    Attributes:
        name: the column's name in the log.
        step: optimiser steps, rising.
        value: the quantity in its own unit.
    """

    name: str
    step: Float[np.ndarray, " steps"]
    value: Float[np.ndarray, " steps"]


@dataclass(frozen=True)
class Log:
    """What one run logged.

    Attributes:
        run: its name in legends.
        curves: its quantities, named by stage and column.
    """

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
        InputError: no such file, or a log without steps.
    """
    if not path.is_file():
        raise InputError(f"{path}: no metrics log there; start a training first or name its folder")
    rows = _rows_of_jsonl(path) if path.suffix == ".jsonl" else _rows_of_csv(path)
    points: dict[str, list[tuple[float, float]]] = {}
    seen_step = False
    for row in rows:
        step = _number(row.get("step"))
        if step is None:
            continue
        seen_step = True
        for name, cell in row.items():
            value = _number(cell)
            if name not in {"step", "epoch"} and value is not None:
                points.setdefault(name, []).append((step, value))
    if not seen_step:
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


def _rows_of_csv(path: Path) -> Iterable[Mapping[str, object]]:
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def _rows_of_jsonl(path: Path) -> Iterable[Mapping[str, object]]:
    lines = path.read_text(encoding="utf-8").splitlines()
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
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None

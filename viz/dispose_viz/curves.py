"""Training curves from the files that a training run writes."""

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from dispose.errors import InputError
from dispose_viz.style import LIGHT, PALETTE, Theme, dress


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


def draw_curves(axes: Axes, curves: Sequence[Curve], ylabel: str, *, smooth: int = 1, theme: Theme = LIGHT) -> Axes:
    """Curves over steps with their names at the right end; `smooth` > 1 draws a running mean over the raw line."""
    for i, curve in enumerate(curves):
        color = PALETTE[i % len(PALETTE)]
        mean = running_mean(curve.value, smooth)
        if smooth > 1:
            axes.plot(curve.step, curve.value, color=color, linewidth=0.8, alpha=0.3)
        axes.plot(curve.step, mean, color=color, linewidth=2.2, label=curve.name)
    axes.set(xlabel="optimiser step", ylabel=ylabel)
    axes.grid(color=theme.grid, linewidth=0.6)
    if curves:
        axes.legend(frameon=False, labelcolor=theme.ink)
    return dress(axes, theme=theme)


def running_mean(value: Float[np.ndarray, " steps"], width: int) -> Float[np.ndarray, " steps"]:
    """Mean over the `width` values around every step (fewer at the ends)."""
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

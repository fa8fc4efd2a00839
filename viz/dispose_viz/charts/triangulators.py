"""Triangulators beside each other: errors by number of cameras, and whether what they claim is true.

Called as ``python -m dispose_viz.charts.triangulators TRIANGULATORS.json``; the pictures are written beside the tables
that `dispose evaluate triangulators` makes of it (``…_by_views.json``, ``…_reliability.json``), where there are any.
"""

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from dispose.formats.files import replacing_path
from dispose.zoo.triangulators import TRIANGULATORS
from dispose_viz.charts.curves import LINES, MARKERS, look_of
from dispose_viz.style import POINTS_PER_INCH, dress_chart, new_figure, panels, theme_of

FEWEST_TICKS = 3
ROOM = 1.05
"""So much farther than its values reach a logarithmic axis."""


@dataclass(frozen=True)
class Series:
    """One triangulator on one set of frames: what is drawn over what, NaN where there is nothing."""

    name: str
    frames: str
    at: tuple[float, ...]
    value: tuple[float, ...]


@dataclass(frozen=True)
class Measure:
    """A figure of the tables, what it is, and whether its axis is one of ratios."""

    key: str
    title: str
    unit: str
    ratios: bool


BY_VIEWS = (
    Measure("joint_mm", "mean error of the placed joints", "mm", True),
    Measure("p95_mm", "error that one joint of 20 exceeds", "mm", True),
    Measure("joints", "joints that are placed", "% of all", False),
)
JOINTS = ("claimed_mm", "real_mm")
PEOPLE = ("claimed", "real")

Row = dict[str, object]


def series_of(rows: Sequence[Row], at: str, value: str) -> list[Series]:
    """The lines of a table, in its order: one for every triangulator and set of frames that has both figures."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if at in row and value in row:
            found.setdefault((str(row["method"]), str(row["detections"])), []).append(row)
    return [
        Series(name, frames, tuple(map(_number, (row[at] for row in some))),
               tuple(map(_number, (row[value] for row in some))))
        for (name, frames), some in found.items()
    ]  # fmt: skip


def draw_by_views(figure: Figure, rows: Sequence[Row]) -> Figure:
    """A row of charts for every set of frames: mean error, the worst, and how many joints are placed at all."""
    frames = list(dict.fromkeys(str(row["detections"]) for row in rows))
    names = list(dict.fromkeys(str(row["method"]) for row in rows))
    places = iter(panels(figure, len(frames) * len(BY_VIEWS), len(BY_VIEWS)))
    for one in frames:
        mine = [row for row in rows if row["detections"] == one]
        for measure in BY_VIEWS:
            axes = next(places)
            lines = series_of(mine, "views", measure.key)
            _draw_lines(axes, lines, names)
            axes.set(title=f"{one}: {measure.title}", xlabel="cameras of the rig", ylabel=measure.unit)
            views = sorted({int(at) for line in lines for at in line.at})
            axes.set_xticks(views)
            axes.set_xlim(views[0] - 0.3, views[-1] + 0.3)
            if measure.ratios:
                axes.set_yscale("log")
                _label_ratios(axes.yaxis, _values(lines))
            else:
                axes.set_ylim(-3, 103)
            dress_chart(axes)
    return _legend(figure, names)


def draw_claims(figure: Figure, rows: Sequence[Row], keys: tuple[str, str]) -> Figure:
    """What is claimed (across) and what is true (up), a chart for every set of frames and number of views.

    On the dashed line claims are true; above it what is said of joints is too good, what is said of people too bad.
    """
    rows = [row for row in rows if keys[0] in row]
    names = list(dict.fromkeys(str(row["method"]) for row in rows))
    kinds = list(dict.fromkeys((str(row["detections"]), row["views"], row["most_views"]) for row in rows))
    joints = keys == JOINTS
    for (frames, low, high), axes in zip(kinds, panels(figure, len(kinds), 4), strict=True):
        mine = [row for row in rows if (row["detections"], row["views"], row["most_views"]) == (frames, low, high)]
        lines = series_of(mine, *keys)
        _draw_lines(axes, lines, names)
        axes.set_title(f"{frames}\n{_seen(_number(low), _number(high), 'joints' if joints else 'people')}")
        if joints:
            both = [*_values(lines), *(at for line in lines for at in line.at)]
            axes.set(xscale="log", yscale="log")
            _label_ratios(axes.xaxis, both)
            _label_ratios(axes.yaxis, both)
            ends = min(both), max(both)
            axes.set(xlabel="claimed mean error, mm", ylabel="real mean error, mm")
        else:
            ends = 0.0, 100.0
            axes.set(xlabel="claimed probability to be within 150 mm, %", ylabel="people within 150 mm, %")
            axes.set(xlim=(-3, 103), ylim=(-3, 103))
        axes.plot(ends, ends, "--", color=theme_of(axes).muted, linewidth=1.5, zorder=1)
        dress_chart(axes)
    return _legend(figure, names, "as claimed")


def title_of(name: str) -> str:
    """How a triangulator is called in pictures."""
    return next((one.title for one in TRIANGULATORS if one.name == name), name)


def _draw_lines(axes: Axes, lines: Sequence[Series], names: Sequence[str]) -> None:
    for line in lines:
        color, style, marker = _look(names.index(line.name))
        axes.plot(line.at, line.value, color=color, linestyle=style, marker=marker, linewidth=2, markersize=6)


def _look(place: int) -> tuple[str, str, str]:
    color, marker = look_of(place, MARKERS)
    return color, LINES[place % len(LINES)], marker


def _legend(figure: Figure, names: Sequence[str], diagonal: str = "") -> Figure:
    looks = [(title_of(name), *_look(place)) for place, name in enumerate(names)]
    looks += [(diagonal, theme_of(figure).muted, "--", "")] if diagonal else []
    axes = figure.axes[0]
    lines = [
        axes.plot([], [], color=color, linestyle=style, marker=marker, linewidth=2)[0]
        for _, color, style, marker in looks
    ]
    figure.legend(
        lines, [look[0] for look in looks], loc="outside upper center", ncols=min(len(looks), 8), frameon=False,
        labelcolor=theme_of(figure).ink, fontsize=12, handlelength=3.2,
    )  # fmt: skip
    return figure


def _label_ratios(axis: Axis, values: Sequence[float]) -> None:
    """Plain numbers, at least three of them, along a logarithmic axis."""
    low, high = min(values) / ROOM, max(values) * ROOM
    few, many = ([10.0**power * one for power in range(-2, 7) for one in ones] for ones in ((1, 2, 5), range(1, 10)))
    ticks = [tick for tick in few if low <= tick <= high]
    axis.set_ticks(ticks if len(ticks) >= FEWEST_TICKS else [tick for tick in many if low <= tick <= high])
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def _values(lines: Sequence[Series]) -> list[float]:
    return [value for line in lines for value in line.value if math.isfinite(value)] or [1.0]


def _seen(low: float, high: float, what: str) -> str:
    views = f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"
    return f"{what} seen by {views} view{'' if high == 1 else 's'}"


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def draw_tables(results: Path) -> list[Path]:
    """Draw what stands beside a result file; the pictures written."""
    written = []
    views, claims = (results.with_name(f"{results.stem}_{end}.json") for end in ("by_views", "reliability"))
    if views.is_file():
        rows = json.loads(views.read_text())["rows"]
        sets = len({row["detections"] for row in rows})
        written.append(_save(draw_by_views(new_figure(16, 1 + 4 * sets), rows), views.with_suffix(".png")))
    if claims.is_file():
        rows = json.loads(claims.read_text())["rows"]
        for keys, end in ((JOINTS, ".png"), (PEOPLE, "_people.png")):
            kinds = len({(row["detections"], row["views"]) for row in rows if keys[0] in row})
            if kinds:
                height = 1 + 4 * math.ceil(kinds / 4)
                drawn = draw_claims(new_figure(16, height), rows, keys)
                written.append(_save(drawn, claims.with_name(f"{claims.stem}{end}")))
    return written


def _save(figure: Figure, path: Path) -> Path:
    with replacing_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=POINTS_PER_INCH)
    return path


def main(arguments: Sequence[str]) -> int:
    """Draw the tables beside a result file."""
    for path in draw_tables(Path(arguments[0])):
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

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

COLUMNS = 4
"""Charts of claims beside each other."""

FEWEST_TICKS = 3
ROOM = 1.05
"""So much farther than its values reach a logarithmic axis."""


@dataclass(frozen=True)
class Series:
    """One triangulator on one set of frames: what is drawn over what, NaN where there is nothing.

    `views` are the fewest and most views of what is claimed; of other figures (0, 0).
    """

    name: str
    frames: str
    views: tuple[float, float]
    at: tuple[float, ...]
    value: tuple[float, ...]


@dataclass(frozen=True)
class Chart:
    """Two figures of a table drawn over each other.

    Attributes:
        at: the figure across.
        value: the figure up.
        title: what is shown.
        xlabel: across, with its unit.
        ylabel: up, with its unit.
        ratios: whether the values' axis is one of ratios.
    """

    at: str
    value: str
    title: str
    xlabel: str
    ylabel: str
    ratios: bool


CAMERAS = "cameras of the rig"
BY_VIEWS = (
    Chart("views", "joint_mm", "mean error of the placed joints", CAMERAS, "mm", True),
    Chart("views", "p95_mm", "error that one joint of 20 exceeds", CAMERAS, "mm", True),
    Chart("views", "joints", "joints that are placed", CAMERAS, "% of all", False),
)
JOINTS = Chart("claimed_mm", "real_mm", "joints", "claimed mean error, mm", "real mean error, mm", True)
PEOPLE = Chart("claimed", "real", "people", "claimed: within 150 mm, %", "really within 150 mm, %", False)


def read_series(table: Path, chart: Chart) -> list[Series]:
    """The lines of a result file, in its order: one for every triangulator, set of frames and, of claims, views."""
    found: dict[tuple[str, str, tuple[float, float]], list[tuple[float, float]]] = {}
    for row in json.loads(table.read_text())["rows"]:
        if chart.at in row and chart.value in row:
            views = (row["views"], row["most_views"]) if "most_views" in row else (0.0, 0.0)
            key = str(row["method"]), str(row["detections"]), views
            found.setdefault(key, []).append((_number(row[chart.at]), _number(row[chart.value])))
    return [Series(*key, *map(tuple, zip(*points, strict=True))) for key, points in found.items()]


def draw_by_views(figure: Figure, lines: Sequence[Sequence[Series]]) -> Figure:
    """A row of charts for every set of frames: mean error, the worst, and how many joints are placed at all.

    Args:
        figure: what is drawn on.
        lines: those of every chart of `BY_VIEWS`.
    """
    frames = list(dict.fromkeys(line.frames for some in lines for line in some))
    names = list(dict.fromkeys(line.name for some in lines for line in some))
    places = iter(panels(figure, len(frames) * len(BY_VIEWS), len(BY_VIEWS)))
    for one in frames:
        for chart, some in zip(BY_VIEWS, lines, strict=True):
            axes, mine = next(places), [line for line in some if line.frames == one]
            _draw_lines(axes, mine, names)
            axes.set(title=f"{one}: {chart.title}", xlabel=chart.xlabel, ylabel=chart.ylabel)
            views = sorted({int(at) for line in mine for at in line.at})
            axes.set_xticks(views)
            axes.set_xlim(views[0] - 0.3, views[-1] + 0.3)
            if chart.ratios:
                axes.set_yscale("log")
                label_ratios(axes.yaxis, _values(mine))
            else:
                axes.set_ylim(-3, 103)
            dress_chart(axes)
    return _legend(figure, names)


def draw_claims(figure: Figure, lines: Sequence[Series], chart: Chart) -> Figure:
    """What is claimed (across) and what is true (up), a chart for every set of frames and number of views.

    On the dashed line claims are true; above it what is said of joints is too good, what is said of people too bad.
    """
    names = list(dict.fromkeys(line.name for line in lines))
    kinds = kinds_of(lines)
    for (frames, (low, high)), axes in zip(kinds, panels(figure, len(kinds), COLUMNS), strict=True):
        mine = [line for line in lines if (line.frames, line.views) == (frames, (low, high))]
        _draw_lines(axes, mine, names)
        views = f"{low:.0f} view{'' if high == 1 else 's'}" if low == high else f"{low:.0f} to {high:.0f} views"
        axes.set(title=f"{frames}\n{chart.title} seen by {views}", xlabel=chart.xlabel, ylabel=chart.ylabel)
        ends = 0.0, 100.0
        if chart.ratios:
            both = [*_values(mine), *(at for line in mine for at in line.at)]
            axes.set(xscale="log", yscale="log")
            label_ratios(axes.xaxis, both)
            label_ratios(axes.yaxis, both)
            ends = min(both), max(both)
        else:
            axes.set(xlim=(-3, 103), ylim=(-3, 103))
        axes.plot(ends, ends, "--", color=theme_of(axes).muted, linewidth=1.5, zorder=1)
        dress_chart(axes)
    return _legend(figure, names, "as claimed")


def kinds_of(lines: Sequence[Series]) -> list[tuple[str, tuple[float, float]]]:
    """Sets of frames, in their order, with rising numbers of views: what claims have a chart for."""
    frames = list(dict.fromkeys(line.frames for line in lines))
    return sorted({(line.frames, line.views) for line in lines}, key=lambda kind: (frames.index(kind[0]), kind[1]))


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


def label_ratios(axis: Axis, values: Sequence[float]) -> None:
    """Plain numbers, at least three of them, along a logarithmic axis."""
    low, high = min(values) / ROOM, max(values) * ROOM
    few, many = ([10.0**power * one for power in range(-2, 7) for one in ones] for ones in ((1, 2, 5), range(1, 10)))
    ticks = [tick for tick in few if low <= tick <= high]
    axis.set_ticks(ticks if len(ticks) >= FEWEST_TICKS else [tick for tick in many if low <= tick <= high])
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def _values(lines: Sequence[Series]) -> list[float]:
    return [value for line in lines for value in line.value if math.isfinite(value)] or [1.0]


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def draw_tables(results: Path) -> list[Path]:
    """Draw what stands beside a result file; the pictures written."""
    written = []
    views, claims = (results.with_name(f"{results.stem}_{end}.json") for end in ("by_views", "reliability"))
    if views.is_file():
        lines = [read_series(views, chart) for chart in BY_VIEWS]
        height = 1 + 4 * len({line.frames for line in lines[0]})
        written.append(_save(draw_by_views(new_figure(16, height), lines), views.with_suffix(".png")))
    if claims.is_file():
        for chart, end in ((JOINTS, ".png"), (PEOPLE, "_people.png")):
            said = read_series(claims, chart)
            if said:
                figure = new_figure(16, 1 + 4 * math.ceil(len(kinds_of(said)) / COLUMNS))
                written.append(_save(draw_claims(figure, said, chart), claims.with_name(f"{claims.stem}{end}")))
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

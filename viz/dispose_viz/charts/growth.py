"""How time grows with views and people, from a bench file.

Called as ``python -m dispose_viz.charts.growth BENCH.json IMAGE.png``.
"""

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dispose.formats.files import replacing_path
from dispose_viz.style import PALETTE, dress, theme_of


@dataclass(frozen=True)
class Growth:
    """Seconds of a frame of so many views and people, ours and plain enumeration's (NaN where it was not run)."""

    views: int
    persons: int
    seconds: float
    plain_seconds: float


def read_growth(path: Path) -> list[Growth]:
    """The cells of a bench file."""
    cells = json.loads(path.read_text())["rows"]
    return [
        Growth(c["views"], c["persons"], c["seconds"], math.nan if c["plain_seconds"] is None else c["plain_seconds"])
        for c in cells
    ]


def read_exponents(path: Path) -> tuple[str, ...]:
    """The fitted exponents of a bench file as formulas; files from before they were fitted have none."""
    return tuple(
        rf"from {fit['from_views']} cameras on: time ~ cameras$^{{{fit['views_exponent']:.2f}}}$"
        rf" people$^{{{fit['persons_exponent']:.2f}}}$"
        for fit in json.loads(path.read_text()).get("growth", ())
    )


def draw_growth(axes: Axes, cells: list[Growth], exponents: Sequence[str] = ()) -> Axes:
    """One line per number of people over the number of views; plain enumeration dashed, as far as it was run.

    Fitted exponents stand in the corner.
    """
    for row, persons in enumerate(sorted({cell.persons for cell in cells})):
        mine = sorted((cell for cell in cells if cell.persons == persons), key=lambda cell: cell.views)
        colour = PALETTE[row % len(PALETTE)]
        views = [cell.views for cell in mine]
        axes.plot(views, [cell.seconds for cell in mine], "o-", color=colour, label=f"{persons} people")
        axes.plot(views, [cell.plain_seconds for cell in mine], "s--", color=colour, alpha=0.6)
    ink = theme_of(axes).ink
    axes.plot([], [], "s--", color=ink, alpha=0.6, label="plain enumeration (where it was run)")
    axes.set(yscale="log", xlabel="cameras", ylabel="seconds for a whole frame, one core")
    axes.set_xticks(sorted({cell.views for cell in cells}))
    axes.legend(frameon=False, labelcolor=ink, loc="lower right", bbox_to_anchor=(1.0, 0.12))
    axes.text(0.98, 0.03, "\n".join(exponents), transform=axes.transAxes, ha="right", va="bottom", color=ink)
    return dress(axes)


def main(arguments: list[str]) -> int:
    """Draw a bench file as a PNG."""
    source, target = map(Path, arguments)
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    draw_growth(figure.subplots(), read_growth(source), read_exponents(source))
    with replacing_path(target) as temporary:
        figure.savefig(temporary, format="png", dpi=130)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

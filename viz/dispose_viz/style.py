"""One look for every picture: a palette that colour-blind readers can tell apart, light and dark.

A person keeps the colour of their id in every picture, matplotlib or plotly. Colour never stands alone:
pictures also write the id. The theme of a matplotlib figure is chosen once, by `new_figure`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure, SubFigure
from matplotlib.patheffects import withStroke

from dispose.formats.files import replacing_path
from dispose.scene.colours import PALETTE
from dispose.tensors import ABSENT

MAP = "cividis"
"""The matplotlib colour map for quantities: perceptually uniform and colour-blind safe."""

POINTS_PER_INCH = 100


@dataclass(frozen=True)
class Theme:
    """The colours that are not people.

    Paper is behind everything, ink is text and axes, muted is what nobody owns (cameras, false detections, helper
    lines), grid is grid lines and frames of pictures, alarm is what went wrong.
    """

    paper: str
    ink: str
    muted: str
    grid: str
    alarm: str


LIGHT = Theme(paper="#FFFFFF", ink="#1A1A1A", muted="#7F7F7F", grid="#D9D9D9", alarm="#B00020")
DARK = Theme(paper="#14171A", ink="#ECECEC", muted="#9A9A9A", grid="#3A3F44", alarm="#FF8A80")


def person_color(person: int) -> str:
    """The colour of an id, the same in every picture; ids beyond the palette reuse it in a paler shade."""
    if person < 0:
        raise ValueError(f"person ids are not negative, got {person}")
    rounds, place = divmod(person, len(PALETTE))
    return blend(PALETTE[place], "#FFFFFF", 0.4 * (rounds % 2))


def blend(color: str, other: str, share: float) -> str:
    """A colour moved towards another by a share in [0, 1]."""
    (r, g, b), (r2, g2, b2) = to_rgb(color), to_rgb(other)
    kept = 1 - share
    return to_hex((kept * r + share * r2, kept * g + share * g2, kept * b + share * b2)).upper()


def color_of(person: int, theme: Theme) -> str:
    """The colour of a person's id; people without one (`ABSENT`) are grey."""
    return theme.muted if person == ABSENT else person_color(person)


def label_of(person: int) -> str:
    """How a person is called in pictures."""
    return "nobody" if person == ABSENT else f"P{person}"


def new_figure(width: float, height: float, *, theme: Theme = LIGHT) -> Figure:
    """An empty matplotlib figure (inches) of nobody's global state; what is drawn on it takes its theme."""
    return Figure(figsize=(width, height), dpi=POINTS_PER_INCH, layout="constrained", facecolor=theme.paper)


def theme_of(drawn: Axes | Figure | SubFigure) -> Theme:
    """The theme that a figure was made in, as its paper tells."""
    figure = drawn.get_figure(root=True)
    dark = figure is not None and to_hex(figure.get_facecolor()).upper() == DARK.paper
    return DARK if dark else LIGHT


def panels(figure: Figure | SubFigure, count: int, columns: int) -> list[Axes]:
    """So many axes of a figure in a grid, row by row."""
    rows, columns = math.ceil(count / columns), min(columns, count)
    return [figure.add_subplot(rows, columns, place + 1) for place in range(count)]


def dress(axes: Axes) -> Axes:
    """Paint background, frame, ticks and labels in the theme's colours."""
    theme = theme_of(axes)
    axes.set_facecolor(theme.paper)
    axes.tick_params(colors=theme.ink, labelsize=11)
    for spine in axes.spines.values():
        spine.set_color(theme.grid)
    for text in (axes.xaxis.label, axes.yaxis.label, axes.title):
        text.set_color(theme.ink)
        text.set_fontsize(12)
    return axes


def dress_chart(axes: Axes) -> Axes:
    """`dress`, and a grid behind what is drawn."""
    axes.grid(color=theme_of(axes).grid, linewidth=0.6)
    axes.set_axisbelow(True)
    return dress(axes)


def add_legend(axes: Axes, *, location: Literal["best", "lower right", "below"] = "best", columns: int = 4) -> Axes:
    """A framed legend in the theme's colours; ``below``: under all panels of their figure, in so many columns."""
    theme = theme_of(axes)
    if location == "below":
        handles, labels = axes.get_legend_handles_labels()
        axes.figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=12,
                           labelcolor=theme.ink)  # fmt: skip
        return axes
    axes.legend(loc=location, fontsize=12, labelcolor=theme.ink, facecolor=theme.paper, edgecolor=theme.grid)
    return axes


def halo(theme: Theme) -> list[withStroke]:
    """A rim of paper (`path_effects`) that keeps a text legible on whatever it stands on."""
    return [withStroke(linewidth=3, foreground=theme.paper)]


def add_colorbar(axes: Axes | Sequence[Axes], drawn: ScalarMappable, label: str, *, shrink: float = 1.0) -> Colorbar:
    """What the colours of an image mean, beside its axes, or beside those of several."""
    first = axes if isinstance(axes, Axes) else axes[0]
    theme = theme_of(first)
    bar = first.figure.colorbar(drawn, ax=axes, label=label, shrink=shrink)
    bar.ax.tick_params(colors=theme.ink, labelsize=11)
    bar.ax.yaxis.label.set_color(theme.ink)
    return bar


def write(
    axes: Axes,
    text: str,
    place: tuple[float, ...],
    offset: tuple[float, float],
    color: str | None = None,
    *,
    align: Literal["left", "center", "right"] = "left",
    base: Literal["baseline", "bottom", "center"] = "baseline",
    bold: bool = False,
) -> Axes:
    """Words with a halo beside a place of the axes, `offset` points away from it; in ink if no colour is given."""
    theme = theme_of(axes)
    axes.annotate(text, (place[0], place[1]), offset, textcoords="offset points", color=color or theme.ink,
                  fontsize=12, fontweight="bold" if bold else "normal", ha=align, va=base, path_effects=halo(theme),
                  zorder=6)  # fmt: skip
    return axes


def lay_out(figure: Figure) -> Figure:
    """One layout ahead of the one that saving does: pictures of equal axes settle in the second only.

    With a single one, words at their edges are cut.
    """
    engine = figure.get_layout_engine()
    if engine is not None and figure.axes:
        engine.execute(figure)
    return figure


def save_figure(figure: Figure, path: Path) -> Figure:
    """Write a figure as ``PATH.png`` and ``PATH.svg``, each whole or not at all; returns the figure."""
    lay_out(figure)
    for kind in ("png", "svg"):
        with replacing_path(path.with_name(f"{path.name}.{kind}")) as temporary:
            figure.savefig(temporary, format=kind, facecolor=figure.get_facecolor())
    return figure

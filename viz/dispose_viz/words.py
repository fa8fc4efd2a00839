"""Names from files in pictures: never read as a formula or as markup, and never wider than their place."""

import html
import math
import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

POINTS = 72
LETTER = 0.61
"""Width of a letter as a share of the size of the font, on average."""

TITLE_SIZE, TICK_SIZE = 12, 11
LONGEST_TICK = 24
"""Letters of a name that stands slanted at an axis."""

TILTED = 40


def plain(text: str) -> str:
    """A text that matplotlib writes as it is, dollar signs included."""
    return text.replace("$", r"\$")


def escape_markup(text: str) -> str:
    """A text that plotly and a page write as it is, with its ``<``, ``&`` and dollar signs."""
    return html.escape(text, quote=False).replace("$", "&#36;")


def break_tags(text: str) -> str:
    """A text in plotly's 3-D scenes, which know tags but no ``&lt;``: a space without width takes a tag apart."""
    return text.replace("<", "<\u200b")


def shorten(text: str, letters: int) -> str:
    """A text of at most so many letters: what is too much goes from its middle, names differ at their ends."""
    if len(text) <= letters:
        return text
    kept = max(letters - 1, 2)
    return f"{text[: (kept + 1) // 2]}…{text[-(kept // 2) :]}"


def tick_name(text: str) -> str:
    """A name that is short enough to stand at an axis or at a mark, dollar signs included."""
    return plain(shorten(text, LONGEST_TICK))


def size_of(axes: Axes) -> tuple[float, float]:
    """Width and height of an axes in points, before its layout."""
    return float(axes.bbox.width) / axes.figure.dpi * POINTS, float(axes.bbox.height) / axes.figure.dpi * POINTS


def length_of(text: str, size: float) -> float:
    """Points that a line of text is long."""
    width, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(size=size), False)
    return float(width)


def title_of(axes: Axes, text: str) -> str:
    """A title that is no wider than its picture: one line or two, with less in the middle where that is not enough."""
    # Axes stand a fifth of their width apart before the layout: titles have that room too.
    room, length = 1.2 * size_of(axes)[0], length_of(text, TITLE_SIZE)
    letters = len(text) if length <= room else max(8, int(len(text) * room / length))
    lines = textwrap.wrap(text, letters) if len(text) > letters else [text]
    if len(lines) > 2:
        text = shorten(text, 2 * letters)
        lines = [text[:letters], text[letters:]]
    return plain("\n".join(lines))


def name_columns(axes: Axes, places: Sequence[float], names: Sequence[str]) -> Axes:
    """Names below the columns of a table, slanted where they are wider than a column."""
    room = size_of(axes)[0] / max(len(names), 1) / (LETTER * TICK_SIZE)
    short = [tick_name(name) for name in names]
    if max(map(len, short), default=0) + 1 <= room:
        axes.set_xticks(places, short)
    else:
        axes.set_xticks(places, short, rotation=TILTED, ha="right", rotation_mode="anchor")
    return axes


def name_rows(axes: Axes, places: Sequence[float], names: Sequence[str]) -> Axes:
    """Names beside the rows of a table, every second or third where rows are lower than letters."""
    room = size_of(axes)[1] / max(len(names), 1)
    step = math.ceil(TICK_SIZE / room)
    short = [tick_name(name) for name in names]
    axes.set_yticks(places, [name if row % step == 0 else "" for row, name in enumerate(short)])
    return axes

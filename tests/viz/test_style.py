"""Laws of the one look: constant colours per id, pictures written whole."""

import itertools

import pytest
from matplotlib.colors import to_hex, to_rgb

from dispose.errors import OutputError
from dispose_viz.style import (
    DARK,
    LIGHT,
    PALETTE,
    blend,
    dress_chart,
    new_figure,
    panels,
    person_color,
    save_figure,
    theme_of,
    write,
)


def contrast(a: str, b: str) -> float:
    """Contrast ratio as WCAG defines it, from relative luminances."""

    def luminance(color: str) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_an_id_has_one_colour_and_neighbours_differ() -> None:
    colors = [person_color(i) for i in range(2 * len(PALETTE))]
    assert colors == [person_color(i) for i in range(2 * len(PALETTE))]
    assert len(set(colors)) == len(colors)
    with pytest.raises(ValueError, match="-1"):
        person_color(-1)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_everything_can_be_read_on_its_paper(theme) -> None:
    assert contrast(theme.ink, theme.paper) > 10
    assert all(contrast(c, theme.paper) > 2 for c in (*PALETTE, theme.muted, theme.alarm))


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_what_is_drawn_takes_the_theme_that_its_figure_was_made_in(theme) -> None:
    figure = new_figure(4.0, 3.0, theme=theme)
    first, *_, last = panels(figure, 5, 3)
    assert theme_of(figure) is theme_of(last) is theme and len(figure.axes) == 5
    places = [axes.get_subplotspec() for axes in (first, last)]
    assert [(p.rowspan.start, p.colspan.start) for p in places if p is not None] == [(0, 0), (1, 1)]
    write(dress_chart(first), "a word", (0.5, 0.5), (3, 3))
    assert first.texts[0].get_color() == theme.ink and to_hex(first.get_facecolor()).upper() == theme.paper


def test_palette_colours_are_far_apart_for_colour_blind_readers() -> None:
    # Deuteranopia after Viénot, Brettel and Mollon (1999), in linear RGB.
    rows = ((0.29275, 0.70725, 0.0), (0.29275, 0.70725, 0.0), (-0.02234, 0.02234, 1.0))
    seen = [[sum(k * c**2.2 for k, c in zip(row, to_rgb(color), strict=True)) for row in rows] for color in PALETTE[:6]]
    for a, b in itertools.combinations(seen, 2):
        assert sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) ** 0.5 > 0.05


def test_blend_goes_from_one_colour_to_the_other() -> None:
    assert blend("#0072B2", "#FFFFFF", 0.0) == "#0072B2"
    assert blend("#0072B2", "#FFFFFF", 1.0) == "#FFFFFF"


def test_a_picture_is_written_whole_or_not_at_all(tmp_path) -> None:
    figure = new_figure(2.0, 1.0)
    figure.add_subplot().plot([0, 1])
    assert save_figure(figure, tmp_path / "deep" / "a") is figure
    assert (tmp_path / "deep" / "a.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / "deep" / "a.svg").read_bytes()
    figure.savefig = lambda *_, **__: (_ for _ in ()).throw(OSError("disk full"))  # type: ignore[method-assign]
    with pytest.raises(OutputError, match=r"b\.png: cannot be written \(disk full"):
        save_figure(figure, tmp_path / "deep" / "b")
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == ["a.png", "a.svg"]

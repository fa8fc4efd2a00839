"""Tensors as tables and voxels: what stands in the cells, and sums that are wrong are said to be wrong."""

from itertools import pairwise
from typing import Any, cast

import numpy as np
import plotly.graph_objects as go
import pytest
from matplotlib.colors import to_hex

from dispose.errors import ShapeError
from dispose_viz.polytope.slices import dense_tensor, draw_cube, draw_matrix, draw_slices
from dispose_viz.scene.plotly_scene import new_scene
from dispose_viz.style import DARK, LIGHT, lay_out, new_figure

MEMBERS = np.array([[0, 0, 0], [1, -1, 1], [-1, 1, -1], [-1, -1, -1]])


def traces_of(figure: go.Figure) -> list[Any]:
    return list(cast(Any, figure).data)


def tensor() -> np.ndarray:
    return dense_tensor(np.array([1.0, 0.7, 1.0, 4.0]), MEMBERS, (2, 2, 2))


def test_a_dense_tensor_has_its_dustbins_last() -> None:
    dense = tensor()
    assert dense.shape == (3, 3, 3) and dense.sum() == pytest.approx(6.7)
    assert dense[0, 0, 0] == 1 and dense[1, 2, 1] == 0.7 and dense[2, 1, 2] == 1 and dense[2, 2, 2] == 4
    with pytest.raises(ShapeError, match="3 views, slots of 2"):
        dense_tensor(np.ones(4), MEMBERS, (2, 2))


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_sums_beside_a_matrix_are_crossed_where_they_are_wrong(theme) -> None:
    matrix, ones = np.array([[0.75, 0.25], [0.5, 0.75]]), np.ones(2)
    axes = draw_matrix(new_figure(3.0, 3.0, theme=theme).add_subplot(), matrix, ones, ones)
    words = [t.get_text() for t in axes.texts]
    assert words == ["0.75", "0.25", "0.5", "0.75", "1", "1.25 ✗", "1.25 ✗", "1"]
    wrong = {to_hex(t.get_color()).upper() for t in axes.texts if "✗" in t.get_text()}
    assert wrong == {theme.alarm.upper()}


def test_slices_are_panels_with_the_sums_of_all_views_beside() -> None:
    targets = [np.array([1.0, 1, 5]), np.array([1.0, 1, 4.7]), np.array([1.0, 1, 5])]
    figure = draw_slices(new_figure(9.0, 3.0), tensor(), targets)
    *panels, table = figure.axes
    assert len(panels) == 3
    assert [a.get_title() for a in panels] == ["C = #0\nsum 1 ✓", "C = #1\nsum 0.70, not 1 ✗", "C = –\nsum 5 ✓"]
    lines = [t.get_text() for t in table.texts if t.get_text()]
    assert len(lines) == 9 and [line for line in lines if "✗" in line] == [
        "A = #1  0.70, not 1 ✗", "C = #1  0.70, not 1 ✗",
    ]  # fmt: skip
    assert lines[5] == "B = –   4.7 ✓"


def test_voxels_are_as_opaque_as_their_mass_and_say_who_they_are() -> None:
    figure = draw_cube(new_scene(), tensor(), dustbins=True)
    traces = traces_of(figure)
    assert [t.opacity for t in traces] == [1.0, 0.7, 1.0, 1.0]
    assert traces[1].hovertext == "A = #1, B = –, C = #1: mass 0.700"
    assert traces[2].color == LIGHT.muted  # nobody of view A
    assert list(cast(Any, figure).layout.scene.xaxis.ticktext) == ["#0", "#1", "–"]
    assert not traces_of(draw_cube(new_scene(), np.full((2, 2, 2), 1e-4)))


def test_only_three_views_make_slices_and_cubes() -> None:
    with pytest.raises(ShapeError, match="got 3 and targets of 2"):
        draw_slices(new_figure(3.0, 3.0), tensor(), [np.ones(3)] * 2)


def spans(words: list[Any]) -> list[tuple[float, float]]:
    boxes = [word.get_window_extent() for word in words if word.get_text()]
    return sorted((box.x0, box.x1) for box in boxes)


def apart(words: list[Any]) -> bool:
    return all(a[1] <= b[0] for a, b in pairwise(spans(words)))


@pytest.mark.parametrize("people", [1, 5, 13, 25])
def test_numbers_and_sums_of_a_large_matrix_do_not_run_into_one_another(people) -> None:
    matrix = np.full((people, people), 0.37)
    figure = new_figure(6.0, 5.0)
    axes = draw_matrix(figure.add_subplot(), matrix, np.ones(people), np.ones(people))
    lay_out(figure).draw_without_rendering()
    inside = [text for text in axes.texts if "✗" not in text.get_text()]
    assert all(apart([t for t in inside if t.get_position()[1] == row]) for row in range(people))
    assert apart([t for t in axes.texts if "✗" in t.get_text() and t.get_position()[1] > people - 0.5])
    assert apart(list(axes.get_xticklabels())) and len(inside) == (people**2 if people < 20 else 0)


def test_many_slices_stand_in_rows_and_their_titles_stay_apart() -> None:
    figure = draw_slices(new_figure(14.0, 5.0), np.full((9, 9, 9), 0.02), [np.ones(9)] * 3)
    lay_out(figure).draw_without_rendering()
    *panels, table = figure.axes
    rows = sorted({round(axes.get_position().y0, 2) for axes in panels}, reverse=True)
    assert len(rows) == 2
    for row in rows:
        assert apart([axes.title for axes in panels if round(axes.get_position().y0, 2) == row])
    heights = sorted((box.y0, box.y1) for box in (t.get_window_extent() for t in table.texts if t.get_text()))
    assert all(a[1] <= b[0] + 2 for a, b in pairwise(heights)), "lines of the table overlap"

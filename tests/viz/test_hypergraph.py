"""What the pictures of the candidate graph say: every incidence, who it became, and how many were left out."""

from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from matplotlib.colors import to_hex

from dispose.scene.results import Hypotheses
from dispose_viz.hypergraph.candidate_graph import (
    Hyperedges,
    draw_incidence,
    draw_paths,
    ease,
    heaviest,
    hover_text,
    hyperedges_of,
    levels_of,
)
from dispose_viz.style import DARK, LIGHT, new_figure, person_color

MEMBERS = np.array(
    [[0, 0, 0, 0], [1, 1, 1, 1], [2, -1, 2, 2], [0, 1, 0, -1], [-1, 2, -1, -1], [2, -1, -1, 1], [1, 0, -1, -1]]
)
OWNERS = [0, 1, 2, -1, -1, -1, -1]


def traces(figure: go.Figure) -> list[Any]:
    return list(figure.data)  # type: ignore[arg-type]


def widths(axes: Any) -> list[float]:
    return [bar.get_width() for bar in axes.patches]


@pytest.fixture
def edges() -> Hyperedges:
    mass = np.array([1.0, 0.8, 0.9, 0.0, 1.0, 0.1, 0.2])
    return Hyperedges(MEMBERS, np.arange(7.0) * 10, np.linspace(1, 0.1, 7), mass)


def test_the_tuple_of_nobody_is_left_out_and_any_step_can_be_drawn() -> None:
    members = torch.tensor([[0, 0], [0, -1], [-1, -1]])
    mass = torch.tensor([[0.2, 0.8, 3.0], [1.0, 0.0, 3.0]])
    one = torch.ones(3)
    hypotheses = Hypotheses(members, one, one, one, torch.tensor([1.0, 0.0]), mass)
    np.testing.assert_allclose(hyperedges_of(hypotheses).mass, [1.0, 0.0])
    np.testing.assert_allclose(hyperedges_of(hypotheses, step=0).mass, [0.2, 0.8], rtol=1e-6)
    assert len(hyperedges_of(hypotheses)) == 2


def test_people_are_never_left_out_and_the_rest_comes_by_mass(edges) -> None:
    assert set(heaviest(edges, OWNERS, 4)) == {0, 1, 2, 4}
    assert set(heaviest(edges, OWNERS, 5)) == {0, 1, 2, 4, 6}
    light = Hyperedges(MEMBERS, edges.cost, np.array([1, 1, 1, 0.2, 0.3, 0.9, 0.9]), edges.mass * 0)
    # Nobody has mass: the cue decides.
    assert set(heaviest(light, OWNERS, 5)) == {0, 1, 2, 5, 6}
    assert len(heaviest(edges, OWNERS, 99)) == 7


def test_a_persons_detections_stand_on_one_level_and_nobodys_below(toy, edges) -> None:
    level = levels_of(edges, OWNERS, toy.frame.detections)
    for row in range(3):
        views = np.flatnonzero(MEMBERS[row] >= 0)
        assert (level[views, MEMBERS[row, views]] == row).all()
    assert level[1, 2] == 3 and np.isfinite(level).all()
    assert all(len(set(column)) == len(column) for column in level.tolist())


def test_hover_says_detections_cost_cue_and_mass(toy, edges) -> None:
    text = hover_text(edges, 2, 2, toy.frame.detections, toy.frame.cameras.names)
    for word in ("P2", "mass 0.900", "cue 0.70", "cost (χ²) 20", "cam01 #2", "cam02 not seen", "cam04 #2"):
        assert word in text
    assert "nobody" in hover_text(edges, 3, -1, toy.frame.detections, toy.frame.cameras.names)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_paths_join_the_members_in_the_colour_of_the_person(toy, edges, theme) -> None:
    names = toy.frame.cameras.names
    figure = draw_paths(go.Figure(), edges, toy.frame.detections, names, owners=OWNERS, theme=theme)
    lines = [trace for trace in traces(figure) if trace.mode == "lines"]
    # As many pieces as members less one, summed over the tuples that have several.
    assert len(lines) == sum(int((row >= 0).sum()) - 1 for row in MEMBERS)
    assert {t.line.color for t in lines} == {theme.ink, *(person_color(i) for i in range(3))}
    dotted = [t for t in lines if t.line.dash == "dot"]
    assert len(dotted) == 2 and {int(t.x[-1] - t.x[0]) for t in dotted} == {2, 3}
    assert [t.marker.symbol for t in traces(figure) if t.mode == "markers"] == ["circle-open"]
    layout: Any = figure.layout
    dots = traces(figure)[-1]
    assert len(dots.x) == 12 and set(dots.text) == {"#0", "#1", "#2"}
    assert list(layout.xaxis.ticktext) == list(names) and layout.font.size >= 11
    assert "7 of 7 tuples" in layout.annotations[0].text


def test_a_path_passes_through_its_ends_level() -> None:
    x, y = ease((1.0, 0.0), (3.0, 4.0))
    assert (x[0], y[0], x[-1], y[-1]) == (1.0, 0.0, 3.0, 4.0)
    slope = np.diff(y) / np.diff(x)
    assert slope[0] < 0.3 * slope.max() and slope[-1] < 0.3 * slope.max() and (slope > 0).all()


def test_the_matrix_has_a_filled_cell_per_incidence_and_says_how_many_are_shown(toy, edges) -> None:
    figure = draw_incidence(
        new_figure(9, 6), edges, toy.frame.detections, toy.frame.cameras.names, owners=OWNERS, count=5
    )
    cells, cue, mass, total = figure.axes
    picture = np.asarray(cells.images[0].get_array())
    assert picture.shape == (5, 12, 3) and "5 of 7" in cells.get_ylabel()
    colours = [to_hex(tuple(c)).upper() for c in picture.reshape(-1, 3).tolist()]
    assert [colours.count(person_color(i)) for i in range(3)] == [4, 4, 3]
    assert {t.get_text() for t in cells.texts} == set(toy.frame.cameras.names)
    shown = heaviest(edges, OWNERS, 5)
    np.testing.assert_allclose(widths(mass), edges.mass[shown])
    np.testing.assert_allclose(widths(cue), edges.cue[shown])
    # Detection 0 of the first view: the tuples of the rows above it hold 1 of it.
    first: Any = total.patches[0]
    np.testing.assert_allclose(first.get_height(), 1.0)


def test_many_rows_and_no_tuples_can_be_drawn_too(toy, edges) -> None:
    detections, names = toy.frame.detections, toy.frame.cameras.names
    many = edges.take(np.arange(70) % 7)
    figure = draw_incidence(new_figure(9, 6), many, detections, names, owners=OWNERS * 10, count=70)
    assert not [t for t in figure.axes[0].get_yticklabels() if t.get_text()]
    none = edges.take(np.zeros(0, dtype=int))
    assert len(traces(draw_paths(go.Figure(), none, detections, names, owners=[]))) == 1
    assert "0 of 0" in draw_incidence(new_figure(9, 6), none, detections, names, owners=[]).axes[0].get_ylabel()

"""Names above people: near their heads, readable, inside the image."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from dispose_viz.image.canvas import Name, covers, draw_names, separate
from dispose_viz.words import size_of

ROOM = np.array([300.0, 200.0])


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 200), st.integers(15, 70)), min_size=1, max_size=5))
def test_no_name_covers_another_and_all_stay_inside(rows: list[tuple[int, int, int]]) -> None:
    table = np.array(rows, float)
    at, sizes = table[:, :2], np.stack([table[:, 2], np.full(len(rows), 14.0)], -1)
    places = separate(at, sizes, ROOM)
    assert (places - sizes * [0.5, 1] >= -1e-9).all() and (places + sizes * [0.5, 0] <= ROOM + 1e-9).all()
    for one in range(len(rows)):
        for other in range(one):
            assert not covers(places[one], sizes[one], places[other], sizes[other])


def test_names_with_room_stay_where_they_belong() -> None:
    at, sizes = np.array([[50.0, 60.0], [150.0, 60.0], [250.0, 61.0]]), np.full((3, 2), [40.0, 14.0])
    assert np.array_equal(separate(at, sizes, ROOM), at)


def test_the_higher_one_stays_and_the_other_gives_way_a_little() -> None:
    at, sizes = np.array([[100.0, 80.0], [104.0, 78.0]]), np.full((2, 2), [24.0, 14.0])
    places = separate(at, sizes, ROOM)
    assert np.array_equal(places[1], at[1]) and 0 < np.linalg.norm(places[0] - at[0]) < 30


@pytest.mark.parametrize("kind", ["upright", "downward"])
def test_written_names_do_not_overlap_as_they_are_drawn(kind: str) -> None:
    figure = Figure(figsize=(4, 3), dpi=100)
    axes = figure.add_subplot()
    axes.set(xlim=(0, 640), ylim=(480, 0) if kind == "downward" else (0, 480), aspect="equal")
    draw_names(axes, [Name(text, 300 + 4 * row, 200, "#000000") for row, text in enumerate(["P1", "P2 ≠ T4", "#3"])])
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert not any(boxes[a].overlaps(boxes[b]) for a in range(3) for b in range(a))
    frame = axes.get_window_extent()
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1 for box in boxes)
    assert size_of(axes)[0] == pytest.approx(frame.width * 72 / 100, rel=1e-3)

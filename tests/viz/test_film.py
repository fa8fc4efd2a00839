"""The film from noise to match: what a state shows, what every picture holds, and what is written."""

from itertools import pairwise
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from PIL import Image

from dispose.errors import InputError
from dispose_viz.hypergraph.film import (
    DetectionColumns,
    blend_states,
    columns_of,
    draw_match,
    film_frames,
)
from dispose_viz.hypergraph.trajectory import Trajectory
from dispose_viz.movie import write_film
from dispose_viz.style import DARK, LIGHT, new_figure, person_color


def dots(cameras: list[str], counts: list[int]) -> DetectionColumns:
    """Detections without a body."""
    return DetectionColumns(tuple(cameras), tuple((np.zeros((0, 2, 2)),) * count for count in counts))


MEMBERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
OWNERS = [-1, 3, 1, -1]
PLACES = dots(["left", "right"], [2, 2])


def two_of_four() -> Trajectory:
    start, end = np.full(4, 0.5), np.array([0.0, 1.0, 1.0, 0.0])
    mass = np.stack([start, 0.5 * (start + end), end])
    return Trajectory(np.array([1.0, 0.5, 0.0]), mass, MEMBERS, np.zeros(3))


def links(axes: Axes) -> LineCollection:
    return cast(LineCollection, axes.collections[0])


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_a_link_is_as_wide_and_strong_as_its_mass_and_has_its_persons_colour(theme) -> None:
    mass = np.array([0.1, 0.9, 0.4, 0.0])
    axes = draw_match(new_figure(4.0, 3.0, theme=theme).add_subplot(), PLACES, mass, MEMBERS, OWNERS)
    drawn = links(axes)
    widths, colors = np.asarray(drawn.get_linewidth()), np.asarray(drawn.get_colors())
    assert len(widths) == 3 and (np.diff(widths) > 0).all() and (np.diff(colors[1:, 3]) > 0).all()
    assert [to_hex(c[:3]).upper() for c in colors] == [theme.muted.upper(), person_color(1), person_color(3)]
    words = [t.get_text() for t in axes.texts]
    assert "P3" in words and "P1" not in words and "left" in words


def test_a_tuple_passes_a_view_that_it_skips() -> None:
    places = dots(["a", "b", "c"], [1, 1, 1])
    axes = draw_match(new_figure(4.0, 3.0).add_subplot(), places, np.ones(1), np.array([[0, -1, 0]]), [0])
    (start, end), *more = links(axes).get_segments()
    assert not more and start[0] < 0.5 and end[0] > 1.5


def test_a_detection_takes_the_colour_of_its_person() -> None:
    mass = np.array([0.0, 1.0, 1.0, 0.0])
    axes = draw_match(new_figure(4.0, 3.0).add_subplot(), PLACES, mass, MEMBERS, OWNERS)
    rims = [to_hex(c).upper() for c in np.asarray(axes.collections[1].get_edgecolor())]
    assert rims == [person_color(3), person_color(1), person_color(1), person_color(3)]


def test_thumbnails_are_the_skeletons_in_their_boxes(toy) -> None:
    places = columns_of(toy.frame.detections, toy.frame.cameras.names)
    assert [len(bodies) for bodies in places.bones] == toy.frame.detections.counts.tolist()
    bones = np.concatenate([b for view in places.bones for b in view])
    assert np.abs(bones[..., 1]).max() == pytest.approx(1.0) and np.abs(bones[..., 0]).max() <= 1.0 + 1e-9
    members = toy.prediction.association.members.numpy()
    draw_match(new_figure(6.0, 4.0).add_subplot(), places, np.ones(len(members)), members, [0, 1, 2])


def test_every_picture_between_two_states_keeps_their_sums() -> None:
    states = blend_states(two_of_four(), 4)
    assert len(states) == 9
    assert [t for t, _ in states] == pytest.approx(np.linspace(1, 0, 9).tolist())
    for _, mass in states:
        assert mass[:2].sum() == pytest.approx(1.0) and mass.min() >= 0
    np.testing.assert_array_equal(states[4][1], two_of_four().mass[1])


def test_the_film_rests_on_its_first_and_last_picture_and_changes_between() -> None:
    pictures = list(film_frames(new_figure(3.2, 2.0), PLACES, two_of_four(), OWNERS, between=2, rest=3))
    assert len(pictures) == 3 + 3 + 3 and {p.shape for p in pictures} == {(200, 320, 3)}
    assert all((p == pictures[0]).all() for p in pictures[:3]) and (pictures[-1] == pictures[-3]).all()
    assert all((a != b).any() for a, b in pairwise(pictures[2:7]))


def test_films_are_written_whole_in_three_formats(tmp_path: Path) -> None:
    pictures = list(film_frames(new_figure(3.2, 2.0), PLACES, two_of_four(), OWNERS, between=1, rest=2))
    for name in ("a.gif", "a.mp4", "a.html"):
        assert write_film(tmp_path / name, pictures, 10.0) == tmp_path / name
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.gif", "a.html", "a.mp4"]
    with Image.open(tmp_path / "a.gif") as gif:
        assert getattr(gif, "n_frames", 1) >= 3
    assert int(cv2.VideoCapture(str(tmp_path / "a.mp4")).get(cv2.CAP_PROP_FRAME_COUNT)) == 5
    page = (tmp_path / "a.html").read_text()
    assert page.count("iVBOR") == 3 and 'max="4"' in page and "http" not in page


@pytest.mark.parametrize(
    ("name", "words"), [("film.avi", "ends in .gif"), ("film", "ends in"), ("nowhere/film.gif", "no folder")]
)
def test_a_film_that_cannot_be_written_is_one_sentence_and_costs_nothing(tmp_path: Path, name, words) -> None:
    def never():
        raise AssertionError("pictures were drawn for a film that cannot be written")
        yield

    with pytest.raises(InputError, match=words):
        write_film(tmp_path / name, never())
    assert not list(tmp_path.iterdir())


def test_films_without_pictures_or_steps_are_refused_and_keep_what_was_there(tmp_path: Path) -> None:
    for name in ("a.gif", "a.mp4", "a.html"):
        (tmp_path / name).write_text("old")
        with pytest.raises(InputError, match="at least one picture"):
            write_film(tmp_path / name, [])
        assert (tmp_path / name).read_text() == "old"
    nothing = Trajectory(np.zeros(0), np.zeros((0, 4)), MEMBERS, np.zeros(0))
    with pytest.raises(InputError, match="has none"):
        next(film_frames(new_figure(2.0, 2.0), PLACES, nothing, OWNERS))
    with pytest.raises(InputError, match="got 0 between"):
        next(film_frames(new_figure(2.0, 2.0), PLACES, two_of_four(), OWNERS, between=0))


@pytest.mark.parametrize(
    ("members", "owners", "words"),
    [
        (np.array([[0, 0, 0]]), [0], "3 views cannot be drawn between 2 columns"),
        (MEMBERS, [0], "4 tuples and 1 owners"),
        (np.array([[0, 2]]), [0], "view right has 2 detections, a tuple names number 2"),
    ],
)
def test_tuples_that_do_not_fit_the_columns_are_refused(members, owners, words) -> None:
    with pytest.raises(InputError, match=words):
        draw_match(new_figure(2.0, 2.0).add_subplot(), PLACES, np.ones(len(members)), members, owners)

"""Names from files in pictures: written as they are, as wide as their place, whoever they name."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnchoredOffsetbox, TextArea

from dispose_viz.hypergraph.candidate_graph import Hyperedges, draw_incidence, draw_paths
from dispose_viz.hypergraph.film import columns_of, draw_match
from dispose_viz.hypergraph.trajectory import draw_members
from dispose_viz.image.canvas import draw_canvas
from dispose_viz.image.epipolar import draw_epipolar_views
from dispose_viz.image.residuals import draw_matrix, magnification, residuals_of
from dispose_viz.image.view_panels import (
    draw_joint,
    draw_people,
    draw_person_views,
    draw_residuals,
    draw_views,
    owners_of,
)
from dispose_viz.scene.plotly_scene import draw_cameras, new_scene
from dispose_viz.scene.rig import draw_rig_from_above, draw_walks
from dispose_viz.style import LIGHT, lay_out, new_figure
from dispose_viz.words import escape_markup, plain, shorten

NAMES = (
    "the balcony of the upper floor, north-east corner of the large hall, third lens from the left",
    "$a_{", "$x^2$", "<b>bold</b> & more",
)  # fmt: skip


def drawn(figure: Figure) -> Figure:
    FigureCanvasAgg(figure)
    lay_out(figure).draw_without_rendering()
    return figure


def named(toy):
    return replace(toy.frame, cameras=replace(toy.frame.cameras, names=NAMES))


def width_of_words(words: list) -> list[tuple[float, float]]:
    boxes = [text.get_window_extent() for text in words]
    return [(box.x0, box.x1) for box in boxes]


def test_what_is_too_long_loses_its_middle_and_keeps_its_ends() -> None:
    assert shorten("camera", 6) == "camera"
    for letters in range(4, 20):
        short = shorten(NAMES[0], letters)
        assert len(short) <= letters and short[0] == "t" and short[-1] == "t" and "…" in short


def test_formulas_and_markup_stay_text() -> None:
    assert plain("$x$") == r"\$x\$"
    assert escape_markup("<b>$ & </b>") == "&lt;b&gt;&#36; &amp; &lt;/b&gt;"


@pytest.mark.filterwarnings("error")
def test_titles_of_pictures_side_by_side_stay_apart_whatever_the_cameras_are_called(toy) -> None:
    figure = drawn(draw_views(new_figure(13, 7), named(toy)))
    spans = width_of_words([axes.title for axes in figure.axes[:3]])
    assert all(a[1] < b[0] for a, b in pairwise(spans)), "titles overlap"
    assert spans[0][0] >= 0
    assert figure.axes[1].get_title() == r"\$a_{" and figure.axes[2].get_title() == r"\$x^2\$"


@pytest.mark.filterwarnings("error")
def test_tables_of_cameras_keep_their_room_whatever_these_are_called(toy) -> None:
    frame, prediction = named(toy), toy.prediction
    matrix = drawn(new_figure(8, 5))
    draw_matrix(matrix.add_subplot(), residuals_of(frame, prediction), NAMES)
    members = new_figure(8, 4)
    draw_members(members.add_subplot(), prediction.association.members.numpy(),
                 prediction.association.confidence.numpy(), [0, 1, 2], NAMES)  # fmt: skip
    for figure in (matrix, members):
        assert drawn(figure).axes[0].get_position().width > 0.5
    edges = Hyperedges(prediction.association.members.numpy(), np.zeros(3), np.ones(3), np.ones(3))
    incidence = drawn(draw_incidence(new_figure(12, 7), edges, frame.detections, NAMES, owners=[0, 1, 2]))
    spans = width_of_words(list(incidence.axes[0].texts))
    assert all(a[1] <= b[0] for a, b in pairwise(spans)), "names of views overlap"


@pytest.mark.filterwarnings("error")
def test_other_pictures_of_cameras_take_these_names_too(toy) -> None:
    frame, prediction = named(toy), toy.prediction
    figure = new_figure(7, 6)
    draw_walks(draw_rig_from_above(figure.add_subplot(), frame.cameras), [prediction])
    drawn(figure)
    match = new_figure(9, 5)
    match.set_layout_engine("none")
    axes = match.add_axes((0, 0, 1, 1))
    draw_match(axes, columns_of(frame.detections, NAMES), np.ones(3), prediction.association.members.numpy(), [0] * 3)
    spans = width_of_words(list(drawn(match).axes[0].texts[:4]))
    assert all(a[1] < b[0] for a, b in pairwise(spans)), "names of columns overlap"


def test_plotly_gets_names_as_text(toy) -> None:
    frame, members = named(toy), toy.prediction.association.members.numpy()
    scene: Any = draw_cameras(new_scene(), frame.cameras)
    assert scene.data[1].text[3] == "<\u200bb>bold<\u200b/b> & more" and len(scene.data[1].text[0]) <= 24
    edges = Hyperedges(members, np.zeros(3), np.ones(3), np.ones(3))
    paths: Any = draw_paths(go.Figure(), edges, frame.detections, NAMES, owners=[0, 1, 2])
    assert not any("<b>bold" in (trace.hovertext or "") for trace in paths.data[:-1])
    assert paths.layout.xaxis.ticktext[3] == "&lt;b&gt;bold&lt;/b&gt; &amp; more"


@pytest.mark.filterwarnings("error")
def test_people_without_a_number_are_drawn_grey_and_called_nobody(toy) -> None:
    poses = replace(toy.prediction.poses, id=torch.tensor([-1, -1, 3]))
    prediction = replace(toy.prediction, poses=poses)
    figure = drawn(draw_views(new_figure(13, 7), toy.frame, prediction=prediction))
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words == ["#0", "#1", "P3"] and owners_of(prediction, 0, 3) == [-1, -1, 3]
    draw_residuals(figure.axes[0], toy.frame, prediction, 0)
    axes = draw_canvas(new_figure(5, 4).add_subplot(), toy.frame.cameras.size[0], "a")
    draw_joint(draw_people(axes, toy.frame.cameras, poses, 0), toy.frame.cameras, poses, 0, "nose")
    assert [text.get_text() for text in axes.texts] == ["nobody", "nobody", "P3"] * 2
    assert axes.texts[3].get_color() == LIGHT.muted
    drawn(draw_person_views(new_figure(13, 7), toy.frame, prediction, 3))
    draw_walks(new_figure(5, 5).add_subplot(), [prediction])
    draw_matrix(new_figure(8, 5).add_subplot(), residuals_of(toy.frame, prediction), toy.frame.cameras.names)


@pytest.mark.filterwarnings("error")
def test_mean_errors_of_many_large_ids_stay_beside_their_own_picture(toy) -> None:
    ids = (1_000_000, 999_999, 123_456)
    prediction = replace(toy.prediction, poses=replace(toy.prediction.poses, id=torch.tensor(ids)))
    figure = draw_person_views(new_figure(10, 7), toy.frame, prediction, ids[0])
    for view, axes in enumerate(figure.axes):
        draw_residuals(axes, toy.frame, prediction, view)
    drawn(figure)
    left, right = (axes.get_tightbbox() for axes in figure.axes[:2])
    assert left is not None and right is not None
    for axes, low, high in ((figure.axes[0], 0.0, right.x0), (figure.axes[1], left.x1, figure.bbox.width)):
        boxes = [a for a in axes.artists if isinstance(a, AnchoredOffsetbox) and not a.patch.get_visible()]
        words = [text for box in boxes for text in box.findobj(TextArea)]
        assert len(words) >= 3
        for word in words:
            assert low - 12 < word.get_window_extent().x0 and word.get_window_extent().x1 < high + 12


@pytest.mark.parametrize(("width", "times"), [(1280, 5), (1920, 5), (3840, 10), (7680, 20), (320, 2), (130, 1)])
def test_arrows_are_magnified_so_that_they_are_seen_and_hide_nothing(width: int, times: float) -> None:
    axes = new_figure(5, 4).add_subplot()
    draw_canvas(axes, torch.tensor([width, 0.75 * width]), "a")
    assert magnification(axes) == times


def test_the_list_of_distances_leaves_the_picture_free(toy) -> None:
    detections = toy.frame.detections
    one = torch.ones(17, 1)
    people = [[torch.cat([p + 9 * k, one], -1) for k in range(4) for p in view] for view in detections.xy_image]
    many = type(detections).from_lists(detections.skeleton, people)
    frame = replace(toy.frame, detections=many)
    figure = draw_epipolar_views(new_figure(13, 7), frame, 0, 0, ["nose"])
    lines = [area.get_text() for area in figure.axes[1].findobj(TextArea)]
    assert len(lines) == 6 and lines[-1] == "7 farther"


def test_long_names_above_paths_are_slanted_to_where_there_is_room(toy) -> None:
    edges = Hyperedges(toy.prediction.association.members.numpy(), np.zeros(3), np.ones(3), np.ones(3))
    for names, angle in ((toy.frame.cameras.names, 0), (NAMES, -30)):
        figure: Any = draw_paths(go.Figure(), edges, toy.frame.detections, names, owners=[0, 1, 2])
        assert figure.layout.xaxis.tickangle == angle

"""What the 3-D scene contains, and that it is in metres."""

import re
from typing import Any

import numpy as np

from dispose_viz.rig import draw_rig_from_above, draw_walks
from dispose_viz.scene3d import (
    bounds,
    draw_cameras,
    draw_floor,
    draw_ghosts,
    draw_people,
    draw_timeline,
    new_scene,
)
from dispose_viz.style import new_figure, person_color


def traces(figure) -> list[Any]:
    return list(figure.data)


def numbers(values) -> np.ndarray:
    return values[np.isfinite(values)]


def test_people_are_one_trace_each_in_their_colour_and_in_metres(toy) -> None:
    poses = toy.prediction.poses
    figure = draw_people(new_scene(), poses)
    assert [t.name for t in traces(figure)] == ["P0", "P1", "P2"]
    assert [t.line.color.upper() for t in traces(figure)] == [person_color(i) for i in range(3)]
    for row, trace in enumerate(traces(figure)):
        bones = len(poses.skeleton.bones)
        assert len(trace.x) == 3 * bones and np.isnan(trace.x).sum() == bones
        assert abs(numbers(trace.z).max() - float(poses.xyz_world[row, :, 2].max()) / 1000) < 1e-3


def test_cameras_stand_where_they_are_and_carry_their_names(toy) -> None:
    figure = draw_cameras(new_scene(), toy.frame.cameras)
    names = traces(figure)[1]
    assert tuple(names.text) == toy.frame.cameras.names
    np.testing.assert_allclose(np.stack([names.x, names.y, names.z], -1) * 1000, toy.frame.cameras.centres, atol=1e-3)


def test_the_floor_covers_the_rig_in_whole_metres(toy) -> None:
    low, high = bounds(toy.frame.cameras)
    (floor,) = traces(draw_floor(new_scene(), low, high))
    x = numbers(floor.x)
    assert x.min() <= low[0] / 1000 and x.max() >= high[0] / 1000
    assert set(np.unique(x)) == set(np.arange(x.min(), x.max() + 1)) and not numbers(floor.z).any()


def test_every_moment_has_the_same_traces_so_that_the_slider_pairs_them(toy) -> None:
    moments = [p.poses for p in toy.later]
    gone = type(moments[2])(moments[2].skeleton, *(t[:2] for t in (
        moments[2].xyz_world, moments[2].confidence, moments[2].valid, moments[2].id)))  # fmt: skip
    moments[2] = gone
    figure = draw_timeline(
        draw_cameras(new_scene(), toy.frame.cameras), [p.number for p in toy.later], moments, truth=moments
    )
    assert [f.name for f in figure.frames] == ["7", "8", "9", "10", "11"]
    for frame in figure.frames:
        assert [t.name for t in frame.data] == ["P0", "P1", "P2", "truth"]
        assert list(frame.traces) == [2, 3, 4, 5], "cameras and their names stay"
        assert [traces(figure)[i].name for i in frame.traces] == [t.name for t in frame.data]
    assert len(figure.frames[2].data[2].x) == 0, "a person who left is an empty trace"
    assert len(figure.layout.sliders[0].steps) == 5


def test_ghosts_are_one_trace_whatever_the_number_of_people(toy) -> None:
    assert len(traces(draw_ghosts(new_scene(), toy.prediction.poses))) == 1


def test_the_page_of_a_scene_needs_no_network(toy, tmp_path) -> None:
    figure = draw_people(draw_cameras(new_scene(), toy.frame.cameras), toy.prediction.poses)
    figure.write_html(tmp_path / "scene.html", include_plotlyjs=True)
    page = (tmp_path / "scene.html").read_text(encoding="utf-8")
    assert not re.findall(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)\s*=", page)


def test_the_rig_from_above_names_every_camera_and_keeps_proportions(toy) -> None:
    axes = draw_rig_from_above(new_figure(5.0, 5.0).add_subplot(), toy.frame.cameras)
    assert [t.get_text() for t in axes.texts] == list(toy.frame.cameras.names)
    assert len(axes.patches) == len(toy.frame.cameras) and axes.get_aspect() == 1.0
    assert "(m)" in axes.get_xlabel() and "(m)" in axes.get_ylabel()


def test_walks_are_one_line_per_id_with_a_gap_where_the_person_is_away(toy) -> None:
    axes = draw_walks(new_figure(5.0, 5.0).add_subplot(), toy.later)
    lines = [line for line in axes.lines if len(np.asarray(line.get_xdata())) == len(toy.later)]
    assert [str(line.get_color()).upper() for line in lines] == [person_color(i) for i in range(3)]
    np.testing.assert_allclose(np.asarray(lines[1].get_xdata())[0] * 1000, toy.later[0].root[1, 0])

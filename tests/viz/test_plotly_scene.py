"""What the 3-D scene contains, and that it is in metres."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from dispose_viz.scene.plotly_scene import (
    bounds,
    draw_cameras,
    draw_floor,
    draw_stage,
    draw_timeline,
    look_from,
    new_scene,
)
from dispose_viz.scene.rig import draw_rig_from_above, draw_walks
from dispose_viz.scene.solids import RADIUS_MM, overview
from dispose_viz.scene.stage import Stage, root_rays, stage_of
from dispose_viz.style import DARK, LIGHT, new_figure, person_color


def traces(figure) -> list[Any]:
    return list(figure.data)


def numbers(values) -> np.ndarray:
    return values[np.isfinite(values)]


def called(figure, name: str) -> Any:
    (trace,) = [t for t in figure.data if t.name == name]
    return trace


def points(trace) -> np.ndarray:
    return np.stack([trace.x, trace.y, trace.z], -1).astype(float) * 1000


def whole_stage(toy) -> Stage:
    pictures = [np.full((72, 128, 3), (10 * view, 100, 200), np.uint8) for view in range(3)] + [None]
    trails = [p.poses for p in toy.later[:3]]
    truth = toy.later[3].poses
    return stage_of(toy.frame, toy.prediction, truth=truth, trails=trails, images=pictures, rays=root_rays)


def test_people_are_one_trace_each_in_their_colour_and_in_metres(toy) -> None:
    poses = toy.prediction.poses
    figure = draw_timeline(new_scene(), [7], [poses])
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


def test_the_page_of_a_scene_needs_no_network(toy, tmp_path) -> None:
    figure = draw_timeline(draw_cameras(new_scene(), toy.frame.cameras), [7], [toy.prediction.poses])
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


def test_a_stage_has_joints_where_they_are_and_bodies_around_them(toy) -> None:
    stage = whole_stage(toy)
    figure = draw_stage(new_scene(), stage)
    for row in range(3):
        joints, body = points(called(figure, f"P{row}")), points(called(figure, f"body of P{row}"))
        np.testing.assert_allclose(joints, stage.people.xyz_world[row], atol=0.01)
        distance = np.linalg.norm(body[:, None] - joints[None], axis=-1).min(1)
        assert distance.min() > 0 and (body.min(0) >= joints.min(0) - RADIUS_MM - 0.01).all()
        assert (body.max(0) <= joints.max(0) + RADIUS_MM + 0.01).all()
        assert called(figure, f"P{row}").text[0] == f"P{row} · nose · sure 1.00"
    ends = points(called(figure, "rays to P0"))
    np.testing.assert_allclose(ends[0::3], toy.frame.cameras.centres, atol=0.01)
    np.testing.assert_allclose(ends[1::3], np.stack([r.end for r in stage.rays if r.person == 0]), atol=0.01)
    np.testing.assert_allclose(points(called(figure, "way of P1"))[-1], toy.prediction.root[1], atol=0.01)
    assert len([t for t in traces(figure) if t.name.startswith("picture of")]) == 3


def test_an_unsure_joint_is_paler_and_thinner(toy) -> None:
    confidence = toy.prediction.poses.confidence.clone()
    confidence[0] = 0.1
    figure = draw_stage(new_scene(), Stage(replace(toy.prediction.poses, confidence=confidence)))
    unsure, sure = (called(figure, f"body of P{row}") for row in (0, 1))
    assert float(unsure.intensity.max()) < 0.11 and float(sure.intensity.min()) > 0.99
    width = [np.ptp(points(body)[:, 2]) for body in (unsure, sure)]
    assert width[0] < width[1], "the heels and the head of a thinner body do not stick out so far"


def test_a_picture_in_a_frustum_keeps_its_colours_and_its_way_up(toy) -> None:
    picture = np.zeros((180, 320, 3), np.uint8)
    picture[:90], picture[90:] = (200, 30, 30), (30, 30, 200)
    stage = Stage(toy.prediction.poses, toy.frame.cameras, (picture, None, None, None))
    sheet = called(draw_stage(new_scene(), stage), "picture of cam01")
    colors = [color for _, color in sheet.colorscale]
    numbers = np.asarray(sheet.intensity)
    height = points(sheet)[np.asarray(sheet.i), 2]
    assert {colors[2 * n] for n in numbers[height > np.median(height) + 20]} == {"rgb(200,30,30)"}
    assert {colors[2 * n] for n in numbers[height < np.median(height) - 20]} == {"rgb(30,30,200)"}


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_a_stage_keeps_the_readers_view_and_its_page_small(toy, theme) -> None:
    pictures = [np.random.default_rng(view).integers(0, 255, (360, 640, 3)).astype(np.uint8) for view in range(4)]
    stage = stage_of(toy.frame, toy.prediction, images=pictures)
    figure = draw_stage(new_scene(theme=theme), stage)
    assert figure.layout.uirevision == "kept"
    assert len(str(figure.to_json())) < 600_000


def test_a_stage_without_cameras_people_or_numbers_is_drawn(toy) -> None:
    poses = toy.prediction.poses
    nobody = type(poses)(poses.skeleton, *(t[:0] for t in (poses.xyz_world, poses.confidence, poses.valid, poses.id)))
    assert [t.name for t in traces(draw_stage(new_scene(), Stage(nobody)))] == ["floor, 1 m squares", "names"]
    xyz = poses.xyz_world.clone()
    xyz[0], xyz[1, 3] = torch.nan, torch.inf
    figure = draw_stage(new_scene(), Stage(replace(poses, xyz_world=xyz)))
    assert len(called(figure, "P0").x) == 0 and len(called(figure, "P1").x) == len(poses.skeleton) - 1
    assert np.isfinite(points(called(figure, "body of P1"))).all()
    strangers = replace(poses, id=torch.tensor([-1, -1, 4]))
    assert len(called(draw_stage(new_scene(), Stage(strangers)), "nobody").x) == 2 * len(poses.skeleton)


def test_plotly_looks_from_the_viewpoint(toy) -> None:
    stage = whole_stage(toy)
    eye = overview(stage)
    scene = look_from(draw_stage(new_scene(), stage), stage, eye).layout.scene
    low, high = (np.array([getattr(scene, f"{n}axis").range[side] for n in "xyz"]) for side in (0, 1))
    ratio = np.array([scene.aspectratio[n] for n in "xyz"])
    # Plotly's box is centred on the axes and scaled so that lengths keep their proportions.
    unit = (high - low) / ratio
    np.testing.assert_allclose(unit, unit[0])
    for place, said in ((eye.eye, scene.camera.eye), (eye.target, scene.camera.center)):
        np.testing.assert_allclose((low + high) / 2 + unit * [said.x, said.y, said.z], place / 1000)


def test_a_scene_below_the_floor_keeps_its_floor(toy) -> None:
    poses = toy.prediction.poses
    low = Stage(replace(poses, xyz_world=poses.xyz_world - torch.tensor([0.0, 0.0, 9000.0])))
    scene = look_from(draw_stage(new_scene(), low), low, overview(low)).layout.scene
    assert scene.zaxis.range[0] <= -9 and scene.zaxis.range[1] >= 0


def test_people_over_time_may_have_no_number_and_joints_that_are_none(toy) -> None:
    xyz = toy.prediction.poses.xyz_world.clone()
    xyz[0, :9] = torch.inf
    poses = replace(toy.prediction.poses, xyz_world=xyz, id=torch.tensor([-1, 4, 5]))
    found = traces(draw_timeline(new_scene(), [7], [poses]))
    assert [trace.name for trace in found] == ["nobody", "P4", "P5"]
    assert found[0].line.color == LIGHT.muted and not np.isinf(found[0].x).any()

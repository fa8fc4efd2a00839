"""Stages from predictions: where rays end, what is refused, and that a viewpoint shows all of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dispose.errors import InputError, ShapeError
from dispose.scene.frame import Poses
from dispose.tensors import ABSENT
from dispose_viz.scene.solids import approach, overview, turn_viewpoint, views_in_sight
from dispose_viz.scene.stage import (
    Stage,
    joint_rays,
    known_joints,
    name_signs,
    path_of,
    points_of,
    root_rays,
    stage_of,
    stages_over_time,
)


def empty_of(poses: Poses) -> Poses:
    return Poses(poses.skeleton, poses.xyz_world[:0], poses.confidence[:0], poses.valid[:0], poses.id[:0])


def test_a_ray_goes_from_its_camera_to_where_it_passes_the_root(toy) -> None:
    stage = stage_of(toy.frame, toy.prediction, rays=root_rays)
    members = toy.prediction.association.members
    assert len(stage.rays) == int((members != ABSENT).sum())
    centres = toy.frame.cameras.centres.numpy()
    for ray in stage.rays:
        assert np.abs(centres - ray.start).sum(-1).min() < 1e-6
        assert np.linalg.norm(ray.end - toy.prediction.root[ray.person].numpy()) < 60, "3 px of noise in 5 m"
        gap, direction = toy.prediction.root[ray.person].numpy() - ray.end, ray.end - ray.start
        assert abs(gap @ direction) / np.linalg.norm(direction) < 1e-6, "the nearest point of the ray"


def test_rays_to_one_joint_pass_that_joint_and_an_unknown_one_is_refused(toy) -> None:
    wrist = toy.prediction.poses.skeleton.index("l_wrist")
    for ray in stage_of(toy.frame, toy.prediction, rays=joint_rays("l_wrist")).rays:
        assert np.linalg.norm(ray.end - toy.prediction.poses.xyz_world[ray.person, wrist].numpy()) < 80
    with pytest.raises(InputError, match="no joint 'tail'"):
        stage_of(toy.frame, toy.prediction, rays=joint_rays("tail"))


def test_joints_that_are_unknown_or_no_numbers_have_no_ray_and_no_place(toy) -> None:
    poses = toy.prediction.poses
    xyz, valid = poses.xyz_world.clone(), poses.valid.clone()
    xyz[0, poses.skeleton.indices(("l_hip", "r_hip"))] = torch.nan
    valid[1] = False
    odd = replace(toy.prediction, poses=replace(poses, xyz_world=xyz, valid=valid))
    stage = stage_of(toy.frame, odd, rays=root_rays)
    assert {ray.person for ray in stage.rays} == {2}
    assert np.isfinite(points_of(stage)).all() and not known_joints(stage.people)[1].any()
    assert [person for person, _ in name_signs(stage)] == [0, 2]
    assert np.isnan(path_of(stage, 0)).all() and np.isfinite(path_of(stage, 2)).all()


def test_one_view_no_cameras_and_nobody_are_stages_too(toy) -> None:
    one = replace(
        toy.prediction,
        association=replace(toy.prediction.association, members=toy.prediction.association.members[:, :1]),
    )
    assert len(stage_of(toy.frame.select(views=[0]), one, rays=root_rays).rays) == 3
    assert stage_of(None, toy.prediction, rays=root_rays).rays == ()
    nobody = Stage(empty_of(toy.prediction.poses))
    assert np.ptp(points_of(nobody), axis=0).min() > 0, "an empty room"


def test_what_does_not_fit_together_is_refused_in_one_sentence(toy) -> None:
    with pytest.raises(ShapeError, match="4 cameras but 1 pictures"):
        stage_of(toy.frame, toy.prediction, images=[None])
    with pytest.raises(ShapeError, match="speaks of 4 views, the frame has 2 cameras"):
        stage_of(toy.frame.select(views=[0, 1]), toy.prediction, rays=root_rays)
    members = toy.prediction.association.members.clone()
    members[0, 0] = 9
    other = replace(toy.prediction, association=replace(toy.prediction.association, members=members))
    with pytest.raises(ShapeError, match="a member 9, the frame has 3 slots"):
        stage_of(toy.frame, other, rays=root_rays)


def test_a_path_is_where_the_root_was_and_has_gaps_where_the_person_was_away(toy) -> None:
    earlier = [p.poses for p in toy.later]
    earlier[1] = empty_of(earlier[1])
    stage = Stage(toy.prediction.poses, trails=tuple(earlier))
    path = path_of(stage, 1)
    assert np.isnan(path[1]).all() and len(path) == 6
    np.testing.assert_allclose(path[2], toy.later[2].root[1], atol=1e-9)


def test_stages_over_time_remember_only_what_was_before_them(toy) -> None:
    stages = stages_over_time([toy.frame] * 5, toy.later, trail=2)
    assert [len(stage.trails) for stage in stages] == [0, 1, 2, 2, 2]
    assert stages[4].trails == (toy.later[2].poses, toy.later[3].poses) and stages[4].people is toy.later[4].poses


@pytest.mark.parametrize("azimuth", [-50.0, 10.0, 170.0])
def test_the_overview_shows_everything_and_fills_the_picture(toy, azimuth) -> None:
    stage = stage_of(toy.frame, toy.prediction)
    xy, front = overview(stage, azimuth_deg=azimuth).project(points_of(stage), 400, 300)
    assert front.all() and (xy > 0).all() and (xy < [400, 300]).all()
    low, high = xy.min(0), xy.max(0)
    assert max((high - low) / [400, 300]) > 0.75
    np.testing.assert_allclose((low + high) / 2, [199.5, 149.5], atol=12)


def test_a_camera_that_the_reader_stands_beside_is_left_out(toy) -> None:
    stage = stage_of(toy.frame, toy.prediction)
    beside = toy.frame.cameras.centres[2].numpy() + np.array([100.0, 0.0, 200.0])
    assert views_in_sight(stage, replace(overview(stage), eye=beside)) == [0, 1, 3]
    assert views_in_sight(stage, approach(overview(stage), -5.0)) == [0, 1, 2, 3]
    assert views_in_sight(Stage(toy.prediction.poses), overview(stage)) == []


def test_turning_keeps_height_and_distance_and_comes_round(toy) -> None:
    start = overview(stage_of(toy.frame, toy.prediction))
    quarter = turn_viewpoint(start, 90)
    assert abs(quarter.eye[2] - start.eye[2]) < 1e-9
    np.testing.assert_allclose(turn_viewpoint(turn_viewpoint(quarter, 200), 70).eye, start.eye, atol=1e-6)
    assert np.linalg.norm(approach(start, 0.5).eye - start.target) * 2 == pytest.approx(
        np.linalg.norm(start.eye - start.target)
    )

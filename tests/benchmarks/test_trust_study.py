"""Lies are what they are called, keypoints are read where the heat is, and means are over the same joints."""

import math

import pytest
import torch

from dispose.association.reconstruct import dlt, robust
from dispose.errors import InputError
from dispose.scene.frame import Frame, Images, Labels, Poses
from dispose.skeletons.catalog import COCO_17
from dispose_benchmarks.studies import trust as study
from dispose_benchmarks.studies.triangulation import ring_of


def standing(places: list[tuple[float, float]], spread_mm: float = 120.0) -> Poses:
    """People as clouds of joints around places on the floor."""
    body = spread_mm * torch.randn(17, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    xyz = torch.stack([body + torch.tensor([x, y, 0.0], dtype=torch.float64) for x, y in places])
    known = torch.ones(xyz.shape[:2], dtype=torch.bool)
    return Poses(COCO_17, xyz, known.double(), known, 4 + torch.arange(len(places)))


def two_people() -> tuple[Frame, Labels]:
    cameras, truth = ring_of(4), standing([(0.0, 0.0), (700.0, 200.0)])
    xy = cameras.project(truth.xyz_world)[0].transpose(0, 1)
    return study.frame_of(7, cameras, truth, xy, torch.full(xy.shape[:-1], 0.8, dtype=torch.float64))


def test_without_a_lie_everybody_is_where_they_are() -> None:
    people = study.groups_of([two_people()])
    said = study.said_of(dlt, people)
    assert float(said.real_mm.max()) < 1e-4 and said.share == 1.0
    alone = study.honest(people, 1, 2)
    torch.testing.assert_close(alone.truth.xyz_world, people.truth.xyz_world[1:])
    torch.testing.assert_close(alone.groups.xy_image, people.groups.xy_image[1:])


def test_lies_change_one_view_of_one_person_as_they_say() -> None:
    people = study.groups_of([two_people()])
    true = people.groups.xy_image
    for lie in study.lies(50.0):
        told = lie.tell(people, 0, 2).groups
        torch.testing.assert_close(told.xy_image[:, [0, 1, 3]], true[:1, [0, 1, 3]])
        expected = {
            "no lie": true[0, 2],
            "50 px off": true[0, 2] + torch.tensor([50.0, 0.0]),
            "left for right": true[0, 2, list(COCO_17.mirror)],
            "a stranger": true[1, 2],
        }[lie.name]
        torch.testing.assert_close(told.xy_image[0, 2], expected)
    torch.testing.assert_close(people.groups.xy_image, true)


def test_scores_change_sides_with_their_keypoints() -> None:
    frame, labels = two_people()
    frame.detections.confidence[2, 0, 0:3] = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    told = study.swapped_sides(study.groups_of([(frame, labels)]), 0, 2).groups
    assert told.confidence[0, 2, :3].tolist() == pytest.approx([0.1, 0.3, 0.2])


def test_who_is_alone_or_not_seen_cannot_be_lied_about() -> None:
    frame, labels = two_people()
    people = study.groups_of([(frame, labels)])
    with pytest.raises(InputError, match="no stranger"):
        study.stranger(people.select(persons=[0]), 0, 2)
    labels.identity[2, 0] = -1
    blind = study.groups_of([(frame, labels)])
    for tell in (study.outlier(10.0), study.swapped_sides):
        with pytest.raises(InputError, match="does not see person 0"):
            tell(blind, 0, 2)


def test_groups_are_of_those_whom_enough_views_see() -> None:
    frame, labels = two_people()
    labels.identity[1:, 1] = -1
    assert len(study.groups_of([(frame, labels)]).truth.id) == 1
    assert len(study.groups_of([(frame, labels)], fewest=1).truth.id) == 2
    nobody = frame.select(slots=[]), labels.select(slots=[])
    assert study.groups_of([nobody, (frame, labels)]).groups.frame.tolist() == [0]


def test_claims_are_expected_errors_and_nothing_is_said_of_what_is_not_valid() -> None:
    people = study.groups_of([two_people()])

    def boast(groups):
        poses = robust(groups)
        valid = poses.valid.clone()
        valid[0, 3] = False
        covariance = 400 * torch.eye(3, dtype=torch.float64).expand(*valid.shape, 3, 3)
        return Poses(poses.skeleton, poses.xyz_world, poses.confidence, valid, poses.id, covariance)

    said = study.said_of(boast, people)
    assert math.isnan(said.real_mm[0, 3]) and math.isnan(said.claimed_mm[0, 3])
    # The mean distance of an isotropic Gaussian: 2 sqrt(2/pi) deviations.
    assert float(said.claimed_mm[0, 0]) == pytest.approx(20 * 2 * math.sqrt(2 / math.pi), rel=0.02)
    assert said.share == pytest.approx(33 / 34)
    assert bool(study.said_of(dlt, people.select(persons=[0])).asked.all())


def test_means_are_over_the_joints_that_all_say() -> None:
    nan, asked = math.nan, torch.ones(1, 3, dtype=torch.bool)
    rows = ([1.0, 2.0, nan], [3.0, 5.0, 100.0], [nan, nan, nan])
    said = [study.JudgedJoints(torch.tensor([row]), torch.tensor([[nan] * 3]), asked) for row in rows]
    first, second, silent = study.common_means(said)
    assert (first, second) == (1.5, 4.0) and math.isnan(silent)


def test_keypoints_are_read_where_the_heat_is_and_cut_out_of_the_others() -> None:
    stride, cameras, truth = 4, ring_of(3), standing([(0.0, 0.0), (900.0, 400.0)], 300.0)
    shrink = torch.tensor([[0.25, 0.0, 1.0], [0.0, 0.25, 2.0]], dtype=torch.float64).expand(3, 2, 3)
    images = Images(torch.zeros(3, 3, 192, 336), shrink, torch.ones(3, dtype=torch.bool))
    xy = cameras.project(truth.xyz_world)[0]
    at = (xy * 0.25 + torch.tensor([1.0, 2.0]) + 0.5) / stride - 0.5
    down, across = torch.meshgrid(torch.arange(48.0), torch.arange(84.0), indexing="ij")
    gap = (across - at[..., 0, None, None]) ** 2 + (down - at[..., 1, None, None]) ** 2
    # Everybody else's heat is higher.
    heat = (torch.tensor([0.7, 1.0])[:, None, None, None] * torch.exp(-gap / 2)).amax(1).float()
    found, score = study.keypoints_of(study.cut_out(heat, cameras, images, truth, stride), images, stride)
    xy = xy.transpose(0, 1)
    high, low = xy[0].amax(1, keepdim=True), xy[0].amin(1, keepdim=True)
    room = 0.05 * (high - low).amax(-1, keepdim=True) + 30
    clear = ((xy[1] > high + room) | (xy[1] < low - room)).any(-1)
    assert int(clear.sum()) > 10
    # A pixel of the map is 16 of the image.
    assert float((found[0] - xy[0])[clear].abs().max()) < 8
    assert score[0][clear].min() > 0.5 and score[0][clear].max() <= 0.7
    faint, none = study.keypoints_of(0.2 * study.cut_out(heat, cameras, images, truth, stride), images, stride)
    assert bool(torch.isfinite(faint).all()) and not none.any()


def test_judges_give_no_weight_to_a_view_that_is_far_off_and_to_what_is_not_seen() -> None:
    frame, labels = two_people()
    frame.detections.visible[3, 0, 5] = False
    groups = study.outlier(400.0)(study.groups_of([(frame, labels)]), 0, 2).groups
    for name in ("robust", "ransac", "algebraic", "rays"):
        weight = study.weigh_by(name)(groups)[0]
        assert weight.shape == (4, 17) and float(weight[3, 5]) == 0 and bool((weight >= 0).all())
        # The people here are clouds of joints, no bodies: networks need not be sure.
        assert float(weight[2].mean()) < 0.5 * float(weight[[0, 1, 3]].mean()), name
    assert study.weigh_by("robust")(groups)[0, 0].tolist() == [1.0] * 17
    with pytest.raises(InputError, match="no weights of views by 'dlt'; there are those of robust, ransac"):
        study.weigh_by("dlt")


def test_beams_of_ideal_maps_cross_at_the_joints() -> None:
    stride, cameras, truth = 4, ring_of(4), standing([(100.0, -50.0)], 300.0)
    shrink = torch.tensor([[0.5, 0.0, 1.0], [0.0, 0.5, 2.0]], dtype=torch.float64).expand(4, 2, 3)
    images = Images(torch.zeros(4, 3, 368, 648), shrink, torch.ones(4, dtype=torch.bool))
    at = (cameras.project(truth.xyz_world[0])[0] * 0.5 + torch.tensor([1.0, 2.0]) + 0.5) / stride - 0.5
    down, across = torch.meshgrid(torch.arange(92.0), torch.arange(162.0), indexing="ij")
    heat = torch.exp(-((across - at[..., 0, None, None]) ** 2 + (down - at[..., 1, None, None]) ** 2) / 4).float()
    cube = study.join_in_cube(heat, cameras, images, truth.xyz_world[0].mean(0))
    assert cube.shown.shape == (4, 17, *cube.probability.shape[1:])
    torch.testing.assert_close(cube.probability.flatten(1).sum(1), torch.ones(17, dtype=torch.float64))
    inside = ((truth.xyz_world[0] - truth.xyz_world[0].mean(0)).abs() < 850).all(-1)
    assert int(inside.sum()) > 12
    # Half a voxel.
    assert float((cube.xyz_mean - truth.xyz_world[0]).norm(dim=-1)[inside].max()) < 32


def test_drawn_people_are_the_same_before_fewer_cameras() -> None:
    scenes = study.sample_single_people(4, 40, torch.Generator().manual_seed(1))
    few, all_four = study.by_views(scenes, range(2)), study.by_views(scenes, range(4))
    assert few.groups.member.shape[1] == 2 and all_four.groups.member.shape[1] == 4
    assert 25 < len(few.truth.id) <= len(all_four.truth.id)
    said = [study.said_of(robust, one) for one in (few, all_four)]
    assert said[0].share < said[1].share
    assert float(said[1].real_mm.nanmean()) < float(said[0].real_mm.nanmean()) < 200

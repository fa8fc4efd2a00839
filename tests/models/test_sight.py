"""What lifters are told of a detector's people, and where their poses are put before the camera."""

import math
from dataclasses import replace

import torch

from dispose.geometry.pinhole import normalize_points
from dispose.models.lifting.sight import PeopleLifter, lift_people, sight_of, told_noise
from dispose.scene.cameras import Cameras
from dispose.scene.lifted import place_before_camera
from dispose.skeletons.catalog import COCO_17

COUNT = len(COCO_17)


def camera(people: int = 1) -> Cameras:
    matrix = torch.tensor([[900.0, 0, 500], [0, 900, 500], [0, 0, 1]], dtype=torch.float64)
    parts = (torch.tensor([1000.0, 1000.0]), matrix, torch.zeros(8), torch.eye(3), torch.zeros(3))
    return Cameras(("a",), *(part.double().expand(people, 1, *part.shape) for part in parts))


def keypoints(generator: torch.Generator) -> torch.Tensor:
    return 500 + 100 * torch.randn(1, COUNT, 2, generator=generator, dtype=torch.float64)


def test_low_scores_are_told_to_be_less_certain():
    xy = keypoints(torch.Generator().manual_seed(0)).expand(4, -1, -1)
    score = torch.tensor([1.0, 0.5, 0.0, 7.0], dtype=torch.float64)[:, None].expand(4, COUNT)
    told = told_noise(xy, score, torch.ones(4, COUNT, dtype=torch.bool), torch.full((4, 2), 1000.0).double())
    torch.testing.assert_close(told[1] / told[0], torch.full((COUNT,), math.exp(0.75)).double())
    torch.testing.assert_close(told[2] / told[0], torch.full((COUNT,), math.exp(1.5)).double())
    torch.testing.assert_close(told[3], told[0])


def test_poses_are_put_where_the_surest_keypoints_say():
    """Every keypoint counts by the inverse of its variance; those that are not there not at all."""
    draw = torch.Generator().manual_seed(1)
    xy, pose = keypoints(draw), 0.3 * torch.randn(1, 2, COUNT, 3, generator=draw)
    score = torch.rand(1, COUNT, generator=draw, dtype=torch.float64)
    seen = torch.arange(COUNT)[None] != 5
    sight = sight_of(COCO_17.joints, camera(), xy, score, seen)
    found = lift_people(PeopleLifter(COCO_17, lambda people, image, generator: pose), sight, None, draw)
    xyz = 1000 * sight.people.to_camera(pose.double())
    torch.testing.assert_close(found.lifted.xyz_camera, xyz)
    plane = normalize_points(xy, camera().matrix[:, 0, None], torch.zeros(1, 1, 8).double())
    variance = sight.people.sigma.double().square()
    weight = torch.where(seen, 1 / torch.where(seen, variance, 1.0), 0.0)
    torch.testing.assert_close(found.place, place_before_camera(xyz, plane[:, None], weight[:, None]))
    wild = replace(sight, xy_image=torch.where(seen[..., None], sight.xy_image, 9e3))
    other = lift_people(PeopleLifter(COCO_17, lambda people, image, generator: pose), wild, None, draw)
    torch.testing.assert_close(other.place, found.place)

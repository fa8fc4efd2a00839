"""Poses without a place: mean, spread, and where they must stand to be seen where their keypoints are."""

import torch

from dispose.scene.lifted import Lifted, place_before_camera
from dispose.skeletons.skeleton import Skeleton


def test_a_pose_is_placed_where_its_keypoints_are():
    generator = torch.Generator().manual_seed(0)
    pose = 300 * torch.randn(4, 6, 5, 3, generator=generator, dtype=torch.float64)
    place = torch.tensor([200.0, -100.0, 4000.0], dtype=torch.float64)
    there = pose + place
    plane = there[..., :2] / there[..., 2:]
    weight = torch.ones(4, 6, 5, dtype=torch.float64)
    assert torch.allclose(place_before_camera(pose, plane, weight), place.expand(4, 6, 3), atol=1e-6)
    # A keypoint that is somewhere else counts nothing without weight.
    plane[..., 0, :] += 0.3
    off = place_before_camera(pose, plane, weight)
    weight[..., 0] = 0.0
    assert torch.allclose(place_before_camera(pose, plane, weight), place.expand(4, 6, 3), atol=1e-6)
    assert not torch.allclose(off, place.expand(4, 6, 3), atol=1.0)
    weight[..., 1:] = 0.0
    weight[..., 1] = 1.0
    assert torch.isnan(place_before_camera(pose, plane, weight)).all()


def test_mean_and_covariance_are_over_the_hypotheses():
    xyz = torch.randn(2, 500, 3, 3, dtype=torch.float64)
    poses = Lifted(Skeleton("three", ("a", "b", "c"), ()), xyz)
    assert torch.allclose(poses.mean, xyz.mean(1))
    expected = torch.cov(xyz[1, :, 2].T)
    assert torch.allclose(poses.covariance[1, 2], expected)
    alone = Lifted(poses.skeleton, xyz[:, :1])
    assert not alone.covariance.any()

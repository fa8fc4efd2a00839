"""The detector that never errs reports what the cameras project, and nothing that they cannot see."""

from dataclasses import replace

import torch

from dispose.scene.frame import Poses
from dispose.scene.teaching import projected_frame
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import ABSENT
from dispose_benchmarks.studies.triangulation import ring_of, robust


def people() -> Poses:
    xyz = 300 * torch.randn(2, 17, 3, generator=torch.Generator().manual_seed(0)).double()
    known = torch.ones(2, 17, dtype=torch.bool)
    return Poses(COCO_17, xyz, known.double(), known, torch.tensor([4, 9]))


def test_triangulated_it_is_the_people_again() -> None:
    cameras, poses = ring_of(4), people()
    found = projected_frame(3, cameras, poses).detections
    points = robust(cameras, found.xy_image.permute(1, 2, 0, 3), found.visible.permute(1, 2, 0).double())
    torch.testing.assert_close(points, poses.xyz_world, atol=1e-4, rtol=0)
    assert found.index.tolist() == [[0, 1]] * 4


def test_what_is_unknown_behind_or_outside_is_not_seen() -> None:
    cameras, poses = ring_of(4), people()
    far, unknown = poses.xyz_world.clone(), poses.valid.clone()
    far[1], unknown[0, 3] = far[1] + torch.tensor([0.0, 0.0, 9000.0], dtype=torch.float64), False
    far[0, 3] = torch.nan
    found = projected_frame(3, cameras, replace(poses, xyz_world=far, valid=unknown)).detections
    assert not bool(found.valid[:, 1].any()) and found.index[:, 1].tolist() == [ABSENT] * 4
    assert not bool(found.visible[:, 0, 3].any()) and bool(found.visible[:, 0, 4].all())
    assert bool(torch.isfinite(found.xy_image).all())

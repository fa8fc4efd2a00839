"""Errors of skeletons: by hand, and what no rigid motion may change."""

import math

import pytest
import torch

from dispose.errors import ShapeError
from dispose.metrics.pose import mpjpe, pa_mpjpe, pairwise_mpjpe, root_error
from dispose.scene.frame import Poses
from dispose.skeletons.catalog import COCO_17, PANOPTIC_15
from dispose.skeletons.skeleton import Skeleton


def poses(xyz: torch.Tensor, valid: torch.Tensor, skeleton: Skeleton = COCO_17) -> Poses:
    return Poses(skeleton, xyz, valid.double(), valid, torch.arange(len(xyz)))


def test_mpjpe_is_the_mean_distance_of_valid_joints() -> None:
    truth = torch.zeros(3, 3)
    predicted = torch.tensor([[3.0, 4.0, 0.0], [0.0, 0.0, 1.0], [99.0, 0.0, 0.0]])
    assert mpjpe(predicted, truth, torch.tensor([True, True, False])).item() == pytest.approx(3.0)
    assert math.isnan(mpjpe(predicted, truth, torch.zeros(3, dtype=torch.bool)).item())


def test_similarity_costs_nothing_after_alignment(generator: torch.Generator) -> None:
    truth = torch.randn(5, 17, 3, generator=generator, dtype=torch.float64) * 300
    rotation = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]
    rotation = rotation * torch.linalg.det(rotation).sign()
    moved = 1.7 * truth @ rotation.T + torch.tensor([900.0, -40.0, 3.0], dtype=torch.float64)
    valid = torch.rand(5, 17, generator=generator) > 0.3
    assert pa_mpjpe(moved, truth, valid).max().item() < 1e-9
    noisy = moved + torch.randn(moved.shape, generator=generator, dtype=torch.float64)
    assert (pa_mpjpe(noisy, truth, valid) < mpjpe(noisy, truth, valid)).all()
    assert pa_mpjpe(moved, truth, torch.arange(17).expand(5, 17) < 2).isnan().all()


def test_root_error_is_unknown_where_a_root_is() -> None:
    root = torch.tensor([[0.0, 3.0, 4.0], [float("nan")] * 3])
    assert root_error(root, torch.zeros(2, 3))[0].item() == 5.0
    assert root_error(root, torch.zeros(2, 3))[1].isnan()


def test_distances_to_everybody_use_common_joints_only() -> None:
    xyz = torch.zeros(2, 17, 3, dtype=torch.float64)
    xyz[1, :, 0] = 10.0
    known = torch.zeros(2, 17, dtype=torch.bool)
    known[0, :4], known[1, 2:6] = True, True
    everywhere = torch.ones(1, 17, dtype=torch.bool)
    one = pairwise_mpjpe(poses(xyz, known), poses(xyz[:1], everywhere))
    assert one[:, 0].tolist() == [0.0, 10.0]
    assert pairwise_mpjpe(poses(xyz, known), poses(xyz, known), min_joints=3)[0, 1].isinf()
    with pytest.raises(ShapeError, match="panoptic_15"):
        pairwise_mpjpe(poses(xyz, known), poses(xyz[:, :15], known[:, :15], PANOPTIC_15))

"""The objective: its sum, its names, and that people without a root count nowhere."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from dispose.errors import InputError
from dispose.losses.curation import PoseTargets
from dispose.losses.objective import (
    RELEASED_POSE,
    SampleViews,
    Term,
    Weights,
    pose_terms,
    reproject,
    total,
    weigh,
    weighted_l1,
)
from dispose.scene.cameras import Cameras
from dispose.scene.frame import stack_rigs
from dispose.tensors import ABSENT

SKELETON_TERMS = ["reprojection", "reprojection_heatmap", "anchor", "consistency", "residual"]


def test_total_is_the_weighted_sum_of_what_was_computed():
    terms = [Term(name, torch.tensor(float(k + 1))) for k, name in enumerate(SKELETON_TERMS)]
    released = replace(RELEASED_POSE, mass=0.0, latent=0.0)
    weighed = weigh(terms, released)
    assert_close(total(weighed), torch.tensor(1.0 + 100 * 2 + 0.1 * 3 + 4 + 1e-4 * 5).double())
    assert [term.name for term in weighed] == SKELETON_TERMS
    for term in terms:
        assert_close(total(weigh(terms, Weights(**{term.name: 2.0}))), 2.0 * term.value.double())


def test_released_weights_are_those_of_the_specification():
    known = {"reprojection": 1.0, "reprojection_heatmap": 100.0, "anchor": 0.1, "consistency": 1.0, "residual": 1e-4}
    wanted = {**known, "mass": 0.5, "latent": 0.25, "heatmap": 0.0, "divergence": 0.0, "confidence": 0.0}
    assert vars(RELEASED_POSE) == wanted


def test_a_term_that_counts_must_be_there_and_one_that_does_not_may_be_anything():
    with pytest.raises(InputError, match=r"'anchor' weighs 0\.1"):
        weigh([Term("reprojection", torch.ones(()))], Weights(reprojection=1.0, anchor=0.1))
    with pytest.raises(InputError, match="no loss"):
        weigh([Term("reprojection", torch.ones(()))], Weights())
    odd = [Term("reprojection", torch.ones(())), Term("anchor", torch.tensor(torch.nan))]
    assert float(total(weigh(odd, Weights(reprojection=1.0)))) == 1


def ring(views: int, samples: int) -> Cameras:
    """Cameras around the origin that look at it, the same for every sample."""
    angle = 2 * torch.pi * torch.arange(views).double() / views
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    right = torch.stack([-angle.sin(), angle.cos(), zero], -1)
    forward = torch.stack([-angle.cos(), -angle.sin(), zero], -1)
    rotation = torch.stack([right, torch.stack([zero, zero, -one], -1), forward], -2)
    matrix = torch.tensor([[500.0, 0, 319.5], [0, 500.0, 239.5], [0, 0, 1]], dtype=torch.float64).repeat(views, 1, 1)
    size = torch.tensor([640.0, 480.0], dtype=torch.float64).repeat(views, 1)
    shift = torch.tensor([0.0, 0.0, 4000.0], dtype=torch.float64).repeat(views, 1)
    distortion = torch.zeros(views, 8, dtype=torch.float64)
    names = tuple(str(k) for k in range(views))
    return stack_rigs([Cameras(names, size, matrix, distortion, rotation, shift)] * samples)


def a_batch(generator: torch.Generator) -> tuple[PoseTargets, SampleViews]:
    """Three persons in two copies of a frame and one in another frame, labels free of error."""
    rigs = ring(4, 3)
    sample, identity = torch.tensor([0, 0, 0, 1, 1, 1, 2]), torch.tensor([5, 6, ABSENT, 5, 6, ABSENT, 5])
    people = 800 * torch.rand(4, 6, 3, dtype=torch.float64, generator=generator) - 400
    xyz = people[[0, 1, 2, 0, 1, 2, 3]]
    xy, _ = rigs[sample].project(xyz)
    sure = 0.3 + 0.7 * torch.rand(7, 4, 6, dtype=torch.float64, generator=generator)
    targets = PoseTargets(sample, identity, xy, sure, xyz, sure[:, 0])
    affine = 0.5 * torch.eye(3, dtype=torch.float64)[:2].repeat(3, 4, 1, 1)
    affine[1] *= 1.2
    return targets, SampleViews(rigs, affine, torch.tensor([0, 0, 1]), (80, 60))


def test_every_term_is_zero_for_the_truth_and_grows_away_from_it(generator: torch.Generator):
    targets, views = a_batch(generator)
    everyone = torch.ones(7, dtype=torch.bool)
    done = torch.ones(2, 7, 6, dtype=torch.bool)
    xyz = targets.xyz_world.float().repeat(2, 1, 1, 1)
    truth = pose_terms(xyz, torch.zeros(2, 7, 6), done, targets, everyone, views)
    assert all(float(term.value) < 1e-3 for term in truth)
    assert [term.name for term in truth] == SKELETON_TERMS
    last = [0.0] * 5
    for scale in (10.0, 40.0, 160.0):
        moved = xyz + scale * torch.randn(xyz.shape, generator=generator)
        found = pose_terms(moved, scale * torch.ones(2, 7, 6), done, targets, everyone, views)
        values = [float(term.value) for term in found]
        assert all(new > old for new, old in zip(values, last, strict=True))
        last = values


def test_people_without_a_root_count_neither_in_sums_nor_in_divisors(generator: torch.Generator):
    targets, views = a_batch(generator)
    rooted = torch.tensor([True, True, False, True, False, True, True])
    xyz = targets.xyz_world.repeat(2, 1, 1, 1) + 30 * torch.randn(2, 7, 6, 3, generator=generator)
    residual = torch.rand(2, 7, 6, dtype=torch.float64, generator=generator)
    done = torch.rand(2, 7, 6, generator=generator) > 0.3
    found = pose_terms(xyz, residual, done, targets, rooted, views)
    # The same batch in which those people never were; in the released code they thin out every mean.
    alone = targets[rooted]
    everyone = torch.ones(5, dtype=torch.bool)
    wanted = pose_terms(xyz[:, rooted], residual[:, rooted], done[:, rooted], alone, everyone, views)
    lost = torch.where(rooted[:, None, None], xyz, torch.nan)
    unharmed = pose_terms(lost, residual, done, targets, rooted, views)
    for a, b, c in zip(found, wanted, unharmed, strict=True):
        assert_close(a.value, b.value)
        assert_close(a.value, c.value)


def test_gradients_of_all_terms_are_right(generator: torch.Generator):
    targets, views = a_batch(generator)
    targets = targets[torch.tensor([0, 2, 3])]
    rooted, done = torch.tensor([True, False, True]), torch.ones(1, 3, 6, dtype=torch.bool)
    xyz = targets.xyz_world[None] + 25 * torch.randn(1, 3, 6, 3, dtype=torch.float64, generator=generator)
    weights = replace(RELEASED_POSE, mass=0.0, latent=0.0)
    residual = torch.rand(1, 3, 6, dtype=torch.float64, generator=generator)

    def objective(joints: torch.Tensor) -> torch.Tensor:
        return total(weigh(pose_terms(joints, residual, done, targets, rooted, views), weights))

    assert torch.autograd.gradcheck(objective, xyz.requires_grad_(), eps=1e-4, atol=1e-5)


def test_no_people_no_loss_but_a_gradient(generator: torch.Generator):
    targets, views = a_batch(generator)
    xyz = targets.xyz_world[None].clone().requires_grad_()
    nobody, done = torch.zeros(7, dtype=torch.bool), torch.ones(1, 7, 6, dtype=torch.bool)
    found = pose_terms(xyz, xyz[..., 0], done, targets, nobody, views)
    value = total(weigh(found, replace(RELEASED_POSE, mass=0.0, latent=0.0)))
    assert float(value.detach()) == 0
    assert float(torch.autograd.grad(value, xyz)[0].abs().max()) == 0


def test_reprojections_are_those_of_the_cameras_layer_by_layer(generator: torch.Generator):
    targets, views = a_batch(generator)
    xyz = torch.stack([targets.xyz_world, targets.xyz_world + 50.0])
    xy, valid = reproject(xyz, views.rigs, targets.sample)
    for layer in range(2):
        wanted, front = views.rigs[targets.sample].project(xyz[layer])
        assert_close(xy[layer], wanted)
        assert_close(valid[layer], front)
    confidence = torch.where(valid[:1], targets.confidence, 0.0)
    assert float(weighted_l1(xy[:1] - targets.xy_image, confidence)) < 1e-9

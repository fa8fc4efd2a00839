"""What the shipped weights for rays can do, on people whom no training saw: small, so that it runs every time."""

from dataclasses import replace

import pytest
import torch

from dispose.association.reconstruct import RIGHT_MM
from dispose.geometry.pinhole import normalize_points
from dispose.geometry.triangulation import triangulate_algebraic
from dispose.geometry.uncertainty import expected_error
from dispose.models.rays.estimate import MOST_MM, JointEstimates, estimate_joints
from dispose.models.rays.network import MOST_M, RayNetwork
from dispose.models.rays.sightings import Sightings
from dispose.skeletons.catalog import COCO_17
from dispose.zoo.checkpoints import load_rays
from dispose_synthetic.randomness import Noise
from dispose_synthetic.rigs import CalibrationError
from dispose_synthetic.sightings import SeenPeople, SightingConfig, sample_sightings

UNSEEN = 77
HONEST = SightingConfig(
    views=(3, 3), view_weights=(1.0,), procedural=1.0, noise_px=(1.0, 2.0), noise_mm=(3.0, 8.0), outliers=0.0,
    missing=0.0, limb_missing=0.0, legs_hidden=0.0, unseen=0.0, swapped=0.0, stranger=0.0, bias_mm=5.0, border=0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def network() -> RayNetwork:
    return load_rays()


def draw(config: SightingConfig, people: int = 200) -> SeenPeople:
    return sample_sightings(Noise(torch.Generator().manual_seed(UNSEEN)), None, people, COCO_17.joints, config)


def errors(found: JointEstimates, people: SeenPeople) -> torch.Tensor:
    """Distances from the truth, mm, of everybody whom two views see well."""
    well = (people.sightings.seen.sum(2) >= 12).sum(1) >= 2
    return (found.xyz_world - people.xyz_world).norm(dim=-1)[well]


def linear(sightings: Sightings) -> torch.Tensor:
    """Plain triangulation of the same keypoints, mm."""
    cameras = sightings.cameras
    xy = normalize_points(sightings.xy_image, cameras.matrix[:, :, None], cameras.distortion[:, :, None])
    weights = sightings.seen.double().transpose(1, 2)
    return triangulate_algebraic(xy.transpose(1, 2), cameras.rotation[:, None], cameras.translation[:, None], weights)


def test_wrong_keypoints_are_left_to_the_others_and_the_body(network):
    people = draw(replace(HONEST, outliers=0.25, outlier_px=(60.0, 60.0)))
    found = estimate_joints(network, people.sightings)
    plain = replace(found, xyz_world=linear(people.sightings))
    ours, theirs = errors(found, people), errors(plain, people)
    assert float(ours.mean()) < 0.6 * float(theirs.nanmean()) and float(ours.quantile(0.95)) < 130


def test_a_view_that_exchanges_left_and_right_is_seen_through(network):
    people = draw(HONEST)
    swapped = people.sightings.xy_image.clone()
    swapped[:, 0] = swapped[:, 0][:, COCO_17.mirror]
    seen = people.sightings.seen.clone()
    seen[:, 0] = seen[:, 0][:, COCO_17.mirror]
    before = errors(estimate_joints(network, people.sightings), people)
    wrong = replace(people.sightings, xy_image=swapped, seen=seen)
    after = errors(estimate_joints(network, wrong), people)
    assert float(after.mean()) < 2.2 * float(before.mean())


def test_a_joint_that_one_view_sees_is_placed_and_doubted(network):
    people = draw(HONEST)
    wrist = COCO_17.index("l_wrist")
    seen = people.sightings.seen.clone()
    alone = seen[:, 0, wrist] & (seen.sum(2) >= 12).all(1)
    seen[:, 1:, wrist] = False
    found = estimate_joints(network, replace(people.sightings, seen=seen))
    error = (found.xyz_world - people.xyz_world).norm(dim=-1)[alone, wrist]
    sigma = torch.linalg.eigvalsh(found.covariance[alone, wrist]).sqrt()
    assert int(alone.sum()) > 50 and float(error.median()) < 120
    # Long along the ray, narrow across it.
    assert float((sigma[:, 2] / sigma[:, 0]).median()) > 2
    all_views = estimate_joints(network, people.sightings).covariance[alone, wrist]
    assert float(sigma[:, 2].median()) > 2 * float(torch.linalg.eigvalsh(all_views).sqrt()[:, 2].median())


@pytest.mark.parametrize("views", [1, 2, 3, 5])
def test_intervals_hold_the_truth_as_often_as_they_say(network, views):
    usual = CalibrationError(scale=(0.0, 1.0))
    config = SightingConfig(views=(views, views), view_weights=(1.0,), procedural=1.0, calibration=usual)
    people = draw(config, 400)
    found = estimate_joints(network, people.sightings)
    shown = (people.sightings.seen.sum((1, 2)) >= 6)[:, None] & people.sightings.seen.any(1)
    sigma = torch.diagonal(found.covariance, dim1=-2, dim2=-1).sqrt()
    ratio = ((found.xyz_world - people.xyz_world).abs() / sigma)[shown]
    half, most = (float((ratio < edge).double().mean()) for edge in (0.67449, 1.64485))
    assert 0.42 <= half <= 0.60 and 0.82 <= most <= 0.96


def test_more_views_are_better(network):
    means = []
    for views in (1, 2, 3, 5, 8):
        people = draw(replace(HONEST, views=(views, views)), 300)
        found = estimate_joints(network, people.sightings)
        shown = (people.sightings.seen.sum(2) >= 12).sum(1) >= min(views, 2)
        means.append(float((found.xyz_world - people.xyz_world).norm(dim=-1)[shown].mean()))
    assert means == sorted(means, reverse=True) and means[-1] < 30


def test_a_stranger_among_the_members_is_doubted(network):
    honest, mixed = draw(replace(HONEST, views=(2, 2))), draw(replace(HONEST, views=(2, 2), stranger=1.0))
    sure, unsure = (
        (expected_error(estimate_joints(network, one.sightings).covariance) <= MOST_MM).double().mean(1)
        for one in (honest, mixed)
    )
    assert float(sure.median()) == 1.0 and float(unsure.median()) < 0.3


def test_the_score_is_the_probability_that_a_person_is_right(network):
    people = draw(
        SightingConfig(procedural=1.0, stranger=0.5, swapped=0.2, views=(2, 3), view_weights=(1.0, 1.0)), 2000
    )
    found = estimate_joints(network, people.sightings)
    said = expected_error(found.covariance) <= 1000 * MOST_M
    error = (found.xyz_world - people.xyz_world).norm(dim=-1)
    mean = torch.where(said, error, 0.0).sum(1) / said.sum(1).clamp(min=1)
    for low, high in ((0.6, 0.8), (0.8, 0.95), (0.95, 1.0)):
        which = said.any(1) & (found.score > low) & (found.score <= high)
        right = float((mean[which] <= RIGHT_MM).double().mean())
        assert int(which.sum()) > 30 and right == pytest.approx(float(found.score[which].mean()), abs=0.15)

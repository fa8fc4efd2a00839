"""Candidates and geometry of root points."""

from dataclasses import replace

import pytest
import torch

from dispose.association.roots import (
    ROOT_INCIDENCE_FEATURES,
    ROOT_TUPLE_FEATURES,
    RootCandidateConfig,
    group_roots,
    map_pixel_of,
    pair_chi_square,
    root_cue,
    root_incidence_features,
    root_tuple_features,
    root_tuples,
    weighted_roots,
)
from dispose.scene.frame import Frame
from dispose.scene.peaks import root_detections
from dispose.skeletons.catalog import PANOPTIC_15
from dispose.tensors import ABSENT
from dispose_synthetic.renderer.captures import RenderConfig, sample_captures

ROOT = PANOPTIC_15.index("mid_hip")
PIXEL = torch.full((5,), 4.0, dtype=torch.float64)


@pytest.fixture(scope="module")
def capture():
    config = RenderConfig(size=(256, 192), views=(5, 5), persons=(3, 3), empty=0.0)
    return next(sample_captures(torch.Generator().manual_seed(4), 1, config))


def frame_of(capture, *, noise: float = 0.0) -> Frame:
    """Root points of every person in every view, slot = person."""
    xy, _ = capture.cameras.project(capture.poses.xyz_world[:, ROOT])
    generator = torch.Generator().manual_seed(0)
    xy = xy + noise * torch.randn(xy.shape, generator=generator, dtype=torch.float64)
    seen = capture.inside[:, :, ROOT]
    detections = root_detections(PANOPTIC_15, xy, torch.full(seen.shape, 0.8).double(), seen)
    return Frame(0, capture.cameras, detections)


def true_members(frame: Frame) -> torch.Tensor:
    valid = frame.detections.valid
    return torch.where(valid.T, torch.arange(valid.shape[1])[:, None], ABSENT)


def test_exact_points_meet_at_the_root(capture):
    frame = frame_of(capture)
    roots = group_roots(frame, true_members(frame), PIXEL)
    torch.testing.assert_close(roots, capture.poses.xyz_world[:, ROOT], atol=1e-3, rtol=0)


def test_the_true_tuples_are_candidates_and_fit(capture):
    frame = frame_of(capture, noise=1.0)
    tuples = root_tuples(frame, PIXEL, RootCandidateConfig())
    rows = {tuple(row) for row in tuples.members.tolist()}
    for row in true_members(frame).tolist():
        assert tuple(row) in rows
    singles = (tuples.members != ABSENT).sum(1) == 1
    assert int(singles.sum()) == int(frame.detections.valid.sum())
    assert torch.equal(root_cue(tuples)[singles], torch.full_like(root_cue(tuples)[singles], 0.3))


def test_features_are_finite_and_named(capture):
    frame = frame_of(capture, noise=1.0)
    tuples = root_tuples(frame, PIXEL, RootCandidateConfig())
    heat = torch.rand(len(tuples.members), 5, generator=torch.Generator().manual_seed(1))
    of_tuples, of_incidences = root_tuple_features(tuples, frame, heat), root_incidence_features(tuples, frame)
    assert of_tuples.shape == (len(tuples.members), len(ROOT_TUPLE_FEATURES))
    assert of_incidences.shape == (len(tuples.table.view), len(ROOT_INCIDENCE_FEATURES))
    assert bool(torch.isfinite(of_tuples).all()) and bool(torch.isfinite(of_incidences).all())


def test_rays_of_one_person_meet_and_others_do_not(capture):
    frame = frame_of(capture)
    directions = frame.cameras.directions(frame.detections.xy_image[:, :, ROOT])
    chi = pair_chi_square(frame, directions, torch.full((5,), 0.01, dtype=torch.float64))
    assert float(chi[0, 0, 1, 0]) < 1e-6
    assert bool(torch.isinf(chi[0, :, 0]).all())
    torch.testing.assert_close(chi, chi.permute(2, 3, 0, 1))


def test_a_member_that_does_not_fit_is_left_out(capture):
    frame = frame_of(capture)
    xy = frame.detections.xy_image.clone()
    xy[0, 0, ROOT] += 60.0
    moved = replace(frame, detections=replace(frame.detections, xy_image=xy))
    roots = group_roots(moved, true_members(frame)[:1], PIXEL)
    torch.testing.assert_close(roots, capture.poses.xyz_world[:1, ROOT], atol=1e-3, rtol=0)


def test_weights_move_the_root_and_have_gradients(capture):
    frame = frame_of(capture, noise=3.0)
    weight = torch.nn.functional.one_hot(true_members(frame)[:1].clamp(min=0), 3).double().requires_grad_()
    weighted_roots(frame, weight).sum().backward()
    assert weight.grad is not None and float(weight.grad.abs().sum()) > 0


def test_a_root_with_one_ray_is_not_known(capture):
    frame = frame_of(capture)
    members = torch.full((1, 5), ABSENT)
    members[0, 2] = 0
    assert bool(torch.isnan(group_roots(frame, members, PIXEL)).all())


def test_a_map_pixel_in_the_original_picture():
    affine = torch.tensor([[[0.5, 0.0, 3.0], [0.0, 0.5, -2.0]]], dtype=torch.float64)
    assert float(map_pixel_of(affine, 4)) == pytest.approx(8.0)

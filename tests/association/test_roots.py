"""Candidates and geometry of root points."""

import math
from dataclasses import replace

import pytest
import torch

from dispose.association.cues import incidences
from dispose.association.roots import (
    ROOT_INCIDENCE_FEATURES,
    ROOT_TUPLE_FEATURES,
    RootCandidateConfig,
    RootTuples,
    group_roots,
    map_pixel_of,
    pair_chi_square,
    root_cue,
    root_incidence_features,
    root_tuple_features,
    root_tuples,
    usual_depth,
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


def tuples_of(members: list[list[int]], residual: list[float], depth: list[float] | None = None) -> RootTuples:
    """Tuples of the first person's points (the second's are never taken) with these residuals and depths."""
    rows = torch.tensor(members)
    table = incidences(rows, torch.ones(rows.shape[1], 1, dtype=torch.bool))
    far = torch.tensor(depth or [4000.0] * len(residual), dtype=torch.float64)
    nowhere = torch.zeros(len(rows), 3, dtype=torch.float64)
    return RootTuples(rows, nowhere, torch.tensor(residual, dtype=torch.float64), far, nowhere[:, 0], table)


def test_the_cue_counts_two_numbers_a_ray_less_the_three_of_the_point():
    """Chi-squares 4 of a pair (one degree of freedom), 9 of three (three), 3 of three, and one alone."""
    members = [[0, 0, ABSENT], [0, 0, 0], [0, 0, 0], [0, ABSENT, ABSENT]]
    cue = root_cue(tuples_of(members, [2.0, 0.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 0.0]))
    expected = torch.tensor([math.exp(-1.5), math.exp(-1.0), 1.0, 0.3], dtype=torch.float64)
    torch.testing.assert_close(cue, expected)


def test_features_of_root_tuples_by_name(capture):
    frame = frame_of(capture)
    usual = usual_depth(frame)
    depth = (usual[[0, 1, 3]] * torch.tensor([0.5, -0.1, 0.0]).exp()).tolist()
    tuples = tuples_of([[0, 0, *[ABSENT] * 3], [*[ABSENT] * 3, 0, ABSENT]], [2.0, 1.0, 0.0], depth)
    of_incidences = root_incidence_features(tuples, frame).double()
    expected = {
        "residual": (math.log1p(4), math.log1p(1), 0),
        "score": (0.8, 0.8, 0.8),
        "log depth over usual depth": (0.5, -0.1, 0),
        "alone": (0, 0, 1),
    }
    for name, column in zip(ROOT_INCIDENCE_FEATURES, of_incidences.T.tolist(), strict=True):
        assert column == pytest.approx(expected[name], abs=1e-6), name
    features = root_tuple_features(tuples, frame, torch.zeros(2, 5))
    named: dict[str, float] = dict(zip(ROOT_TUPLE_FEATURES, features[0].tolist(), strict=True))
    hand = {
        "members": math.log(2), "members of views": 2 / 5, "singleton": 0, "pair": 1,
        "chi² per degree of freedom": math.log1p(5), "worst residual": math.log1p(4), "mean score": 0.8,
        "mean log depth over usual depth": 0.2, "worst log depth over usual depth": 0.5, "cue": math.exp(-2),
    }  # fmt: skip
    for name, value in hand.items():
        assert named[name] == pytest.approx(value, abs=1e-6), name


def test_views_that_leave_a_root_out_are_asked_for_their_heat(capture):
    """Of the views that are no members those count in whose picture the point lies; of a lone ray none do."""
    frame = frame_of(capture)
    first = tuples_of([[0, 0, *[ABSENT] * 3], [0, *[ABSENT] * 4]], [0.0, 0.0, 0.0])
    tuples = replace(first, xyz_world=capture.poses.xyz_world[:1, ROOT].expand(2, 3))
    heat = torch.tensor([0.9, 0.8, 0.1, 0.2, 0.6]).expand(2, 5)
    there = frame.cameras.inside(frame.cameras.project(tuples.xyz_world[0])[0])[2:]
    asked = heat[0, 2:][there]
    assert len(asked) > 0, "somebody else sees the root"
    one, lone = root_tuple_features(tuples, frame, heat).tolist()
    named: dict[str, float] = dict(zip(ROOT_TUPLE_FEATURES, one, strict=True))
    assert named["absent views that should see it"] == pytest.approx(len(asked) / 5)
    assert named["heat there, mean over absent views"] == pytest.approx(float(asked.mean()))
    assert named["heat there, most in an absent view"] == pytest.approx(float(asked.max()))
    angle = torch.arccos(frame.cameras.rotation[0, 2] @ frame.cameras.rotation[1, 2])
    assert named["spread of rays"] == pytest.approx(1 - float((angle / 2).cos()), abs=1e-6)
    single: dict[str, float] = dict(zip(ROOT_TUPLE_FEATURES, lone, strict=True))
    for name in ROOT_TUPLE_FEATURES[6:10]:
        assert single[name] == pytest.approx(0, abs=1e-6), name


def test_rays_that_pass_are_as_far_apart_as_their_noise_lets_them_be(capture):
    """Of noise twice as large the chi-square is a quarter; the gap of skew rays is their distance."""
    frame = frame_of(capture, noise=3.0)
    directions = frame.cameras.directions(frame.detections.xy_image[:, :, ROOT])
    angle = torch.full((5,), 0.01, dtype=torch.float64)
    once, twice = (pair_chi_square(frame, directions, times * angle) for times in (1, 2))
    finite = once.isfinite()
    torch.testing.assert_close(4 * twice[finite], once[finite])
    centres, one, other = frame.cameras.centres, directions[0, 0], directions[1, 0]
    across = torch.linalg.cross(one, other)
    gap = (centres[1] - centres[0]) @ across / across.norm()
    depth = torch.linalg.solve(torch.stack([one, -other, across], 1), centres[1] - centres[0])[:2]
    assert float(once[0, 0, 1, 0]) == pytest.approx(float(gap**2 / (0.01 * depth).square().sum()))


def test_a_score_weighs_a_ray_and_the_heavier_rays_draw_the_root(capture):
    """A ray of weight two counts like two rays of weight one: the root is where those of the doubled frame meet."""
    frame = frame_of(capture, noise=5.0)
    weight = torch.nn.functional.one_hot(true_members(frame)[:1].clamp(min=0), 3).double()
    heavy = weight.clone()
    heavy[0, 0] *= 2
    order = [0, 0, 1, 2, 3, 4]
    doubled = weighted_roots(frame.select(views=order), weight[:, order])
    torch.testing.assert_close(weighted_roots(frame, heavy), doubled)
    assert float((doubled - weighted_roots(frame, weight)).norm()) > 0.1
    score = frame.detections.score.clone()
    score[0] *= 2
    loose = torch.full((5,), 1e6, dtype=torch.float64)
    louder = replace(frame, detections=replace(frame.detections, score=score))
    torch.testing.assert_close(group_roots(louder, true_members(frame)[:1], loose), doubled)

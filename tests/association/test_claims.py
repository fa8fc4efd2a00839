"""What joints and people claim of themselves: each cue by hand, and that the claims hold on scenes never fitted to."""

import math

import pytest
import torch
from torch.testing import assert_close

from dispose.association.claims import (
    FARTHEST_MM,
    Factor,
    ScoreModel,
    claim,
    fit_of,
    ideal_covariance,
    joint_cues,
    keypoint_noise,
    person_cues,
    score_persons,
    weigh,
)
from dispose.association.packing import GroupKeypoints, gather_groups, inlier_bound
from dispose.association.reconstruct import dlt, judge_poses, ransac, robust, triangulate_groups, triangulate_joints
from dispose.errors import ShapeError
from dispose.geometry.uncertainty import expected_error, point_covariance, probability_within, projection_jacobian
from dispose.metrics.pose import pairwise_mpjpe
from dispose.scene.frame import Poses
from dispose.scene.labels import association_of_identities
from dispose.skeletons.catalog import COCO_17
from dispose_benchmarks.studies.triangulation import ring_of
from dispose_synthetic.scenes import SceneConfig, sample_scenes
from tests.association.people_seen import STANDING, seen_by, shifted

WRIST, ELBOW, KNEE = COCO_17.indices(("l_wrist", "l_elbow", "l_knee"))
CUES = list(Factor.__dataclass_fields__)
SCORE_CUES = list(ScoreModel.__dataclass_fields__)


def cues_of(evidence: GroupKeypoints, poses: Poses) -> torch.Tensor:
    """`joint_cues` of skeletons of these groups."""
    fit = fit_of(evidence, poses)
    return joint_cues(fit, ideal_covariance(fit), evidence, poses)


def cue(name: str, change=None, score=None, views: int = 4) -> torch.Tensor:
    """One cue of the joints of the person, triangulated robustly."""
    evidence = seen_by(views, change or (lambda xy: xy), score)
    poses = triangulate_joints(evidence)
    return cues_of(evidence, poses)[0, :, CUES.index(name)]


def test_the_ideal_covariance_is_that_of_the_rays_at_the_usual_noise() -> None:
    evidence = seen_by(4)
    poses, cameras = triangulate_joints(evidence), ring_of(4)
    tensors = (cameras.matrix, cameras.distortion, cameras.rotation, cameras.translation)
    expected = point_covariance(projection_jacobian(STANDING, *tensors), keypoint_noise(evidence)[0].T)
    prior = torch.eye(3, dtype=torch.float64) / FARTHEST_MM**2
    expected = torch.linalg.inv(torch.linalg.inv(expected) + prior)
    assert_close(ideal_covariance(fit_of(evidence, poses))[0], expected, rtol=1e-4, atol=1e-6)


def test_keypoints_scatter_with_size_and_twice_as_much_at_the_border() -> None:
    """A person of some 400 pixels: 2 % of the box's diagonal; a keypoint on the image's edge is worth half."""
    evidence = seen_by(4)
    xy = evidence.xy_image[0, 0]
    diagonal = (xy.amax(0) - xy.amin(0)).norm()
    inside = keypoint_noise(evidence)[0, 0]
    assert_close(inside, (0.02 * diagonal).expand(17), rtol=1e-3, atol=0)

    def to_the_edge(xy: torch.Tensor) -> torch.Tensor:
        xy[0, WRIST, 1] = 0.0
        return xy

    edge = seen_by(4, to_the_edge)
    xy = edge.xy_image[0, 0]
    diagonal = (xy.amax(0) - xy.amin(0)).norm()
    assert float(keypoint_noise(edge)[0, 0, WRIST]) == pytest.approx(float(0.04 * diagonal), rel=1e-6)
    near = fit_of(edge, triangulate_joints(seen_by(4)))
    far = fit_of(seen_by(4), triangulate_joints(seen_by(4)))
    assert near.information[0, WRIST, 0].norm() < 0.3 * far.information[0, WRIST, 0].norm()


def test_who_agrees_and_how_far_off() -> None:
    """40 pixels in one of four views is beyond the bound, 8 are not; errors are in units of the bound."""
    truth = triangulate_joints(seen_by(4))
    for off, agrees in ((100.0, False), (8.0, True)):
        evidence = seen_by(4, shifted(1, WRIST, off))
        fit = fit_of(evidence, truth)
        assert float(fit.error[0, WRIST, 1] * inlier_bound(evidence)[0, 1]) == pytest.approx(off, rel=1e-3)
        assert bool(fit.agrees[0, WRIST, 1]) == agrees and fit.agrees[0, ELBOW].all()


def test_cues_of_one_joint() -> None:
    wrong = shifted(1, WRIST, 150.0)
    assert_close(cue("contradicting", wrong)[[WRIST, ELBOW]], torch.tensor([0.25, 0.0], dtype=torch.float64))
    assert cue("three_views", wrong).nonzero()[:, 0].tolist() == [WRIST]
    assert cue("two_views", views=2).all() and not cue("two_views").any() and not cue("one_view", views=2).any()
    assert_close(cue("member", wrong)[ELBOW], torch.tensor(1 / 17 / 4, dtype=torch.float64))
    assert_close(cue("member", wrong)[WRIST], torch.tensor(0.0, dtype=torch.float64))
    score = torch.full((4, 17), 0.8, dtype=torch.float64)
    score[2, WRIST] = 0.4
    assert_close(cue("doubt", score=score)[[WRIST, ELBOW]], torch.tensor([0.3, 0.2], dtype=torch.float64))
    assert_close(cue("person_doubt", score=score), torch.full((17,), 0.2 + 0.4 / 68, dtype=torch.float64))
    lower = [COCO_17.joints[row] for row in cue("lower_body").nonzero()[:, 0].tolist()]
    assert lower == ["l_hip", "r_hip", "l_knee", "r_knee", "l_ankle", "r_ankle"]
    score[:, KNEE] = 0.0
    assert_close(cue("unknown", score=score), torch.full((17,), 1 / 17, dtype=torch.float64))


@pytest.mark.parametrize("views", [2, 3, 5])
def test_the_residual_counts_what_views_agree_on_beside_what_is_usual(views: int) -> None:
    """Without an error ``½ log(1.5 · 0.2² / (1.5 + m − 1.5))``; with the usual error in two views of two it is more."""
    expected = 0.5 * math.log(1.5 * 0.04 / (1.5 + views - 1.5))
    assert_close(cue("residual", views=views), torch.full((17,), expected, dtype=torch.float64), atol=1e-6, rtol=0)
    assert_close(cue("person_residual", views=views)[:1], torch.full((1,), expected).double(), atol=1e-6, rtol=0)
    truth = triangulate_joints(seen_by(views))
    evidence = seen_by(views, shifted(0, WRIST, 12.0))
    off = 12.0 / float(inlier_bound(evidence)[0, 0])
    found = cues_of(evidence, truth)[0, WRIST, CUES.index("residual")]
    assert float(found) == pytest.approx(0.5 * math.log((1.5 * 0.04 + off**2) / views), rel=1e-3)


def test_a_claim_is_the_ideal_times_the_factor_and_no_larger_than_a_room() -> None:
    evidence = seen_by(4)
    poses = triangulate_joints(evidence)
    ideal = ideal_covariance(fit_of(evidence, poses))
    plain, tripled, boundless = (
        claim(evidence, poses, Factor(constant, *[0.0] * (len(CUES) - 1))).covariance
        for constant in (0.0, math.log(3), 30.0)
    )
    assert plain is not None and tripled is not None and boundless is not None
    assert_close(plain, ideal)
    assert_close(tripled, 9 * ideal)
    assert_close(boundless.diagonal(dim1=-2, dim2=-1).amax(-1), torch.full((1, 17), FARTHEST_MM**2).double())


def test_every_number_of_the_factor_counts() -> None:
    evidence = seen_by(3, shifted(1, WRIST, 150.0))
    poses = triangulate_joints(evidence)
    cues = cues_of(evidence, poses)
    for place in range(len(CUES)):
        alone = [2.0 if other == place else 0.0 for other in range(len(CUES))]
        assert_close(weigh(Factor(*alone), cues), 2 * cues[..., place])


@pytest.mark.parametrize("triangulate", [dlt, robust, ransac])
def test_confidence_is_the_probability_of_five_centimetres(triangulate) -> None:
    evidence = seen_by(4, shifted(1, WRIST, 15.0))
    poses = triangulate(evidence)
    assert poses.covariance is not None and poses.score is not None
    assert_close(poses.confidence, probability_within(poses.covariance, 50.0))
    error = expected_error(poses.covariance)[0]
    assert poses.confidence[0, WRIST] < poses.confidence[0, ELBOW] and error[WRIST] > error[ELBOW]


def test_more_views_and_wider_angles_are_more_sure() -> None:
    mean = [float(expected_error(robust(seen_by(views)).covariance).mean()) for views in (2, 3, 4, 8)]  # type: ignore[arg-type]
    assert mean == sorted(mean, reverse=True) and mean[0] > 1.5 * mean[2]


def test_a_joint_where_no_body_has_it_is_not_known() -> None:
    """Two of three views put the nose of the person two metres away, and agree."""
    cameras = ring_of(3)
    away = cameras.project(STANDING[0] + torch.tensor([0.0, 2000.0, 0.0], dtype=torch.float64))[0]

    def nose(xy: torch.Tensor) -> torch.Tensor:
        xy[:2, 0] = away[:2]
        return xy

    poses = triangulate_groups(seen_by(3, nose))
    assert (~poses.valid[0]).nonzero()[:, 0].tolist() == [0]
    assert float(poses.confidence[0, 0]) == 0


def test_skeletons_without_covariances_are_not_judged() -> None:
    evidence = seen_by(3)
    with pytest.raises(ShapeError, match="how uncertain"):
        judge_poses(evidence, triangulate_joints(evidence))
    with pytest.raises(ShapeError, match="how uncertain"):
        person_cues(evidence, triangulate_joints(evidence))


def test_cues_of_a_person() -> None:
    score = torch.full((4, 17), 0.8, dtype=torch.float64)
    score[:, KNEE] = 0.0
    evidence = seen_by(4, shifted(1, WRIST, 150.0), score=score)
    poses = claim(evidence, triangulate_joints(evidence))
    assert poses.covariance is not None
    error = expected_error(poses.covariance)[0, poses.valid[0]].mean()
    expected = {
        "constant": 1.0, "error": math.log(float(error) / 50), "unknown": 1 / 17, "evidence": math.log(0.8 * 64),
        "doubt": 0.2, "members": 0.25, "contradicting": 1 / 64, "worst_member": 1 / 16,
    }  # fmt: skip
    assert list(expected) == SCORE_CUES
    assert_close(person_cues(evidence, poses)[0], torch.tensor(list(expected.values()), dtype=torch.float64))
    model = ScoreModel(**{**dict.fromkeys(SCORE_CUES, 0.0), "constant": 0.3, "members": -2.0})
    scored = score_persons(evidence, poses, model).score
    assert scored is not None and float(scored[0]) == pytest.approx(1 / (1 + math.exp(0.2)))


def test_nobody_known_is_nobody() -> None:
    evidence = seen_by(4, score=torch.zeros(4, 17, dtype=torch.float64))
    assert robust(evidence).score.tolist() == [0.0]  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def unseen():
    """Groups by the truth, one in three with a wrong member, on frames that nothing was fitted to; their truth."""
    scenes = sample_scenes(torch.Generator().manual_seed(77), 96, SceneConfig())
    frames, labels = [frame for frame, _ in scenes], [truth for _, truth in scenes]
    groups = [association_of_identities(one.identity) for one in labels]
    evidence = gather_groups(frames, groups)
    poses = robust(evidence)
    truth, first = torch.zeros_like(poses.xyz_world), 0
    for one, found in zip(labels, groups, strict=True):
        rows = slice(first, first + len(found))
        if len(found):
            truth[rows] = one.poses.xyz_world[pairwise_mpjpe(poses[rows], one.poses).argmin(1)]
        first = rows.stop
    return poses, (poses.xyz_world - truth)


def test_claims_hold_on_unseen_scenes(unseen) -> None:
    """Ellipsoids of 50 and 90 percent, and the confidence, of people who were grouped right."""
    poses, offset = unseen
    known = poses.valid
    square = (offset[known][:, None] @ torch.linalg.solve(poses.covariance[known], offset[known][..., None]))[:, 0, 0]
    held = [float((square <= bound).double().mean()) for bound in (2.366, 6.251)]
    assert 0.45 < held[0] < 0.68 and 0.80 < held[1] < 0.95, held
    near, sure = (offset[known].norm(dim=-1) <= 50).double(), poses.confidence[known]
    for low in (0.0, 0.25, 0.5, 0.75):
        here = (sure >= low) & (sure < low + 0.25)
        assert float(near[here].mean()) == pytest.approx(float(sure[here].mean()), abs=0.12)


def test_scores_hold_on_unseen_scenes(unseen) -> None:
    poses, offset = unseen
    some = poses.valid.any(1)
    error = (offset.norm(dim=-1) * poses.valid).sum(1)[some] / poses.valid.sum(1)[some]
    right, score = (error <= 150).double(), poses.score[some]
    assert float(score.mean()) == pytest.approx(float(right.mean()), abs=0.05)
    assert float(score[right > 0].mean()) > 0.15 + float(score[right == 0].mean())

"""How uncertain every joint of a skeleton is, by what its views show: covariances that hold what they promise.

The rays say where a joint may lie if all is well. How well it is the rest says: whether views agree, how many there are
and how many contradict, how sure the detector was, where the neighbours in the skeleton are, how the person's other
joints fare. One factor per joint joins these (`joint_cues`), fitted on synthetic captures. How probable it is that a
person is right (their joints within 150 mm of the truth in the mean) is fitted likewise.
"""

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.association.body_bounds import bone_excess
from dispose.association.packing import GroupKeypoints, apparent_size, inlier_bound
from dispose.errors import ShapeError
from dispose.geometry.pinhole import pixels_per_unit
from dispose.geometry.uncertainty import expected_error
from dispose.scene.frame import Poses
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT, TensorStruct

NOISE_PER_SIZE = 0.02
"""What keypoints of real detectors scatter by, as a share of the person's apparent size."""

MIN_NOISE_PX = 1.0

BORDER_PER_SIZE = 0.05
"""A keypoint that is this near to the border of its image scatters more, as a share of the person's apparent size: of
people who are cut off detectors put joints there that lie outside. At the border itself twice as much."""

FARTHEST_MM = 3000.0
"""How uncertain a point is at most in any direction, mm: people are in the room."""

USUAL_ERROR = 0.2
"""Usual distance of a keypoint from its joint in units of the inlier bound, and how many views' worth it counts beside
what the residuals of a joint show: two rays nearly always agree."""
PRIOR_VIEWS = 1.5

LOWER_BODY = ("hip", "knee", "ankle", "heel", "big_toe", "small_toe")


@dataclass(frozen=True, eq=False)
class Fit(TensorStruct):
    """How the joints of skeletons fit the keypoints of their groups.

    Attributes:
        error: distance of keypoint and projected joint in units of the inlier bound; infinite behind the camera, NaN
            where the joint or the keypoint is not known.
        agrees: which views see the joint within the bound.
        information: of every view's keypoint at usual noise, ``JᵀJ / σ²``, 1/mm².
    """

    error: Float[Tensor, "persons joints views"]
    agrees: Bool[Tensor, "persons joints views"]
    information: Float[Tensor, "persons joints views 3 3"]


def fit_of(evidence: GroupKeypoints, poses: Poses) -> Fit:
    """How poses, made by anybody, fit the keypoints of their groups."""
    cameras, error = evidence.cameras, misfit_of(evidence, poses)
    xyz = torch.where(poses.valid[..., None], poses.xyz_world.double(), 0.0)
    rotation, local = cameras.rotation[:, None], cameras.to_camera(xyz).transpose(1, 2)
    depth = local[..., 2:].clamp(min=100.0)
    focal = pixels_per_unit(local[..., :2] / depth, cameras.matrix[:, None], cameras.lens[:, None])
    # d(x/z) = (row_xy - (x/z) row_z) / z
    jacobian = rotation[..., :2, :] - (local[..., :2] / depth)[..., None] * rotation[..., 2:, :]
    jacobian = jacobian * (focal[..., None] / depth / keypoint_noise(evidence).transpose(1, 2)[..., None])[..., None]
    return Fit(error, error <= 1, jacobian.mT @ jacobian)


def misfit_of(evidence: GroupKeypoints, poses: Poses) -> Float[Tensor, "persons joints views"]:
    """`Fit.error` of poses, made by anybody."""
    xy, front = evidence.cameras.project(torch.where(poses.valid[..., None], poses.xyz_world.double(), 0.0))
    error = torch.where(front, (xy - evidence.xy_image).norm(dim=-1), torch.inf) / inlier_bound(evidence)[..., None]
    return torch.where(poses.valid[:, None] & evidence.seen, error, torch.nan).transpose(1, 2)


def keypoint_noise(evidence: GroupKeypoints) -> Float[Tensor, "persons views joints"]:
    """`usual_noise` of the keypoints of groups."""
    return usual_noise(apparent_size(evidence)[..., None], evidence.xy_image, evidence.cameras.size[:, :, None])


def usual_noise(
    size_px: Float[Tensor, "*#batch"], xy_image: Float[Tensor, "*batch 2"], image: Float[Tensor, "*#batch 2"]
) -> Float[Tensor, "*batch"]:
    """Usual standard deviation of keypoints, pixels: a share of the person's size, more at the border of the image.

    Args:
        size_px: how large everybody looks (`apparent_size`).
        xy_image: keypoints.
        image: width and height.
    """
    noise = (NOISE_PER_SIZE * size_px).clamp(min=MIN_NOISE_PX)
    room = torch.minimum(xy_image, image - 1 - xy_image).amin(-1).clamp(min=0)
    return noise * (1 + torch.exp(-room / (BORDER_PER_SIZE * size_px).clamp(min=1.0)))


def ideal_covariance(fit: Fit) -> Float[Tensor, "persons joints 3 3"]:
    """Covariance (mm²) if the views that agree are right and scatter as usual: ``(Σ JᵀJ / σ²)⁻¹``, at most a room."""
    eye = torch.eye(3, dtype=fit.error.dtype, device=fit.error.device)
    return torch.linalg.inv((fit.information * fit.agrees[..., None, None]).sum(2) + eye / FARTHEST_MM**2)


@dataclass(frozen=True)
class Factor:
    """Logarithm of the factor between a joint's real and its ideal standard deviation: a sum over `joint_cues`.

    What made the numbers: ``python tools/fit_claims.py``.

    Attributes:
        constant: of every joint.
        spread: logarithm of the ideal standard deviation, in units of e³ = 20 mm.
        residual: logarithm of the error of the views that agree (root mean square, with `PRIOR_VIEWS` usual ones).
        two_views: only two views agree: the second cannot contradict but across the first.
        three_views: only three do.
        contradicting: share of the views that see the joint elsewhere.
        doubt: 1 minus the mean score of the keypoints that agree.
        bone: how far beyond a bone's length the joint is (`bone_excess`).
        one_view: fewer than two views agree.
        member: share of their keypoints of this person that contradict, in the views that agree here.
        person_residual: `residual`, mean over the person's joints.
        person_doubt: 1 minus the mean score of all the person's keypoints.
        unknown: share of the person's joints that are not known.
        lower_body: hip, knee, ankle, foot: under tables, behind chairs.
    """

    constant: float
    spread: float
    residual: float
    two_views: float
    three_views: float
    contradicting: float
    doubt: float
    bone: float
    one_view: float
    member: float
    person_residual: float
    person_doubt: float
    unknown: float
    lower_body: float


FACTOR = Factor(
    constant=2.293,
    spread=-0.317,
    residual=0.429,
    two_views=0.159,
    three_views=0.013,
    contradicting=0.367,
    doubt=1.066,
    bone=0.776,
    one_view=0.071,
    member=1.052,
    person_residual=0.799,
    person_doubt=-1.167,
    unknown=0.68,
    lower_body=0.394,
)


def weigh(weights: "Factor | ScoreModel", cues: Float[Tensor, "*batch cues"]) -> Float[Tensor, "*batch"]:
    """The weighed sum over cues, in the order of the weights' fields."""
    return cues @ cues.new_tensor([vars(weights)[one.name] for one in fields(weights)])


def joint_cues(
    fit: Fit, ideal: Float[Tensor, "persons joints 3 3"], evidence: GroupKeypoints, poses: Poses
) -> Float[Tensor, "persons joints cues"]:
    """What speaks for and against joints of this `ideal_covariance`, in the order of the fields of `Factor`."""
    agree, sees = fit.agrees.double(), (~fit.error.isnan()).double()
    count, seen = agree.sum(-1), sees.sum(-1)
    score = evidence.confidence.transpose(1, 2)
    known = poses.valid.double()
    residual = _residual(fit)
    member = 1 - agree.sum(1) / sees.sum(1).clamp(min=1)

    def of_views(value: Tensor) -> Tensor:
        return (agree * value).sum(-1) / count.clamp(min=1)

    def of_person(value: Tensor, weight: Tensor) -> Tensor:
        axes = tuple(range(1, value.ndim))
        mean = (weight * value).sum(axes) / weight.sum(axes).clamp(min=1)
        return mean[:, None].expand_as(count)

    cues = (
        torch.ones_like(count),
        torch.diagonal(ideal, dim1=-2, dim2=-1).sum(-1).log() / 2 - 3.0,
        residual,
        (count == 2).double(),
        (count == 3).double(),
        1 - count / seen.clamp(min=1),
        1 - of_views(score),
        torch.log1p(bone_excess(poses)),
        (count < 2).double(),
        of_views(member[:, None]),
        of_person(residual, known),
        1 - of_person(score, sees),
        1 - known.mean(1, keepdim=True).expand_as(count),
        count.new_tensor(lower_body(poses.skeleton)).expand_as(count),
    )
    return torch.stack(cues, dim=-1)


def lower_body(skeleton: Skeleton) -> list[float]:
    """1 for the joints of legs, else 0."""
    plain = (joint.removeprefix("l_").removeprefix("r_") for joint in skeleton.joints)
    return [float(joint in LOWER_BODY) for joint in plain]


def _residual(fit: Fit) -> Float[Tensor, "persons joints"]:
    """Logarithm of the root mean square error of the views that agree, which have fitted three numbers of theirs."""
    square = torch.where(fit.agrees, fit.error, 0.0).square().sum(-1)
    freedom = (fit.agrees.sum(-1) - 1.5).clamp(min=0)
    return ((PRIOR_VIEWS * USUAL_ERROR**2 + square) / (PRIOR_VIEWS + freedom)).log() / 2


def claim(evidence: GroupKeypoints, poses: Poses, factor: Factor = FACTOR) -> Poses:
    """The same skeletons with a covariance for every joint, mm²; 0 where a joint is not known."""
    fit = fit_of(evidence, poses)
    ideal = ideal_covariance(fit)
    scale = (2 * weigh(factor, joint_cues(fit, ideal, evidence, poses))).exp()
    covariance = scale[..., None, None] * ideal
    largest = torch.diagonal(covariance, dim1=-2, dim2=-1).amax(-1)[..., None, None]
    covariance = covariance * (FARTHEST_MM**2 / largest).clamp(max=1)
    return replace(poses, covariance=torch.where(poses.valid[..., None, None], covariance, 0.0))


@dataclass(frozen=True)
class ScoreModel:
    """Log odds that a person is right: a sum over `person_cues`. What made the numbers: ``python tools/fit_claims.py``.

    Attributes:
        constant: of everybody.
        error: logarithm of the mean expected error of the known joints, in units of 50 mm.
        unknown: share of the joints that are not known.
        evidence: logarithm of the sum of the scores of all keypoints.
        doubt: 1 minus their mean score.
        members: 1 over the number of views in which the person is seen.
        contradicting: share of the keypoints that contradict.
        worst_member: that share in the view where it is greatest.
    """

    constant: float
    error: float
    unknown: float
    evidence: float
    doubt: float
    members: float
    contradicting: float
    worst_member: float


SCORE = ScoreModel(
    constant=1.855,
    error=-3.068,
    unknown=-0.147,
    evidence=0.869,
    doubt=1.262,
    members=-2.191,
    contradicting=-3.939,
    worst_member=-0.339,
)


def person_cues(evidence: GroupKeypoints, poses: Poses) -> Float[Tensor, "persons cues"]:
    """What speaks for and against persons, in the order of the fields of `ScoreModel`; poses have covariances."""
    if poses.covariance is None:
        raise ShapeError("persons are scored by how uncertain their joints are, and these skeletons do not say it")
    misfit, known = misfit_of(evidence, poses), poses.valid.double()
    agree, sees = (misfit <= 1).double(), (~misfit.isnan()).double()
    error = torch.where(poses.valid, expected_error(poses.covariance), 0.0).sum(1) / known.sum(1).clamp(min=1)
    total = evidence.confidence.sum((1, 2))
    of_view = torch.where(sees.sum(1) > 0, 1 - agree.sum(1) / sees.sum(1).clamp(min=1), 0.0)
    cues = (
        torch.ones_like(total),
        (error / 50).clamp(min=0.02).log(),
        1 - known.mean(1),
        total.clamp(min=0.1).log(),
        1 - total / evidence.seen.sum((1, 2)).clamp(min=1),
        1 / (evidence.member != ABSENT).sum(1).clamp(min=1),
        1 - agree.sum((1, 2)) / sees.sum((1, 2)).clamp(min=1),
        of_view.amax(1),
    )
    return torch.stack(cues, dim=-1)


def score_persons(evidence: GroupKeypoints, poses: Poses, model: ScoreModel = SCORE) -> Poses:
    """The same skeletons with scores; 0 for a person without a known joint."""
    score = torch.sigmoid(weigh(model, person_cues(evidence, poses)))
    return replace(poses, score=torch.where(poses.valid.any(1), score, 0.0))

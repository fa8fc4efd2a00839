"""Measures of where joints are said to be: errors, claims about them, bones, and which people are believed first."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.association.packing import gather_groups
from dispose.association.reconstruct import RIGHT_MM, triangulate_keypoints
from dispose.errors import InputError
from dispose.evaluation.measures import FOUND_MM, person_scores, truth_of
from dispose.evaluation.reports import Figure
from dispose.geometry.triangulation import dlt_of_sights
from dispose.metrics.detection import NearestTruths, average_precision, nearest_truths, pool
from dispose.scene.convert import convert_poses
from dispose.scene.frame import Poses
from dispose.scene.results import FrameResult
from dispose.tensors import ABSENT, TensorStruct

CLAIMED = (0.5, 0.9)
"""Shares of the errors that an interval of this name should hold."""

LONGEST_BONE_MM = 600.0
"""No two joints that a skeleton joins lie farther apart in anybody."""


@dataclass(frozen=True, eq=False)
class AskedJoints(TensorStruct):
    """The joints of groups whose person is known, one after the other.

    Attributes:
        offset: what was said less the truth, mm; 0 where nothing was said.
        known: whether anything was said.
        plain: what the plain linear triangulation says less the truth, mm; NaN where fewer than two views see a joint.
        covariance: what was claimed, mm²; NaN where nothing was.
        views: how many views see the joint.
    """

    offset: Float[Tensor, "joints 3"]
    known: Bool[Tensor, " joints"]
    plain: Float[Tensor, "joints 3"]
    covariance: Float[Tensor, "joints 3 3"]
    views: Float[Tensor, " joints"]

    def errors(self) -> Float[Tensor, " known"]:
        """Distances of the joints of which something was said, mm."""
        return self.offset[self.known].norm(dim=-1)

    def all_errors(self) -> Float[Tensor, " joints"]:
        """Distances of all joints, mm; where nothing was said those of the plain triangulation."""
        return torch.where(self.known[:, None], self.offset, self.plain).norm(dim=-1)


def asked_joints(results: Sequence[FrameResult], joints: Sequence[str]) -> AskedJoints:
    """Some joints of every group, beside those of the person whom its first member is labelled as."""
    frames, associations = [], []
    for one in results:
        if one.frame is None:
            raise InputError(f"frame {one.prediction.number} has no cameras to triangulate by")
        frames.append(one.frame)
        associations.append(one.prediction.association)
    evidence = gather_groups(frames, associations)
    rows = evidence.packed.skeleton.indices(tuple(joints))
    views = evidence.seen[:, :, rows].sum(1).double()
    plain, true, valid = triangulate_keypoints(evidence, dlt_of_sights).xyz_world[:, rows], [], []
    found, known, covariance = [], [], []
    for one in results:
        truth, poses = truths_of_groups(one), one.prediction.poses
        true.append(truth.xyz_world[:, rows].double())
        valid.append(truth.valid[:, rows])
        found.append(poses.xyz_world[:, rows].double())
        known.append(poses.valid[:, rows])
        claim = poses.xyz_world.new_full((*poses.valid.shape, 3, 3), torch.nan)
        covariance.append((claim if poses.covariance is None else poses.covariance)[:, rows].double())
    asked, there, place = torch.cat(valid), torch.cat(known), torch.cat(true)
    offset = torch.where(there[..., None], torch.cat(found) - place, 0.0)
    return AskedJoints(offset[asked], there[asked], (plain - place)[asked], torch.cat(covariance)[asked], views[asked])


def truths_of_groups(result: FrameResult) -> Poses:
    """The true person of every group, with the joints of its skeleton. Raises `InputError` for a group of nobody's."""
    labels, members = truth_of(result), result.prediction.association.members
    first = (members != ABSENT).int().argmax(1)
    slots = members.gather(1, first[:, None])[:, 0]
    rows = []
    for view, slot in zip(first.tolist(), slots.tolist(), strict=True):
        match = (labels.poses.id == labels.identity[view, slot]).nonzero()[:, 0]
        if len(match) == 0:
            raise InputError(f"frame {result.prediction.number}: the detection in view {view} is nobody's")
        rows.append(int(match[0]))
    return convert_poses(labels.poses, result.prediction.poses.skeleton).select(persons=rows)


def joint_figures(results: Sequence[FrameResult], *, joints: Sequence[str]) -> tuple[Figure, ...]:
    """Errors of some joints (mm), the share of them that anything was said of, and what was claimed (percent).

    ``joint_mm``, ``median_mm`` and ``p95_mm`` are over the joints that are known: who leaves the hard ones out has
    smaller errors. ``all_mm`` and ``all_p95_mm`` are over all of them, where the plain triangulation stands in.
    ``cover_50`` and ``cover_90`` are the shares of the errors along x, y, z that lie within the intervals that a
    normal distribution of the claimed covariance has for 50 and 90 percent, ``cover_50_axes`` those by axis.
    """
    asked = asked_joints(results, joints)
    errors, whole = asked.errors(), asked.all_errors()
    whole = whole[torch.isfinite(whole)]
    covered = [coverage(asked.offset[asked.known], asked.covariance[asked.known], share) for share in CLAIMED]
    return (
        Figure("joint_mm", float(errors.mean())),
        Figure("median_mm", quantile(errors, 0.5)),
        Figure("p95_mm", quantile(errors, 0.95)),
        Figure("joints", percent(asked.known)),
        Figure("all_mm", float(whole.mean())),
        Figure("all_p95_mm", quantile(whole, 0.95)),
        *(Figure(f"cover_{100 * share:.0f}", sum(axes) / 3) for share, axes in zip(CLAIMED, covered, strict=True)),
        *(Figure(f"cover_{100 * share:.0f}_axes", axes) for share, axes in zip(CLAIMED, covered, strict=True)),
    )


def coverage(
    offset: Float[Tensor, "joints 3"], covariance: Float[Tensor, "joints 3 3"], share: float
) -> tuple[float, float, float]:
    """Percent of the errors along x, y, z that lie in the claimed interval of a share; NaN where nothing is claimed."""
    claimed = torch.isfinite(covariance).flatten(1).all(-1)
    sigma = torch.diagonal(covariance[claimed], dim1=-2, dim2=-1).sqrt()
    half = math.sqrt(2) * float(torch.erfinv(torch.tensor(share, dtype=torch.float64)))
    inside = offset[claimed].abs() <= half * sigma
    x, y, z = (percent(inside[:, axis]) for axis in range(3))
    return x, y, z


def percent(which: Bool[Tensor, " some"]) -> float:
    """How many of a hundred; NaN of none."""
    return 100 * float(which.double().mean())


def quantile(values: Float[Tensor, " some"], share: float) -> float:
    """A quantile; NaN of nothing."""
    if len(values) == 0:
        return math.nan
    ordered = values.sort().values
    # torch.quantile refuses more than 16 million values.
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    return float(torch.lerp(ordered[low], ordered[min(low + 1, len(ordered) - 1)], place - low))


def bone_figures(results: Sequence[FrameResult]) -> tuple[Figure, ...]:
    """Percent of the people with two known joints of one bone farther apart than `LONGEST_BONE_MM`."""
    found = [torch.zeros(0, dtype=torch.bool)]
    for one in results:
        poses = one.prediction.poses
        start, end = torch.tensor(poses.skeleton.bone_indices).T
        length = (poses.xyz_world[:, start] - poses.xyz_world[:, end]).norm(dim=-1)
        both = poses.valid[:, start] & poses.valid[:, end]
        found.append((both & (length > LONGEST_BONE_MM)).any(-1))
    return (Figure("long_bones", percent(torch.cat(found))),)


def evidence_scores(result: FrameResult) -> Float[Tensor, " persons"]:
    """The sum of the scores of all keypoints of every group: who is seen well and often."""
    assert result.frame is not None, "groups of nothing have no keypoints"
    evidence = gather_groups([result.frame], [result.prediction.association])
    return evidence.confidence.sum((1, 2))


def ranking_figures(
    results: Sequence[FrameResult], *, prepare: Callable[[Poses], Poses], min_joints: int
) -> tuple[Figure, ...]:
    """Are those believed first who are right? Average precision (percent) by the said score, by the sum of 2-D scores.

    ``ranked`` and ``ranked_evidence`` are over the predictions with a true person within 500 mm: a prediction is right
    within 150 mm in the mean. `prepare` brings predictions and truth to the joints that are compared.
    """
    said, evidence = [], []
    for one in results:
        predicted, truth = prepare(one.prediction.poses), prepare(truth_of(one).poses)
        for score, rows in ((person_scores(predicted), said), (evidence_scores(one), evidence)):
            rows.append(nearest_truths(predicted, score, truth, min_joints=min_joints))
    return (
        Figure("ap_150_evidence", 100 * average_precision(pool(evidence), threshold_mm=RIGHT_MM)),
        Figure("ranked", 100 * ranking(pool(said))),
        Figure("ranked_evidence", 100 * ranking(pool(evidence))),
    )


def ranking(matches: NearestTruths) -> float:
    """Average precision of "right" among the predictions that have a true person near, in order of their score."""
    near = matches.error_mm < FOUND_MM
    error = matches.error_mm[near]
    right = int((error < RIGHT_MM).sum())
    # Every prediction is about a person of its own: two that find one person may both be right.
    alone = NearestTruths(right, matches.score[near], error, torch.arange(len(error)))
    return average_precision(alone, threshold_mm=RIGHT_MM)

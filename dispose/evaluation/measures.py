"""From outcomes to figures: the measures that protocols are made of."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.evaluation.scenes import Associated, Figure, Outcome
from dispose.metrics.association import PairCounts, count_pairs
from dispose.metrics.detection import (
    AP_THRESHOLDS_MM,
    NearestTruths,
    average_precision,
    first_hits,
    found_mpjpe,
    nearest_truths,
    pool,
    recall,
)
from dispose.metrics.pcp import PARTS, correct_parts, pcp, pcp_of_actor, pcp_of_part, pool_parts
from dispose.metrics.pose import pa_mpjpe, root_error
from dispose.scene.convert import shelf_poses
from dispose.scene.poses import Poses

SHELF_ACTORS = (0, 1, 2)
FOUND_MM = 500.0


def association_figures(found: Sequence[Associated]) -> tuple[Figure, ...]:
    """Pairs and exact groups over the labelled detections, percent."""
    counts = PairCounts()
    for pair in found:
        counts = counts + count_pairs(pair.association, pair.scene.labels.identity)
    return (
        Figure("pair_precision", 100 * counts.precision),
        Figure("pair_recall", 100 * counts.recall),
        Figure("pair_f1", 100 * counts.f1),
        Figure("exact", 100 * counts.exact_rate),
    )


def shelf_figures(outcomes: Sequence[Outcome]) -> tuple[Figure, ...]:
    """PCP of Shelf with the actor-agnostic head: mean of three actors, by actor, and by part, percent."""
    parts = pool_parts([correct_parts(shelf_poses(o.prediction.poses), o.scene.labels.poses) for o in outcomes])
    return (
        Figure("pcp", 100 * pcp(parts, actors=SHELF_ACTORS)),
        Figure("pcp_actors", tuple(100 * pcp_of_actor(parts, actor) for actor in SHELF_ACTORS)),
        Figure("pcp_parts", tuple(100 * pcp_of_part(parts, name, actors=SHELF_ACTORS) for name, *_ in PARTS)),
    )


def person_scores(poses: Poses) -> Float[Tensor, " persons"]:
    """How sure a prediction is of a person: the mean confidence of its known joints."""
    known = torch.where(poses.valid, poses.confidence, 0.0).sum(-1)
    return known / poses.valid.sum(-1).clamp(min=1)


def detection_figures(
    outcomes: Sequence[Outcome], *, prepare: Callable[[Poses], Poses], min_joints: int
) -> tuple[Figure, ...]:
    """AP, recall and errors of skeletons; `prepare` brings predictions to the skeleton and joints of the labels.

    Percent and mm; PA-MPJPE is the mean over the people found within 500 mm.
    """
    frames, aligned = [], []
    for outcome in outcomes:
        predicted, truth = prepare(outcome.prediction.poses), prepare(outcome.scene.labels.poses)
        matches = nearest_truths(predicted, person_scores(predicted), truth, min_joints=min_joints)
        frames.append(matches)
        rows = (predicted.valid.sum(-1) >= min_joints).nonzero()[:, 0]
        one, other = found_pairs(matches)
        aligned.append(aligned_errors(predicted, rows[one], truth, other))
    matches, errors = pool(frames), torch.cat([torch.zeros(0, dtype=torch.float64), *aligned])
    return (
        *(Figure(f"ap_{mm:.0f}", 100 * average_precision(matches, threshold_mm=mm)) for mm in AP_THRESHOLDS_MM),
        Figure("recall_500", 100 * recall(matches, threshold_mm=FOUND_MM)),
        Figure("mpjpe_mm", found_mpjpe(matches, threshold_mm=FOUND_MM)),
        Figure("pa_mpjpe_mm", float(errors.nanmean())),
    )


def root_figures(outcomes: Sequence[Outcome], *, prepare: Callable[[Poses], Poses]) -> tuple[Figure, ...]:
    """Mean distance of the roots over the people found within 500 mm whose roots are both known, mm."""
    errors = [torch.zeros(0, dtype=torch.float64)]
    for outcome in outcomes:
        predicted, truth = prepare(outcome.prediction.poses), prepare(outcome.scene.labels.poses)
        rows = (predicted.valid.sum(-1) >= 1).nonzero()[:, 0]
        one, other = found_pairs(nearest_truths(predicted, person_scores(predicted), truth))
        errors.append(root_errors(predicted, rows[one], truth, other))
    return (Figure("root_mm", float(torch.cat(errors).nanmean())),)


def found_pairs(matches: NearestTruths) -> tuple[Tensor, Tensor]:
    """Predictions of one frame that find a true person within 500 mm, and these persons."""
    order, hit = first_hits(matches, FOUND_MM)
    rows = order[hit]
    return rows, matches.truth[rows]


def aligned_errors(predicted: Poses, rows: Tensor, truth: Poses, persons: Tensor) -> Float[Tensor, " found"]:
    """PA-MPJPE of pairs of a prediction and a true person over the joints both have, mm."""
    common = predicted.valid[rows] & truth.valid[persons]
    return pa_mpjpe(predicted.xyz_world[rows].to(torch.float64), truth.xyz_world[persons].to(torch.float64), common)


def root_errors(predicted: Poses, rows: Tensor, truth: Poses, persons: Tensor) -> Float[Tensor, " found"]:
    """Distance of the roots of such pairs, mm; NaN where one is not known."""
    joints = truth.skeleton.indices(truth.skeleton.root_of)
    both = (predicted.valid[rows][:, joints] & truth.valid[persons][:, joints]).all(-1)
    error = root_error(predicted.xyz_world[rows][:, joints].mean(1), truth.xyz_world[persons][:, joints].mean(1))
    return torch.where(both, error, torch.nan)

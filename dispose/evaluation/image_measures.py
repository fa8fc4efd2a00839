"""From answers about pictures to figures: skeletons, roots and associations, in two conventions.

`clean`: predictions and true people are matched one to one, and a score must be a number. `released`: as the released
evaluation counts (`dispose.released.metrics`), for comparison with published tables.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.evaluation.image_scenes import ImageOutcome, root_identities
from dispose.evaluation.scenes import Figure
from dispose.metrics.association import PairCounts, count_pairs
from dispose.metrics.detection import AP_THRESHOLDS_MM, NearestTruths, pool
from dispose.metrics.one_to_one import (
    PairErrors,
    average_precision_one_to_one,
    best_pairs,
    pair_errors,
    recall_one_to_one,
)
from dispose.metrics.pcp import PartResults, correct_parts, pcp, pcp_of_actor, pool_parts
from dispose.metrics.pose import pairwise_mpjpe
from dispose.released.metrics import released_average_precision, released_matches, released_mpjpe, released_recall
from dispose.scene.convert import campus_poses, convert_poses
from dispose.scene.poses import Poses
from dispose.skeletons.catalog import SHELF_14
from dispose.skeletons.skeleton import Skeleton

ImageMeasure = Callable[[Sequence[ImageOutcome]], tuple[Figure, ...]]

FOUND_MM = 500.0
ACTORS = (0, 1, 2)
ROOT_ONLY = Skeleton("root", ("root",), (), "root", ("root",))


def clean_skeletons(outcomes: Sequence[ImageOutcome]) -> tuple[Figure, ...]:
    """Average precision, recall and errors of skeletons, matched one to one; percent and mm.

    ``map`` is the mean of AP at 25, 50, … 150 mm. ``mpjpe_mm`` is the mean over the people that the best matching
    finds within 500 mm, ``joint_mm`` the mean over their joints; ``joints`` is the share of their joints that the
    predictions have: where it is not 100 the errors are over the easier joints only.
    """
    frames, people, joints, possible = [], [], [], 0
    for outcome in outcomes:
        predicted, truth = _compared(outcome)
        frame = pair_errors(predicted, outcome.answer.prediction.association.confidence, truth)
        frames.append(frame)
        rows, columns = best_pairs(frame.error_mm, limit_mm=FOUND_MM)
        people.append(frame.error_mm[rows, columns])
        both = predicted.valid[rows] & truth.valid[columns]
        gap = torch.linalg.vector_norm(predicted.xyz_world[rows].double() - truth.xyz_world[columns].double(), dim=-1)
        joints.append(gap[both])
        possible += int(truth.valid[columns].sum())
    error, every = _joined(people), _joined(joints)
    return (
        *_precisions([average_precision_one_to_one(frames, threshold_mm=mm) for mm in AP_THRESHOLDS_MM]),
        Figure("recall_500", 100 * recall_one_to_one(frames, threshold_mm=FOUND_MM)),
        Figure("mpjpe_mm", float(error.mean())),
        Figure("joint_mm", float(every.mean())),
        Figure("joints", 100 * len(every) / possible if possible else float("nan")),
    )


def clean_roots(outcomes: Sequence[ImageOutcome]) -> tuple[Figure, ...]:
    """Average precision and recall of roots, and the mean error of those matched one to one within 500 mm."""
    frames, errors = [], []
    for outcome in outcomes:
        frame = _root_pairs(outcome)
        frames.append(frame)
        rows, columns = best_pairs(frame.error_mm, limit_mm=FOUND_MM)
        errors.append(frame.error_mm[rows, columns])
    precision = [average_precision_one_to_one(frames, threshold_mm=mm) for mm in AP_THRESHOLDS_MM]
    return (
        Figure("root_map", 100 * sum(precision) / len(precision)),
        Figure("root_recall_500", 100 * recall_one_to_one(frames, threshold_mm=FOUND_MM)),
        Figure("root_mm", float(_joined(errors).mean())),
    )


def released_skeletons(outcomes: Sequence[ImageOutcome]) -> tuple[Figure, ...]:
    """The released RegressionMetrics, percent and mm."""
    matches = pool([_released_frame(*_compared(o), o.answer.prediction.association.confidence) for o in outcomes])
    return (
        *_precisions([released_average_precision(matches, threshold_mm=mm) for mm in AP_THRESHOLDS_MM]),
        Figure("recall_500", 100 * released_recall(matches, threshold_mm=FOUND_MM)),
        Figure("mpjpe_mm", released_mpjpe(matches, threshold_mm=FOUND_MM)),
    )


def released_roots(outcomes: Sequence[ImageOutcome]) -> tuple[Figure, ...]:
    """The released RootMetrics, percent and mm; without their block against pseudo-labels (B10)."""
    matches = pool([_released_frame(*_root_poses(o), o.answer.prediction.association.confidence) for o in outcomes])
    precision = [released_average_precision(matches, threshold_mm=mm) for mm in AP_THRESHOLDS_MM]
    # Every person counts whom any detection is near, in whatever order.
    near = torch.unique(matches.truth[matches.error_mm < FOUND_MM])
    return (
        Figure("root_map", 100 * sum(precision) / len(precision)),
        Figure("root_recall_500", 100 * len(near) / matches.truths if matches.truths else float("nan")),
        Figure("root_mm", released_mpjpe(matches, threshold_mm=FOUND_MM)),
    )


def root_pairs(outcomes: Sequence[ImageOutcome]) -> tuple[Figure, ...]:
    """Pairs and exact groups of root peaks, percent; a group with a false peak is wrong. NaN without root peaks."""
    counts = PairCounts()
    for outcome in outcomes:
        answer = outcome.answer
        if answer.roots is None or answer.spacing_px is None:
            continue
        identity = root_identities(outcome.cameras, outcome.truth, answer.roots, answer.spacing_px)
        counts += count_pairs(answer.prediction.association, identity)
    return (
        Figure("pair_precision", 100 * counts.precision),
        Figure("pair_recall", 100 * counts.recall),
        Figure("pair_f1", 100 * counts.f1),
        Figure("exact", 100 * counts.exact_rate),
    )


def clean_parts(outcomes: Sequence[ImageOutcome], *, prepare: Callable[[Poses], Poses]) -> tuple[Figure, ...]:
    """PCP with heads made the same way for every actor, predictions and actors matched one to one, percent."""
    results = []
    for outcome in outcomes:
        predicted, truth = prepare(outcome.answer.prediction.poses), outcome.truth
        rows, columns = best_pairs(pairwise_mpjpe(predicted, truth, min_joints=6), limit_mm=FOUND_MM)
        partner = dict(zip(columns.tolist(), rows.tolist(), strict=True))
        for person in range(len(truth.id)):
            mine = [partner[person]] if person in partner else []
            results.append(correct_parts(chosen(predicted, mine), chosen(truth, [person])))
    return _parts(results)


def released_parts(
    outcomes: Sequence[ImageOutcome], *, prepare: Callable[[Poses, Tensor], Poses]
) -> tuple[Figure, ...]:
    """PCP as released: for every actor the nearest of all predictions; `prepare` may look at the true actor (B8)."""
    results = []
    for outcome in outcomes:
        predicted = outcome.answer.prediction.poses
        for person, actor in enumerate(outcome.truth.id.tolist()):
            told = torch.full((len(predicted.id),), actor, dtype=torch.long)
            results.append(correct_parts(prepare(predicted, told), chosen(outcome.truth, [person]), min_joints=1))
    return _parts(results)


def campus_released(poses: Poses, actor: Tensor) -> Poses:
    """Campus's released heads do not ask who the actor is."""
    return campus_poses(poses)


def chosen(poses: Poses, rows: Sequence[int]) -> Poses:
    """Some of the people."""
    keep = list(rows)
    return replace(
        poses, xyz_world=poses.xyz_world[keep], confidence=poses.confidence[keep], valid=poses.valid[keep],
        id=poses.id[keep],
    )  # fmt: skip


def _compared(outcome: ImageOutcome) -> tuple[Poses, Poses]:
    """Predictions in the skeleton of the truth, by Campus's rule where that has heads of its own, and the truth."""
    predicted, truth = outcome.answer.prediction.poses, outcome.truth
    prepared = campus_poses(predicted) if truth.skeleton == SHELF_14 else convert_poses(predicted, truth.skeleton)
    return prepared, truth


def _released_frame(predicted: Poses, truth: Poses, score: Float[Tensor, " persons"]) -> NearestTruths:
    return released_matches(predicted, score, truth)


def _root_poses(outcome: ImageOutcome) -> tuple[Poses, Poses]:
    """Predicted and true roots as skeletons of one joint."""
    truth = outcome.truth
    rows = truth.skeleton.indices(truth.skeleton.root_of)
    known = truth.valid[:, rows].all(1)
    return _points(outcome.answer.prediction.root), _points(
        torch.where(known[:, None], truth.xyz_world[:, rows].double().mean(1), torch.nan)
    )


def _root_pairs(outcome: ImageOutcome) -> PairErrors:
    predicted, truth = _root_poses(outcome)
    return pair_errors(predicted, outcome.answer.prediction.association.confidence, truth)


def _points(xyz_world: Float[Tensor, "persons 3"]) -> Poses:
    valid = torch.isfinite(xyz_world).all(-1, keepdim=True)
    xyz = torch.nan_to_num(xyz_world.double())[:, None]
    return Poses(ROOT_ONLY, xyz, valid.double(), valid, torch.arange(len(xyz_world)))


def _precisions(values: Sequence[float]) -> tuple[Figure, ...]:
    """The mean of all thresholds first."""
    each = (Figure(f"ap_{mm:.0f}", 100 * value) for mm, value in zip(AP_THRESHOLDS_MM, values, strict=True))
    return (Figure("map", 100 * sum(values) / len(values)), *each)


def _parts(results: Sequence[PartResults]) -> tuple[Figure, ...]:
    parts = pool_parts(results)
    return (
        Figure("pcp", 100 * pcp(parts, actors=ACTORS)),
        Figure("pcp_actors", tuple(100 * pcp_of_actor(parts, actor) for actor in ACTORS)),
    )


def _joined(parts: Sequence[Tensor]) -> Float[Tensor, " _"]:
    return torch.cat([torch.zeros(0, dtype=torch.float64), *parts])


def figures_of(outcomes: Sequence[ImageOutcome], measures: Sequence[ImageMeasure]) -> tuple[Figure, ...]:
    """The figures of several measures."""
    return tuple(figure for measure in measures for figure in measure(outcomes))

"""From results beside their labels to figures: the measures that protocols are made of.

Of people found in images there are two conventions. `clean`: predictions and true people are matched one to one, and a
score must be a number. `released`: as the released evaluation counts (`dispose.released.metrics`), for comparison with
published tables.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from dispose.association.roots import map_pixel_of
from dispose.errors import InputError, ShapeError
from dispose.evaluation.reports import Figure
from dispose.geometry.image_affine import letterbox
from dispose.metrics.association import PairCounts, count_pairs
from dispose.metrics.detection import (
    AP_THRESHOLDS_MM,
    NearestTruths,
    PairErrors,
    average_precision,
    average_precision_one_to_one,
    best_pairs,
    first_hits,
    found_mpjpe,
    nearest_truths,
    pair_errors,
    pool,
    recall,
    recall_one_to_one,
)
from dispose.metrics.pcp import PARTS, PartResults, correct_parts, pcp, pcp_of_actor, pcp_of_part, pool_parts
from dispose.metrics.pose import pa_mpjpe, pairwise_mpjpe, root_error
from dispose.nn.backbones import STRIDE
from dispose.released.metrics import released_average_precision, released_matches, released_mpjpe, released_recall
from dispose.scene.convert import campus_poses, convert_poses, shelf_poses
from dispose.scene.frame import Labels, Poses
from dispose.scene.results import FrameResult
from dispose.skeletons.catalog import SHELF_14
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT

ACTORS = (0, 1, 2)
FOUND_MM = 500.0
ROOT_ONLY = Skeleton("root", ("root",), (), ("root",))
ROOT_GATE_MAP_PX = 4.0
"""A root peak farther than this from everybody's projected root is nobody's, heat-map pixels."""


def truth_of(result: FrameResult) -> Labels:
    """The labels of a frame that is scored. Raises `InputError` where there are none."""
    if result.labels is None:
        raise InputError(f"frame {result.prediction.number} has no truth to compare with")
    return result.labels


def pair_figures(counts: PairCounts) -> tuple[Figure, ...]:
    """Pairs and exact groups, percent."""
    return (
        Figure("pair_precision", 100 * counts.precision),
        Figure("pair_recall", 100 * counts.recall),
        Figure("pair_f1", 100 * counts.f1),
        Figure("exact", 100 * counts.exact_rate),
    )


def association_figures(results: Sequence[FrameResult]) -> tuple[Figure, ...]:
    """Pairs and exact groups over the labelled detections, percent."""
    counts = (count_pairs(one.prediction.association, truth_of(one).identity) for one in results)
    return pair_figures(sum(counts, PairCounts()))


def root_pairs(results: Sequence[FrameResult], *, input_size: tuple[int, int]) -> tuple[Figure, ...]:
    """Pairs and exact groups of root peaks, percent; a group with a false peak is wrong. NaN without root peaks.

    Images were brought to `input_size` as a whole.
    """
    counts = PairCounts()
    for one in results:
        if one.frame is not None and one.frame.detections.valid.shape[1]:
            spacing = map_pixel_of(letterbox(one.frame.cameras.size, input_size), STRIDE)
            identity = root_identities(one, truth_of(one).poses, spacing)
            counts += count_pairs(one.prediction.association, identity)
    return pair_figures(counts)


def shelf_figures(results: Sequence[FrameResult]) -> tuple[Figure, ...]:
    """PCP of Shelf with the actor-agnostic head: mean of three actors, by actor, and by part, percent."""
    found = [correct_parts(shelf_poses(o.prediction.poses), truth_of(o).poses) for o in results]
    by_part = tuple(100 * pcp_of_part(pool_parts(found), name, actors=ACTORS) for name, *_ in PARTS)
    return (*_parts(found), Figure("pcp_parts", by_part))


def person_scores(poses: Poses) -> Float[Tensor, " persons"]:
    """How sure a prediction is of a person: what it says itself, else the mean confidence of the known joints."""
    if poses.score is not None:
        return poses.score.to(torch.float64)
    known = torch.where(poses.valid, poses.confidence, 0.0).sum(-1)
    return known / poses.valid.sum(-1).clamp(min=1)


def detection_figures(
    results: Sequence[FrameResult], *, prepare: Callable[[Poses], Poses], min_joints: int
) -> tuple[Figure, ...]:
    """AP, recall and errors of skeletons; `prepare` brings predictions to the skeleton and joints of the labels.

    Percent and mm; PA-MPJPE is the mean over the people found within 500 mm.
    """
    frames, aligned = [], []
    for one in results:
        predicted, truth = prepare(one.prediction.poses), prepare(truth_of(one).poses)
        matches = nearest_truths(predicted, person_scores(predicted), truth, min_joints=min_joints)
        frames.append(matches)
        rows = (predicted.valid.sum(-1) >= min_joints).nonzero()[:, 0]
        mine, other = found_pairs(matches)
        one, true = predicted.xyz_world[rows[mine]].double(), truth.xyz_world[other].double()
        aligned.append(pa_mpjpe(one, true, predicted.valid[rows[mine]] & truth.valid[other]))
    matches, errors = pool(frames), _joined(aligned)
    return (
        *(Figure(f"ap_{mm:.0f}", 100 * average_precision(matches, threshold_mm=mm)) for mm in AP_THRESHOLDS_MM),
        Figure("recall_500", 100 * recall(matches, threshold_mm=FOUND_MM)),
        Figure("mpjpe_mm", found_mpjpe(matches, threshold_mm=FOUND_MM)),
        Figure("pa_mpjpe_mm", float(errors.nanmean())),
    )


def root_figures(results: Sequence[FrameResult], *, prepare: Callable[[Poses], Poses]) -> tuple[Figure, ...]:
    """Mean distance of the roots over the people found within 500 mm whose roots are both known, mm."""
    errors = []
    for one in results:
        predicted, truth = prepare(one.prediction.poses), prepare(truth_of(one).poses)
        joints = truth.skeleton.indices(truth.skeleton.root_of)
        rows = (predicted.valid.sum(-1) >= 1).nonzero()[:, 0]
        mine, other = found_pairs(nearest_truths(predicted, person_scores(predicted), truth))
        mine = rows[mine]
        both = (predicted.valid[mine][:, joints] & truth.valid[other][:, joints]).all(-1)
        error = root_error(predicted.xyz_world[mine][:, joints].mean(1), truth.xyz_world[other][:, joints].mean(1))
        errors.append(torch.where(both, error, torch.nan))
    return (Figure("root_mm", float(_joined(errors).nanmean())),)


def found_pairs(matches: NearestTruths) -> tuple[Tensor, Tensor]:
    """Predictions of one frame that find a true person within 500 mm, and these persons."""
    order, hit = first_hits(matches, FOUND_MM)
    rows = order[hit]
    return rows, matches.truth[rows]


def clean_skeletons(results: Sequence[FrameResult]) -> tuple[Figure, ...]:
    """Average precision, recall and errors of skeletons, matched one to one; percent and mm.

    ``map`` is the mean of AP at 25, 50, … 150 mm. ``mpjpe_mm`` is the mean over the people that the best matching
    finds within 500 mm, ``joint_mm`` the mean over their joints; ``joints`` is the share of their joints that the
    predictions have: where it is not 100 the errors are over the easier joints only.
    """
    frames, people, joints, possible = [], [], [], 0
    for predicted, truth, frame, rows, columns in _matched(results, _compared):
        frames.append(frame)
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


def clean_roots(results: Sequence[FrameResult]) -> tuple[Figure, ...]:
    """Average precision and recall of roots, and the mean error of those matched one to one within 500 mm."""
    matched = list(_matched(results, _root_poses))
    frames, errors = [m[2] for m in matched], [m[2].error_mm[m[3], m[4]] for m in matched]
    precision = [average_precision_one_to_one(frames, threshold_mm=mm) for mm in AP_THRESHOLDS_MM]
    return (
        Figure("root_map", 100 * sum(precision) / len(precision)),
        Figure("root_recall_500", 100 * recall_one_to_one(frames, threshold_mm=FOUND_MM)),
        Figure("root_mm", float(_joined(errors).mean())),
    )


def released_skeletons(results: Sequence[FrameResult]) -> tuple[Figure, ...]:
    """The released RegressionMetrics, percent and mm."""
    matches = _released(results, _compared)
    return (
        *_precisions([released_average_precision(matches, threshold_mm=mm) for mm in AP_THRESHOLDS_MM]),
        Figure("recall_500", 100 * released_recall(matches, threshold_mm=FOUND_MM)),
        Figure("mpjpe_mm", released_mpjpe(matches, threshold_mm=FOUND_MM)),
    )


def released_roots(results: Sequence[FrameResult]) -> tuple[Figure, ...]:
    """The released RootMetrics, percent and mm; without their block against pseudo-labels."""
    matches = _released(results, _root_poses)
    precision = [released_average_precision(matches, threshold_mm=mm) for mm in AP_THRESHOLDS_MM]
    # Every person counts whom any detection is near, in whatever order.
    near = torch.unique(matches.truth[matches.error_mm < FOUND_MM])
    return (
        Figure("root_map", 100 * sum(precision) / len(precision)),
        Figure("root_recall_500", 100 * len(near) / matches.truths if matches.truths else float("nan")),
        Figure("root_mm", released_mpjpe(matches, threshold_mm=FOUND_MM)),
    )


def clean_parts(results: Sequence[FrameResult], *, prepare: Callable[[Poses], Poses]) -> tuple[Figure, ...]:
    """PCP with heads made the same way for every actor, predictions and actors matched one to one, percent."""
    parts = []
    for result in results:
        predicted, truth = prepare(result.prediction.poses), truth_of(result).poses
        rows, columns = best_pairs(pairwise_mpjpe(predicted, truth, min_joints=6), limit_mm=FOUND_MM)
        partner = dict(zip(columns.tolist(), rows.tolist(), strict=True))
        for person in range(len(truth.id)):
            mine = [partner[person]] if person in partner else []
            parts.append(correct_parts(predicted[mine], truth[[person]]))
    return _parts(parts)


def released_parts(results: Sequence[FrameResult], *, prepare: Callable[[Poses, Tensor], Poses]) -> tuple[Figure, ...]:
    """PCP as released: for every actor the nearest of all predictions; `prepare` may look at the true actor."""
    parts = []
    for result in results:
        predicted, truth = result.prediction.poses, truth_of(result).poses
        for person, actor in enumerate(truth.id.tolist()):
            told = torch.full((len(predicted.id),), actor, dtype=torch.long)
            parts.append(correct_parts(prepare(predicted, told), truth[[person]], min_joints=1))
    return _parts(parts)


def campus_released(poses: Poses, actor: Tensor) -> Poses:
    """Campus's released heads do not ask who the actor is."""
    return campus_poses(poses)


def _compared(result: FrameResult) -> tuple[Poses, Poses]:
    """Predictions in the skeleton of the truth, by Campus's rule where that has heads of its own, and the truth."""
    predicted, truth = result.prediction.poses, truth_of(result).poses
    prepared = campus_poses(predicted) if truth.skeleton == SHELF_14 else convert_poses(predicted, truth.skeleton)
    return prepared, truth


def _matched(
    results: Sequence[FrameResult], poses_of: Callable[[FrameResult], tuple[Poses, Poses]]
) -> Iterator[tuple[Poses, Poses, PairErrors, Tensor, Tensor]]:
    """Of every frame predictions, truth, their errors, and the rows and columns of these that belong together."""
    for result in results:
        predicted, truth = poses_of(result)
        frame = pair_errors(predicted, result.prediction.score, truth)
        yield predicted, truth, frame, *best_pairs(frame.error_mm, limit_mm=FOUND_MM)


def _released(results: Sequence[FrameResult], poses_of: Callable[[FrameResult], tuple[Poses, Poses]]) -> NearestTruths:
    confidences = (one.prediction.score for one in results)
    pairs = zip(map(poses_of, results), confidences, strict=True)
    return pool([released_matches(predicted, sure, truth) for (predicted, truth), sure in pairs])


def _root_poses(result: FrameResult) -> tuple[Poses, Poses]:
    """Predicted and true roots as skeletons of one joint."""
    truth = truth_of(result).poses
    rows = truth.skeleton.indices(truth.skeleton.root_of)
    known = truth.valid[:, rows].all(1)
    return _points(result.prediction.root), _points(
        torch.where(known[:, None], truth.xyz_world[:, rows].double().mean(1), torch.nan)
    )


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


def root_identities(
    result: FrameResult, truth: Poses, spacing_px: Float[Tensor, " views"], *, gate: float = ROOT_GATE_MAP_PX
) -> Int[Tensor, "views slots"]:
    """Whose every root peak is: in each view the best one-to-one matching of peaks to projected true roots.

    A peak that is within the gate of nobody left is a person of its own (numbers from the count of true people on):
    a group that holds it is wrong. `ABSENT` in empty slots.

    Args:
        result: its detections are root peaks; the root joint is the visible one.
        truth: true people whose skeleton has a root or the joints it is the mean of.
        spacing_px: size of a heat-map pixel in every view, original pixels.
        gate: in heat-map pixels.
    """
    if result.frame is None:
        raise ShapeError(f"frame {result.prediction.number} has no cameras")
    cameras, roots = result.frame.cameras, result.frame.detections
    joint = roots.skeleton.indices(roots.skeleton.root_of)[0]
    rows = truth.skeleton.indices(truth.skeleton.root_of)
    known = truth.valid[:, rows].all(1)
    xy, front = cameras.project(truth.xyz_world[:, rows].to(torch.float64).mean(1))
    gap = torch.linalg.vector_norm(roots.xy_image[:, :, joint][:, :, None] - xy[:, None], dim=-1)
    gap = gap / spacing_px.to(torch.float64)[:, None, None]
    views, slots = roots.valid.shape
    persons = len(truth.id)
    identity = persons + torch.arange(views * slots).view(views, slots)
    for view in range(views):
        near = (gap[view] <= gate) & roots.valid[view][:, None] & (front[view] & known)[None]
        cost = torch.where(near, gap[view], 1e3 * (1 + gate))
        for slot, person in zip(*linear_sum_assignment(cost.numpy()), strict=True):
            if near[slot, person]:
                identity[view, slot] = person
    return torch.where(roots.valid, identity, ABSENT)

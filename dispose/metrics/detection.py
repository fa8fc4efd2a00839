"""How well whole 3-D skeletons are found: nearest or one to one, pooled over frames."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional

from dispose.errors import InputError
from dispose.metrics.pose import pairwise_mpjpe
from dispose.scene.frame import Poses
from dispose.tensors import ABSENT, TensorStruct, cat

AP_THRESHOLDS_MM = (25.0, 50.0, 75.0, 100.0, 125.0, 150.0)


@dataclass(frozen=True, eq=False)
class NearestTruths(TensorStruct):
    """Predicted persons of one or more frames with their nearest true person.

    Attributes:
        truths: number of true persons in these frames.
        score: confidence of every prediction.
        error_mm: its MPJPE to the nearest true person, infinite where it can be compared with none.
        truth: the number of that person among all true persons, `ABSENT` where there is none.
    """

    truths: int
    score: Float[Tensor, " predictions"]
    error_mm: Float[Tensor, " predictions"]
    truth: Int[Tensor, " predictions"]


@dataclass(frozen=True, eq=False)
class PairErrors(TensorStruct):
    """Every prediction of one frame, with its confidence, against every true person; infinite where not comparable."""

    score: Float[Tensor, " predictions"]
    error_mm: Float[Tensor, "predictions truths"]


def pair_errors(
    predicted: Poses, score: Float[Tensor, " predictions"], truth: Poses, *, min_joints: int = 1
) -> PairErrors:
    """MPJPE of every pair over the joints both have, at least `min_joints`. `InputError` for a score that is NaN."""
    bad = (~torch.isfinite(score)).nonzero()
    if len(bad):
        raise InputError(f"the score of predicted person {int(bad[0])} is {float(score[bad[0, 0]])}, not a number")
    return PairErrors(score.to(torch.float64), pairwise_mpjpe(predicted, truth, min_joints=min_joints))


def nearest_truths(
    predicted: Poses, score: Float[Tensor, " predictions"], truth: Poses, *, min_joints: int = 1
) -> NearestTruths:
    """The nearest true person of every prediction; predictions with fewer than `min_joints` joints are dropped.

    Where two people stand close, both predictions may be nearest to one of them (see `claimed`).
    Raises `InputError` for a score that is not a number.
    """
    pairs = pair_errors(predicted, score, truth, min_joints=min_joints)[predicted.valid.sum(-1) >= min_joints]
    truths = pairs.error_mm.shape[1]
    # Behind the last stands nobody, infinitely far from everybody.
    error, nearest = functional.pad(pairs.error_mm, (0, 1), value=torch.inf).min(-1)
    return NearestTruths(truths, pairs.score, error, torch.where(torch.isfinite(error), nearest, ABSENT))


def claimed(frame: PairErrors, threshold_mm: float) -> NearestTruths:
    """In descending order of score (ties in order of input) every prediction takes the nearest person left.

    So nobody is found twice and nobody is lost to a neighbour's double. One that finds nobody nearer than the threshold
    has no truth.
    """
    count, truths = frame.error_mm.shape
    free = torch.ones(truths, dtype=torch.bool)
    person = torch.full((count,), ABSENT, dtype=torch.long)
    error = torch.full((count,), torch.inf, dtype=torch.float64)
    for row in torch.argsort(frame.score, descending=True, stable=True).tolist():
        left = torch.where(free, frame.error_mm[row], torch.inf)
        if truths and float(left.min()) < threshold_mm:
            person[row], error[row] = int(left.argmin()), left.min()
            free[person[row]] = False
    return NearestTruths(truths, frame.score, error, person)


def pool(frames: Sequence[NearestTruths]) -> NearestTruths:
    """The predictions of all frames as one list; true persons are renumbered so that they stay distinct."""
    starts = list(accumulate((frame.truths for frame in frames), initial=0))
    nothing = torch.zeros(0, dtype=torch.float64)
    pooled = [NearestTruths(starts[-1], nothing, nothing, nothing.long())]
    for frame, start in zip(frames, starts, strict=False):
        pooled.append(replace(frame, truth=torch.where(frame.truth == ABSENT, ABSENT, frame.truth + start)))
    return cat(pooled, "predictions")


def first_hits(matches: NearestTruths, threshold_mm: float) -> tuple[Tensor, Tensor]:
    """In descending order of score (ties in order of input): the order, and which predictions are true positives.

    A prediction is one if it is nearer than the threshold and no better-scored one has claimed the same person.
    """
    order = torch.argsort(matches.score, descending=True, stable=True)
    near = (matches.error_mm[order] < threshold_mm) & (matches.truth[order] != ABSENT)
    hit = torch.zeros_like(near)
    claimed: set[int] = set()
    for row in near.nonzero()[:, 0].tolist():
        person = int(matches.truth[order[row]])
        hit[row] = person not in claimed
        claimed.add(person)
    return order, hit


def average_precision(matches: NearestTruths, *, threshold_mm: float) -> float:
    """Area under the precision-recall curve with its monotone envelope; NaN without true persons."""
    if matches.truths == 0:
        return float("nan")
    _, hit = first_hits(matches, threshold_mm)
    if not hit.any():
        return 0.0
    found = hit.cumsum(0).to(torch.float64)
    recall = found / matches.truths
    precision = found / torch.arange(1, len(hit) + 1, dtype=torch.float64)
    envelope = precision.flip(0).cummax(0).values.flip(0)
    steps = torch.diff(recall, prepend=recall.new_zeros(1))
    return float((steps * envelope).sum())


def recall(matches: NearestTruths, *, threshold_mm: float) -> float:
    """Share of the true persons that some prediction finds; NaN without true persons."""
    if matches.truths == 0:
        return float("nan")
    return float(first_hits(matches, threshold_mm)[1].sum()) / matches.truths


def found_mpjpe(matches: NearestTruths, *, threshold_mm: float = 500.0) -> float:
    """Mean over the true persons found of the MPJPE of the best-scored prediction within the threshold, mm."""
    order, hit = first_hits(matches, threshold_mm)
    if not hit.any():
        return float("nan")
    return float(matches.error_mm[order][hit].mean())


def average_precision_one_to_one(frames: Sequence[PairErrors], *, threshold_mm: float) -> float:
    """Area under the precision-recall curve of `claimed`; NaN without true persons."""
    return average_precision(pool([claimed(frame, threshold_mm) for frame in frames]), threshold_mm=threshold_mm)


def recall_one_to_one(frames: Sequence[PairErrors], *, threshold_mm: float) -> float:
    """Share of the true persons that somebody claims; NaN without true persons."""
    return recall(pool([claimed(frame, threshold_mm) for frame in frames]), threshold_mm=threshold_mm)


def best_pairs(
    error_mm: Float[Tensor, "predictions truths"], *, limit_mm: float = 500.0
) -> tuple[Int[Tensor, " pairs"], Int[Tensor, " pairs"]]:
    """As many pairs nearer than the limit as there can be, of least total error; scores play no part."""
    # One more pair must always be worth more than any error.
    far = (error_mm.shape[0] + error_mm.shape[1] + 1) * limit_mm
    cost = torch.where(error_mm < limit_mm, error_mm, far)
    rows, columns = (torch.as_tensor(side, dtype=torch.long) for side in linear_sum_assignment(cost.numpy()))
    near = error_mm[rows, columns] < limit_mm
    return rows[near], columns[near]

"""Matching of predicted to true people one to one: nobody is found twice, nobody is lost to a neighbour's double.

The measures of `dispose.metrics.detection` compare every prediction with its nearest true person only;
where two people stand close, both predictions may be nearest to one of them. Here a prediction takes the nearest
person that no better-scored one has.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from dispose.errors import InputError
from dispose.metrics.detection import NearestTruths, average_precision, pool, recall
from dispose.metrics.pose import pairwise_mpjpe
from dispose.scene.poses import Poses
from dispose.tensors import ABSENT, TensorStruct


@dataclass(frozen=True, eq=False)
class PairErrors(TensorStruct):
    """Every prediction of one frame against every true person.

    Attributes:
        score: confidence of the predictions.
        error_mm: infinite where a pair cannot be compared.
    """

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


def claimed(frame: PairErrors, threshold_mm: float) -> NearestTruths:
    """In descending order of score (ties in order of input) every prediction takes the nearest person left.

    One that finds nobody nearer than the threshold has no truth.
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

"""The measures of the released evaluation to the letter, for comparison with published tables only.

What is odd about them: a score that is NaN is no reason to leave a prediction out and then sorts as it comes;
recall and precision are divided by counts that are 1e-5 too large; a prediction is compared with its nearest true
person alone, claimed or not; PCP takes the best of all predictions for every actor, several times the same if need be,
and the tilt of the head from who the true actor is: it looks at ground truth.
"""

from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.metrics.detection import NearestTruths, nearest_truths
from dispose.scene.convert import HeadEnds, replace_head
from dispose.scene.frame import Poses

RELEASED_TILT = (10.0, 1.5, 0.375, 0.0)
"""Upward pull of the head direction for the true actors 0-3 in the released code."""


def shelf_head_released(
    neck: Float[Tensor, "persons 3"],
    nose: Float[Tensor, "persons 3"],
    valid: Bool[Tensor, " persons"],
    actor: Int[Tensor, " persons"],
) -> HeadEnds:
    """Chin and crown as the released DisPOSE does it: the tilt depends on which **true** actor it is."""
    bottom = neck + 0.3 * (nose - neck)
    pull = neck.new_tensor(RELEASED_TILT)[actor.clamp(0, len(RELEASED_TILT) - 1)]
    direction = torch.nn.functional.normalize(nose - bottom, dim=-1)
    up = torch.zeros_like(direction)
    up[:, 2] = pull
    top = bottom + 192.0 * torch.nn.functional.normalize(direction + up, dim=-1)
    ends = torch.stack([bottom, top], 1)
    return torch.where(valid[:, None, None], ends, 0.0), valid


def shelf_poses_released(poses: Poses, actor: Int[Tensor, " persons"]) -> Poses:
    """Poses as Shelf annotates them by the released head rule, given the true actors (`shelf_head_released`)."""
    return replace_head(poses, partial(shelf_head_released, actor=actor))


EPSILON = 1e-5


def released_matches(predicted: Poses, score: Float[Tensor, " predictions"], truth: Poses) -> NearestTruths:
    """The nearest true person of every prediction whose score is not 0 or less; NaN is neither."""
    keep = ~(score <= 0)
    rows = keep.nonzero()[:, 0]
    chosen = replace(
        predicted,
        xyz_world=predicted.xyz_world[rows], confidence=predicted.confidence[rows],
        valid=predicted.valid[rows], id=predicted.id[rows],
    )  # fmt: skip
    # A person without a joint to compare has no place in the released format.
    some = chosen.valid.any(-1)
    matches = nearest_truths(chosen, torch.nan_to_num(score[rows]), truth)
    return replace(matches, score=score[rows][some].to(torch.float64))


def released_order(matches: NearestTruths) -> list[int]:
    """Descending by score as Python's stable sort leaves it; NaN stays near where it was."""
    score = matches.score.tolist()
    return sorted(range(len(score)), key=lambda row: score[row], reverse=True)


def released_hits(matches: NearestTruths, threshold_mm: float) -> list[tuple[int, bool]]:
    """Predictions in order and whether each is the first within the threshold of its nearest person."""
    claimed: set[int] = set()
    out = []
    for row in released_order(matches):
        person = int(matches.truth[row])
        hit = float(matches.error_mm[row]) < threshold_mm and person not in claimed
        if hit:
            claimed.add(person)
        out.append((row, hit))
    return out


def released_average_precision(matches: NearestTruths, *, threshold_mm: float) -> float:
    """Area under the envelope, with ``TP / (truths + 1e-5)`` and ``TP / (TP + FP + 1e-5)``."""
    found, precision, recall = 0, [], []
    for rank, (_, hit) in enumerate(released_hits(matches, threshold_mm), 1):
        found += hit
        precision.append(found / (rank + EPSILON))
        recall.append(found / (matches.truths + EPSILON))
    for rank in range(len(precision) - 2, -1, -1):
        precision[rank] = max(precision[rank], precision[rank + 1])
    before = [0.0, *recall]
    return float(sum((now - then) * height for now, then, height in zip(recall, before, precision)))


def released_recall(matches: NearestTruths, *, threshold_mm: float) -> float:
    """Final recall, ``TP / (truths + 1e-5)``."""
    return sum(hit for _, hit in released_hits(matches, threshold_mm)) / (matches.truths + EPSILON)


def released_mpjpe(matches: NearestTruths, *, threshold_mm: float = 500.0) -> float:
    """Mean over the true persons of the first prediction within 500 mm of them; NaN where there is none."""
    errors = [float(matches.error_mm[row]) for row, hit in released_hits(matches, threshold_mm) if hit]
    return sum(errors) / len(errors) if errors else float("nan")

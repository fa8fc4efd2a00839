"""Predictions of a sequence against its truth, as a few figures that fit on a line."""

from collections.abc import Sequence
from dataclasses import dataclass

from dispose.errors import InputError
from dispose.metrics.association import PairCounts, count_pairs
from dispose.metrics.detection import NearestTruths, first_hits, found_mpjpe, nearest_truths, pool, recall
from dispose.scene.frame import Frame
from dispose.scene.labels import identities
from dispose.scene.results import FrameResult, Prediction

FOUND_MM = 150.0
"""A person counts as found where the joints are nearer than this on average."""


@dataclass(frozen=True)
class Figures:
    """How right a sequence of predictions is.

    Attributes:
        pair_f1: harmonic mean of precision and recall over cross-view pairs of detections, percent.
        exact: people whose detections are one group, complete and alone, percent.
        found: people in 3-D whose joints are within 150 mm of the truth on average, percent.
        mpjpe_mm: mean error of the joints of the people found (within 500 mm), mm.
    """

    pair_f1: float
    exact: float
    found: float
    mpjpe_mm: float


@dataclass(frozen=True)
class PeopleFigures:
    """How right the people of a sequence are, whoever was put together with whom.

    Attributes:
        found: true people whose joints are within 150 mm of somebody's on average, percent.
        nobody: predicted people who are nobody, or somebody for the second time, by the same measure; percent.
        mpjpe_mm: mean error of the joints of the people found (within 500 mm), mm.
    """

    found: float
    nobody: float
    mpjpe_mm: float


def score_frames(frames: Sequence[Frame], predictions: Sequence[Prediction], truth: Sequence[Prediction]) -> Figures:
    """Figures over all frames; members of the predictions are slots of their frames.

    Raises:
        InputError: a frame whose number the truth does not have.
    """
    pairs = PairCounts()
    true = _truths([frame.number for frame in frames], truth)
    for frame, prediction, known in zip(frames, predictions, true, strict=True):
        pairs += count_pairs(prediction.association, identities(frame, known))
    together = _nearest(predictions, truth)
    return Figures(
        100 * pairs.f1,
        100 * pairs.exact_rate,
        100 * recall(together, threshold_mm=FOUND_MM),
        found_mpjpe(together),
    )


def score_people(predictions: Sequence[Prediction], truth: Sequence[Prediction]) -> PeopleFigures:
    """Figures over all frames of what was found in images; members are not looked at.

    Raises:
        InputError: a frame whose number the truth does not have.
    """
    together = _nearest(predictions, truth)
    _, hit = first_hits(together, FOUND_MM)
    wrong = 100 * float((~hit).double().mean()) if len(hit) else 0.0
    return PeopleFigures(100 * recall(together, threshold_mm=FOUND_MM), wrong, found_mpjpe(together))


def _truths(numbers: Sequence[int], truth: Sequence[Prediction]) -> list[Prediction]:
    """The truth of the frames of these numbers."""
    known = {true.number: true for true in truth}
    for number in numbers:
        if number not in known:
            raise InputError(f"frame {number} has no truth to compare with")
    return [known[number] for number in numbers]


def _nearest(predictions: Sequence[Prediction], truth: Sequence[Prediction]) -> NearestTruths:
    """Everybody predicted, with the nearest true person of the same frame."""
    true = _truths([prediction.number for prediction in predictions], truth)
    return pool([nearest_truths(p.poses, p.score, t.poses) for p, t in zip(predictions, true, strict=True)])


def count_results(results: Sequence[FrameResult]) -> list[PairCounts]:
    """Pair counts of a run over labelled frames, one per frame."""
    return [count_pairs(one.prediction.association, one.labels.identity) for one in results if one.labels is not None]


def total(counts: Sequence[PairCounts]) -> PairCounts:
    """The counts of all frames together."""
    return sum(counts, PairCounts())


def f1_by_group(counts: Sequence[PairCounts], group: Sequence[int], groups: Sequence[int]) -> list[float]:
    """Pair F1 (percent) over the frames of each group; NaN for a group without frames."""
    totals = {number: PairCounts() for number in groups}
    for count, number in zip(counts, group, strict=True):
        if number in totals:
            totals[number] += count
    return [100 * totals[number].f1 for number in groups]

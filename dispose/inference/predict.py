"""A capture in, consistent 3-D people out: the loop over frames, and the files it ends in."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
from tqdm import tqdm

from dispose.association.hypotheses import prune_hypotheses
from dispose.formats.evidence import EVIDENCE, PREDICTIONS, write_evidence
from dispose.formats.predictions import SavedPredictions, by_source, write_predictions, write_predictions_npz
from dispose.formats.trc import write_trcs
from dispose.inference.capture import Capture, Summary, read_frame
from dispose.inference.image_capture import ImageSummary
from dispose.inference.tracking import Memory, TrackingConfig, link
from dispose.scene.frame import Frame
from dispose.scene.prediction import Association, Prediction
from dispose.scene.results import AssociationResult, FrameResult, Results

Associate = Callable[[Frame], Association]
Weigh = Callable[[Frame], AssociationResult]
Reconstruct = Callable[[Frame, Association], Prediction]

SECONDS_BEFORE_A_BAR = 2.0


@dataclass(frozen=True, eq=False)
class CapturePrediction:
    """What was found in a capture.

    Attributes:
        saved: the people of every frame with stable ids; members are positions in each camera's files, or, where
            people were found in pictures, ranks of their roots' heat-map peaks (`dispose.formats.predictions`).
        summary: what was read and what was lost.
        cases: the same predictions by slot, with what was known and weighed; empty where people were found in pictures.
    """

    saved: SavedPredictions
    summary: Summary | ImageSummary
    cases: tuple[FrameResult, ...] = ()

    def people(self) -> tuple[tuple[int, int], ...]:
        """Every person's number and the number of frames they were found in, most frequent first."""
        count: dict[int, int] = {}
        for frame in self.saved.frames:
            for person in frame.poses.id.tolist():
                count[person] = count.get(person, 0) + 1
        return tuple(sorted(count.items(), key=lambda item: (-item[1], item[0])))


def unweighed(associate: Associate) -> Weigh:
    """An associator that does not say what it weighed, in the form of one that does."""
    return lambda frame: AssociationResult(associate(frame))


def predict_cases(
    capture: Capture,
    weigh: Weigh,
    reconstruct: Reconstruct,
    *,
    reference: Associate | None = None,
    tracking: TrackingConfig | None = None,
) -> Iterator[tuple[FrameResult, Summary]]:
    """Frame after frame: what was seen, weighed and concluded (stable ids, members by slot), and the account so far.

    Args:
        capture: read frame by frame.
        weigh: who is who, and from what it was chosen (`Associator.weigh`, or `unweighed`).
        reconstruct: where every joint is.
        reference: a second opinion to keep beside the answer; it changes nothing.
        tracking: limits of the linking over time.
    """
    memory, summary = Memory(), Summary()
    for number in capture.numbers:
        reading = read_frame(capture, number)
        frame, summary = reading.frame, summary.plus(reading)
        found = weigh(frame)
        memory, prediction = link(memory, reconstruct(frame, found.association), frame, tracking)
        second = None if reference is None else reference(frame)
        hypotheses = found.hypotheses
        if hypotheses is not None:
            answers = [found.association.members] + ([] if second is None else [second.members])
            hypotheses = prune_hypotheses(hypotheses, answers)
        yield FrameResult(prediction, frame, hypotheses, second), summary


def predict_frames(
    capture: Capture, associate: Associate, reconstruct: Reconstruct, *, tracking: TrackingConfig | None = None
) -> Iterator[tuple[Frame, Prediction, Summary]]:
    """Frame after frame: what was seen, who was found (stable ids, members by slot), and the account so far."""
    for case, summary in predict_cases(capture, unweighed(associate), reconstruct, tracking=tracking):
        assert case.frame is not None
        yield case.frame, case.prediction, summary


def predict_capture(
    capture: Capture,
    weigh: Weigh,
    reconstruct: Reconstruct,
    *,
    reference: Associate | None = None,
    tracking: TrackingConfig | None = None,
) -> CapturePrediction:
    """All frames of a capture (`predict_cases`), with a progress bar where it takes longer than two seconds."""
    steps = predict_cases(capture, weigh, reconstruct, reference=reference, tracking=tracking)
    bar = tqdm(
        steps, total=len(capture.numbers), unit="frame", desc="predict", delay=SECONDS_BEFORE_A_BAR, mininterval=0.5
    )
    return captured(capture, list(bar))


def captured(capture: Capture, steps: Sequence[tuple[FrameResult, Summary]]) -> CapturePrediction:
    """The result of all frames of a capture."""
    cases = tuple(case for case, _ in steps)
    found = tuple(
        case.prediction if case.detections is None else by_source(case.prediction, case.detections) for case in cases
    )
    skeleton = found[0].poses.skeleton if found else capture.skeleton
    summary = steps[-1][1] if steps else Summary()
    return CapturePrediction(SavedPredictions(skeleton, capture.cameras.names, found), summary, cases)


def write_capture_prediction(folder: Path, stem: str, result: CapturePrediction, rate_hz: float) -> tuple[Path, ...]:
    """Write ``predictions.jsonl``, ``predictions.npz`` and ``trc/<stem>_P<id>.trc``; the paths written.

    Every file appears whole or not at all. TRC files of people that an earlier run found are removed, and so is an
    earlier run's ``evidence.npz``: it speaks of other predictions (`write_capture_evidence` writes the new one).
    """
    saved = result.saved
    (folder / EVIDENCE).unlink(missing_ok=True)
    lines, table = folder / PREDICTIONS, folder / "predictions.npz"
    write_predictions(lines, saved.skeleton, saved.cameras, saved.frames)
    write_predictions_npz(table, saved)
    people = write_trcs(folder / "trc", stem, saved, rate_hz)
    for old in (folder / "trc").glob(f"{stem}_P*.trc"):
        if old not in people and old.stem.removeprefix(f"{stem}_P").isdigit():
            old.unlink()
    return (lines, table, *people)


def write_capture_evidence(folder: Path, name: str, method: str, result: CapturePrediction) -> tuple[Path, ...]:
    """Write ``evidence.npz`` beside the predictions, so that the run opens without a model; the paths written.

    Args:
        folder: where `write_capture_prediction` wrote this result.
        name: what the run is about.
        method: who answered.
        result: of detections; one of pictures has no cases, and nothing is written.
    """
    if not result.cases:
        return ()
    write_evidence(folder / EVIDENCE, Results(name, method, result.saved.skeleton, result.cases))
    return (folder / EVIDENCE,)


def video_rate_hz(folder: Path) -> float | None:
    """Frames per second of the capture's first readable video; None where there is none."""
    for path in sorted((folder / "videos").glob("*")):
        video = cv2.VideoCapture(str(path))
        rate = float(video.get(cv2.CAP_PROP_FPS)) if video.isOpened() else 0.0
        video.release()
        if rate > 0:
            return rate
    return None

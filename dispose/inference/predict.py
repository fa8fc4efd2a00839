"""A capture in, consistent 3-D people out: the loop over frames, and the files it ends in."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
from tqdm import tqdm

from dispose.formats.predictions import SavedPredictions, by_source, write_predictions, write_predictions_npz
from dispose.formats.trc import write_trcs
from dispose.inference.capture import Capture, Summary, read_frame
from dispose.inference.image_capture import ImageSummary
from dispose.inference.tracking import Memory, TrackingConfig, link
from dispose.scene.frame import Frame
from dispose.scene.prediction import Association, Prediction

Associate = Callable[[Frame], Association]
Reconstruct = Callable[[Frame, Association], Prediction]

SECONDS_BEFORE_A_BAR = 2.0


@dataclass(frozen=True, eq=False)
class CapturePrediction:
    """What was found in a capture.

    Attributes:
        saved: the people of every frame with stable ids; members are positions in each camera's files, or, where
            people were found in pictures, ranks of their roots' heat-map peaks (`dispose.formats.predictions`).
        summary: what was read and what was lost.
    """

    saved: SavedPredictions
    summary: Summary | ImageSummary

    def people(self) -> tuple[tuple[int, int], ...]:
        """Every person's number and the number of frames they were found in, most frequent first."""
        count: dict[int, int] = {}
        for frame in self.saved.frames:
            for person in frame.poses.id.tolist():
                count[person] = count.get(person, 0) + 1
        return tuple(sorted(count.items(), key=lambda item: (-item[1], item[0])))


def predict_frames(
    capture: Capture, associate: Associate, reconstruct: Reconstruct, *, tracking: TrackingConfig | None = None
) -> Iterator[tuple[Frame, Prediction, Summary]]:
    """Frame after frame: what was seen, who was found (stable ids, members by slot), and the account so far."""
    memory, summary = Memory(), Summary()
    for number in capture.numbers:
        reading = read_frame(capture, number)
        summary = summary.plus(reading)
        prediction = reconstruct(reading.frame, associate(reading.frame))
        memory, prediction = link(memory, prediction, reading.frame, tracking)
        yield reading.frame, prediction, summary


def predict_capture(
    capture: Capture, associate: Associate, reconstruct: Reconstruct, *, tracking: TrackingConfig | None = None
) -> CapturePrediction:
    """All frames of a capture, with a progress bar where it takes longer than two seconds."""
    found, summary = [], Summary()
    steps = predict_frames(capture, associate, reconstruct, tracking=tracking)
    bar = tqdm(
        steps, total=len(capture.numbers), unit="frame", desc="predict", delay=SECONDS_BEFORE_A_BAR, mininterval=0.5
    )
    for frame, prediction, account in bar:
        found.append(by_source(prediction, frame.detections))
        summary = account
    skeleton = found[0].poses.skeleton if found else capture.skeleton
    return CapturePrediction(SavedPredictions(skeleton, capture.cameras.names, tuple(found)), summary)


def write_capture_prediction(folder: Path, stem: str, result: CapturePrediction, rate_hz: float) -> tuple[Path, ...]:
    """Write ``predictions.jsonl``, ``predictions.npz`` and ``trc/<stem>_P<id>.trc``; the paths written.

    Every file appears whole or not at all. TRC files of people that an earlier run found are removed.
    """
    saved = result.saved
    lines, table = folder / "predictions.jsonl", folder / "predictions.npz"
    write_predictions(lines, saved.skeleton, saved.cameras, saved.frames)
    write_predictions_npz(table, saved)
    people = write_trcs(folder / "trc", stem, saved, rate_hz)
    for old in (folder / "trc").glob(f"{stem}_P*.trc"):
        if old not in people and old.stem.removeprefix(f"{stem}_P").isdigit():
            old.unlink()
    return (lines, table, *people)


def video_rate_hz(folder: Path) -> float | None:
    """Frames per second of the capture's first readable video; None where there is none."""
    for path in sorted((folder / "videos").glob("*")):
        video = cv2.VideoCapture(str(path))
        rate = float(video.get(cv2.CAP_PROP_FPS)) if video.isOpened() else 0.0
        video.release()
        if rate > 0:
            return rate
    return None

"""A capture of pictures in, consistent 3-D people out: the loop over its frames."""

from collections.abc import Callable, Iterator

import torch
from tqdm import tqdm

from dispose.formats.predictions import SavedPredictions
from dispose.inference.image_capture import ImageCapture, ImageSummary, image_readings
from dispose.inference.predict import SECONDS_BEFORE_A_BAR, CapturePrediction
from dispose.inference.tracking import Memory, TrackingConfig, link
from dispose.scene.detections import Detections
from dispose.scene.frame import Frame
from dispose.scene.poses import Poses
from dispose.scene.prediction import Association, Prediction
from dispose.skeletons.catalog import PANOPTIC_15
from dispose.skeletons.skeleton import Skeleton

SeePeople = Callable[[Frame], Prediction]
"""Everybody in the pictures of one instant; a `DisPose` or a `ReleasedDisPose` is one."""


def predict_picture_frames(
    capture: ImageCapture,
    see: SeePeople,
    input_size: tuple[int, int],
    *,
    skeleton: Skeleton = PANOPTIC_15,
    tracking: TrackingConfig | None = None,
) -> Iterator[tuple[Frame, Prediction, ImageSummary]]:
    """Frame after frame: what was seen, who was found (stable ids), and the account so far.

    Args:
        capture: of pictures of any size; they are brought to the network's whole, at the largest scale that fits.
        see: the model.
        input_size: width and height that it takes.
        skeleton: of its people.
        tracking: limits of the linking, which goes by where people are in space: a model for pictures reports no 2-D
            keypoints of its own.
    """
    memory, summary = Memory(), ImageSummary()
    for reading in image_readings(capture, input_size):
        frame, summary = reading.frame, summary.plus(reading)
        # One picture alone places nobody; the model need not be asked.
        enough = int(frame.require_images().present.sum()) > 1
        prediction = see(frame) if enough else empty_prediction(frame, skeleton)
        memory, prediction = link(memory, prediction, without_detections(frame, skeleton), tracking)
        yield frame, prediction, summary


def predict_picture_capture(
    capture: ImageCapture,
    see: SeePeople,
    input_size: tuple[int, int],
    *,
    skeleton: Skeleton = PANOPTIC_15,
    tracking: TrackingConfig | None = None,
) -> CapturePrediction:
    """All frames of a capture, with a progress bar where it takes longer than two seconds."""
    found, summary = [], ImageSummary()
    steps = predict_picture_frames(capture, see, input_size, skeleton=skeleton, tracking=tracking)
    bar = tqdm(
        steps, total=len(capture.numbers), unit="frame", desc="predict", delay=SECONDS_BEFORE_A_BAR, mininterval=0.5
    )
    for _, prediction, account in bar:
        found.append(prediction)
        summary = account
    return CapturePrediction(SavedPredictions(skeleton, capture.cameras.names, tuple(found)), summary)


def empty_prediction(frame: Frame, skeleton: Skeleton) -> Prediction:
    """A frame without people."""
    none = torch.zeros(0, len(skeleton), 3, dtype=torch.float64)
    poses = Poses(skeleton, none, none[..., 0], none[..., 0] > 0, torch.zeros(0, dtype=torch.long))
    members = torch.zeros(0, len(frame.cameras), dtype=torch.long)
    return Prediction(frame.number, Association(members, torch.zeros(0, dtype=torch.float64)), poses, none[:, 0])


def without_detections(frame: Frame, skeleton: Skeleton) -> Frame:
    """The frame as those know it who look at detections: nobody is detected."""
    return Frame(frame.number, frame.cameras, Detections.from_lists(skeleton, [[] for _ in frame.cameras.names]))

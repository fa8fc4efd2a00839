"""A capture of pictures: calibrated cameras and their images or videos on disk, read frame by frame.

``calib*/…`` beside ``images/<camera>/*.jpg`` or ``videos/<camera>.mp4``. Frames are matched by their number; a picture
that is missing, damaged or of a wrong size leaves its view out of that frame and is counted. A camera whose pictures
have another size than its calibration from the start is refused: the calibration is of other pictures.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from dispose.datasets.multiview import RawFrame, check_size, letterbox_frame
from dispose.errors import InputError
from dispose.formats.calibration.read import read_calibration
from dispose.formats.detections.people import DamagedFrameError
from dispose.formats.images.series import ImageSeries, open_image_series
from dispose.inference.capture import Loss, find_calibration, gaps_of, spans
from dispose.inference.names import match_names
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Frame

IMAGE_FOLDERS = ("images", "videos-sync", "videos")
"""Where pictures are looked for, in this order; Pose2Sim's synchronised videos come before the raw ones."""

LOOKED_AT = 5
"""Pictures of a camera that `check_sizes` opens at most."""


@dataclass(frozen=True, eq=False)
class ImageCapture:
    """What a capture folder holds, with none of its pictures read yet.

    Attributes:
        source: the folder of pictures, for complaints.
        cameras: the cameras that have both a calibration and pictures.
        views: the pictures of every camera, in the order of `cameras`.
        numbers: frame numbers that at least one camera has, ascending.
        notes: sentences about what was matched or left out.
    """

    source: Path
    cameras: Cameras
    views: tuple[ImageSeries, ...]
    numbers: tuple[int, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ImageReading:
    """A frame as read, and what was not as it should be; no view of `frame` without a picture is `present`.

    Attributes:
        frame: the frame.
        raw: its pictures as they were taken.
        missing: cameras without a file for this frame.
        damaged: cameras whose picture cannot be decoded or has another size than the calibration.
    """

    frame: Frame
    raw: RawFrame
    missing: tuple[Loss, ...]
    damaged: tuple[Loss, ...]


@dataclass(frozen=True)
class ImageSummary:
    """What was read of a capture, and what was lost; `alone` are the frames with fewer than two pictures."""

    frames: int = 0
    pictures: int = 0
    missing: tuple[Loss, ...] = ()
    damaged: tuple[Loss, ...] = ()
    alone: tuple[int, ...] = ()

    def plus(self, reading: ImageReading) -> "ImageSummary":
        """The account with one more frame."""
        pictures = int(reading.frame.require_images().present.sum())
        return ImageSummary(
            self.frames + 1,
            self.pictures + pictures,
            self.missing + reading.missing,
            self.damaged + reading.damaged,
            self.alone + ((reading.frame.number,) if pictures < 2 else ()),
        )

    def sentences(self) -> tuple[str, ...]:
        """The account in words, one sentence per kind of loss."""
        found = [f"{self.frames} frames read, {self.pictures} pictures."]
        for camera, count in Counter(loss.camera for loss in self.missing).items():
            numbers = [loss.number for loss in self.missing if loss.camera == camera]
            found.append(f"camera {camera} has no picture for {count} frames ({spans(numbers)}).")
        found += [f"lost: {loss.reason}" for loss in self.damaged[:10]]
        if len(self.damaged) > 10:
            found.append(f"lost: {len(self.damaged) - 10} further pictures.")
        if self.alone:
            found.append(f"{len(self.alone)} frames have fewer than two pictures, nobody is placed in them: "
                         f"{spans(self.alone)}.")  # fmt: skip
        return tuple(found)


def read_image_capture(
    folder: Path, *, calibration: Path | None = None, pictures: Path | None = None, mm_per_unit: float | None = None
) -> ImageCapture:
    """Open a capture folder or its parts by their own paths.

    Args:
        folder: holds ``calib*/`` with one calibration, and ``images/<camera>/`` or ``videos/<camera>.*``.
        calibration: a calibration elsewhere or in another format.
        pictures: a folder that holds one sub-folder of pictures, or one video, per camera.
        mm_per_unit: scale of a COLMAP calibration.

    Raises `InputError` where less than two cameras have both a calibration and pictures, or where no frame number
    occurs in two cameras.
    """
    cameras = read_calibration(calibration or find_calibration(folder), mm_per_unit=mm_per_unit)
    place = pictures or find_images(folder)
    series = open_image_series(place)
    match = match_names(cameras.names, tuple(one.camera for one in series))
    if len(match.pairs) < 2:
        raise InputError(
            f"{place}: {len(match.pairs)} of its cameras ({', '.join(one.camera for one in series)}) belong to the "
            f"calibrated ones ({', '.join(cameras.names)}); at least two are needed."
        )
    kept = tuple(series[j] for _, j in match.pairs)
    count = Counter(number for view in kept for number in view.numbers)
    if not any(views > 1 for views in count.values()):
        ranges = ", ".join(f"{view.camera}: {spans(view.numbers) or 'none'}" for view in kept)
        raise InputError(f"{place}: no frame number occurs in two cameras ({ranges}).")
    notes = [f"camera {cameras.names[i]} is {series[j].camera}." for i, j in match.pairs
             if cameras.names[i] != series[j].camera]  # fmt: skip
    notes += [f"calibrated camera without pictures, left out: {name}." for name in match.only_calibrated]
    notes += [f"pictures of a camera without calibration, left out: {name}." for name in match.only_detected]
    numbers = tuple(sorted(count))
    if gaps := gaps_of(numbers):
        notes.append(f"frames {spans(gaps)} are in no camera, and will not be in the results.")
    return ImageCapture(place, cameras.select(views=[i for i, _ in match.pairs]), kept, numbers, tuple(notes))


def find_images(folder: Path) -> Path:
    """The pictures of a capture folder: the first of `IMAGE_FOLDERS` that is there."""
    for name in IMAGE_FOLDERS:
        if (folder / name).is_dir():
            return folder / name
    raise InputError(f"{folder}: no pictures in it (looked for {', '.join(IMAGE_FOLDERS)}).")


def read_image_frame(capture: ImageCapture, number: int, input_size: tuple[int, int]) -> ImageReading:
    """One frame of a capture at the size of a network.

    A picture that is missing, damaged or of another size than its camera's calibration leaves its view out; what was
    wrong is told with file, camera and frame.
    """
    pictures: list[UInt8[np.ndarray, "_ _ 3"] | None] = []
    missing, damaged = [], []
    for view, (name, series) in enumerate(zip(capture.cameras.names, capture.views, strict=True)):
        picture = None
        if number not in series.numbers:
            missing.append(Loss(name, number, "no picture"))
        else:
            try:
                read = series.read(number)
                check_size(read, capture.cameras, view, series.where(number))
                picture = read
            except InputError as error:
                damaged.append(Loss(name, number, str(error)))
        pictures.append(picture)
    raw = RawFrame(number, capture.cameras, tuple(pictures))
    return ImageReading(letterbox_frame(raw, input_size), raw, tuple(missing), tuple(damaged))


def check_sizes(capture: ImageCapture) -> None:
    """Look at the first pictures of every camera before a long run.

    Raises `InputError`, with file, camera, frame and both sizes, where those of a camera that can be decoded all have
    another size than its calibration: then the calibration is of other pictures.
    """
    for view, series in enumerate(capture.views):
        wrong: list[InputError] = []
        for number in series.numbers[:LOOKED_AT]:
            try:
                picture = series.read(number)
            except DamagedFrameError:
                continue
            try:
                check_size(picture, capture.cameras, view, series.where(number))
            except InputError as error:
                wrong.append(error)
                continue
            break
        else:
            if wrong:
                raise wrong[0]


def image_readings(capture: ImageCapture, input_size: tuple[int, int]) -> Iterator[ImageReading]:
    """The frames of a capture, in order."""
    for number in capture.numbers:
        yield read_image_frame(capture, number, input_size)


def select_image_frames(capture: ImageCapture, start: int | None, stop: int | None) -> ImageCapture:
    """The capture's frames with ``start <= number < stop``; `InputError` where none is left."""
    kept = tuple(n for n in capture.numbers if (start is None or n >= start) and (stop is None or n < stop))
    if not kept:
        asked = f"{'' if start is None else start}:{'' if stop is None else stop}"
        raise InputError(f"{capture.source}: no frame in {asked} (there are {spans(capture.numbers)}).")
    return replace(capture, numbers=kept)

"""When cameras took their frames: rates of the videos, shifts that are given or found."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import tyro
from tqdm import tqdm

from dispose.errors import InputError
from dispose.formats.detections.people import DetectionView
from dispose.formats.files import visible
from dispose.formats.images.series import VIDEO_ENDINGS, open_video
from dispose.inference.capture import Capture, source_of
from dispose.inference.check.contest import thinned
from dispose.inference.check.diagnosis import diagnose
from dispose.inference.finding import IMAGE_FOLDERS, folder_named
from dispose.inference.pairing import match_names
from dispose.inference.readings import Reading, Source, spans
from dispose.inference.timing import CameraClock, camera_row, clocks_of, first_number, retimed, shift_of, shifted

FALLBACK_RATE_HZ = 30.0
FEWEST_READ, SECONDS_READ = 200, 6.0
"""Frames in a row that lags are looked for in: so many at least, or so many seconds."""

PROBES = 24
SLOWER = (1 / 2, 1 / 4, 5 / 12, 5 / 6, 4 / 5, 2 / 5)
"""Shares that frame rates of cameras have of one another: 60 and 30, 120 and 30, 60 and 25, 30 and 25, …"""

FEWEST_OF_SLOWER = 20
UNEVEN = 0.05
"""Videos whose lengths in seconds differ by more than this share are told."""


@dataclass(frozen=True)
class VideoFacts:
    """Rate and number of frames of a video, as its header says."""

    rate_hz: float
    frames: int


@dataclass(frozen=True)
class Timing:
    """How a capture's cameras run: their videos (None where there is none), their clocks, the rate of its frames."""

    videos: tuple[VideoFacts | None, ...]
    clocks: tuple[CameraClock, ...]
    rate_hz: float | None

    @property
    def rate(self) -> float:
        """The rate, or the usual one where nothing tells."""
        return self.rate_hz or FALLBACK_RATE_HZ

    @property
    def retimes(self) -> bool:
        """Whether any camera is shifted or runs at another rate."""
        return any(clock.shift or clock.ratio != 1 for clock in self.clocks)


@dataclass(frozen=True)
class TimeOptions:
    """When cameras took their frames."""

    shift: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="CAMERA=FRAMES", help_behavior_hint="")
    ] = ()
    """What is added to a camera's frame numbers, in frames of the capture: cam02=-5 where cam02 is five frames late.
    Fractions are interpolated. Repeat the option for several cameras."""
    camera_rate: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="CAMERA=HZ", help_behavior_hint="")
    ] = ()
    """Frames per second of a camera, where no video tells: cam02=30. Cameras of different rates are put together by
    time, in frames of the fastest."""


def timing_of(capture: Capture, options: TimeOptions, rate_hz: float | None) -> Timing:
    """The clocks of a capture's cameras: by their videos, and as the options have them."""
    names = capture.cameras.names
    videos = video_facts(capture.source, [view.camera for view in capture.views])
    rates: list[float | None] = [None if one is None else one.rate_hz for one in videos]
    for text in options.camera_rate:
        name, hertz = _rate_of(text)
        rates[camera_row(names, name, "--camera-rate")] = hertz
    # Who tells one camera's rate alone says that the others run at another: at the capture's, told or assumed.
    usual = (rate_hz or FALLBACK_RATE_HZ) if options.camera_rate else None
    clocks, counted = clocks_of(rates, first_number(capture.numbers), usual)
    clocks = shifted(names, clocks, [shift_of(text) for text in options.shift])
    return Timing(videos, clocks, counted if rate_hz is None else rate_hz)


def _rate_of(text: str) -> tuple[str, float]:
    name, equals, value = text.rpartition("=")
    try:
        hertz = float(value)
    except ValueError:
        hertz = 0.0
    if not equals or not name or not 0 < hertz < 1e5:
        raise InputError(f"--camera-rate is {text!r}; it must be CAMERA=HZ, as in cam02=30.")
    return name, hertz


def video_facts(folder: Path, cameras: list[str]) -> tuple[VideoFacts | None, ...]:
    """Rate and length of every camera's video, by its name; None where there is none that can be opened.

    `folder` is a capture, or itself the folder of its videos.
    """
    found: dict[str, VideoFacts] = {}
    places = (folder, *(folder_named(folder, [name]) for name in IMAGE_FOLDERS)) if folder.is_dir() else ()
    for place in places:
        for path in visible(place.iterdir()) if place is not None else ():
            if path.suffix.lower() not in VIDEO_ENDINGS or path.stem in found:
                continue
            with suppress(InputError):
                video = open_video(path)
                rate = float(video.get(cv2.CAP_PROP_FPS)) if video.isOpened() else 0.0
                frames = int(video.get(cv2.CAP_PROP_FRAME_COUNT)) if video.isOpened() else 0
                video.release()
                if 0 < rate < 1e5:
                    found[path.stem] = VideoFacts(rate, max(frames, 0))
    stems = list(found)
    match = dict(match_names(cameras, stems).pairs)
    return tuple(found[stems[match[row]]] if row in match else None for row in range(len(cameras)))


def time_notes(capture: Capture, timing: Timing) -> list[str]:
    """Sentences about rates that differ, lengths that differ, and shifts that are applied."""
    names, notes = capture.cameras.names, []
    known = {name: one for name, one in zip(names, timing.videos, strict=True) if one is not None}
    if len({round(clock.ratio, 4) for clock in timing.clocks}) > 1:
        each = zip(names, timing.clocks, strict=True)
        rates = ", ".join(f"{name} {clock.ratio * timing.rate:g}" for name, clock in each)
        notes.append(
            f"frames per second differ ({rates}): cameras are put together by time, {timing.rate:g} frames per second "
            "are counted, and people between two frames of a camera are interpolated."
        )
    seconds = {name: one.frames / one.rate_hz for name, one in known.items()}
    if seconds and max(seconds.values()) > (1 + UNEVEN) * min(seconds.values()):
        lengths = ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items())
        notes.append(f"videos differ in length ({lengths}): did all cameras start and stop together?")
    moved = [f"{name} by {clock.shift:+g}" for name, clock in zip(names, timing.clocks, strict=True) if clock.shift]
    if moved:
        notes.append(f"frames are shifted: {', '.join(moved)}.")
    return [*notes, *map(str, slower(capture, timing))]


@dataclass(frozen=True)
class SlowerCamera:
    """A camera whose frames (first, last, of so many) end where a slower one's would: by which share, at what rate."""

    name: str
    first: int
    last: int
    most: int
    share: float
    rate_hz: float

    def __str__(self) -> str:
        return (
            f"camera {self.name} has frames {self.first}-{self.last} of {self.most}: if it took {self.share:.3g} as "
            f"many frames per second as the others, give {' '.join(self.words)}."
        )

    @property
    def words(self) -> tuple[str, str]:
        """The option that says its rate."""
        return "--camera-rate", f"{self.name}={self.rate_hz:g}"


def slower(capture: Capture, timing: Timing) -> list[SlowerCamera]:
    """Cameras without a video whose frames end where a slower camera's would."""
    if any(timing.videos) or timing.retimes:
        return []
    spans_of_views = [(view.camera, min(view.numbers), max(view.numbers)) for view in capture.views if view.numbers]
    most = max((last - first for _, first, last in spans_of_views), default=0)
    found = list[SlowerCamera]()
    for name, first, last in spans_of_views:
        share = next((share for share in SLOWER if abs((last - first + 1) / (most + 1) - share) < 0.5 * UNEVEN), None)
        if share and last - first >= FEWEST_OF_SLOWER and abs(first - min(capture.numbers)) <= 1:
            rate = float(f"{share * timing.rate:.4g}")
            found.append(SlowerCamera(name, first, last, most + 1, share, rate))
    return found


def say_times(capture: Capture, timing: Timing) -> None:
    """Print what is to be known of the cameras' times before a run."""
    for note in time_notes(capture, timing):
        print(note)
    if timing.rate_hz is None:
        print(f"no video tells the frame rate: {timing.rate:g} frames per second are assumed.")


def stretch_of(source: Source, rate_hz: float) -> tuple[int, ...]:
    """Numbers of frames in a row to look at: all of a short capture, else where most people are seen."""
    numbers = source.numbers
    count = max(FEWEST_READ, round(SECONDS_READ * rate_hz))
    if len(numbers) <= count:
        return tuple(numbers)
    rows = thinned(np.arange(len(numbers)), PROBES)
    readings = [source.read(numbers[row]) for row in rows.tolist()]
    people = np.array([0 if one is None else int(one.frame.detections.valid.sum()) for one in readings])
    starts = np.clip(rows - count // 2, 0, len(numbers) - count)
    inside = (rows >= starts[:, None]) & (rows < starts[:, None] + count)
    start = int(starts[int((inside * people).sum(1).argmax())])
    return tuple(numbers[start : start + count])


def read_stretch(source: Source, rate_hz: float) -> list[Reading]:
    """Frames in a row, read."""
    chosen = stretch_of(source, rate_hz)
    found = (source.read(n) for n in tqdm(chosen, unit="frame", desc="read", delay=2.0, mininterval=0.5))
    return [one for one in found if one is not None]


def synchronised(capture: Capture[DetectionView], timing: Timing) -> tuple[Timing, str]:
    """The clocks with the shifts that people's agreement speaks for, and what was found."""
    readings = read_stretch(retimed(source_of(capture), timing.clocks), timing.rate)
    frames, names = [one.frame.detections for one in readings], capture.cameras.names
    if not frames:
        raise InputError("--synchronise: no frame can be read.")
    numbers = [one.frame.number for one in readings]
    found = diagnose(frames, capture.cameras, numbers, timing.rate)
    late = [(one.cameras[0], one.shift) for one in found.findings if one.shift is not None]
    if not late:
        what = "no camera is found to be late"
    else:
        what = "cameras are shifted: " + ", ".join(f"{name} by {frames:+.2f}" for name, frames in late)
    clocks = shifted(names, timing.clocks, late)
    return Timing(timing.videos, clocks, timing.rate_hz), f"synchronised by frames {spans(numbers)}: {what}."

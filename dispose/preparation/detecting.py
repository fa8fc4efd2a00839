"""A detector over all frames of all cameras: a file per frame, a process for some of the cameras, gone on with at will.

What a frame is told of those before it stands in the file of the frame before: a run that was killed and goes on writes
the same bytes as one that was not.
"""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
from tqdm import tqdm

from dispose.errors import DisposeError, InputError
from dispose.formats.detections.manifest import DetectionsManifest, Named, read_manifest, write_manifest
from dispose.formats.detections.people import DamagedFrameError
from dispose.formats.files import visible
from dispose.formats.folders import lock_folder, publishing
from dispose.formats.images.series import ImageSeries, Video, open_image_series
from dispose.inference.readings import spans
from dispose.preparation.detection_files import CameraFiles
from dispose.preparation.detector import Detector, ImagePeople, nobody
from dispose.workers import end_with_parent

REASONS = 3
"""So many lost frames of a camera are told one by one."""

SEARCH_EVERY = 5
"""In every so many frames newcomers are looked for in the whole image."""

NEAR_FRAMES = 5
"""Nobody is looked for where they were more frames ago: images that are far apart are searched whole."""


@dataclass(frozen=True)
class DetectOrder:
    """What is to be detected, and where that goes.

    Attributes:
        images: a folder with a folder of images or a video per camera.
        folder: for the detections.
        start, stop: frame numbers from the one up to and without the other; None: from the first, to the last.
        search_every: in every so many frames newcomers are looked for in the whole image.
        processes: so many at once, each with cameras of its own.
    """

    images: Path
    folder: Path
    start: int | None = None
    stop: int | None = None
    search_every: int = SEARCH_EVERY
    processes: int = 1

    def numbers(self, series: ImageSeries) -> list[int]:
        """The frames of a camera that are asked for."""
        low, high = self.start, self.stop
        return [n for n in series.numbers if (low is None or n >= low) and (high is None or n < high)]


@dataclass(frozen=True)
class FrameOutcome:
    """What became of one frame of one camera: so many people, or why it is lost; `fresh`: found in this run."""

    camera: str
    people: int = 0
    lost: str = ""
    fresh: bool = True


@dataclass
class DetectAccount:
    """What a run did with a camera: frames it detected, frames that stood there already, people in both, losses."""

    frames: int = 0
    kept: int = 0
    people: int = 0
    lost: int = 0
    reasons: list[str] = field(default_factory=list)

    def add(self, outcome: FrameOutcome) -> None:
        """Count one frame."""
        if outcome.lost:
            self.lost += 1
            self.reasons += [outcome.lost] * (self.lost <= REASONS)
            return
        self.frames, self.kept = self.frames + outcome.fresh, self.kept + (not outcome.fresh)
        self.people += outcome.people


def detect_camera(
    series: ImageSeries, files: CameraFiles, detector: Detector, numbers: Sequence[int], search_every: int
) -> Iterator[FrameOutcome]:
    """Write the people of frames that have no file yet; a frame that cannot be decoded has none and is told."""
    place = {number: at for at, number in enumerate(series.numbers)}
    last: tuple[int, ImagePeople | None] = (-1, None)
    for number in numbers:
        at = place[number]
        people = files.read(number)
        fresh = people is None
        if people is None:
            near = at > 0 and number - series.numbers[at - 1] <= NEAR_FRAMES
            if near and last[0] != at - 1:
                last = (at - 1, files.read(series.numbers[at - 1]))
            before = last[1] if near else None
            try:
                image = series.read(number)
            except DamagedFrameError as error:
                last = (at, None)
                yield FrameOutcome(files.camera, lost=str(error))
                continue
            search = at % search_every == 0 or before is None
            files.write(number, detector.find(image, before or nobody(files.skeleton), search=search))
            people = files.read(number)
        last = (at, people)
        yield FrameOutcome(files.camera, len(people or ()), fresh=fresh)


def recordings_of(series: Sequence[ImageSeries]) -> Named:
    """What every camera's images are, so that other ones are noticed."""
    return tuple(
        (one.camera, f"{one.path.name}, {one.path.stat().st_size} bytes" if isinstance(one, Video) else "images")
        for one in series
    )


@contextmanager
def detections_folder(folder: Path, manifest: DetectionsManifest) -> Iterator[None]:
    """A folder for detections that one detector made, with nobody else writing into it meanwhile.

    Until all frames are there it is marked, so that nobody takes it for whole.

    Raises:
        InputError: somebody else's detections are in it, those of another detector, or another run is writing there.
    """
    with lock_folder(folder):
        there = read_manifest(folder)
        if there is None and folder.is_dir() and visible(folder.iterdir()):
            raise InputError(f"{folder}: holds detections that are not ours and stay as they are; "
                             "name another folder with --out.")  # fmt: skip
        recordings = dict(manifest.recordings)
        if there is not None:
            differences = there.differences(manifest)
            if differences:
                raise InputError(f"{folder}: holds detections made otherwise ({'; '.join(differences)}); say it as "
                                 "then to go on with them, or name another folder with --out.")  # fmt: skip
            recordings = dict(there.recordings) | recordings
        with publishing(folder):
            write_manifest(folder, replace(manifest, recordings=tuple(recordings.items())))
            yield


def detect(order: DetectOrder, make: Callable[[], Detector]) -> dict[str, DetectAccount]:
    """Detect in all cameras and show progress; what was done with each of them.

    Args:
        order: what, and where to.
        make: the detector, called once here and in every process; something that can be sent to one.

    Raises:
        InputError: images or detections cannot be used, or another run is writing there.
        OutputError: there is no room; what is finished stays.
    """
    series = open_image_series(order.images)
    numbers = {one.camera: order.numbers(one) for one in series}
    if not any(numbers.values()):
        there = ", ".join(f"{one.camera}: {spans(one.numbers)}" for one in series)
        raise InputError(f"{order.images}: no frame in {order.start or ''}:{order.stop or ''} ({there}).")
    detector = make()
    card = detector.card
    settings = (*card.settings, ("search_every", str(order.search_every)))
    manifest = DetectionsManifest(card.name, card.skeleton, card.weights, settings, recordings_of(series))
    accounts = {camera: DetectAccount() for camera in numbers}
    with detections_folder(order.folder, manifest):
        if order.processes > 1:
            outcomes = _in_processes(order, list(numbers), make)
        else:
            outcomes = _camera_outcomes(order, list(numbers), detector)
        total = sum(map(len, numbers.values()))
        for outcome in tqdm(outcomes, desc="detecting", unit="image", total=total):
            accounts[outcome.camera].add(outcome)
    return accounts


def _camera_outcomes(order: DetectOrder, cameras: Sequence[str], detector: Detector) -> Iterator[FrameOutcome]:
    for series in open_image_series(order.images):
        if series.camera in cameras:
            files = CameraFiles(order.folder, series.camera, detector.card.skeleton)
            yield from detect_camera(series, files, detector, order.numbers(series), order.search_every)


def _work(order: DetectOrder, cameras: Sequence[str], make: Callable[[], Detector], pipe: Connection) -> None:
    """What a process does: tell of every frame; the last word says why it ended early."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one ends it
    end_with_parent()
    torch.set_num_threads(1)
    try:
        for outcome in _camera_outcomes(order, cameras, make()):
            pipe.send(outcome)
    except DisposeError as error:
        pipe.send(str(error))
    except BrokenPipeError:
        pass  # whoever started this one is gone


def _in_processes(order: DetectOrder, cameras: Sequence[str], make: Callable[[], Detector]) -> Iterator[FrameOutcome]:
    """What all processes tell, as it comes; the others end where one fails."""
    context = multiprocessing.get_context("spawn")
    pipes: dict[Connection, BaseProcess] = {}
    try:
        for first in range(min(order.processes, len(cameras))):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(order, cameras[first :: order.processes], make, theirs))
            process.start()
            theirs.close()
            pipes[ours] = process
        running = dict(pipes)
        while running:
            ready = wait(list(running))
            for pipe in [one for one in running if one in ready]:
                try:
                    said = pipe.recv()
                except EOFError:
                    process = running.pop(pipe)
                    process.join()
                    if process.exitcode:
                        raise DisposeError(f"a process of the detector ended with status {process.exitcode}; finished "
                                           "frames are kept: give the same command again.") from None  # fmt: skip
                    continue
                if isinstance(said, str):
                    raise DisposeError(said)
                yield said
    finally:
        for process in pipes.values():
            process.terminate()
            process.join()

"""What detecting costs on one core: boxes of a whole image, joints of a person, frames of a video; and its memory."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from jaxtyping import UInt8

from dispose.formats.folders import require_file
from dispose.formats.images.series import ImageSeries, open_image_series
from dispose.models.movenet.find import find_joints, find_people
from dispose.options import Count
from dispose.preparation.detecting import SEARCH_EVERY, detect_camera
from dispose.preparation.detection_files import CameraFiles
from dispose.preparation.detector import DetectorCard, ImagePeople, nobody
from dispose.preparation.detectors import load_movenet_detector
from dispose.preparation.movenet import MoveNetSettings
from dispose.skeletons.catalog import COCO_17
from dispose_benchmarks.clock import peak_mib
from dispose_benchmarks.report import apart, write_figures

SCHEMA = "dispose.bench.detect/1"
SIZE = (1080, 1920)


@dataclass(frozen=True)
class DetectCost:
    """Milliseconds of one thing: elapsed, and on a processor, whatever else the machine does."""

    what: str
    milliseconds: float
    processor_ms: float


@dataclass(frozen=True)
class DetectMemory:
    """Largest memory of a process, MiB, after the first tenth of its frames and after all."""

    frames: int
    early_mib: float
    late_mib: float


@dataclass(frozen=True)
class RepeatedImage:
    """One image over and over, as the images of a camera."""

    camera: str
    numbers: range
    image: UInt8[np.ndarray, "height width 3"]

    def where(self, number: int) -> str:
        """For complaints."""
        return f"frame {number}"

    def read(self, number: int) -> UInt8[np.ndarray, "height width 3"]:
        """The image."""
        return self.image


@dataclass(frozen=True)
class StillPeople:
    """A detector without networks: three people who stay."""

    card: DetectorCard = DetectorCard("still", COCO_17)

    def find(self, image: UInt8[np.ndarray, "height width 3"], before: ImagePeople, *, search: bool) -> ImagePeople:
        """Those of the frame before, or three."""
        if len(before):
            return before
        return ImagePeople(np.zeros((3, 4)), np.full((3, 17, 3), 0.5), np.full(3, 0.5))


def median_cost(what: str, work: Callable[[], object], repeats: int) -> DetectCost:
    """The medians over some runs, after one that does not count."""
    work()
    elapsed, busy = [], []
    for _ in range(repeats):
        start = time.perf_counter(), time.process_time()
        work()
        elapsed.append(time.perf_counter() - start[0])
        busy.append(time.process_time() - start[1])
    return DetectCost(what, 1e3 * statistics.median(elapsed), 1e3 * statistics.median(busy))


def network_costs(repeats: int) -> list[DetectCost]:
    """Boxes of a full-HD image, and joints of one person in it; what is in the image does not matter."""
    torch.set_num_threads(1)
    detector = load_movenet_detector(MoveNetSettings())
    image = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
    square = np.array([[960.0, 540.0, 700.0]])
    side = detector.settings.side
    return [
        median_cost("boxes of a 1080p image", lambda: find_people(detector.people, image, side), repeats),
        median_cost("joints of a person", lambda: find_joints(detector.joints, image, square), repeats),
    ]


def video_cost(videos: Path, frames: int) -> tuple[DetectCost, float]:
    """A frame of all cameras, read, detected and written, after the first, which is searched; people in it."""
    torch.set_num_threads(1)
    detector = load_movenet_detector(MoveNetSettings())
    with TemporaryDirectory() as folder:
        runs: list[Iterator[object]] = []
        for series in open_image_series(videos):
            files = CameraFiles(Path(folder), series.camera, COCO_17)
            runs.append(detect_camera(series, files, detector, series.numbers, SEARCH_EVERY))
        people = [next(run) for run in runs]
        start = time.perf_counter(), time.process_time()
        for run in runs:
            people = [*people, *islice(run, frames)]
        spent = time.perf_counter() - start[0], time.process_time() - start[1]
    mean = sum(vars(one)["people"] for one in people) / (frames + 1)
    return DetectCost(f"a frame of {len(runs)} videos", 1e3 * spent[0] / frames, 1e3 * spent[1] / frames), mean


def memory_of_files(frames: int) -> DetectMemory:
    """The loop over frames with its files and a detector that costs nothing."""
    series: ImageSeries = RepeatedImage("still", range(frames), np.zeros((*SIZE, 3), np.uint8))  # type: ignore[assignment]
    with TemporaryDirectory() as folder:
        files = CameraFiles(Path(folder), "still", COCO_17)
        run = detect_camera(series, files, StillPeople(), series.numbers, SEARCH_EVERY)
        return watched(run, frames)


def memory_of_networks(frames: int) -> DetectMemory:
    """The networks on one image over and over."""
    torch.set_num_threads(1)
    detector, image = load_movenet_detector(MoveNetSettings()), np.zeros((*SIZE, 3), np.uint8)
    return watched((detector.find(image, nobody(COCO_17), search=True) for _ in range(frames)), frames)


def watched(work: Iterator[object], frames: int) -> DetectMemory:
    """Memory after a tenth of some work and after all of it."""
    for _ in islice(work, frames // 10):
        pass
    early = peak_mib()
    for _ in work:
        pass
    return DetectMemory(frames, early, peak_mib())


@dataclass(frozen=True)
class DetectBench:
    """Time of the detector's two networks and of frames of videos on one core, and memory over many frames."""

    data: Path = Path("../shared/data")
    """Folder with raw/pose2sim_multi, whose videos are detected."""
    repeats: Count = 15
    """Runs of which the median counts."""
    frames: Count = 20
    """Frames of the videos."""
    many: Count = 10_000
    """Frames over which memory must not grow; the networks see a hundredth of them."""
    out: Path = Path("data/results/detect.json")
    """Result file."""

    def run(self) -> int:
        """Measure, print, write."""
        path = require_file(self.out)
        costs, people = apart("boxes and joints", None, network_costs, self.repeats), None
        videos = self.data / "raw" / "pose2sim_multi" / "videos"
        if videos.is_dir():
            cost, people = apart("videos", None, video_cost, videos, self.frames)
            costs.append(cost)
        memory = [
            ("files", apart("files", None, memory_of_files, self.many)),
            ("networks", apart("networks", None, memory_of_networks, max(10, self.many // 100))),
        ]
        for one in costs:
            print(f"{one.what:<26} {one.milliseconds:7.0f} ms elapsed {one.processor_ms:7.0f} ms of a core")
        if people is not None:
            print(f"{people:.1f} people in all images of such a frame")
        for name, one in memory:
            print(f"memory, {name:<18} {one.early_mib:7.0f} MiB after {one.frames // 10} frames, "
                  f"{one.late_mib:.0f} MiB after {one.frames}")  # fmt: skip
        kept = {name: asdict(one) for name, one in memory}
        write_figures(path, SCHEMA, {"costs": [asdict(one) for one in costs], "people": people, "memory": kept})
        return 0

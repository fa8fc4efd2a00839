"""`dispose bench run`: how many frames a second go the whole way from files to files, and where the time goes."""

import resource
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro

from dispose.datasets.tables.mvor import read_mvor
from dispose.datasets.tables.shelf import read_shelf
from dispose.errors import InputError
from dispose.formats.detections.people import DetectionView
from dispose.inference.capture import Capture, read_capture, source_of
from dispose.inference.results_folder import RunFiles, results_folder
from dispose.inference.run import Progress, Sink, run
from dispose.models.dispose.associator import Associator
from dispose.options import Count, CountOption, require_file
from dispose.scene.results import FrameResult
from dispose.skeletons.catalog import COCO_17
from dispose.zoo import load_associator
from dispose_benchmarks.clock import Clock, Part
from dispose_benchmarks.report import apart, write_figures
from dispose_synthetic.sequences import write_capture

SCHEMA = "dispose.bench-run/1"
RATE_HZ = 25.0


@dataclass(frozen=True)
class WholePath:
    """One capture on the whole way.

    Attributes:
        capture: its name.
        views: cameras.
        frames: how many.
        batch: frames computed together.
        evidence: whether the evidence for `dispose inspect` is kept too.
        people: groups found, over all frames; runs are comparable at equal groups.
        frames_per_second: of elapsed time.
        frames_per_processor_second: of the processor's time, which other processes on the machine do not lengthen.
        parts: of a frame.
        memory_mib: peak of a process that did only this.
    """

    capture: str
    views: int
    frames: int
    batch: int
    evidence: bool
    people: int
    frames_per_second: float
    frames_per_processor_second: float
    parts: tuple[Part, ...]
    memory_mib: float


@dataclass(frozen=True)
class RunBench:
    """Go the whole way of `dispose predict` (read, associate, reconstruct, link, write) and time every part of it.

    Each capture runs in a process of its own, with the weights of the package. The tables of Shelf and MVOR are written
    as capture folders first, which does not count.
    """

    captures: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """Capture folders (default: Shelf and MVOR of --data)."""
    data: Path = Path("../shared/data")
    """Folder with shelf/ and mvor/."""
    frames: CountOption = None
    """The first so many frames (default: all)."""
    batch: Count = 16
    """Frames computed together."""
    threads: Count = 1
    """Threads torch may use."""
    evidence: bool = False
    """Also keep and write evidence.npz, as `dispose predict` does unless told otherwise."""
    out: Path = Path("data/results/bench_run.json")
    """Result file."""

    def run(self) -> int:
        """Measure, print, write."""
        require_file(self.out)
        with tempfile.TemporaryDirectory() as place:
            folders = self.captures or tuple(write_tables(self.data, Path(place)))
            rows = [apart(f"run over {folder}", None, measure, folder, self) for folder in folders]
        for row in rows:
            parts = ", ".join(f"{part.name} {part.milliseconds:.2f} ({part.processor_ms:.2f})" for part in row.parts)
            print(
                f"{row.capture}: {row.frames} frames of {row.views} views, {row.frames_per_second:.1f} a second "
                f"({row.frames_per_processor_second:.1f} a second of one core), {row.memory_mib:.0f} MiB; "
                f"ms a frame (of one core): {parts}"
            )
        write_figures(self.out, SCHEMA, {"threads": self.threads, "rows": [row_of(row) for row in rows]})
        return 0


def row_of(row: WholePath) -> dict[str, object]:
    """A capture's figures as the result file has them."""
    elapsed = {part.name: part.milliseconds for part in row.parts}
    return {**asdict(row), "parts": elapsed, "processor_parts": {part.name: part.processor_ms for part in row.parts}}


def write_tables(data: Path, place: Path) -> Iterator[Path]:
    """Shelf and MVOR (OpenPose's detections) as capture folders."""
    for name in ("shelf", "mvor"):
        if not (data / name).is_dir():
            raise InputError(f"{data}: there is no folder {name} in it; name capture folders, or another --data.")
        source = read_shelf(data / name) if name == "shelf" else read_mvor(data / name, "openpose")
        write_capture(place / name, [frame for frame, _ in source])
        yield place / name


def measure(folder: Path, options: RunBench) -> WholePath:
    """One capture, in this process."""
    torch.set_num_threads(options.threads)
    capture = read_capture(folder, skeleton=COCO_17)
    capture = replace(capture, numbers=capture.numbers[: options.frames])
    associator, clock = load_associator(), Clock(torch.device("cpu"))
    count = len(capture.numbers)
    with tempfile.TemporaryDirectory() as name:
        first = replace(capture, numbers=capture.numbers[:2])
        whole_path(first, associator, clock, options, Path(name))
        people: list[int] = []
        parts = clock.once(lambda: people.append(whole_path(capture, associator, clock, options, Path(name))))
    return WholePath(
        folder.name, len(capture.cameras), count, options.batch, options.evidence, people[0],
        round(1e3 * count / sum(part.milliseconds for part in parts), 2),
        round(1e3 * count / sum(part.processor_ms for part in parts), 2),
        tuple(Part(p.name, round(p.milliseconds / count, 3), round(p.processor_ms / count, 3)) for p in parts),
        round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    )  # fmt: skip


class TimedSink:
    """A sink whose time counts as writing, and who counts the groups."""

    def __init__(self, sink: Sink, clock: Clock) -> None:
        self.resume = sink.resume
        self.finish = clock.timed("write", sink.finish)
        self.groups = 0
        self._add = clock.timed("write", sink.add)

    def add(self, results: Sequence[FrameResult], progress: Progress) -> None:
        """Write a block."""
        self.groups += sum(len(result.prediction.association) for result in results)
        self._add(results, progress)


def whole_path(
    capture: Capture[DetectionView], associator: Associator, clock: Clock, options: RunBench, place: Path
) -> int:
    """What `dispose predict` does with a capture; the number of groups. What no part claims is linking and waiting."""
    with results_folder(place, RunFiles(capture.source.name, "ours", RATE_HZ, evidence=options.evidence)) as folder:
        sink = TimedSink(folder, clock)
        associate = clock.timed("associate", associator.associate)
        rebuild = clock.timed("reconstruct", associator.reconstruct)
        run(source_of(capture), associate, rebuild, sink, batch=options.batch)
    return sink.groups

"""`dispose bench run`: how many frames a second go the whole way from files to files, and where the time goes."""

import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated
from unittest.mock import patch

import torch
import tyro

from dispose.baselines.integer_programme import integer_programme
from dispose.datasets.tables.mvor import read_mvor
from dispose.datasets.tables.shelf import read_shelf
from dispose.errors import InputError
from dispose.formats.detections.people import DetectionView
from dispose.formats.folders import require_file
from dispose.inference import run as loop
from dispose.inference.capture import Capture, read_capture, source_of
from dispose.inference.readings import Source
from dispose.inference.results_folder import RunFiles, results_folder
from dispose.inference.tracking import link
from dispose.models.dispose.associator import Associator
from dispose.options import Count, CountOption
from dispose.skeletons.catalog import COCO_17
from dispose.zoo import load_associator
from dispose.zoo.triangulators import load_reconstruction
from dispose_benchmarks.clock import Clock, Part, peak_mib
from dispose_benchmarks.report import apart, write_figures
from dispose_synthetic.sequences import write_capture

SCHEMA = "dispose.bench-run/1"
RATE_HZ = 25.0


@dataclass(frozen=True)
class WholePath:
    """One capture on the whole way: its cameras and frames, how many of which were computed together.

    `evidence` says whether that for `dispose inspect` is kept too; `people` counts the groups found, over all frames
    (runs are comparable at equal groups). Frames a second are those of elapsed and of the processor's time, which
    other processes on the machine do not lengthen. Parts are those of a frame; reading is done ahead by another
    thread. Memory is the peak of a process that did only this.
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
    """Also keep and write evidence.npz, with a second opinion, as `dispose predict` does unless told otherwise."""
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
    associator, cpu = load_associator(), torch.device("cpu")
    clock, reader = Clock(cpu), Clock(cpu)
    with tempfile.TemporaryDirectory() as name:
        first, place = replace(capture, numbers=capture.numbers[:2]), Path(name)
        whole_path(first, associator, (Clock(cpu), Clock(cpu)), options, place / "first")
        people: list[int] = []
        parts = clock.once(
            lambda: people.append(whole_path(capture, associator, (clock, reader), options, place / "all"))
        )
    count, everything = len(capture.numbers), (*parts, *reader.parts())
    return WholePath(
        folder.name, len(capture.cameras), count, options.batch, options.evidence, people[0],
        round(1e3 * count / sum(part.milliseconds for part in parts), 2),
        round(1e3 * count / sum(part.processor_ms for part in everything), 2),
        tuple(Part(p.name, round(p.milliseconds / count, 3), round(p.processor_ms / count, 3)) for p in everything),
        round(peak_mib(), 1),
    )  # fmt: skip


def whole_path(
    capture: Capture[DetectionView], associator: Associator, clocks: tuple[Clock, Clock], options: RunBench, place: Path
) -> int:
    """What `dispose predict` does with a capture; the second clock is that of the thread that reads. Returns groups."""
    clock, reader = clocks
    source, second = source_of(capture), partial(integer_programme, budget=100)
    files = RunFiles(capture.source.name, "ours", RATE_HZ, evidence=options.evidence)
    with (
        results_folder(place, files) as sink,
        # The loop links by itself: nobody hands it the function.
        patch.object(loop, "link", clock.wrap("link", link)),
    ):
        sink.add = clock.wrap("write", sink.add)
        sink.finish = clock.wrap("write", sink.finish)
        loop.run(
            Source(source.numbers, reader.wrap("read", source.read)),
            clock.wrap("associate", associator.associate),
            clock.wrap("reconstruct", load_reconstruction()),
            sink,
            reference=clock.wrap("second opinion", second) if options.evidence else None,
            batch=options.batch,
        )
    return sum(frames for _, frames in sink.people)

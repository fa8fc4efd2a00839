"""Results of `dispose predict` before and after `dispose smooth`, by the commands: Shelf's parts, and time."""

import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from dispose.datasets.tables.reading import LabelledFrames
from dispose.datasets.tables.shelf import read_shelf
from dispose.errors import DisposeError
from dispose.formats.evidence import PREDICTIONS
from dispose.formats.predictions import read_predictions
from dispose.metrics.pcp import correct_parts, pcp, pool_parts
from dispose.scene.convert import shelf_poses
from dispose_synthetic.rigs import CORNERS, RING, sample_rigs
from dispose_synthetic.sequences import SequenceConfig, sample_sequence, write_capture

SHELF_VIEWS = (0, 2, 4)
RATE_HZ, CAMERAS = 25.0, 3
COMMAND = "import sys; from dispose.cli.main import main; sys.exit(main(sys.argv[1:]))"


@dataclass(frozen=True)
class ShelfRow:
    """Correct parts of Shelf's development frames from three views, percent: every frame alone, and smoothed."""

    triangulator: str
    pcp: float
    pcp_smooth: float


@dataclass(frozen=True)
class TimeRow:
    """`dispose smooth` as a whole, from starting to having written: seconds by the clock, and of processors."""

    frames: int
    people: int
    persons_frames: int
    seconds: float
    processor_seconds: float


def told(*words: object) -> None:
    """Run `dispose` with these words in a process of its own; `DisposeError` with what it said where it fails."""
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *map(str, words)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise DisposeError(f"dispose {words[0]} ended with status {done.returncode}: {done.stderr.strip()[-400:]}")


def predicted_and_smoothed(capture: Path, triangulator: str) -> tuple[Path, Path]:
    """The folders of the results of a capture, every frame alone and smoothed."""
    plain = capture / triangulator
    told("predict", capture, "--triangulator", triangulator, "--rate-hz", RATE_HZ, "--out", plain)
    smooth = plain.with_name(f"{triangulator}-smooth")
    told("smooth", plain, "--out", smooth, "--no-picture")
    return plain, smooth


def shelf_rows(shelf: Path, work: Path, rows: Sequence[int] | None = None) -> list[ShelfRow]:
    """Shelf's development frames by robust triangulation and by the default, or some of them."""
    table = read_shelf(shelf)
    numbers = table.numbers if rows is None else [table.numbers[row] for row in rows]
    capture = work / "shelf"
    write_capture(capture, [table.frame(number)[0].select(views=list(SHELF_VIEWS)) for number in numbers])
    found = []
    for triangulator in ("robust", "rays"):
        folders = predicted_and_smoothed(capture, triangulator)
        found.append(ShelfRow(triangulator, *(shelf_parts(table, folder) for folder in folders)))
    return found


def shelf_parts(table: LabelledFrames, results: Path) -> float:
    """Percent of correct parts in finished results."""
    frames = read_predictions(results / PREDICTIONS).frames
    found = [correct_parts(shelf_poses(one.poses), table.frame(one.number)[1].poses) for one in frames]
    return 100 * pcp(pool_parts(found))


def time_row(work: Path, seed: int, frames: int, people: int) -> TimeRow:
    """How long drawn people before three cameras take to be smoothed."""
    generator = torch.Generator().manual_seed(seed)
    (rig,) = sample_rigs(generator, 1, CAMERAS, (RING, CORNERS))
    scenes = sample_sequence(generator, frames, people, rig, SequenceConfig(rate_hz=RATE_HZ))
    capture, plain = work / "timed", work / "timed" / "results"
    write_capture(capture, [frame for frame, _ in scenes])
    told("predict", capture, "--associator", "greedy", "--rate-hz", RATE_HZ, "--out", plain)
    held = sum(len(one.poses.id) for one in read_predictions(plain / PREDICTIONS).frames)
    start, before = time.perf_counter(), processor_seconds()
    told("smooth", plain, "--out", work / "timed" / "smooth", "--no-picture")
    return TimeRow(frames, people, held, time.perf_counter() - start, processor_seconds() - before)


def processor_seconds() -> float:
    """What finished processes of this one have taken."""
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime

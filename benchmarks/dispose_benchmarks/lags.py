"""Are lags of cameras right to half a frame, and does the error beside them hold what it says? Or is nothing said?"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import repeat
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from dispose.formats.folders import require_file
from dispose.inference.check.diagnosis import diagnose
from dispose.inference.readings import Source
from dispose.inference.timing import clocks_of, retimed
from dispose.options import Count
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Frame
from dispose.tensors import cat
from dispose.workers import worker_pool
from dispose_benchmarks.report import write_figures
from dispose_benchmarks.studies.fault_captures import pose2sim_multi, taken
from dispose_synthetic.detectors.parameters import FITTED
from dispose_synthetic.rigs import CORNERS, RING, sample_rigs
from dispose_synthetic.sequences import SequenceConfig, sample_sequence

SCHEMA = "dispose.bench.lags/1"
FIRST_SEED = 7000
RIGHT = 0.5
"""A lag is right to so many frames."""

RATE_HZ, FINE = 60.0, 4
"""Drawn captures count 60 frames a second; people are drawn four times as often: a lag may be a quarter of a frame."""

MOST_LATE = 20.0
HAND_LATE = 15
"""Frames by which cameras of Pose2Sim's hundred frames are late at most where each starts by itself."""

AT_REST = 1e6
"""Seconds in which people who stand still change their posture."""


@dataclass(frozen=True, eq=False)
class LateCamera:
    """What the cameras saw, in frames of one count, and by how many frames each is late: one `view`, or (None) all."""

    cameras: Cameras
    frames: tuple[Detections, ...]
    rate_hz: float
    view: int | None
    late: tuple[float, ...]

    def off_by(self, measured: Sequence[float]) -> int:
        """The camera whose lag is scored: the late one, or of all the one that is farthest off, beside the first."""
        if self.view is not None:
            return self.view
        off = np.subtract(measured, self.late)
        return int(np.abs(off - off[0]).argmax())


@dataclass(frozen=True)
class LagRow:
    """One capture: the lag of one camera, what was measured, its 95 %, and whether it was told.

    Where all cameras are late it is the one that is farthest off, beside the first camera, and told means all were.
    """

    kind: str
    seed: int
    late: float
    measured: float
    plus_minus: float
    told: bool

    @property
    def right(self) -> bool:
        """Whether the lag is right, or is said not to be known."""
        return not self.told or abs(self.measured - self.late) <= RIGHT


def draw(seed: int, frames: int, views: int, *, moving: bool) -> tuple[Cameras, list[Detections]]:
    """Three people before a ring or corners of cameras, four times as often as a capture counts."""
    generator = torch.Generator().manual_seed(FIRST_SEED + seed)
    (rig,) = sample_rigs(generator, 1, views, (RING, CORNERS))
    # Luck of a detector lasts as long as at 25 frames a second.
    config = SequenceConfig(rate_hz=FINE * RATE_HZ, detector=FITTED[seed % len(FITTED)], correlation=0.99)
    if not moving:
        config = replace(config, walkers=0.0, seconds_per_gesture=AT_REST, seconds_per_crossing=AT_REST)
    scenes = sample_sequence(generator, frames, 3, rig, config)
    return rig.to(torch.float64), [frame.detections for frame, _ in scenes]


def lags_of(seed: int, count: int) -> tuple[float, ...]:
    """Lags in quarters of a frame, either way."""
    steps = int(MOST_LATE * FINE)
    return tuple((np.random.default_rng(seed).integers(-steps, steps + 1, count) / FINE).tolist())


def two_rates(seed: int, frames: int, views: int, *, moving: bool = True) -> LateCamera:
    """The last camera takes 30 frames a second, the others 60; it starts late by any quarter of a frame."""
    (late,) = lags_of(seed, 1)
    margin = int(FINE * (MOST_LATE + 1))
    rig, fine = draw(seed, FINE * frames + 2 * margin, views, moving=moving)
    fast, slow = range(views - 1), views - 1
    taken_by = []
    for n in range(frames):
        mine = fine[margin + FINE * n].select(views=fast)
        row = margin + round(2 * FINE * n - FINE * late)
        there = 2 * n < frames and row < len(fine)
        other = fine[row if there else 0].select(views=[slow])
        other = other if there else replace(other, valid=torch.zeros_like(other.valid))
        slots = max(mine.valid.shape[1], other.valid.shape[1])
        taken_by.append(Frame(n, rig, cat([mine.pad(slots=slots), other.pad(slots=slots)], "views")))
    clocks, _ = clocks_of([RATE_HZ] * (views - 1) + [RATE_HZ / 2])
    source = retimed(Source.of(taken_by), clocks)
    readings = [reading for n in source.numbers if (reading := source.read(n)) is not None]
    return LateCamera(rig, tuple(one.frame.detections for one in readings), RATE_HZ, slow, (0.0,) * slow + (late,))


def by_hand(seed: int, frames: int, views: int) -> LateCamera:
    """Every camera starts by itself."""
    late = lags_of(seed, views)
    margin = int(FINE * (MOST_LATE + 1))
    rig, fine = draw(seed, FINE * frames + 2 * margin, views, moving=True)
    rows = [[margin + round(FINE * (n - lag)) for lag in late] for n in range(frames)]
    return LateCamera(rig, tuple(mixed(fine, row) for row in rows), RATE_HZ, None, late)


def mixed(frames: Sequence[Detections], rows: Sequence[int]) -> Detections:
    """A frame in which every camera shows what it saw in a frame of its own."""
    parts = [frames[row].select(views=[view]) for view, row in enumerate(rows)]
    slots = max(one.valid.shape[1] for one in parts)
    return cat([one.pad(slots=slots) for one in parts], "views")


def at_rest(seed: int, frames: int, views: int) -> LateCamera:
    """The same of people who stand still."""
    return two_rates(seed, frames, views, moving=False)


def demo(seed: int, frames: int, data: Path, *, every: int) -> LateCamera:
    """Pose2Sim's demo with one camera late by whole frames of the recording; of every second one, also by halves."""
    capture = pose2sim_multi(data)
    generator = np.random.default_rng([seed, every])
    steps = int(generator.integers(-30, 31))
    view = int(generator.integers(len(capture.cameras)))
    first, last = max(0, steps), min(len(capture.takes), len(capture.takes) + steps)
    rows = [[n - steps if v == view else n for v in range(len(capture.cameras))] for n in range(first, last, every)]
    found = tuple(taken(capture.takes, row).detections for row in rows[:frames])
    late = tuple(steps / every if v == view else 0.0 for v in range(len(capture.cameras)))
    return LateCamera(capture.cameras, found, capture.rate_hz / every, view, late)


def demo_by_hand(seed: int, frames: int, data: Path) -> LateCamera:
    """Pose2Sim's demo with every camera late by whole frames of its own."""
    capture = pose2sim_multi(data)
    late = np.random.default_rng(seed).integers(-HAND_LATE, HAND_LATE + 1, len(capture.cameras)).tolist()
    rows = [[n - lag for lag in late] for n in range(max(0, *late), len(capture.takes) + min(0, *late))]
    found = tuple(taken(capture.takes, row).detections for row in rows[:frames])
    return LateCamera(capture.cameras, found, capture.rate_hz, None, tuple(map(float, late)))


def measure(kind: str, make: Callable[[int], LateCamera], seed: int) -> LagRow:
    """Draw one capture and measure."""
    torch.set_num_threads(1)
    one = make(seed)
    trial = diagnose(one.frames, one.cameras, rate_hz=one.rate_hz).trial
    if trial is None:
        return LagRow(kind, seed, one.late[one.view or 0], float("nan"), float("nan"), told=False)
    lags = trial.measured
    view = one.off_by([lag.frames for lag in lags])
    if one.view is not None:
        return LagRow(kind, seed, one.late[view], lags[view].frames, 1.96 * lags[view].error, lags[view].told)
    error = 1.96 * float(np.hypot(lags[view].error, lags[0].error))
    away, measured = one.late[view] - one.late[0], lags[view].frames - lags[0].frames
    return LagRow(kind, seed, away, measured, error, all(lag.told for lag in lags))


@dataclass(frozen=True)
class Drawn:
    """Captures of `two_rates`, `at_rest` or `by_hand`; a class, since processes are handed it."""

    make: Callable[[int, int, int], LateCamera]
    frames: int
    views: int

    def __call__(self, seed: int) -> LateCamera:
        """One capture."""
        return self.make(seed, self.frames, self.views)


@dataclass(frozen=True)
class FromDemo:
    """Captures of `demo`, or (every 0) of `demo_by_hand`."""

    frames: int
    data: Path
    every: int

    def __call__(self, seed: int) -> LateCamera:
        """One capture."""
        if not self.every:
            return demo_by_hand(seed, self.frames, self.data)
        return demo(seed, self.frames, self.data, every=self.every)


@dataclass(frozen=True)
class LagsBench:
    """Make one camera of many captures late, by parts of frames too, and compare with what `dispose check` measures.

    Drawn people before four cameras of which one takes 30 frames a second and the others 60, people who walk and
    people who stand still; Pose2Sim's demo, all frames and every second one; and both with every camera late by itself.
    """

    captures: Count = 20
    """Captures of every kind."""
    frames: Count = 150
    """Frames of a capture, at 60 a second."""
    views: Count = 4
    """Cameras of a drawn capture."""
    data: Path = Path("../shared/data")
    """Folder of the converted tables; without it people are drawn only."""
    processes: Count = 2
    """Captures that are looked at at the same time."""
    out: Path = Path("data/results/lags.json")
    """Result file."""

    def run(self) -> int:
        """Measure, print, write."""
        require_file(self.out)
        kinds: list[tuple[str, Callable[[int], LateCamera]]] = [
            ("60 and 30 Hz", Drawn(two_rates, self.frames, self.views)),
            ("people at rest", Drawn(at_rest, self.frames, self.views)),
            ("all cameras by hand", Drawn(by_hand, self.frames, self.views)),
        ]
        if self.data.is_dir():
            kinds += [
                ("pose2sim_multi", FromDemo(self.frames, self.data, 1)),
                ("pose2sim_multi, every 2nd", FromDemo(self.frames, self.data, 2)),
                ("pose2sim_multi by hand", FromDemo(self.frames, self.data, 0)),
            ]
        table = []
        print("captures                    right or not told   told   right where told   within its ±   median error")
        with worker_pool(self.processes) as pool:
            for kind, make in kinds:
                seeds = range(self.captures)
                found = pool.map(measure, repeat(kind), repeat(make), seeds)
                rows = list(tqdm(found, desc=kind, unit="capture", total=self.captures, delay=2.0))
                print(summary(kind, rows), flush=True)
                table += rows
        share = 100 * float(np.mean([row.right for row in table]))
        print(f"right to {RIGHT:g} frames, or not told: {share:.1f} % of {len(table)}")
        write_figures(self.out, SCHEMA, {"right": share, "rows": [asdict(row) for row in table]})
        return 0


def summary(kind: str, rows: Sequence[LagRow]) -> str:
    """One kind of captures in a line, percent and frames."""
    told = [row for row in rows if row.told]
    off = np.array([abs(row.measured - row.late) for row in told])
    held = np.array([row.plus_minus for row in told])
    of_told = (f"{100 * (off <= RIGHT).mean():>16.0f} %{100 * (off <= held).mean():>13.0f} %{np.median(off):>15.2f}"
               if told else "")  # fmt: skip
    return (f"{kind:<28}{100 * np.mean([row.right for row in rows]):>15.0f} %"
            f"{100 * len(told) / len(rows):>5.0f} %{of_told}")  # fmt: skip

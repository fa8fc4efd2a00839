"""Faults injected into captures whose cameras are right: are they found, rightly named, and mended?"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import repeat
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from dispose.errors import InputError
from dispose.evaluation.classic import classic
from dispose.formats.folders import require_file
from dispose.inference.check.diagnosis import Diagnosis, diagnose
from dispose.inference.check.hypotheses import inverted, resized, turned_back_in_place, with_focal
from dispose.metrics.association import PairCounts, count_pairs
from dispose.options import Count
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Frame
from dispose.scene.teaching import exchange_cameras
from dispose.workers import worker_pool
from dispose_benchmarks.report import write_figures
from dispose_benchmarks.studies.fault_captures import CAPTURES, SAMPLES, LabelledCapture, Take, taken

SCHEMA = "dispose.bench.faults/1"
LATE = (1, 5, 12, 30)
TURNS_DEG = (1.0, 3.0, 10.0)
OVERLAP = 0.45
"""A camera is not shifted so far that less of the capture than this is left to compare."""

SAME_LAG = 0.5
SAME_F1 = 0.5

Rig = tuple[Sequence[Take], Cameras]


@dataclass(frozen=True, eq=False)
class Injected:
    """A fault: its name, the topic a diagnosis must name, the cameras, and how it is done; `late` in frames."""

    name: str
    topic: str
    views: tuple[int, ...]
    spoil: Callable[[Sequence[Take], Cameras], Rig]
    late: int = 0


@dataclass(frozen=True)
class FaultRow:
    """One fault in one capture: was it named, what else was, and the pair F1 (percent) before, spoilt and mended.

    Of a lag also what was injected and measured, in frames, with the 95 % that are printed beside it.
    """

    capture: str
    fault: str
    cameras: tuple[str, ...]
    named: bool
    cannot_tell: bool
    topics: tuple[str, ...]
    f1: float
    f1_spoilt: float
    f1_mended: float
    late: int = 0
    measured: float | None = None
    plus_minus: float | None = None


def turned(takes: Sequence[Take], cameras: Cameras, *, view: int, degrees: float, seed: int) -> Rig:
    """One camera turned where it stands, about an axis of chance."""
    axis = np.random.default_rng([seed, view]).normal(size=3)
    turn = Rotation.from_rotvec(np.radians(degrees) * axis / np.linalg.norm(axis)).as_matrix()
    rotation, translation = cameras.rotation.clone(), cameras.translation.clone()
    rotation[view] = torch.from_numpy(turn) @ rotation[view]
    translation[view] = torch.from_numpy(turn) @ translation[view]
    return takes, replace(cameras, rotation=rotation, translation=translation)


def late(takes: Sequence[Take], cameras: Cameras, *, view: int, frames: int) -> Rig:
    """One camera shows in its frame `n` what it should have shown `frames` before."""
    views = range(len(cameras))
    found = [taken(takes, [n - frames if v == view else n for v in views]) for n in range(frames, len(takes))]
    return found, cameras


def dead(takes: Sequence[Take], cameras: Cameras, *, view: int) -> Rig:
    """One camera sees nobody."""
    alive = (torch.arange(len(cameras)) != view)[:, None]
    return [replace(t, detections=replace(t.detections, valid=t.detections.valid & alive)) for t in takes], cameras


def other_cameras(takes: Sequence[Take], cameras: Cameras, *, change: Callable[[Cameras], Cameras]) -> Rig:
    """The cameras spoilt, the detections as they are."""
    return takes, change(cameras)


def in_unit(cameras: Cameras, factor: float) -> Cameras:
    """Translations in another unit."""
    return replace(cameras, translation=cameras.translation * factor)


def y_up(cameras: Cameras) -> Cameras:
    """The same rig in a world whose y axis points up."""
    ours_from_theirs = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]], dtype=torch.float64)
    return replace(cameras, rotation=cameras.rotation @ ours_from_theirs)


def faults_of(capture: LabelledCapture, cameras_each: int, seed: int) -> Iterator[Injected]:
    """Every fault of the list: those of one camera in some cameras."""
    views = len(capture.cameras)
    for factor in (1e-3, 0.1, 10.0):
        unit = partial(in_unit, factor=factor)
        yield Injected(f"unit x {factor:g}", "units", (), partial(other_cameras, change=unit))
    yield Injected("inverse extrinsics", "extrinsics", (), partial(other_cameras, change=inverted))
    # Spoiling in place is its own repair: the transpose of a transpose.
    yield Injected("rotations transposed", "extrinsics", (), partial(other_cameras, change=turned_back_in_place))
    yield Injected("y up", "axes", (), partial(other_cameras, change=y_up))
    whole = partial(resized, views=tuple(range(views)), factor=2.0)
    yield Injected("resized images", "picture size", (), partial(other_cameras, change=whole))
    for view in range(min(cameras_each, views)):
        mine, other = (view,), (view + 1) % views
        for frames in LATE:
            if len(capture.takes) - frames > max(OVERLAP * len(capture.takes), 6):
                yield Injected(f"late by {frames}", "time", mine, partial(late, view=view, frames=frames), frames)
        for degrees in TURNS_DEG:
            yield Injected(f"turned by {degrees:g} degrees", "turned", mine,
                           partial(turned, view=view, degrees=degrees, seed=seed))  # fmt: skip
        focal = partial(with_focal, views=mine, factor=1.1)
        yield Injected("focal length x 1.1", "focal length", mine, partial(other_cameras, change=focal))
        half = partial(resized, views=mine, factor=2.0)
        yield Injected("resized images of one", "picture size", mine, partial(other_cameras, change=half))
        pair = partial(exchange_cameras, one=min(view, other), other=max(view, other))
        yield Injected("exchanged", "exchanged", (min(view, other), max(view, other)),
                       partial(other_cameras, change=pair))  # fmt: skip
        yield Injected("dead", "dead", mine, partial(dead, view=view))


def is_named(diagnosis: Diagnosis, fault: Injected, names: Sequence[str]) -> bool:
    """Whether a finding, or a note, has the fault's topic and its cameras; of a lag also its size."""
    wanted = tuple(names[view] for view in fault.views)
    for one in (*diagnosis.findings, *diagnosis.notes):
        if one.topic == fault.topic and one.cameras == wanted:
            return one.shift is None or abs(one.shift + fault.late) <= SAME_LAG
    return False


def cannot_tell(diagnosis: Diagnosis, fault: Injected) -> bool:
    """Whether a lag is said not to be known."""
    trial = diagnosis.trial
    return bool(fault.late and trial is not None and not trial.measured[fault.views[0]].told)


def lag_of(diagnosis: Diagnosis, fault: Injected) -> tuple[int, float | None, float | None]:
    """The lag that was injected, the one measured, and what is printed as its uncertainty."""
    if not fault.late or diagnosis.trial is None:
        return fault.late, None, None
    lag = diagnosis.trial.measured[fault.views[0]]
    return fault.late, lag.frames, 1.96 * lag.error


def pair_f1(takes: Sequence[Take], cameras: Cameras, instants: Sequence[int]) -> float:
    """F1 of pairs of detections, percent, of some instants by greedy agglomeration."""
    counts, there = PairCounts(), {take.instant: take for take in takes}
    for instant in instants:
        frame = Frame(instant, cameras, there[instant].detections)
        counts += count_pairs(classic("greedy").associate(frame), there[instant].identity)
    return 100 * counts.f1


def spread(takes: Sequence[Take], most: int) -> list[int]:
    """Some of the instants of some frames, from first to last."""
    rows = np.unique(np.linspace(0, len(takes) - 1, min(most, len(takes))).round().astype(int))
    return [takes[row].instant for row in rows.tolist()]


def mended(takes: Sequence[Take], cameras: Cameras, diagnosis: Diagnosis) -> Rig:
    """What the diagnosis says to do: shifted, and with the cameras it would write (those that see nobody left out)."""
    lags = [-round(shift) for shift in diagnosis.shifts]
    rows = range(max(0, -min(lags)), len(takes) - max(0, *lags))
    shifted = [taken(takes, [row + lag for lag in lags]) for row in rows]
    kept = [cameras.names.index(name) for name in diagnosis.repaired.names]
    return [one.select(kept) for one in shifted], diagnosis.repaired


def try_fault(capture: LabelledCapture, fault: Injected, most: int) -> FaultRow:
    """Inject, diagnose, mend and score: the same instants before, spoilt and mended.

    Of a late camera's capture the ends have no partner; what is scored is what the mended one still shows.
    """
    torch.set_num_threads(1)
    takes, cameras = fault.spoil(capture.takes, capture.cameras)
    found = diagnose([one.detections for one in takes], cameras, rate_hz=capture.rate_hz)
    topics = tuple(f"{one.topic} {' '.join(one.cameras)}".strip() for one in found.findings)
    names = tuple(cameras.names[view] for view in fault.views)
    better, rig = mended(takes, cameras, found)
    instants = spread(better, most)
    gone = fault.views if fault.topic == "dead" else ()
    kept = [v for v in range(len(capture.cameras)) if v not in gone]
    right = pair_f1([take.select(kept) for take in capture.takes], capture.cameras.select(views=kept), instants)
    return FaultRow(
        capture.name, fault.name, names, is_named(found, fault, cameras.names), cannot_tell(found, fault), topics,
        right, pair_f1(takes, cameras, instants), pair_f1(better, rig, instants), *lag_of(found, fault),
    )  # fmt: skip


def alarms_of(capture: LabelledCapture) -> list[str]:
    """What is found in a capture as it is."""
    found = diagnose([one.detections for one in capture.takes], capture.cameras, rate_hz=capture.rate_hz)
    return [f"{capture.name}: {one.topic} {' '.join(one.cameras)}".strip() for one in found.findings]


@dataclass(frozen=True)
class FaultsBench:
    """Inject every usual fault into captures that are right, and say whether `dispose check` names and mends it.

    Shelf, MVOR and Pose2Sim's demo where their tables are at hand, and the two samples of the repository: a camera late
    by 1, 5, 12 and 30 frames, wrong unit, inverse extrinsics, rotations transposed, y up, a camera turned by 1, 3 and
    10 degrees, focal length x 1.1, two cameras exchanged, resized images, a dead camera. And the captures as they are:
    nothing may be
    found.
    """

    data: Path = Path("../shared/data")
    """Folder of the converted tables; without it the samples alone are tried."""
    captures: tuple[str, ...] = ()
    """Names of captures (default: all that are there)."""
    cameras: Count = 1
    """Cameras of each capture into which the faults of one camera are injected."""
    frames: Count = 100
    """Frames whose association is scored."""
    seed: int = 0
    """Of the axes that cameras are turned about."""
    processes: Count = 2
    """Faults that are tried at the same time."""
    out: Path = Path("data/results/faults.json")
    """Result file."""

    def run(self) -> int:
        """Measure, print, write."""
        require_file(self.out)
        torch.set_num_threads(1)
        made = CAPTURES if self.data.is_dir() else SAMPLES
        chosen = [one for one in made if not self.captures or one.__name__ in self.captures]
        if not chosen:
            raise InputError(f"--captures: known are {', '.join(one.__name__ for one in made)}.")
        rows: list[FaultRow] = []
        alarms: list[str] = []
        with worker_pool(self.processes) as pool:
            for make in chosen:
                capture = make(self.data)
                still = pool.submit(alarms_of, capture)
                faults = list(faults_of(capture, self.cameras, self.seed))
                tried = pool.map(try_fault, repeat(capture), faults, repeat(self.frames))
                for row in tqdm(tried, desc=capture.name, unit="fault", total=len(faults)):
                    rows.append(row)
                    print(line(row), flush=True)
                alarms += still.result()
        named = 100 * float(np.mean([row.named or row.cannot_tell for row in rows]))
        healed = 100 * float(np.mean([row.f1_mended >= row.f1 - SAME_F1 for row in rows]))
        print(f"named {named:.1f} % of {len(rows)}; mended to within {SAME_F1:g} of pair F1 {healed:.1f} %; "
              f"false alarms: {', '.join(alarms) or 'none'}")  # fmt: skip
        figures = {"named": named, "mended": healed, "false_alarms": alarms, "rows": [asdict(row) for row in rows]}
        write_figures(self.out, SCHEMA, figures)
        return 0


def line(row: FaultRow) -> str:
    """One row in words."""
    said = "named" if row.named else "cannot tell" if row.cannot_tell else "MISSED"
    return (
        f"{row.capture:<15}{row.fault:<24}{' '.join(row.cameras):<18}{said:<12}"
        f"F1 {row.f1:5.1f} {row.f1_spoilt:5.1f} {row.f1_mended:5.1f}  {'; '.join(row.topics)}"
    )

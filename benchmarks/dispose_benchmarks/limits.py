"""Stage I at its limits: many cameras that are badly calibrated, crowds, few joints; beside the classic associators."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from dispose.association.decode import set_packing
from dispose.errors import InputError
from dispose.evaluation.classic import CLASSIC
from dispose.formats.folders import require_file
from dispose.models.dispose.associator import Associator, sees_enough
from dispose.models.dispose.sampling import SamplerConfig, nobody
from dispose.options import Count, PathOption
from dispose.scene.frame import Frame, Labels
from dispose.scene.results import Associate, Association, AssociationResult, associate_each
from dispose.tensors import ABSENT, stack
from dispose.zoo import load_associator
from dispose_benchmarks.held_out import detect_simply, held_out, score
from dispose_benchmarks.report import require_numbers, write_figures
from dispose_synthetic.joint_poor import HIPS, TRUNK, only, report_joints
from dispose_synthetic.randomness import Noise
from dispose_synthetic.rigs import CROWDED, PERFECT_CALIBRATION, CalibrationError, miscalibrate
from dispose_synthetic.scenes import SceneConfig, sample_scenes

SCHEMA = "dispose.bench.limits/1"
CROWD_FRAMES = 16
"""So many times more frames of a crowd than of many views are drawn: they are quick, and say less each."""

FEW_VIEWS = 5
"""Other samplers and the geometry alone are run up to so many views; beyond, views are decided in blocks."""

PROGRAMME_VIEWS = 12
"""Beyond so many views the integer programme takes minutes a frame."""

GAIN = 160.0
"""What one more member of a group may cost, where the geometry decides alone."""

Drawn = list[tuple[Frame, Labels]]


@dataclass(frozen=True)
class StressSet:
    """Held-out frames of one kind.

    Attributes:
        key: its name for `--sets`.
        kind: what it is, in words.
        views: number of cameras.
        calibration: errors of the calibration in times of the usual ones; NaN = drawn as in training.
        more: so many times more frames than asked for are drawn.
        draw: its frames, with labels.
    """

    key: str
    kind: str
    views: int
    calibration: float
    more: int
    draw: Callable[[torch.Generator, int], Drawn]


@dataclass(frozen=True)
class Rival:
    """A way to associate, at each of the gates that are tried; NaN = it has none."""

    name: str
    at: tuple[tuple[float, Associate], ...]


@dataclass(frozen=True)
class LimitRow:
    """One way on one set of frames (`StressSet`), at its best gate, over all seeds (`GroupingScore`)."""

    kind: str
    views: int
    calibration: float
    method: str
    gate_mm: float
    frames: int
    pair_f1: float
    exact: float
    lowest_f1: float
    milliseconds: float


def many_views(views: int, times: float, generator: torch.Generator, count: int) -> Drawn:
    """Ten people before true cameras, and calibrations so many times as wrong as usual.

    People, rigs and detections are the same for every size of the errors.
    """
    config = SceneConfig((views, views), persons=(10, 10), ghosts=0, chunk=4, calibration=PERFECT_CALIBRATION)
    error = CalibrationError(scale=(times, times), forgotten_distortion=0.0)
    drawn = []
    for scene in sample_scenes(generator, count, config):
        frame, labels = detect_simply(*scene, generator)
        drawn.append((replace(frame, cameras=miscalibrate(Noise(generator), stack([frame.cameras]), error)[0]), labels))
    return drawn


def crowd(views: int, joints: tuple[str, ...], generator: torch.Generator, count: int) -> Drawn:
    """Six to ten people within an arm's length or two, of whom some joints are reported; all where none is named."""
    config = SceneConfig((views, views), persons=(6, 10), ghosts=2, rigs=CROWDED)
    scenes = sample_scenes(generator, count, config)
    return [report_joints(*scene, only(*joints), generator) for scene in scenes] if joints else scenes


def stress_sets() -> tuple[StressSet, ...]:
    """Every set, in the order of the table."""
    many = [
        StressSet(
            f"many-{views}-x{times}", f"ten people, {views} views, errors x {times}", views, float(times), 1,
            partial(many_views, views, float(times)),
        )
        for times in (1, 2, 3) for views in (5, 10, 12, 15, 20, 31)
    ]  # fmt: skip
    kinds = [("crowd", "", (), (2, 3, 4)), ("trunks", ", hips and shoulders", TRUNK, (2, 3)),
             ("hips", ", hips", HIPS, (2, 3))]  # fmt: skip
    crowds = [
        StressSet(
            f"{key}-{views}", f"crowd, {views} views{said}", views, float("nan"), CROWD_FRAMES,
            partial(crowd, views, joints),
        )
        for key, said, joints, numbers in kinds for views in numbers
    ]  # fmt: skip
    return (*many, *crowds)


def chosen_sets(beginnings: Sequence[str]) -> list[StressSet]:
    """The sets whose names begin so; `InputError` lists the names where a beginning is of none."""
    sets = stress_sets()
    for beginning in beginnings:
        if not any(one.key.startswith(beginning) for one in sets):
            raise InputError(f"--sets {beginning}: no set is called so; known: {' '.join(one.key for one in sets)}")
    found = [one for one in sets if one.key.startswith(tuple(beginnings))]
    if not found:
        raise InputError("--sets is empty; a beginning of a set's name is expected.")
    return found


def geometry_alone(associator: Associator, frames: Sequence[Frame], *, gain: float = GAIN) -> list[AssociationResult]:
    """No diffusion: set packing on ``gain (m - 1) - cost`` of the candidates."""
    results = [AssociationResult(nobody(len(frame.cameras), frame.detections.valid.device)) for frame in frames]
    seeing = [row for row, frame in enumerate(frames) if sees_enough(frame)]
    if not seeing:
        return results
    problem = associator.problems([frames[row] for row in seeing])
    for place, row in enumerate(seeing):
        own = problem.graph.sample == place
        members, cost = problem.members[own, : len(frames[row].cameras)], problem.cost[own]
        count = (members != ABSENT).sum(1)
        chosen = set_packing(torch.where(count >= 2, (count - 1) * gain - cost, -1.0), members)
        sure = torch.ones(int(chosen.sum()), dtype=torch.float64, device=cost.device)
        results[row] = AssociationResult(Association(members[chosen], sure))
    return results


def rivals(associator: Associator, views: int, gates: Sequence[float]) -> Iterator[Rival]:
    """Every way that is run on frames of so many views."""
    none = float("nan")
    yield Rival("ours", ((none, associator.associate),))
    if views <= FEW_VIEWS:
        for name, steps in (("ours, one pass", 1), ("ours, six steps", 6)):
            yield Rival(name, ((none, partial(associator.associate, sampler=SamplerConfig(steps=steps))),))
        yield Rival("geometry alone", ((none, partial(geometry_alone, associator)),))
    for one in CLASSIC:
        if one.key != "integer_programme" or views <= PROGRAMME_VIEWS:
            tries = tuple((gate, associate_each(partial(one.associate, gate_mm=gate))) for gate in gates)
            yield Rival(one.name, tries)


def measure(stress: StressSet, scenes: Sequence[Drawn], rival: Rival, batch: int) -> LimitRow:
    """The row of a way at the gate where its pairs are best."""
    frames = sum(map(len, scenes))
    rows = [
        LimitRow(
            stress.kind, stress.views, stress.calibration, rival.name, gate, frames,
            **asdict(score(associate, scenes, batch)),
        )
        for gate, associate in rival.at
    ]  # fmt: skip
    return max(rows, key=lambda row: row.pair_f1)


@dataclass(frozen=True)
class LimitsBench:
    """Score the association where it is hard, on held-out synthetic frames, beside the classic associators.

    Ten people before 5 to 31 cameras whose calibration is one to three times as wrong as usual; crowds before few
    cameras; and crowds of whom hips and shoulders, or hips alone, are reported. Classic associators are shown at the
    gate that suits them best on these very frames.
    """

    sets: tuple[str, ...] = ("many", "crowd", "trunks", "hips")
    """Beginnings of the sets' names: many-12-x2 is 12 views with twice the errors, crowd-3 a crowd before three."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the scenes."""
    frames: Count = 2
    """Frames of every set of many views and seed; sixteen times as many of crowds."""
    batch: Count = 8
    """Frames that ours computes together."""
    gates: tuple[float, ...] = (50.0, 100.0, 150.0, 200.0)
    """Gates of the classic associators that are tried, mm."""
    weights: PathOption = None
    """Other weights of the associator than the shipped ones."""
    out: Path = Path("data/results/limits.json")
    """Result file."""

    def run(self) -> int:
        """Measure, print, write."""
        require_numbers("seeds", self.seeds, 0)
        if not self.gates or min(self.gates) <= 0:
            raise InputError("--gates: positive numbers are expected, in mm.")
        require_file(self.out)
        torch.set_num_threads(1)
        sets, associator, rows = chosen_sets(self.sets), load_associator(self.weights), []
        for stress in tqdm(sets, unit="set"):
            scenes = [stress.draw(held_out(seed), self.frames * stress.more) for seed in self.seeds]
            for rival in rivals(associator, stress.views, self.gates):
                rows.append(measure(stress, scenes, rival, self.batch))
                tqdm.write(line(rows[-1]))
        write_figures(self.out, SCHEMA, {"rows": [asdict(row) for row in rows]})
        return 0


def line(row: LimitRow) -> str:
    """A row as a line of text."""
    gate = "" if math.isnan(row.gate_mm) else f"at {row.gate_mm:.0f} mm"
    return (
        f"{row.kind:<36} {row.method:<23} {gate:<9} pair F1 {row.pair_f1:6.2f}, worst seed {row.lowest_f1:6.2f}, "
        f"exact {row.exact:6.2f}, {row.milliseconds:7.1f} ms a frame"
    )

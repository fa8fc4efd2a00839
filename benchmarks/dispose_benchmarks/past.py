"""What other frames are worth: crowds decided frame by frame, with the past, and with the frames before and after."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import process_time

import torch
from jaxtyping import Int
from torch import Tensor
from tqdm import tqdm

from dispose.formats.folders import require_file
from dispose.inference.past import associate_after
from dispose.inference.readings import Source
from dispose.inference.run import Decide, Kept, after_the_last, each_alone, in_windows, run
from dispose.inference.tracking import Memory, TrackingConfig, link
from dispose.inference.window import decide_in_memory, reach_of
from dispose.metrics.association import PairCounts, count_pairs
from dispose.models.dispose.associator import Associator
from dispose.options import Count, PathOption
from dispose.scene.frame import Frame, Labels, stack_rigs
from dispose.scene.labels import association_of_identities
from dispose.scene.results import Association, FrameResult, reconstruct_each
from dispose.tensors import ABSENT
from dispose.zoo import load_associator
from dispose_benchmarks.report import require_numbers, write_figures
from dispose_synthetic.detectors.parameters import DETECTORS
from dispose_synthetic.randomness import Noise
from dispose_synthetic.rigs import CalibrationError, miscalibrate, sample_rigs
from dispose_synthetic.sequences import SequenceConfig, sample_sequence

SCHEMA = "dispose.bench.past/1"
HELD_OUT = 9_000_000_000
"""Added to seeds: training draws from others."""

ROOM_MM = 800.0
RATE_HZ = 25.0
EVERY = 4
"""Every so many frames two people are exchanged."""

WITHIN = 3
"""Frames in which an exchange of two people has to be mended."""

Scenes = Sequence[tuple[Frame, Labels]]
Tally = tuple[int, int]
"""How many exchanges were mended, and how many made."""


@dataclass(frozen=True)
class PastRow:
    """Sequences of one number of views, decided one way; shares in percent.

    Attributes:
        method: frames alone, with the past, or with the frames around.
        views: cameras.
        frames: over all sequences.
        pair_f1: of pairs of detections.
        exact: people whose detections are one group, complete and alone.
        switches: how often a person's number changes, per minute of a person.
        mended: exchanges of two people in one view that are gone: made in the frame before, within `WITHIN` frames;
            with the frames around, made in the first answer to a frame, from its last.
        exchanges: how many were made.
        milliseconds: processor time of a frame, from detections to numbered skeletons.
    """

    method: str
    views: int
    frames: int
    pair_f1: float
    exact: float
    switches: float
    mended: float
    exchanges: int
    milliseconds: float


def draw_sequence(views: int, seed: int, frames: int) -> list[tuple[Frame, Labels]]:
    """Six to nine people who cross a small room before cameras that are up to twice as wrong as usual."""
    generator = torch.Generator().manual_seed(HELD_OUT + 1000 * views + seed)
    (rig,) = sample_rigs(generator, 1, views)
    config = SequenceConfig(rate_hz=RATE_HZ, room_mm=ROOM_MM, walkers=0.5, detector=DETECTORS[seed % len(DETECTORS)])
    scenes = sample_sequence(generator, frames, 6 + seed % 4, rig, config)
    error = CalibrationError(scale=(0.0, 2.0), forgotten_distortion=0.0)
    wrong = replace(miscalibrate(Noise(generator), stack_rigs([rig]), error)[0], names=rig.names, present=None)
    return [(replace(frame, cameras=wrong), labels) for frame, labels in scenes]


def numbers_of(association: Association, ids: Int[Tensor, " persons"], labels: Labels) -> dict[int, int]:
    """The number that most of a labelled person's detections have."""
    found: dict[int, list[int]] = {}
    for row, number in zip(association.members.tolist(), ids.tolist(), strict=True):
        for view, slot in enumerate(row):
            if slot != ABSENT and (who := int(labels.identity[view, slot])) != ABSENT:
                found.setdefault(who, []).append(number)
    return {who: max(set(numbers), key=numbers.count) for who, numbers in found.items()}


def exchange(
    truth: Association, identity: Int[Tensor, "views slots"], view: int
) -> tuple[Association, list[int]] | None:
    """Two people whom every view sees, exchanged in one view, and who they are; None where there are no two."""
    rows = (truth.members != ABSENT).all(1).nonzero()[:2, 0]
    if len(rows) < 2:
        return None
    members = truth.members.clone()
    members[rows, view] = members[rows.flip(0), view]
    return replace(truth, members=members), identity[0, truth.members[rows, 0]].tolist()


def is_mixed(association: Association, labels: Labels, people: Sequence[int]) -> bool:
    """Whether a group holds detections of both."""
    for row in association.members.tolist():
        who = {int(labels.identity[view, slot]) for view, slot in enumerate(row) if slot != ABSENT}
        if len(who & set(people)) > 1:
            return True
    return False


def count_mended(associator: Associator, scenes: Scenes, view: int, *, past: bool) -> Tally:
    """Exchanges made in the frame before that are gone within a few frames: one every `EVERY`-th frame."""
    mended = made = 0
    for start in range(2, len(scenes) - WITHIN - 1, EVERY):
        memory = Memory()
        for frame, labels in scenes[start - 2 : start]:
            association = association_of_identities(labels.identity)
            memory, _ = link(memory, associator.reconstruct_frame(frame, association), frame)
        frame, labels = scenes[start]
        wrong = exchange(association_of_identities(labels.identity), labels.identity, view)
        if wrong is None:
            continue
        memory, _ = link(memory, associator.reconstruct_frame(frame, wrong[0]), frame)
        made += 1
        for frame, labels in scenes[start + 1 : start + 1 + WITHIN]:
            found = associate_after(associator.associate, frame, memory if past else Memory()).association
            memory, _ = link(memory, associator.reconstruct_frame(frame, found), frame)
            if not is_mixed(found, labels, wrong[1]):
                mended += 1
                break
    return mended, made


def count_mended_around(associator: Associator, scenes: Scenes, results: Sequence[FrameResult], view: int) -> Tally:
    """Exchanges in the first answer to a frame that are gone from its last; the first answers around are `results`."""
    mended = made = 0
    reach, reconstruct = reach_of(TrackingConfig()), reconstruct_each(associator.reconstruct_frame)
    for start in range(2, len(scenes) - WITHIN - 1, EVERY):
        frame, labels = scenes[start]
        wrong = exchange(association_of_identities(labels.identity), labels.identity, view)
        if wrong is None:
            continue
        first = max(start - reach, 0)
        around = list(results[first : start + reach + 1])
        around[start - first] = FrameResult(associator.reconstruct_frame(frame, wrong[0]), frame)
        decided = decide_in_memory(around, associator.associate, reconstruct, TrackingConfig())
        made += 1
        mended += not is_mixed(decided[start - first].prediction.association, labels, wrong[1])
    return mended, made


@dataclass(frozen=True)
class WayOverTime:
    """One way to decide frames that follow each other, and how what it makes of exchanges is counted."""

    name: str
    decide: Decide
    count_mended: Callable[[Associator, Scenes, Sequence[FrameResult], int], Tally]


WAYS = (
    WayOverTime(
        "every frame alone", each_alone, lambda who, scenes, _, view: count_mended(who, scenes, view, past=False)
    ),
    WayOverTime(
        "the past as a view", after_the_last, lambda who, scenes, _, view: count_mended(who, scenes, view, past=True)
    ),
    WayOverTime("the frames around", in_windows, count_mended_around),
)


def measure(
    associator: Associator,
    sequences: Sequence[Scenes],
    alone: Sequence[Sequence[FrameResult]],
    views: int,
    way: WayOverTime,
) -> tuple[PastRow, list[Sequence[FrameResult]]]:
    """One row and the answers; `alone` are those to every frame by itself, where they are known."""
    counts, seconds, switches, seen, mended, made = PairCounts(), 0.0, 0, 0, 0, 0
    reconstruct, answers = reconstruct_each(associator.reconstruct_frame), list[Sequence[FrameResult]]()
    for place, scenes in enumerate(sequences):
        known, sink, started = dict[int, int](), Kept(), process_time()
        run(Source.of(scenes), associator.associate, reconstruct, sink, decide=way.decide)
        seconds += process_time() - started
        for result, (_, labels) in zip(sink.results, scenes, strict=True):
            found = result.prediction.association
            counts += count_pairs(found, labels.identity)
            now = numbers_of(found, result.prediction.poses.id, labels)
            switches += sum(known.get(who, number) != number for who, number in now.items())
            seen += len(now)
            known |= now
        answers.append(sink.results)
        one, all_made = way.count_mended(associator, scenes, alone[place] if alone else sink.results, place % views)
        mended, made = mended + one, made + all_made
    frames = sum(map(len, sequences))
    minutes = max(seen, 1) / RATE_HZ / 60
    row = PastRow(
        way.name, views, frames, 100 * counts.f1, 100 * counts.exact_rate, switches / minutes,
        100 * mended / max(made, 1), made, 1000 * seconds / frames,
    )  # fmt: skip
    return row, answers


@dataclass(frozen=True)
class PastBench:
    """Decide sequences of crowds frame by frame, with the people of the last frames, and with those around
    (`dispose predict --past`, `--window`).
    """

    views: tuple[int, ...] = (2, 3, 4)
    """Numbers of cameras."""
    sequences: Count = 8
    """Sequences for each, one of every kind of detector in turn."""
    frames: Count = 50
    """Frames of a sequence, at 25 a second."""
    weights: PathOption = None
    """Weights of the associator (default: those of the package)."""
    out: Path = Path("data/results/past.json")
    """Result file."""

    def run(self) -> int:
        """Measure, print, write."""
        require_numbers("views", self.views, 2)
        require_file(self.out)
        torch.set_num_threads(1)
        associator, rows = load_associator(self.weights), []
        for views in tqdm(self.views, unit="number of views"):
            drawn = [draw_sequence(views, seed, self.frames) for seed in range(self.sequences)]
            alone: Sequence[Sequence[FrameResult]] = ()
            for way in WAYS:
                row, answers = measure(associator, drawn, alone, views, way)
                rows, alone = [*rows, row], alone or answers
        print("views method               pair F1   exact  switches/min   mended      frame")
        for row in rows:
            print(
                f"{row.views:>5} {row.method:<19} {row.pair_f1:>8.1f} {row.exact:>7.1f} {row.switches:>13.2f} "
                f"{row.mended:>7.1f}% {row.milliseconds:>7.1f} ms"
            )
        write_figures(self.out, SCHEMA, {"rows": [asdict(row) for row in rows]})
        return 0

"""What the last frames are worth: sequences of crowds decided frame by frame, and with the past as one more view."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import process_time

import torch
from jaxtyping import Int
from torch import Tensor
from tqdm import tqdm

from dispose.formats.folders import require_file
from dispose.inference.past import associate_after
from dispose.inference.tracking import Memory, link
from dispose.metrics.association import PairCounts, count_pairs
from dispose.models.dispose.associator import Associator
from dispose.options import Count, PathOption
from dispose.scene.frame import Frame, Labels, stack_rigs
from dispose.scene.labels import association_of_identities
from dispose.scene.results import Association
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
EVERY = 2
"""Every so many frames two people are exchanged."""

WITHIN = 3
"""Frames in which an exchange of two people has to be mended."""

Scenes = Sequence[tuple[Frame, Labels]]


@dataclass(frozen=True)
class PastRow:
    """Sequences of one number of views, decided one way; shares in percent.

    Attributes:
        method: frames alone, or with the past.
        views: cameras.
        frames: over all sequences.
        pair_f1: of pairs of detections.
        exact: people whose detections are one group, complete and alone.
        switches: how often a person's number changes, per minute of a person.
        mended: exchanges of two people in one view, made in the frame before, that are gone within `WITHIN` frames.
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


def follow(associator: Associator, frame: Frame, memory: Memory, past: bool) -> tuple[Association, Memory, Tensor]:
    """One frame: groups, the memory after it, and everybody's number."""
    found = associate_after(associator.associate, frame, memory if past else Memory()).association
    memory, prediction = link(memory, associator.reconstruct_frame(frame, found), frame)
    return found, memory, prediction.poses.id


def numbers_of(association: Association, ids: Int[Tensor, " persons"], labels: Labels) -> dict[int, int]:
    """The number that most of a labelled person's detections have."""
    found: dict[int, list[int]] = {}
    for row, number in zip(association.members.tolist(), ids.tolist(), strict=True):
        for view, slot in enumerate(row):
            if slot != ABSENT and (who := int(labels.identity[view, slot])) != ABSENT:
                found.setdefault(who, []).append(number)
    return {who: max(set(numbers), key=numbers.count) for who, numbers in found.items()}


def exchange(association: Association, view: int) -> tuple[Association, tuple[int, int]] | None:
    """Two people whom every view sees, exchanged in one view; None where there are no two."""
    rows = (association.members != ABSENT).all(1).nonzero()[:2, 0]
    if len(rows) < 2:
        return None
    members = association.members.clone()
    members[rows, view] = members[rows.flip(0), view]
    return replace(association, members=members), (int(rows[0]), int(rows[1]))


def is_mixed(association: Association, labels: Labels, people: Sequence[int]) -> bool:
    """Whether a group holds detections of both."""
    for row in association.members.tolist():
        who = {int(labels.identity[view, slot]) for view, slot in enumerate(row) if slot != ABSENT}
        if len(who & set(people)) > 1:
            return True
    return False


def count_mended(associator: Associator, scenes: Scenes, past: bool, view: int) -> tuple[int, int]:
    """Exchanges that are gone within a few frames, and how many were made: one every `EVERY`-th frame."""
    mended = made = 0
    for start in range(2, len(scenes) - WITHIN - 1, EVERY):
        memory = Memory()
        for frame, labels in scenes[start - 2 : start]:
            association = association_of_identities(labels.identity)
            memory, _ = link(memory, associator.reconstruct_frame(frame, association), frame)
        frame, labels = scenes[start]
        truth = association_of_identities(labels.identity)
        wrong = exchange(truth, view)
        if wrong is None:
            continue
        people = [int(labels.identity[0, truth.members[row, 0]]) for row in wrong[1]]
        memory, _ = link(memory, associator.reconstruct_frame(frame, wrong[0]), frame)
        made += 1
        for frame, labels in scenes[start + 1 : start + 1 + WITHIN]:
            found, memory, _ = follow(associator, frame, memory, past)
            if not is_mixed(found, labels, people):
                mended += 1
                break
    return mended, made


def measure(associator: Associator, sequences: Sequence[Scenes], views: int, past: bool) -> PastRow:
    """One row."""
    counts, seconds, switches, seen, mended, made = PairCounts(), 0.0, 0, 0, 0, 0
    for place, scenes in enumerate(sequences):
        memory, known = Memory(), dict[int, int]()
        for frame, labels in scenes:
            started = process_time()
            found, memory, ids = follow(associator, frame, memory, past)
            seconds += process_time() - started
            counts += count_pairs(found, labels.identity)
            now = numbers_of(found, ids, labels)
            switches += sum(known.get(who, number) != number for who, number in now.items())
            seen += len(now)
            known |= now
        one, all_made = count_mended(associator, scenes, past, place % views)
        mended, made = mended + one, made + all_made
    frames = sum(map(len, sequences))
    minutes = max(seen, 1) / RATE_HZ / 60
    method = "the past as a view" if past else "every frame alone"
    return PastRow(
        method, views, frames, 100 * counts.f1, 100 * counts.exact_rate, switches / minutes,
        100 * mended / max(made, 1), made, 1000 * seconds / frames,
    )  # fmt: skip


@dataclass(frozen=True)
class PastBench:
    """Decide sequences of crowds frame by frame and with the past as one more view (`dispose predict --past`)."""

    views: tuple[int, ...] = (2, 3, 4)
    """Numbers of cameras."""
    sequences: Count = 8
    """Sequences for each, one of every kind of detector in turn."""
    frames: Count = 25
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
            rows += [measure(associator, drawn, views, past) for past in (False, True)]
        print("views method               pair F1   exact  switches/min   mended      frame")
        for row in rows:
            print(
                f"{row.views:>5} {row.method:<19} {row.pair_f1:>8.1f} {row.exact:>7.1f} {row.switches:>13.2f} "
                f"{row.mended:>7.1f}% {row.milliseconds:>7.1f} ms"
            )
        write_figures(self.out, SCHEMA, {"rows": [asdict(row) for row in rows]})
        return 0

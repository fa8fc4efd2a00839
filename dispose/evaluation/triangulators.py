"""Ways from groups of keypoints to joints, beside each other: the same frames, the same groups, the same measures.

HumanEva's people moved before real cameras, and what a detector says of them is simulated: 3 pixels of noise, and one
point of ten is displaced by 30 instead. Groups are known there; elsewhere they are those of the shipped associator,
found once and handed to every triangulator.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from pathlib import Path

import torch

from dispose.association.reconstruct import (
    Triangulate,
    gather_groups,
    predictions_of,
)
from dispose.datasets.tables.humaneva import read_humaneva
from dispose.errors import InputError
from dispose.evaluation.joints import bone_figures, joint_figures, ranking_figures
from dispose.evaluation.measures import shelf_figures
from dispose.evaluation.protocols import (
    MVOR_OPENPOSE_DISTINCT,
    MVOR_RTPOSE,
    SHELF_DEV,
    Protocol,
    mvor_joints,
)
from dispose.evaluation.reports import Figure, Row, figures_of
from dispose.evaluation.score import Method, answers, gather, oracle_method, without_joints
from dispose.inference.capture import read_capture, source_of
from dispose.inference.readings import Source
from dispose.scene.convert import shelf_poses
from dispose.scene.frame import Frame, Labels, Poses
from dispose.scene.results import Associate, Association, AssociationResult, Prediction, reconstruct_each
from dispose.skeletons.catalog import HUMANEVA_15
from dispose.tensors import ABSENT
from dispose_synthetic.detectors.points import PointNoise, detect_points

LIMBS = tuple(joint for joint in HUMANEVA_15.joints if joint.startswith(("l_", "r_")))
"""Shoulders to wrists and hips to ankles."""

SEEDS = (0, 1, 2)
EVERY = 4
BATCH = 64


@dataclass(frozen=True)
class Trial:
    """Frames on which triangulators are compared.

    Attributes:
        name: on the command line.
        folder: what it needs of the folder of the data.
        draws: the same frames with other random noise; a figure is the median of theirs.
        group: from frames to their groups, which are the same for every triangulator.
        views: cameras to use, by position; all where None.
    """

    name: str
    folder: str
    draws: tuple[Protocol, ...]
    group: Callable[[Source], Associate]
    views: tuple[int, ...] | None = None

    @property
    def title(self) -> str:
        """What it is, for people."""
        return self.draws[0].title


def chosen_trials(trials: Sequence[Trial], names: Sequence[str]) -> list[Trial]:
    """The trials of some names, all where none is given; `InputError` lists the names for another."""
    known = {trial.name: trial for trial in trials}
    for name in names:
        if name not in known:
            raise InputError(f"--protocols {name}: there is none of that name; known: {', '.join(known)}")
    return [known[name] for name in names or known]


def compare(trial: Trial, data: Path, table: Sequence[tuple[str, Triangulate]]) -> Iterator[Row]:
    """A row for every triangulator, by name; `seconds` is the mean time of a frame's triangulation.

    Raises `InputError` where the trial's data are not in the folder.
    """
    if not (data / trial.folder).is_dir():
        raise InputError(f"{data / trial.folder}: there is no such folder; data/README.md says how to obtain it.")
    drawn: dict[str, list[tuple[Figure, ...]]] = {name: [] for name, _ in table}
    spent, frames = dict.fromkeys(drawn, 0.0), 0
    for protocol in trial.draws:
        source = gather(protocol.read(data), trial.views)
        groups = trial.group(source)
        frames = len(source.numbers)
        for name, triangulate in table:
            clocked = Clocked(triangulate)
            method = Method(name, groups, clocked.reconstruct)
            found = answers(source, method, title=f"{trial.name}: {name}", batch=BATCH)
            drawn[name].append(figures_of(found.results, protocol.measures))
            spent[name] += clocked.seconds
    for name, figures in drawn.items():
        seconds = spent[name] / max(frames * len(trial.draws), 1)
        yield Row(name, trial.draws[0].detections, frames, None, medians(figures), seconds)


class Clocked:
    """A triangulator as a reconstruction of frames, and how long it has taken."""

    def __init__(self, triangulate: Triangulate) -> None:
        self.triangulate, self.seconds = triangulate, 0.0

    def reconstruct(self, frames: Sequence[Frame], associations: Sequence[Association]) -> list[Prediction]:
        """The skeletons of groups."""
        evidence = gather_groups(frames, associations)
        start = time.perf_counter()
        poses = self.triangulate(evidence)
        self.seconds += time.perf_counter() - start
        return predictions_of(frames, associations, poses)


def medians(drawn: Sequence[tuple[Figure, ...]]) -> tuple[Figure, ...]:
    """Of several runs the median of every figure (of every entry where it has several)."""
    return tuple(Figure(same[0].name, _median([figure.value for figure in same])) for same in zip(*drawn, strict=True))


def _median(values: Sequence[float | tuple[float, ...]]) -> float | tuple[float, ...]:
    numbers = [value for value in values if isinstance(value, float)]
    if len(numbers) == len(values):
        # A value that is no number must not be sorted away.
        return statistics.median(numbers) if all(value == value for value in numbers) else float("nan")
    several = [value for value in values if isinstance(value, tuple)]
    return tuple(statistics.median(column) for column in zip(*several, strict=True))


def labelled_groups(source: Source) -> Associate:
    """Everybody's detections, by the labels."""
    return oracle_method(source).associate


def found_groups(associate: Associate) -> Callable[[Source], Associate]:
    """The groups of an associator, asked once for all frames."""

    def group(source: Source) -> Associate:
        method = Method("groups", associate, reconstruct_each(without_joints))
        found = answers(source, method, title="who is who")
        known = {one.prediction.number: one.prediction.association for one in found.results}
        return lambda frames: [AssociationResult(known[frame.number]) for frame in frames]

    return group


def humaneva_trial(views: int) -> Trial:
    """HumanEva's validation clips, one frame of four, before so many of its cameras, with three seeds of noise.

    Fewer views than there are: all choices of them, pooled.
    """

    def read(folder: Path, *, seed: int) -> Iterator[tuple[Frame, Labels]]:
        generator, number = torch.Generator().manual_seed(seed), 0
        for frame, labels in read_humaneva(folder / "humaneva", every=EVERY):
            seen, known = detect_points(frame, labels, PointNoise(), generator)
            for some in combinations(range(len(frame.cameras)), views):
                yield replace(seen.select(views=list(some)), number=number), known.select(views=list(some))
                number += 1

    said = f"HumanEva, {views} views"
    measures = (partial(joint_figures, joints=LIMBS),)
    draws = tuple(
        Protocol(f"humaneva_{views}", f"{said}, 3 px of noise and a tenth of the points displaced by 30 px, 12 joints",
                 said, partial(read, seed=seed), measures)
        for seed in SEEDS
    )  # fmt: skip
    return Trial(f"humaneva_{views}", "humaneva", draws, labelled_groups)


def read_pose2sim(folder: Path) -> Iterator[tuple[Frame, Labels]]:
    """The frames of the two-person capture of Pose2Sim, of which no truth is known."""
    source = source_of(read_capture(folder / "raw" / "pose2sim_multi"))
    for number in source.numbers:
        reading = source.read(number)
        assert reading is not None, "a capture on disk does not end early"
        nobody = torch.full(reading.frame.detections.valid.shape, ABSENT)
        nothing = torch.zeros(0, len(reading.frame.detections.skeleton), dtype=torch.float64)
        people = Poses(reading.frame.detections.skeleton, nothing[..., None].expand(*nothing.shape, 3), nothing,
                       nothing > 0, torch.zeros(0, dtype=torch.long))  # fmt: skip
        yield reading.frame, Labels.of_detections(nobody, people)


def trials(associate: Associate) -> tuple[Trial, ...]:
    """All of them, in the order of the tables; groups that are not labelled are those of an associator."""
    group = found_groups(associate)
    shelf = (shelf_figures, partial(ranking_figures, prepare=shelf_poses, min_joints=6), bone_figures)
    mvor = (partial(ranking_figures, prepare=mvor_joints, min_joints=3), bone_figures)
    some = (0, 2, 4)
    each = (
        (None, replace(SHELF_DEV, name="shelf", detections="Shelf, 5 views", measures=shelf)),
        (some, replace(SHELF_DEV, name="shelf_0_2_4", title=f"{SHELF_DEV.title}, views 0, 2 and 4",
                       detections="Shelf, views 0 2 4", measures=shelf)),
        *((None, replace(one, detections=f"MVOR, {one.detections}", measures=(*one.measures[1:], *mvor)))
          for one in (MVOR_RTPOSE, MVOR_OPENPOSE_DISTINCT)),
        (None, Protocol("pose2sim_multi", "the two-person capture of Pose2Sim", "Pose2Sim, two people",
                        read_pose2sim, (bone_figures,))),
    )  # fmt: skip
    folders = ("shelf", "shelf", "mvor", "mvor", "raw/pose2sim_multi")
    return (
        humaneva_trial(3),
        humaneva_trial(2),
        *(Trial(one.name, folder, (one,), group, views) for folder, (views, one) in zip(folders, each, strict=True)),
    )

"""Ways from groups of keypoints to joints, beside each other: the same frames, the same groups, the same measures.

HumanEva's people moved before real cameras, and what a detector says of them is simulated: 3 pixels of noise, and one
point of ten is displaced by 30 instead. Groups are known there; elsewhere they are those of the shipped associator,
found once and handed to every triangulator.
"""

import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from pathlib import Path

import torch

from dispose.association.packing import gather_groups
from dispose.association.reconstruct import Triangulate, predictions_of
from dispose.datasets.human36m_views import DETECTIONS, POSES
from dispose.datasets.tables.humaneva import read_humaneva
from dispose.datasets.tables.videopose3d import read_videopose3d
from dispose.errors import InputError
from dispose.evaluation.claims import Claims, claim_rows, claims_of
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
from dispose.evaluation.view_trials import panoptic_views, synthetic_views
from dispose.inference.capture import read_capture, source_of
from dispose.inference.readings import Source
from dispose.scene.convert import shelf_poses
from dispose.scene.frame import Frame, Labels, Poses
from dispose.scene.labels import association_of_identities
from dispose.scene.results import (
    Associate,
    Association,
    AssociationResult,
    FrameResult,
    Prediction,
    associate_each,
    reconstruct_each,
)
from dispose.skeletons.catalog import COCO_17, HUMANEVA_15
from dispose.tensors import ABSENT
from dispose_synthetic.detectors.points import PointNoise, detect_points
from dispose_synthetic.human36m_rig import TEST_SUBJECTS, human36m_rig

LIMBS = tuple(joint for joint in HUMANEVA_15.joints if joint.startswith(("l_", "r_")))
"""Shoulders to wrists and hips to ankles."""

HUMAN36M_KEYPOINTS = f"human36m/{DETECTIONS.pattern}"
HUMAN36M_EVERY = 64

SEEDS = (0, 1, 2)
EVERY = 4
BATCH = 64


@dataclass(frozen=True)
class Trial:
    """Frames on which triangulators are compared.

    Attributes:
        name: on the command line.
        folder: what it needs of the folder of the data, a folder or a file; empty where it draws its own frames.
        draws: the same frames with other random noise; a figure is the median of theirs.
        group: from frames to their groups, which are the same for every triangulator.
        views: cameras to use, by position; all where None.
        joints: those whose claims are compared with the truth; none where it is not known of everybody.
    """

    name: str
    folder: str
    draws: tuple[Protocol, ...]
    group: Callable[[Source], Associate]
    views: tuple[int, ...] | None = None
    joints: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What it is, for people."""
        return self.draws[0].title


@dataclass(frozen=True)
class Compared:
    """Rows for every triangulator by name: of trials with one rig, by number of cameras, and of what was claimed."""

    rows: tuple[Row, ...] = ()
    by_views: tuple[Row, ...] = ()
    claims: tuple[Row, ...] = ()

    def __add__(self, other: "Compared") -> "Compared":
        return Compared(self.rows + other.rows, self.by_views + other.by_views, self.claims + other.claims)


@dataclass(frozen=True, eq=False)
class Said:
    """What remains of the answers to one draw: figures and frames by number of cameras, claims, seconds a frame."""

    figures: dict[int, tuple[Figure, ...]]
    frames: dict[int, int]
    claims: Claims | None
    seconds: float


def chosen_trials(trials: Sequence[Trial], names: Sequence[str]) -> list[Trial]:
    """The trials of some names, all where none is given; `InputError` lists the names for another."""
    known = {trial.name: trial for trial in trials}
    for name in names:
        if name not in known:
            raise InputError(f"--protocols {name}: there is none of that name; known: {', '.join(known)}")
    return [known[name] for name in names or known]


def compare(trial: Trial, data: Path, table: Sequence[tuple[str, Triangulate]]) -> Compared:
    """What a trial says about triangulators, by name; `Row.seconds` is the mean time of a frame's triangulation.

    Raises `InputError` where the trial's data are not in the folder.
    """
    if not (data / trial.folder).exists():
        raise InputError(f"{data / trial.folder}: not there; data/README.md says how to obtain it.")
    said: dict[str, list[Said]] = {name: [] for name, _ in table}
    for protocol in trial.draws:
        source = gather(protocol.read(data), trial.views)
        groups = trial.group(source)
        for name, triangulate in table:
            clocked = Clocked(triangulate)
            method = Method(name, groups, clocked.reconstruct)
            found = answers(source, method, title=f"{trial.name}: {name}", batch=BATCH)
            said[name].append(summary(trial, protocol, found.results, clocked.seconds))
    return sum((tables_of(trial, name, draws) for name, draws in said.items()), Compared())


def summary(trial: Trial, protocol: Protocol, results: Sequence[FrameResult], seconds: float) -> Said:
    """What remains of the answers to one draw."""
    rigs: dict[int, list[FrameResult]] = {}
    for one in results:
        rigs.setdefault(one.prediction.association.members.shape[1], []).append(one)
    figures = {views: figures_of(some, protocol.measures) for views, some in rigs.items()}
    claims = claims_of(results, trial.joints) if trial.joints else None
    frames = {views: len(some) for views, some in rigs.items()}
    return Said(figures, frames, claims, seconds / max(len(results), 1))


def tables_of(trial: Trial, name: str, draws: Sequence[Said]) -> Compared:
    """The rows of one triangulator."""
    detections, seconds = trial.draws[0].detections, statistics.mean(one.seconds for one in draws)
    rigs, rows = draws[0].frames, []
    for views, frames in rigs.items():
        figures = medians([one.figures[views] for one in draws])
        told = (Figure("views", float(views)),) if len(rigs) > 1 else ()
        rows.append(Row(name, detections, frames, None, (*told, *figures), seconds))
    known = [one.claims for one in draws if one.claims is not None]
    claims = tuple(claim_rows(name, detections, sum(rigs.values()), known)) if known else ()
    return Compared((), tuple(rows), claims) if len(rows) > 1 else Compared(tuple(rows), (), claims)


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


def everybody_seen(source: Source) -> Associate:
    """Everybody's detections, by the labels, also of those whom a single view sees."""
    known = {number: reading.labels for number in source.numbers if (reading := source.read(number)) is not None}

    def associate(frame: Frame) -> Association:
        labels = known[frame.number]
        if labels is None:
            raise InputError(f"frame {frame.number} has no labels to group by")
        return association_of_identities(labels.identity, fewest=1)

    return associate_each(associate)


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

    Fewer views than there are: each frame before one of the choices of them, all in turn.
    """

    def read(folder: Path, *, seed: int) -> Iterator[tuple[Frame, Labels]]:
        generator = torch.Generator().manual_seed(seed)
        for number, pair in enumerate(read_humaneva(folder / "humaneva", every=EVERY)):
            seen, known = detect_points(*pair, PointNoise(), generator)
            choices = [*combinations(range(len(seen.cameras)), views)]
            some = list(choices[number % len(choices)])
            yield seen.select(views=some), known.select(views=some)

    said = f"HumanEva, {views} views"
    measures = (partial(joint_figures, joints=LIMBS),)
    draws = tuple(
        Protocol(f"humaneva_{views}", f"{said}, 3 px of noise and a tenth of the points displaced by 30 px, 12 joints",
                 said, partial(read, seed=seed), measures)
        for seed in SEEDS
    )  # fmt: skip
    return Trial(f"humaneva_{views}", "humaneva", draws, labelled_groups, joints=LIMBS)


def human36m_trial() -> Trial:
    """Human3.6M's test subjects by a detector's keypoints of all four views, one frame of `HUMAN36M_EVERY`."""

    def read(folder: Path) -> Iterator[tuple[Frame, Labels]]:
        path = folder / HUMAN36M_KEYPOINTS
        recordings = read_videopose3d(path.with_name(POSES), path, human36m_rig, TEST_SUBJECTS)
        some = [found.frame(n) for found in recordings.values() for n in found.numbers[::HUMAN36M_EVERY]]
        for number, (frame, labels) in enumerate(some):
            yield replace(frame, number=number), labels

    protocol = Protocol("human36m", "Human3.6M, S9 and S11, keypoints of CPN in four views, 12 joints",
                        "Human3.6M, CPN", read, (partial(joint_figures, joints=LIMBS),))  # fmt: skip
    return Trial("human36m", HUMAN36M_KEYPOINTS, (protocol,), labelled_groups, joints=LIMBS)


def view_trial(name: str, folder: str, title: str, detections: str, read: Callable[..., Iterable]) -> Trial:
    """People whose groups are known, before more and more cameras."""
    measures = (partial(joint_figures, joints=COCO_17.joints),)
    draws = tuple(Protocol(name, title, detections, partial(read, seed=seed), measures) for seed in SEEDS)
    return Trial(name, folder, draws, everybody_seen, joints=COCO_17.joints)


VIEW_TRIALS = (
    view_trial("synthetic_views", "", "synthetic people before one to ten cameras", "synthetic", synthetic_views),
    view_trial("panoptic_views", "panoptic_mini", "Panoptic's people before two to ten of 31 cameras, 6 px of noise "
               "and a tenth of the points displaced by 60 px", "Panoptic mini", panoptic_views),
)  # fmt: skip


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
        human36m_trial(),
        *(Trial(one.name, folder, (one,), group, views) for folder, (views, one) in zip(folders, each, strict=True)),
        *VIEW_TRIALS,
    )

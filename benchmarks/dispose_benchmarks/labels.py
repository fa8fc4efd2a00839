"""Pseudo-labels before any learning: how good they are by every associator, how fast, and what faults do to them.

Truth is read by the scoring alone: labels are made of `Frame` records, which hold none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from dispose.datasets.tables.reading import read_cameras
from dispose.errors import InputError
from dispose.evaluation.protocols import MVOR_OPENPOSE_DISTINCT, SHELF_DEV, Protocol
from dispose.evaluation.reports import Figure, figures_of
from dispose.formats.folders import require_file
from dispose.formats.pseudo_labels import gather_labels
from dispose.metrics.association import PairCounts, count_pairs
from dispose.options import Count
from dispose.preparation.associators import ASSOCIATORS, WINDOWS, grouping_of
from dispose.preparation.labels import LabelSettings, SequenceLabels, label_frames
from dispose.preparation.programme import ProgrammeConfig, group_by_programme
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Frame, Labels
from dispose.scene.results import FrameResult
from dispose.scene.teaching import exchange_cameras
from dispose.skeletons.catalog import PANOPTIC_15
from dispose.zoo.triangulators import DEFAULT_TRIANGULATOR, load_triangulator
from dispose_benchmarks.association import bench_frame
from dispose_benchmarks.faults import late, turned
from dispose_benchmarks.report import write_figures
from dispose_benchmarks.studies.fault_captures import LabelledCapture, Take, pose2sim_multi, shelf

SCHEMA = "dispose.bench.labels/1"
PROTOCOLS = (SHELF_DEV, MVOR_OPENPOSE_DISTINCT)
SHOWN = ("pair_precision", "pair_recall", "pair_f1", "exact", "pcp", "ap_150", "mpjpe_mm")
FALSE_SHARE = 0.3
LATE_FRAMES, TURN_DEG, AT_FAULT = 5, 2.0, 1
"""The camera at fault is the second one; exchanged are the second and the third."""


@dataclass(frozen=True)
class MadeRow:
    """Labels of a data set by one associator: figures as its protocol has them, seconds of a frame's grouping."""

    data: str
    associator: str
    frames: int
    figures: tuple[tuple[str, float], ...]
    seconds: float
    stopped_early: int


@dataclass(frozen=True)
class SpeedRow:
    """Ten views of ten people: seconds of the processor for a frame, mean and longest, and what was not proven."""

    views: int
    persons: int
    frames: int
    seconds: float
    longest: float
    stopped_early: int
    largest_gap: float


@dataclass(frozen=True)
class SpoiltRow:
    """A fault in a capture: which cameras the report names and leaves out; labels of the other views, percent."""

    capture: str
    fault: str
    at_fault: tuple[str, ...]
    named: tuple[str, ...]
    left_out: tuple[str, ...]
    pair_f1: float
    pair_f1_clean: float
    exact: float
    exact_clean: float


def refined_pose2sim(data: Path) -> LabelledCapture:
    """Pose2Sim's demo with its refined cameras: those published are turned by about as much as is injected here."""
    cameras = read_cameras(data / "pose2sim" / "cameras_refined.json")
    return replace(pose2sim_multi(data), cameras=cameras)


def settings_of(associator: str, joints: tuple[str, ...], rate_hz: float) -> LabelSettings:
    """As `dispose prepare` has them."""
    grouping = grouping_of(associator, joints, rate_hz=rate_hz)
    return LabelSettings(
        group=grouping.group,
        group_name=grouping.title,
        margin=grouping.margin,
        triangulate=load_triangulator(DEFAULT_TRIANGULATOR),
        rate_hz=rate_hz,
    )


def score_made(protocol: Protocol, associator: str, data: Path) -> MadeRow:
    """Make the labels of a protocol's frames and score them as they are written."""
    pairs = list(protocol.read(data))
    made = label_frames(protocol.name, [frame for frame, _ in pairs], settings_of(associator, protocol.joints, 25.0))
    results = as_results(made, [truth for _, truth in pairs])
    figures = [one for one in figures_of(results, protocol.measures) if one.name in SHOWN]
    report = made.report
    return MadeRow(
        protocol.name, associator, len(pairs), tuple(_plain(figures)), report.seconds[0], report.stopped_early[0]
    )


def _plain(figures: Sequence[Figure]) -> Iterator[tuple[str, float]]:
    yield from ((one.name, round(one.value, 2)) for one in figures if isinstance(one.value, float))


def as_results(made: SequenceLabels, truths: Sequence[Labels]) -> list[FrameResult]:
    """What was said of every frame, with the joints that the label file has, beside the truth."""
    cameras = made.frames[0].cameras.names
    store = gather_labels(Path("bench.npz"), PANOPTIC_15, cameras, made.labels)
    found = []
    for one, prediction, frame, truth in zip(made.labels, made.predictions, made.frames, truths, strict=True):
        poses = store.at(one.sequence, one.number).poses
        found.append(FrameResult(replace(prediction, poses=poses), frame, None, None, truth))
    return found


def measure_speed(frames: int, views: int = 10, persons: int = 10) -> SpeedRow:
    """The programme alone, on crowds."""
    crowd = [bench_frame(views, persons, torch.Generator().manual_seed(seed)) for seed in range(frames)]
    found = [group_by_programme([frame], ProgrammeConfig())[0] for frame in crowd]
    seconds, gaps = np.array([one.seconds for one in found]), np.array([one.gap for one in found])
    return SpeedRow(
        views, persons, frames, float(seconds.mean()), float(seconds.max()), int((gaps > 0).sum()), float(gaps.max())
    )


def with_false(capture: LabelledCapture, share: float, seed: int) -> list[Take]:
    """The frames with people who are not there: others of the recording, moved somewhere else."""
    generator = np.random.default_rng(seed)
    found = []
    for take in capture.takes:
        people, sources = list[list[torch.Tensor]](), list[list[int]]()
        for view in range(len(capture.cameras)):
            slots = take.detections.valid[view].nonzero()[:, 0].tolist()
            mine = [_keypoints(take.detections, view, slot) for slot in slots]
            false = generator.binomial(max(len(mine), 1), share / (1 - share))
            strangers = [_stranger(capture, view, generator) for _ in range(false)]
            people.append([*mine, *(one for one in strangers if one is not None)])
            sources.append([*slots, *([-1] * (len(people[-1]) - len(slots)))])
        detections = Detections.from_lists(take.detections.skeleton, people)
        identity = torch.full(detections.valid.shape, -1, dtype=torch.long)
        for view, slots in enumerate(sources):
            for at, slot in enumerate(slots):
                identity[view, at] = take.identity[view, slot] if slot >= 0 else -1
        found.append(Take(detections, identity, take.shown))
    return found


def _keypoints(found: Detections, view: int, slot: int) -> torch.Tensor:
    return torch.cat([found.xy_image[view, slot], found.confidence[view, slot, :, None]], -1).double()


def _stranger(capture: LabelledCapture, view: int, generator: np.random.Generator) -> torch.Tensor | None:
    """Somebody from another frame of the camera, elsewhere in the image; None where nobody is there."""
    other = capture.takes[int(generator.integers(len(capture.takes)))].detections
    slots = other.valid[view].nonzero()[:, 0].tolist()
    if not slots:
        return None
    person = _keypoints(other, view, slots[int(generator.integers(len(slots)))])
    width, height = capture.cameras.size[view].tolist()
    move = torch.tensor([generator.uniform(-0.4, 0.4) * width, generator.uniform(-0.1, 0.1) * height])
    person[:, :2] = torch.where(person[:, 2:] > 0, person[:, :2] + move, 0.0)
    return person


def spoilt(capture: LabelledCapture) -> Iterator[tuple[str, tuple[int, ...], Sequence[Take], Cameras]]:
    """The capture with every fault: its name, the views at fault, frames and cameras."""
    takes, cameras = capture.takes, capture.cameras
    pair = (AT_FAULT, AT_FAULT + 1)
    yield "exchanged", pair, takes, exchange_cameras(cameras, *pair)
    yield f"late by {LATE_FRAMES} frames", (AT_FAULT,), *late(takes, cameras, view=AT_FAULT, frames=LATE_FRAMES)
    yield (
        f"turned by {TURN_DEG:g} degrees",
        (AT_FAULT,),
        *turned(takes, cameras, view=AT_FAULT, degrees=TURN_DEG, seed=0),
    )
    yield f"{100 * FALSE_SHARE:.0f} % false detections", (), with_false(capture, FALSE_SHARE, 0), cameras


def labelled(capture: LabelledCapture, takes: Sequence[Take], cameras: Cameras) -> SequenceLabels:
    """Labels of some frames of a capture."""
    frames = [Frame(number, cameras, take.detections) for number, take in enumerate(takes)]
    return label_frames(capture.name, frames, settings_of(WINDOWS, (), capture.rate_hz))


def count_views(made: SequenceLabels, takes: Sequence[Take], views: Sequence[int]) -> PairCounts:
    """How the pairs of some views were put together."""
    counts = PairCounts()
    for prediction, take in zip(made.predictions, takes, strict=True):
        association = prediction.association
        some = replace(association, members=association.members[:, list(views)])
        counts += count_pairs(some, take.identity[list(views)])
    return counts


def try_faults(capture: LabelledCapture) -> Iterator[SpoiltRow]:
    """Every fault of one capture."""
    clean = labelled(capture, capture.takes, capture.cameras)
    for name, at_fault, takes, cameras in spoilt(capture):
        made = labelled(capture, takes, cameras)
        others = [view for view in range(len(cameras)) if view not in at_fault]
        before, after = count_views(clean, capture.takes, others), count_views(made, takes, others)
        named = sorted({camera for one in made.report.findings for camera in one.cameras})
        yield SpoiltRow(
            capture.name, name, tuple(cameras.names[view] for view in at_fault), tuple(named), made.report.left_out,
            100 * after.f1, 100 * before.f1, 100 * after.exact_rate, 100 * before.exact_rate,
        )  # fmt: skip


@dataclass(frozen=True)
class LabelsBench:
    """How good pseudo-labels are before anything has learned from them.

    Labels of Shelf's development frames and of MVOR's OpenPose detections (without exact repeats) by every associator
    of `dispose prepare`, scored as they are written; time of the programme on ten views of ten people; and Shelf and
    Pose2Sim's demo with two cameras exchanged, one late, one turned, and with false detections.
    """

    data: Path = Path("../shared/data")
    """Folder of the converted tables."""
    associators: tuple[str, ...] = ASSOCIATORS
    """Which of them."""
    frames: Count = 20
    """Frames of the crowd."""
    fault_frames: Count = 150
    """Frames of a capture that faults are injected into."""
    out: Path = Path("data/results/labels.json")
    """Result file."""

    def run(self) -> int:
        """Measure, print, write."""
        require_file(self.out)
        if not self.data.is_dir():
            raise InputError(f"{self.data}: no such folder; data/README.md says how to obtain the data sets.")
        torch.set_num_threads(1)
        made, broken = list[MadeRow](), list[SpoiltRow]()
        for protocol in PROTOCOLS:
            for name in tqdm(self.associators, desc=protocol.name, unit="associator", leave=None):
                made.append(score_made(protocol, name, self.data))
                figures = "  ".join(f"{key} {value:.1f}" for key, value in made[-1].figures)
                print(f"{protocol.name:<24}{name:<11}{figures}  {1000 * made[-1].seconds:.0f} ms", flush=True)
        speed = measure_speed(self.frames)
        print(
            f"{speed.views} views of {speed.persons} people: {speed.seconds:.2f} s each, longest {speed.longest:.2f}, "
            f"{speed.stopped_early} of {speed.frames} not proven, off by {100 * speed.largest_gap:.1f} % at most"
        )
        for capture in (shelf(self.data), refined_pose2sim(self.data)):
            for row in try_faults(replace(capture, takes=capture.takes[: self.fault_frames])):
                broken.append(row)
                print(
                    f"{row.capture:<16}{row.fault:<24}at fault: {' '.join(row.at_fault) or '-':<18}named: "
                    f"{' '.join(row.named) or '-':<18}others: pair F1 {row.pair_f1:.1f} (clean {row.pair_f1_clean:.1f})"
                    f", exact {row.exact:.1f} ({row.exact_clean:.1f})",
                    flush=True,
                )
        figures = {"made": [asdict(row) for row in made], "speed": asdict(speed), "spoilt": [asdict(r) for r in broken]}
        write_figures(self.out, SCHEMA, figures)
        return 0

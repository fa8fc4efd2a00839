"""Methods on the frames of a protocol: a run says who is where, the protocol's measures compare with the labels."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from dispose.association.reconstruct import reconstruct
from dispose.baselines.random_grouping import random_grouping
from dispose.errors import InputError
from dispose.evaluation.classic import Classic
from dispose.evaluation.measures import association_figures
from dispose.evaluation.protocols import Protocol
from dispose.evaluation.reports import Row, figures_of
from dispose.inference.readings import Reading, Source
from dispose.inference.results_folder import RunFiles, write_results
from dispose.inference.run import Decide, Kept, each_alone, run
from dispose.scene.convert import keep_joints
from dispose.scene.frame import Frame, Labels, Poses
from dispose.scene.labels import association_of_identities
from dispose.scene.results import (
    Associate,
    Association,
    AssociationResult,
    FrameResult,
    Prediction,
    Reconstruct,
    associate_each,
    reconstruct_each,
)


@dataclass(frozen=True, eq=False)
class Method:
    """Something that says who is who and where, at a gate if it has one; neither ever sees labels.

    `decide` says what frames have to do with each other (`dispose.inference.run.run`).
    """

    name: str
    associate: Associate
    reconstruct: Reconstruct = reconstruct
    gate_mm: float | None = None
    decide: Decide = each_alone


@dataclass(frozen=True, eq=False)
class Answers:
    """What a method said about all frames, and the mean time of a frame's association."""

    method: str
    results: tuple[FrameResult, ...]
    seconds: float
    gate_mm: float | None = None


def gather(items: Iterable[tuple[Frame, Labels]], views: Sequence[int] | None = None) -> Source:
    """The frames of a data set in memory, as some of the cameras see them, in the order given.

    Raises `InputError` for a view that is not there.
    """
    pairs = []
    for frame, labels in items:
        if views is not None:
            count = len(frame.cameras)
            bad = [v for v in views if not 0 <= v < count]
            if bad or len(set(views)) != len(views):
                raise InputError(f"views {list(views)}: each of 0 to {count - 1} at most once")
            frame, labels = frame.select(views=views), labels.select(views=views)
        pairs.append((frame, labels))
    return Source.of(pairs)


def drawn(pairs: Iterator[tuple[Frame, Labels]], count: int) -> Source:
    """At most so many frames that come one after the other and can be had once."""

    def read(_: int) -> Reading | None:
        pair = next(pairs, None)
        return None if pair is None else Reading(*pair)

    return Source(range(count), read)


def answers(
    source: Source,
    method: Method,
    *,
    title: str = "",
    batch: int = 16,
    reference: Callable[[Frame], Association] | None = None,
) -> Answers:
    """What a method says about every frame."""
    sink, busy = Kept(), [0.0]

    def associate(frames: Sequence[Frame]) -> Sequence[AssociationResult]:
        start = time.perf_counter()
        found = method.associate(frames)
        busy[0] += time.perf_counter() - start
        return found

    run(
        source,
        associate,
        method.reconstruct,
        sink,
        reference=reference,
        batch=batch,
        decide=method.decide,
        title=title or method.name,
    )
    return Answers(method.name, tuple(sink.results), busy[0] / max(len(sink.results), 1), method.gate_mm)


def score(protocol: Protocol, found: Answers) -> Row:
    """One line of a table: what a protocol measures."""
    return row_of(found, protocol.detections, figures_of(found.results, protocol.measures))


def row_of(found: Answers, detections: str, figures) -> Row:
    """One line of a table."""
    return Row(found.method, detections, len(found.results), found.gate_mm, figures, found.seconds)


def evaluate(protocol: Protocol, source: Source, method: Method) -> Row:
    """Score one method."""
    return score(protocol, answers(source, method, title=f"{protocol.name}: {method.name}"))


def evaluate_association(protocol: Protocol, source: Source, method: Method) -> Row:
    """As `evaluate` with the figures of association alone, which need no skeletons; for sweeps.

    Who is who by other frames needs the people in them, joints and all.
    """
    alone = method.decide is each_alone
    groups = replace(method, reconstruct=reconstruct_each(without_joints)) if alone else method
    found = answers(source, groups, title=f"{protocol.name}: {method.name}")
    return row_of(found, protocol.detections, association_figures(found.results))


def without_joints(frame: Frame, association: Association) -> Prediction:
    """Who is who, and nothing about where."""
    skeleton = frame.detections.skeleton
    xyz = association.confidence.new_zeros(len(association), len(skeleton), 3)
    poses = Poses(skeleton, xyz, xyz[..., 0], xyz[..., 0] > 0, association.members.new_zeros(len(association)))
    return Prediction(frame.number, association, poses, xyz[:, 0] * float("nan"))


def best_method(protocol: Protocol, source: Source, methods: Sequence[Method]) -> tuple[Method, tuple[Row, ...]]:
    """The method with the greatest pair F1 (the first of equals) and the rows of all; one alone is not tried."""
    if len(methods) == 1:
        return methods[0], ()
    rows = tuple(evaluate_association(protocol, source, method) for method in methods)
    scores = [row.value("pair_f1") for row in rows]
    return methods[scores.index(max(scores))], rows


RANDOM_SEED = 20260611


def gated_method(one: Classic, gate_mm: float, joints: Sequence[str] = ()) -> Method:
    """A classic associator with one gate, looking at some of the joints (none named: at all)."""

    def associate(frame: Frame) -> Association:
        if joints:
            frame = replace(frame, detections=keep_joints(frame.detections, joints))
        return one.associate(frame, gate_mm=gate_mm)

    return Method(f"{one.name}, {gate_mm:g} mm", associate_each(associate), gate_mm=gate_mm)


def random_method(seed: int = RANDOM_SEED) -> Method:
    """Random grouping; every frame draws from its own generator, so the order of the frames does not matter."""

    def associate(frame: Frame) -> Association:
        return random_grouping(frame, torch.Generator().manual_seed(seed + frame.number))

    return Method("random grouping", associate_each(associate))


def oracle_method(source: Source) -> Method:
    """Groups by the labels: what perfect association would score. The only method that sees them."""

    def associate(frame: Frame) -> Association:
        reading = source.read(frame.number)
        if reading is None or reading.labels is None:
            raise InputError(f"frame {frame.number} has no labels to group by")
        return association_of_identities(reading.labels.identity)

    return Method("oracle association", associate_each(associate))


def save_answers(folder: Path, protocol: Protocol, found: Answers) -> None:
    """What a method said about every frame, with the labels, as a folder that `dispose inspect` opens."""
    results = [
        replace(one, labels=replace(one.labels, poses=protocol.truth_of(one.labels.poses)))
        for one in found.results
        if one.labels is not None
    ]
    write_results(folder, results, RunFiles(protocol.name, found.method, tables=False))
    print(f"wrote {folder}")

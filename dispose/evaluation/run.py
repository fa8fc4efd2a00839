"""Runs methods over the scenes of a protocol."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from dispose.evaluation.measures import Associated, association_figures
from dispose.evaluation.protocols import Protocol
from dispose.evaluation.scenes import Figure, Method, Outcome, Row, Scene

Watch = Callable[[Iterable[Scene], str], Iterable[Scene]]


@dataclass(frozen=True)
class Associations:
    """What a method said about every scene, and the mean time it took for one."""

    pairs: tuple[Associated, ...]
    seconds: float


def unwatched(scenes: Iterable[Scene], title: str) -> Iterable[Scene]:
    """No progress bar."""
    return scenes


def associate_all(protocol: Protocol, scenes: Sequence[Scene], method: Method, watch: Watch) -> Associations:
    """Who is who in every scene; the method sees the frames only."""
    pairs, busy = [], 0.0
    for scene in watch(scenes, f"{protocol.name}: {method.name}"):
        start = time.perf_counter()
        association = method.associate(scene.frame)
        busy += time.perf_counter() - start
        pairs.append(Associated(scene, association))
    return Associations(tuple(pairs), busy / max(len(scenes), 1))


def evaluate(protocol: Protocol, scenes: Sequence[Scene], method: Method, *, watch: Watch = unwatched) -> Row:
    """Score one method: it sees the frames, the measures see frames and labels.

    Args:
        protocol: what to measure.
        scenes: of the protocol's data set (`gather`), with whatever views.
        method: who is who, and where.
        watch: wraps the scenes to show progress.
    """
    found = associate_all(protocol, scenes, method, watch)
    outcomes = [Outcome(p.scene, method.reconstruct(p.scene.frame, p.association)) for p in found.pairs]
    figures = tuple(figure for measure in protocol.measures for figure in measure(outcomes))
    return row_of(protocol, method, found, association_figures(found.pairs) + figures)


def evaluate_association(
    protocol: Protocol, scenes: Sequence[Scene], method: Method, *, watch: Watch = unwatched
) -> Row:
    """As `evaluate` with the figures of association alone, which need no skeletons; for sweeps."""
    found = associate_all(protocol, scenes, method, watch)
    return row_of(protocol, method, found, association_figures(found.pairs))


def row_of(protocol: Protocol, method: Method, found: Associations, figures: tuple[Figure, ...]) -> Row:
    """One line of a table."""
    return Row(method.name, protocol.detections, len(found.pairs), method.gate_mm, figures, found.seconds)


def best_method(
    protocol: Protocol, scenes: Sequence[Scene], methods: Sequence[Method], *, watch: Watch = unwatched
) -> tuple[Method, tuple[Row, ...]]:
    """The method with the greatest pair F1 (the first of equals) and the rows of all; one alone is not tried."""
    if len(methods) == 1:
        return methods[0], ()
    rows = tuple(evaluate_association(protocol, scenes, method, watch=watch) for method in methods)
    scores = [row.value("pair_f1") for row in rows]
    return methods[scores.index(max(scores))], rows

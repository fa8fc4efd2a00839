"""Runs methods over the scenes of a protocol."""

import time
from collections.abc import Callable, Iterable, Sequence

from dispose.evaluation.protocols import Protocol
from dispose.evaluation.scenes import Method, Outcome, Row, Scene

Watch = Callable[[Iterable[Scene], str], Iterable[Scene]]


def unwatched(scenes: Iterable[Scene], title: str) -> Iterable[Scene]:
    """No progress bar."""
    return scenes


def evaluate(protocol: Protocol, scenes: Sequence[Scene], method: Method, *, watch: Watch = unwatched) -> Row:
    """Score one method: it sees the frames, the measures see frames and labels.

    Args:
        protocol: what to measure.
        scenes: of the protocol's data set (`gather`), with whatever views.
        method: who is who, and where.
        watch: wraps the scenes to show progress.
    """
    outcomes, busy = [], 0.0
    for scene in watch(scenes, f"{protocol.name}: {method.name}"):
        start = time.perf_counter()
        association = method.associate(scene.frame)
        busy += time.perf_counter() - start
        outcomes.append(Outcome(scene, method.reconstruct(scene.frame, association)))
    figures = tuple(figure for measure in protocol.measures for figure in measure(outcomes))
    seconds = busy / max(len(scenes), 1)
    return Row(method.name, protocol.detections, len(scenes), method.gate_mm, figures, seconds)


def best(rows: Sequence[Row], figure: str) -> Row:
    """The row with the greatest figure, the first of equals."""
    return max(rows, key=lambda row: row.value(figure))

"""How associators do with every few of a data set's cameras: the mean over all subsets, at every gate."""

from collections.abc import Iterator, Sequence
from itertools import combinations

from tqdm import tqdm

from dispose.errors import InputError
from dispose.evaluation.protocols import Protocol
from dispose.evaluation.reports import Figure, Row
from dispose.evaluation.score import Method, evaluate_association, gather
from dispose.scene.frame import Frame, Labels


def evaluate_subsets(
    protocol: Protocol, pairs: Sequence[tuple[Frame, Labels]], count: int, methods: Sequence[Method]
) -> Iterator[Row]:
    """A row for every method: the mean of its association figures over all subsets of so many cameras.

    A classic associator is a method of its own at every gate.

    Raises:
        InputError: there are no frames, or the cameras have no such subsets.
    """
    if not pairs:
        raise InputError(f"no frames for {protocol.name}")
    cameras = len(pairs[0][0].cameras)
    if not 2 <= count <= cameras:
        raise InputError(f"--every is {count}; a number from 2 to {cameras} is expected, the cameras of the data.")
    subsets = list(combinations(range(cameras), count))
    sources = [gather(pairs, subset) for subset in subsets]
    title = f"{protocol.detections}, {count} of {cameras} cameras, {len(subsets)} subsets"
    for method in tqdm(methods, unit="method"):
        yield mean_row(method, title, [evaluate_association(protocol, source, method) for source in sources])


def mean_row(method: Method, title: str, rows: Sequence[Row]) -> Row:
    """The mean of every figure over the rows of one method, each row counting once, and the lowest pair F1."""
    names = [figure.name for figure in rows[0].figures]
    means = (Figure(name, sum(row.value(name) for row in rows) / len(rows)) for name in names)
    lowest = Figure("lowest_subset_f1", min(row.value("pair_f1") for row in rows))
    seconds = sum(row.seconds for row in rows) / len(rows)
    frames = sum(row.frames for row in rows)
    return Row(method.name.partition(",")[0], title, frames, method.gate_mm, (*means, lowest), seconds)

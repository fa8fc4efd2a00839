"""What evaluation passes around: figures, rows of tables, and the measures that make figures of results."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dispose.errors import InputError
from dispose.scene.results import FrameResult


@dataclass(frozen=True)
class Figure:
    """One number of a table (or one per actor); shares are in percent, distances in mm."""

    name: str
    value: float | tuple[float, ...]


Measure = Callable[[Sequence[FrameResult]], tuple[Figure, ...]]
"""From what a method said about frames, beside their labels, to figures."""


@dataclass(frozen=True)
class Row:
    """The figures of one method on one set of frames; `seconds` is the mean time of a frame's association."""

    method: str
    detections: str
    frames: int
    gate_mm: float | None
    figures: tuple[Figure, ...]
    seconds: float

    def value(self, name: str) -> float:
        """A figure that is one number. Raises `InputError` where the row has none of that name."""
        for figure in self.figures:
            if figure.name == name and isinstance(figure.value, float):
                return figure.value
        raise InputError(f"{self.method}: no figure {name!r}; there are {', '.join(f.name for f in self.figures)}")


def figures_of(results: Sequence[FrameResult], measures: Sequence[Measure]) -> tuple[Figure, ...]:
    """The figures of several measures."""
    return tuple(figure for measure in measures for figure in measure(results))

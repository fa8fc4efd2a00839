"""Where labelled pictures come from, and how a training step gets its share of them."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from torch.utils.data import IterableDataset

from dispose.errors import InputError
from dispose.scene.frame import Frame, Labels


@dataclass(frozen=True, eq=False)
class ImageExample:
    """One frame as it is learned from: what the model sees, and the labels that only training sees.

    Attributes:
        frame: the pictures.
        labels: whom and what they show.
        seed: of everything random that a step does with the example.
        of_frame: which frame of the step it is; augmented copies of one frame share the number.
        copy: 0 = the frame as it is.
    """

    frame: Frame
    labels: Labels
    seed: int
    of_frame: int
    copy: int


@runtime_checkable
class ImageSource(Protocol):
    """Labelled frames by number."""

    def __len__(self) -> int:
        """Number of frames."""
        ...

    def views(self, row: int) -> int:
        """Number of cameras of a frame: frames with equally many are learned from together."""
        ...

    def copies(self, row: int, count: int, generator: torch.Generator) -> Sequence[tuple[Frame, Labels]]:
        """The frame as it is and `count` augmented copies of it. Raises `InputError` for a frame that is unusable."""
        ...


class ViewSchedule(IterableDataset[list[int]]):
    """The frames of every optimiser step, as a function of seed and step alone.


    A step starts with a frame drawn from all; the others come from those with as many cameras. Started at a later
    step it gives what an unbroken run would have seen there. Of several processes each takes its share.
    """

    def __init__(
        self, views: Sequence[int], batch: int, *, seed: int, start: int, stop: int, rank: int = 0, world: int = 1
    ) -> None:
        self.views, self.batch, self.seed = list(views), batch, seed
        self.start, self.stop, self.rank, self.world = start, stop, rank, world

    def __iter__(self) -> Iterator[list[int]]:
        count = torch.tensor(self.views)
        alike = {n: (count == n).nonzero()[:, 0] for n in set(self.views)}
        for step in range(self.start, self.stop):
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
            first = int(torch.randint(len(count), (1,), generator=generator))
            group = alike[self.views[first]]
            others = group[torch.randint(len(group), (self.batch - 1,), generator=generator)].tolist()
            yield [step, *[first, *others][self.rank :: self.world]]


@dataclass
class Skipped:
    """Frames that could not be used, and the first reasons."""

    count: int = 0
    reasons: list[str] = field(default_factory=list)

    def add(self, reason: str) -> None:
        """Count one; the first ones are said at once."""
        self.count += 1
        if len(self.reasons) < 5:
            self.reasons.append(reason)
            print(f"dispose: skipped a frame: {reason}", file=sys.stderr)

    def summary(self) -> str:
        """One line for the end of a run."""
        return f"{self.count} frames skipped" + (f", the first because {self.reasons[0]}" if self.reasons else "")


def gather(
    source: ImageSource, batch: Sequence[int], *, copies: int, seed: int, skipped: Skipped
) -> list[ImageExample]:
    """The examples of a step ``[step, row, row, …]``; a frame that cannot be read is skipped and counted.

    What is drawn for a frame depends on seed, step and frame alone, so that processes may share a step as they like.
    """
    step, *rows = batch
    examples: list[ImageExample] = []
    for place, row in enumerate(rows):
        own = (seed * 7919 + step * 65_537 + row) % (1 << 62)
        try:
            versions = source.copies(row, copies, torch.Generator().manual_seed(own))
        except InputError as error:
            skipped.add(str(error))
            continue
        examples += [ImageExample(f, labels, own + 97 * k, place, k) for k, (f, labels) in enumerate(versions)]
    return examples

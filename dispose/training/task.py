"""The rungs of every training: a task (network and loss), a source of examples, and their order.

Whatever is read, drawn or augmented for a step happens in `TrainingSteps`, which the loader's workers run. What a step
sees is a function of seed, step and example alone: a resumed run, several processes and any number of workers see the
same.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.data import Dataset

from dispose.losses.objective import Term


class Task(nn.Module, ABC):
    """What is trained: the parameters that learn, and ``task(batch)``, the loss of a batch as weighted named terms.

    Attributes:
        name: of the run's subfolder and of the curves.
    """

    name: str

    def rates(self) -> Mapping[str, float]:
        """Factors on the learning rate of the parameters whose names begin so; 1 for all others."""
        return {}

    @abstractmethod
    def forward(self, batch: Any) -> tuple[Term, ...]:
        """The terms of the loss; nothing for a batch that says nothing. May move the batch to the weights' device."""


@runtime_checkable
class ExampleSource(Protocol):
    """Examples by number, as one task learns from them."""

    @property
    def groups(self) -> Sequence[int]:
        """A number for every example: those with one number may be learned from in one step."""
        ...

    def batch(self, rows: Sequence[int], seeds: Sequence[int]) -> Any:
        """Some examples, ready for the task; everything random about an example follows from its seed."""
        ...


class TrainingStep(NamedTuple):
    """What a training step is handed: its number and its batch."""

    number: int
    batch: Any


class TrainingSteps(Dataset[TrainingStep]):
    """The batch of every optimiser step.

    A step begins with an example drawn from all; the others come from its group. Of several processes each takes its
    share of the same batch.
    """

    def __init__(self, source: ExampleSource, batch: int, *, seed: int, rank: int = 0, world: int = 1) -> None:
        self.source, self.batch, self.seed, self.rank, self.world = source, batch, seed, rank, world
        groups = torch.tensor(source.groups)
        self.group = groups.tolist()
        self.alike = {number: (groups == number).nonzero()[:, 0] for number in groups.unique().tolist()}

    def __getitem__(self, step: int) -> TrainingStep:
        rows = self.rows(step)
        return TrainingStep(step, self.source.batch(rows, [self.seed * 7919 + step * 65_537 + row for row in rows]))

    def rows(self, step: int) -> list[int]:
        """The examples that this process sees in a step."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        first = int(torch.randint(len(self.group), (1,), generator=generator))
        alike = self.alike[self.group[first]]
        others = alike[torch.randint(len(alike), (self.batch - 1,), generator=generator)].tolist()
        return [first, *others][self.rank :: self.world]


class StepNumbers:
    """The steps that are left, as a loader's order. It has no length: a resumed run is no shorter epoch."""

    def __init__(self, start: int, stop: int) -> None:
        self.start, self.stop = start, stop

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start, self.stop))


def uniform(seeds: Int[Tensor, " examples"]) -> Float[Tensor, " examples"]:
    """A number in [0, 1) from every example's seed (Knuth's multiplicative hash)."""
    return (seeds * 2_654_435_761 % 2**32).double() / 2**32

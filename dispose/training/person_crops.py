"""One person cut out of every view, with the true joints: what algebraic and volumetric triangulation learn from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float

from dispose.datasets.one_person import Person, cut_out
from dispose.errors import InputError
from dispose.scene.frame import ImageBatch
from dispose.skeletons.skeleton import Skeleton
from dispose.training.frames import no_capture
from dispose.training.shards import Shards


@dataclass(frozen=True, eq=False)
class PersonBatch:
    """One person per sample, cut out of all views.

    Attributes:
        images: the cuts and the cameras.
        xyz_world: the true joints, mm.
        known: which of them are known.
        seeds: of everything random about a sample.
    """

    images: ImageBatch
    xyz_world: Float[torch.Tensor, "samples joints 3"]
    known: Bool[torch.Tensor, "samples joints"]
    seeds: tuple[int, ...]


@runtime_checkable
class OnePerson(Protocol):
    """Instants with one person each, by number."""

    skeleton: Skeleton

    def __len__(self) -> int:
        """Number of instants."""
        ...

    def views(self, row: int) -> int:
        """Number of cameras of an instant: those with equally many are learned from together."""
        ...

    def person(self, row: int) -> "Person":
        """An instant. Raises `InputError` for what is damaged."""
        ...


class PersonSource:
    """People as a task's examples.

    Args:
        people: where they come from.
        skeleton: of the network that learns.
        input_size: width and height of its images.
        margin: side of a cut, in extents of the joints in the image.
        jitter: largest shift of a cut, along x and y, and change of its size, as a share of its side.

    Raises:
        InputError: the labels are of another skeleton than the network.
    """

    def __init__(
        self, people: OnePerson, skeleton: Skeleton, input_size: tuple[int, int], *, margin: float, jitter: float
    ) -> None:
        if people.skeleton != skeleton:
            raise InputError(f"the labels are of {people.skeleton.name}, the network's joints are {skeleton.name}")
        self.people, self.input_size, self.margin, self.jitter = people, input_size, margin, jitter

    @property
    def groups(self) -> Sequence[int]:
        """Numbers of cameras."""
        return [self.people.views(row) for row in range(len(self.people))]

    def batch(self, rows: Sequence[int], seeds: Sequence[int]) -> PersonBatch:
        """Some people."""
        frames, poses = [], []
        for row, seed in zip(rows, seeds, strict=True):
            person = self.people.person(row)
            frames.append(cut_out(person, self.input_size, margin=self.margin, jitter=self.jitter, seed=seed))
            poses.append(person.poses)
        return PersonBatch(
            ImageBatch.of(frames),
            torch.cat([pose.xyz_world for pose in poses]),
            torch.cat([pose.valid for pose in poses]),
            tuple(seeds),
        )


class RenderedPeople:
    """The synthetic captures of some shards; those with exactly one person."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.captures = Shards(paths, no_capture())
        self.skeleton = no_capture().poses.skeleton
        self.rows = [row for row in range(len(self.captures)) if self.captures.shape(row, "poses.id") == (1,)]
        if not self.rows:
            raise InputError("none of the synthetic captures shows exactly one person: nothing to learn from")

    def __len__(self) -> int:
        return len(self.rows)

    def views(self, row: int) -> int:
        """Number of cameras of a capture."""
        return self.captures.shape(self.rows[row], "images")[0]

    def person(self, row: int) -> Person:
        """The capture."""
        capture = self.captures[self.rows[row]]
        return Person(row, capture.cameras, list(capture.images.numpy()), capture.poses)

"""What an adapter says about a data set in its original layout, and what is fixed for each data set.

`dispose.datasets.multiview` reads frames from any `Source`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch

from dispose.errors import InputError
from dispose.scene.cameras import Cameras
from dispose.scene.poses import Poses
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import TensorStruct


@dataclass(frozen=True, slots=True, order=True)
class FrameKey:
    """One instant of a data set: the sequence and the number that its files carry."""

    sequence: str
    number: int


@dataclass(frozen=True)
class Block:
    """Frames of one sequence: those from `first` to `last` (both included), of them every `every`-th, at most `most`.

    Frames are counted in order of their numbers, so ``every=12`` is every twelfth frame that there is.
    """

    sequence: str
    first: int = 0
    last: int | None = None
    every: int = 1
    most: int | None = None

    def of(self, numbers: Sequence[int]) -> list[int]:
        """The numbers of this block among all that a sequence has."""
        last = self.last if self.last is not None else max(numbers, default=0)
        return sorted(n for n in numbers if self.first <= n <= last)[:: self.every][: self.most]


Numbers = Callable[[Path, Sequence[str]], list[int]]
"""The frame numbers found in a sequence's folder for the cameras named: those annotated, or those with a picture."""


@dataclass(frozen=True)
class Split:
    """A named part of a data set.

    Attributes:
        name: as in ``train``, ``validation``, ``test``.
        blocks: which frames of which sequences.
        numbers: how the frames of a sequence are found. Training takes those with a picture: it must not need, and
            must not look at, annotations.
    """

    name: str
    blocks: tuple[Block, ...]
    numbers: Numbers

    @property
    def sequences(self) -> tuple[str, ...]:
        """Names of the sequences, each once, in order."""
        return tuple(dict.fromkeys(block.sequence for block in self.blocks))

    def only(self, *sequences: str) -> "Split":
        """The part of this split that lies in some sequences: for those who have not obtained all of them."""
        unknown = [name for name in sequences if name not in self.sequences]
        if unknown:
            raise InputError(f"split {self.name!r}: no sequence {unknown[0]!r} (there is {', '.join(self.sequences)}).")
        return replace(self, blocks=tuple(block for block in self.blocks if block.sequence in sequences))


@dataclass(frozen=True)
class Traits:
    """What is fixed for a data set; the table of spec §4.2.

    There is no margin: the released code's 25 black columns are those that the letter-box leaves at the sides of
    Panoptic's 960 x 512 input, so they follow from the sizes (`dispose.geometry.image_affine.letterbox`), are others
    for other data sets, and are no part of any original picture. What is seen is what `Cameras.inside` says.

    Attributes:
        name: the data set.
        skeleton: joints of its ground truth.
        views: names of the cameras that are usually taken.
        image_size: width and height of the original pictures.
        input_size: width and height of the network's input.
        space_size_mm: extent of the space in which people move, along the world's axes.
        space_centre_mm: its middle.
        score_threshold: least height of a heat map's peak.
    """

    name: str
    skeleton: Skeleton
    views: tuple[str, ...]
    image_size: tuple[int, int]
    input_size: tuple[int, int]
    space_size_mm: tuple[float, float, float]
    space_centre_mm: tuple[float, float, float]
    score_threshold: float


@dataclass(frozen=True, eq=False)
class Truth(TensorStruct):
    """What was measured at one instant; no model sees it.

    Attributes:
        sequence: where the frame belongs.
        number: its number there.
        annotated: whether anybody looked: a frame without people and a frame without annotation both have no poses.
        poses: the true people, joints of the data set's skeleton.
    """

    sequence: str
    number: int
    annotated: bool
    poses: Poses


@runtime_checkable
class Source(Protocol):
    """A data set in its original layout: where everything lies, in our units and axes. Nothing is read ahead."""

    @property
    def traits(self) -> Traits:
        """What is fixed for this data set."""
        ...

    @property
    def keys(self) -> tuple[FrameKey, ...]:
        """The frames, in order."""
        ...

    def cameras(self, sequence: str) -> Cameras:
        """The cameras of a sequence, the views in this order."""
        ...

    def picture(self, key: FrameKey, view: int) -> Path:
        """Where the picture of a view lies, or would."""
        ...

    def truth(self, key: FrameKey) -> Truth:
        """What was measured."""
        ...


def no_poses(skeleton: Skeleton) -> Poses:
    """Poses of no person."""
    none = torch.zeros(0, len(skeleton), dtype=torch.float64)
    places = torch.zeros(0, len(skeleton), 3, dtype=torch.float64)
    return Poses(skeleton, places, none, none > 0, torch.zeros(0, dtype=torch.long))


def sequence_folders(root: Path, split: Split) -> tuple[Path, ...]:
    """The folders of a split's sequences; `InputError` names those that are not there."""
    if not root.is_dir():
        raise InputError(f"{root}: there is no such folder; data/cards says how to obtain the data sets.")
    missing = [name for name in split.sequences if not (root / name).is_dir()]
    if missing:
        others = "" if len(missing) == 1 else f" (nor {', '.join(missing[1:])})"
        raise InputError(
            f"{root / missing[0]}: sequence {missing[0]!r} of split {split.name!r} is not there{others}; obtain it, "
            "or take the others with Split.only."
        )
    return tuple(root / name for name in split.sequences)

"""A data set in its original layout: what is fixed for it, its splits, and where everything lies.

`dispose.datasets.multiview` reads frames from any `Layout`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from dispose.errors import InputError
from dispose.formats.files import visible
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Poses
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
"""The frame numbers found in a sequence's folder for the cameras named: those annotated, or those with an image."""


@dataclass(frozen=True)
class Split:
    """A named part of a data set.

    Attributes:
        name: as in ``train``, ``validation``, ``test``.
        blocks: which frames of which sequences.
        numbers: how the frames of a sequence are found. Training takes those with an image: it must not need, and
            must not look at, annotations.
    """

    name: str
    blocks: tuple[Block, ...]
    numbers: Numbers

    @property
    def sequences(self) -> tuple[str, ...]:
        """Names of the sequences, each once, in order."""
        return tuple(dict.fromkeys(block.sequence for block in self.blocks))

    def keys(self, sequence: str, folder: Path, views: Sequence[str]) -> list[FrameKey]:
        """The frames of one of the sequences, which lies in a folder."""
        numbers = self.numbers(folder, views)
        blocks = (block for block in self.blocks if block.sequence == sequence)
        return [FrameKey(sequence, number) for block in blocks for number in block.of(numbers)]

    def only(self, *sequences: str) -> "Split":
        """The part of this split that lies in some sequences: for those who have not obtained all of them."""
        unknown = [name for name in sequences if name not in self.sequences]
        if unknown:
            raise InputError(f"split {self.name!r}: no sequence {unknown[0]!r} (there is {', '.join(self.sequences)}).")
        return replace(self, blocks=tuple(block for block in self.blocks if block.sequence in sequences))


@dataclass(frozen=True)
class Traits:
    """What is fixed for a data set.

    There is no margin: the released code's 25 black columns are those that the letter-box leaves at the sides of
    Panoptic's 960 x 512 input, so they follow from the sizes (`dispose.geometry.image_affine.letterbox`), are others
    for other data sets, and are no part of any original image. What is seen is what `Cameras.inside` says.

    The skeleton is that of its ground truth, the views are the cameras that are usually taken. Sizes are width and
    height of the original images and of the network's input. The space is that in which people move, along the world's
    axes; peaks of heat maps are at least as high as the threshold.
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
    """What was measured at one instant, in the data set's joints; no model sees it.

    A frame without people and a frame without annotation both have no poses: `annotated` says whether anybody looked.
    """

    sequence: str
    number: int
    annotated: bool
    poses: Poses


@dataclass(frozen=True, eq=False)
class Layout:
    """A data set in its original layout: where everything lies, in our units and axes. Nothing is read ahead.

    Workers of a loader receive copies, so the functions are those of a module, with `functools.partial` around them.

    Attributes:
        traits: what is fixed for this data set.
        keys: the frames, in order.
        rigs: the cameras of every sequence.
        image_path: where the image of a camera lies, or would; of the frame and the camera's name.
        people: the people of a frame as they were measured; None where nobody looked.
    """

    traits: Traits
    keys: tuple[FrameKey, ...]
    rigs: Mapping[str, Cameras]
    image_path: Callable[[FrameKey, str], Path]
    people: Callable[[FrameKey], Poses | None]

    def image(self, key: FrameKey, view: int) -> Path:
        """Where the image of a view lies, or would."""
        return self.image_path(key, self.rigs[key.sequence].names[view])

    def truth(self, key: FrameKey) -> Truth:
        """What was measured."""
        poses = self.people(key)
        nobody = no_poses(self.traits.skeleton)
        return Truth(key.sequence, key.number, poses is not None, nobody if poses is None else poses)


def no_poses(skeleton: Skeleton) -> Poses:
    """Poses of no person."""
    none = torch.zeros(0, len(skeleton), dtype=torch.float64)
    places = torch.zeros(0, len(skeleton), 3, dtype=torch.float64)
    return Poses(skeleton, places, none, none > 0, torch.zeros(0, dtype=torch.long))


def sequence_folders(root: Path, split: Split) -> dict[str, Path]:
    """The folders of a split's sequences; `InputError` names those that are not there."""
    require_folder(root)
    missing = [name for name in split.sequences if not (root / name).is_dir()]
    if missing:
        others = "" if len(missing) == 1 else f" (nor {', '.join(missing[1:])})"
        raise InputError(
            f"{root / missing[0]}: sequence {missing[0]!r} of split {split.name!r} is not there{others}; obtain it, "
            "or take the others with Split.only."
        )
    return {name: root / name for name in split.sequences}


def require_folder(folder: Path) -> None:
    """Raise `InputError` where a folder of a data set is not there."""
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; data/cards says how to obtain the data sets.")


def files_by_number(folder: Path, name: re.Pattern[str]) -> dict[int, Path]:
    """Files of a folder by the number in their names: the first group of a pattern that the whole name matches."""
    require_folder(folder)
    found = ((name.fullmatch(path.name), path) for path in visible(folder.iterdir()))
    return {int(match[1]): path for match, path in found if match}

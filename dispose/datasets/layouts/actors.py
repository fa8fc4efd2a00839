"""The layout that Shelf and Campus share (VoxelPose's): a folder per camera, one calibration, ``actorsGT.mat``."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from dispose.datasets.layouts.source import FrameKey, Split, Traits, Truth, no_poses
from dispose.errors import InputError
from dispose.formats.actors_mat import Actors, read_actors
from dispose.formats.calibration.voxelpose import read_calibration_voxelpose
from dispose.formats.files import visible
from dispose.scene.cameras import Cameras

ACTORS = "actorsGT.mat"
CAMERA = re.compile(r"Camera(\d+)")
NUMBER = re.compile(r"(\d+)\.\w+")


def every_annotated(folder: Path, views: Sequence[str]) -> list[int]:
    """Numbers of all frames that the annotation file speaks of, those without people included."""
    return list(range(read_actors(folder / ACTORS).annotated.shape[1]))


def pictured(folder: Path, views: Sequence[str]) -> list[int]:
    """Numbers of the frames of which at least one of the cameras has a picture."""
    numbers: set[int] = set()
    for view in views:
        place = folder / view
        if not place.is_dir():
            raise InputError(f"{place}: there is no such folder of pictures; data/cards says how to obtain it.")
        names = (NUMBER.search(path.name) for path in visible(place.iterdir()))
        numbers.update(int(match[1]) for match in names if match)
    return sorted(numbers)


@dataclass(frozen=True, eq=False)
class ActorCapture:
    """A part of Shelf or Campus (a `Source`); truth has the joints of `SHELF_14`.

    Attributes:
        traits: of the data set.
        folder: where everything lies.
        file: the name of a picture, with ``{camera}`` and ``{number}``.
        keys: the frames.
        rig: the cameras.
        actors: the annotations, or None where the file is not there.
    """

    traits: Traits
    folder: Path
    file: str
    keys: tuple[FrameKey, ...]
    rig: Cameras
    actors: Actors | None

    def cameras(self, sequence: str) -> Cameras:
        """The cameras; the one recording has one calibration."""
        return self.rig

    def picture(self, key: FrameKey, view: int) -> Path:
        """Where the picture of a view lies, or would."""
        name = self.rig.names[view]
        camera = int(name.removeprefix("Camera"))
        return self.folder / name / self.file.format(camera=camera, number=key.number)

    def truth(self, key: FrameKey) -> Truth:
        """The annotated people of a frame."""
        if self.actors is None or key.number >= self.actors.annotated.shape[1]:
            return Truth(key.sequence, key.number, False, no_poses(self.traits.skeleton))
        poses = self.actors.at(key.number)
        # Nothing in the file tells a frame that nobody annotated from a frame without people.
        return Truth(key.sequence, key.number, len(poses.id) > 0, poses)


def open_actor_capture(
    folder: Path, split: Split, *, traits: Traits, calibration: str, file: str, views: Sequence[str]
) -> ActorCapture:
    """Look through a recording: calibration and annotations are read, frames are listed."""
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; data/cards says how to obtain the data sets.")
    rig = calibrated(folder / calibration, traits, views)
    numbers = split.numbers(folder, views)
    keys = tuple(FrameKey(block.sequence, number) for block in split.blocks for number in block.of(numbers))
    actors = read_actors(folder / ACTORS) if (folder / ACTORS).exists() else None
    return ActorCapture(traits, folder, file, keys, rig, actors)


def calibrated(path: Path, traits: Traits, views: Sequence[str]) -> Cameras:
    """The cameras named; the file stores no picture size, so it is the data set's."""
    cameras = read_calibration_voxelpose(path)
    for view in views:
        if view not in cameras.names or not CAMERA.fullmatch(view):
            raise InputError(f"{path}: no camera {view!r} (there is {', '.join(cameras.names)}).")
    chosen = cameras.select([cameras.names.index(view) for view in views])
    size = torch.tensor(traits.image_size, dtype=torch.float64).expand(len(chosen), 2)
    return replace(chosen, size=size.clone())

"""MM-OR Pose (MM-OR's operating rooms with 3-D people): a folder per take, five ceiling cameras.

``TAKE/camera01.json``, ``TAKE/colorimage/camera01_colorimage-000000.jpg``, ``TAKE/poses/<anything>_000000.json``.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from dispose.datasets.layouts.source import Block, FrameKey, Split, Traits, Truth, no_poses, sequence_folders
from dispose.errors import InputError
from dispose.formats.calibration.mm_or import read_calibration_mm_or
from dispose.formats.entry import Entry
from dispose.formats.files import visible
from dispose.scene.cameras import Cameras
from dispose.scene.poses import Poses
from dispose.skeletons.catalog import PANOPTIC_15

MM_OR = Traits(
    name="MM-OR Pose",
    skeleton=PANOPTIC_15,
    views=("camera01", "camera02", "camera03", "camera04", "camera05"),
    image_size=(2048, 1536),
    input_size=(768, 576),
    space_size_mm=(5000.0, 6000.0, 2000.0),
    space_centre_mm=(-500.0, 0.0, 1000.0),
    score_threshold=0.15,
)

KNOWN_SCORE = 0.1
"""A joint is known where its published confidence exceeds this; a person counts where the root does."""

POSE_FILE = re.compile(r"(?:.*_)?(\d+)\.json")
PICTURE_FILE = re.compile(r"(camera\d\d)_colorimage-(\d+)\.jpg")


def annotation_files(folder: Path) -> dict[int, Path]:
    """Annotation files by their frame: the number after the last underscore of the name."""
    place = folder / "poses"
    if not place.is_dir():
        raise InputError(f"{place}: there is no such folder; data/cards/mm_or.md says how to obtain it.")
    found = ((POSE_FILE.fullmatch(path.name), path) for path in visible(place.iterdir()))
    return {int(match[1]): path for match, path in found if match}


def annotated(folder: Path, views: Sequence[str]) -> list[int]:
    """Numbers of the frames with an annotation file."""
    return sorted(annotation_files(folder))


def pictured(folder: Path, views: Sequence[str]) -> list[int]:
    """Numbers of the frames of which at least one of the cameras has a picture."""
    place = folder / "colorimage"
    if not place.is_dir():
        raise InputError(f"{place}: there is no such folder; data/cards/mm_or.md says how to obtain it.")
    found = (PICTURE_FILE.fullmatch(path.name) for path in visible(place.iterdir()))
    return sorted({int(match[2]) for match in found if match and match[1] in views})


TRAIN_TAKES = (
    "001_PKA", "002_PKA", "003_TKA", "006_PKA", "007_TKA", "008_PKA", "010_PKA", "012_PKA", "013_PKA", "014_PKA",
    "015-018_PKA", "019-022_PKA", "023-032_PKA", "033_PKA", "035_PKA", "037_TKA",
)  # fmt: skip

MM_OR_TRAIN = Split("train", tuple(Block(take) for take in TRAIN_TAKES), pictured)
"""The takes of the literature; frames are those with pictures, annotations are not looked at."""

MM_OR_VALIDATION = Split("validation", (Block("038_TKA"),), annotated)
"""For choosing between models: the take that the released configuration neither trains nor tests on."""

MM_OR_TEST = Split(
    "test", (Block("004_PKA", most=300), Block("011_TKA", most=300), Block("036_PKA", most=150)), annotated
)
"""The literature's 750 frames: the first annotation files of three takes."""


@dataclass(frozen=True, eq=False)
class MmOrTake:
    """One take: its cameras and its annotation files by frame."""

    name: str
    rig: Cameras
    files: dict[int, Path]


@dataclass(frozen=True, eq=False)
class MmOrCapture:
    """A part of MM-OR Pose (a `Source`); truth has the joints of `PANOPTIC_15`.

    The released loader drops a frame of which any picture is missing; here the view alone is left out.
    """

    folder: Path
    keys: tuple[FrameKey, ...]
    takes: tuple[MmOrTake, ...]
    traits: Traits = MM_OR

    def take(self, name: str) -> MmOrTake:
        """A take by its name."""
        return next(take for take in self.takes if take.name == name)

    def cameras(self, sequence: str) -> Cameras:
        """The cameras of a take; every take has its own calibration."""
        return self.take(sequence).rig

    def picture(self, key: FrameKey, view: int) -> Path:
        """Where the picture of a view lies, or would."""
        name = self.cameras(key.sequence).names[view]
        return self.folder / key.sequence / "colorimage" / f"{name}_colorimage-{key.number:06d}.jpg"

    def truth(self, key: FrameKey) -> Truth:
        """The people of the frame's annotation file whose root is known."""
        path = self.take(key.sequence).files.get(key.number)
        if path is None:
            return Truth(key.sequence, key.number, False, no_poses(PANOPTIC_15))
        return Truth(key.sequence, key.number, True, read_people(path))


def open_mm_or(folder: Path, split: Split = MM_OR_TEST, *, views: Sequence[str] = MM_OR.views) -> MmOrCapture:
    """Look through a part of MM-OR Pose: calibrations are read, frames are listed, nothing else."""
    keys, takes = [], []
    for name, place in zip(split.sequences, sequence_folders(folder, split), strict=True):
        rig = read_calibration_mm_or(place, views, size=MM_OR.image_size)
        takes.append(MmOrTake(name, rig, annotation_files(place) if (place / "poses").is_dir() else {}))
        numbers = split.numbers(place, views)
        for block in split.only(name).blocks:
            keys.extend(FrameKey(name, number) for number in block.of(numbers))
    return MmOrCapture(folder, tuple(keys), tuple(takes))


def read_people(path: Path) -> Poses:
    """The people of an annotation file; mm, z up as in the file. A person without a known root is left out."""
    ids, people = [], []
    root = PANOPTIC_15.index("mid_hip")
    for person in Entry.of_json(path).items():
        rows = person.at("keypoints_xyzs").numbers(4 * len(PANOPTIC_15)).reshape(-1, 4)
        if float(rows[root, 3]) > KNOWN_SCORE:
            ids.append(int(person.at("id").number()))
            people.append(rows)
    if not people:
        return no_poses(PANOPTIC_15)
    rows = torch.stack(people)
    valid = rows[..., 3] > KNOWN_SCORE
    xyz = torch.where(valid[..., None], rows[..., :3], 0.0)
    return Poses(PANOPTIC_15, xyz, torch.where(valid, rows[..., 3].clamp(0, 1), 0.0), valid, torch.tensor(ids))

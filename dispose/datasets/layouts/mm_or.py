"""MM-OR Pose (MM-OR's operating rooms with 3-D people): a folder per take, five ceiling cameras.

``TAKE/camera01.json``, ``TAKE/colorimage/camera01_colorimage-000000.jpg``, ``TAKE/poses/<anything>_000000.json``.
"""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch

from dispose.datasets.layouts.source import (
    Block,
    FrameKey,
    Layout,
    Split,
    Traits,
    files_by_number,
    no_poses,
    sequence_folders,
)
from dispose.formats.calibration.mm_or import read_calibration_mm_or
from dispose.formats.entry import Entry
from dispose.scene.frame import Poses
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


def annotated_frames(folder: Path, views: Sequence[str]) -> list[int]:
    """Numbers of the frames with an annotation file: those after the last underscore of its name."""
    return sorted(files_by_number(folder / "poses", POSE_FILE))


def imaged_frames(folder: Path, views: Sequence[str]) -> list[int]:
    """Numbers of the frames of which at least one of the cameras has an image."""
    names = re.compile(rf"(?:{'|'.join(map(re.escape, views))})_colorimage-(\d+)\.jpg")
    return sorted(files_by_number(folder / "colorimage", names))


TRAIN_TAKES = (
    "001_PKA", "002_PKA", "003_TKA", "006_PKA", "007_TKA", "008_PKA", "010_PKA", "012_PKA", "013_PKA", "014_PKA",
    "015-018_PKA", "019-022_PKA", "023-032_PKA", "033_PKA", "035_PKA", "037_TKA",
)  # fmt: skip

MM_OR_TRAIN = Split("train", tuple(Block(take) for take in TRAIN_TAKES), imaged_frames)
"""The takes of the literature; frames are those with images, annotations are not looked at."""

MM_OR_VALIDATION = Split("validation", (Block("038_TKA"),), annotated_frames)
"""For choosing between models: the take that the released configuration neither trains nor tests on."""

MM_OR_TEST = Split(
    "test", (Block("004_PKA", most=300), Block("011_TKA", most=300), Block("036_PKA", most=150)), annotated_frames
)
"""The literature's 750 frames: the first annotation files of three takes."""


def open_mm_or(folder: Path, split: Split = MM_OR_TEST, views: Sequence[str] = MM_OR.views) -> Layout:
    """Look through a part of MM-OR Pose: calibrations are read, frames are listed, nothing else.

    Truth has the joints of `PANOPTIC_15`. The released loader drops a frame of which any image is missing; here the
    view alone is left out.
    """
    places = sequence_folders(folder, split)
    rigs = {name: read_calibration_mm_or(place, views, size=MM_OR.image_size) for name, place in places.items()}
    files = {
        name: files_by_number(place / "poses", POSE_FILE) if (place / "poses").is_dir() else {}
        for name, place in places.items()
    }
    keys = tuple(key for name, place in places.items() for key in split.keys(name, place, views))
    return Layout(MM_OR, keys, rigs, partial(image_path, folder), partial(people_of, files))


def image_path(folder: Path, key: FrameKey, camera: str) -> Path:
    """Where the image of a camera lies, or would."""
    return folder / key.sequence / "colorimage" / f"{camera}_colorimage-{key.number:06d}.jpg"


def people_of(files: Mapping[str, Mapping[int, Path]], key: FrameKey) -> Poses | None:
    """The people of a frame's annotation file."""
    path = files[key.sequence].get(key.number)
    return None if path is None else read_people(path)


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

"""Shelf and Campus (belagiannis2014shelf) as VoxelPose lays them out: one recording each, a folder per camera.

``Camera0/img_000000.png`` (Shelf) or ``Camera0/campus4-c0-00000.png`` (Campus), ``calibration_shelf.json`` or
``calibration_campus.json``, ``actorsGT.mat``. Frames count from 0.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from dispose.datasets.layouts.source import Block, FrameKey, Layout, Split, Traits, files_by_number, require_folder
from dispose.errors import InputError
from dispose.formats.actors_mat import Actors, read_actors
from dispose.formats.calibration.json_files import read_calibration_voxelpose
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Poses
from dispose.skeletons.catalog import SHELF_14

ACTORS = "actorsGT.mat"
CAMERA = re.compile(r"Camera(\d+)")
IMAGE_FILE = re.compile(r".*?(\d+)\.\w+")


def frames_of_annotation(folder: Path, views: Sequence[str]) -> list[int]:
    """Numbers of all frames that the annotation file speaks of, those without people included."""
    return list(range(read_actors(folder / ACTORS).annotated.shape[1]))


def imaged_frames(folder: Path, views: Sequence[str]) -> list[int]:
    """Numbers of the frames of which at least one of the cameras has an image."""
    return sorted({number for view in views for number in files_by_number(folder / view, IMAGE_FILE)})


SHELF = Traits(
    name="Shelf",
    skeleton=SHELF_14,
    views=("Camera0", "Camera1", "Camera2", "Camera3", "Camera4"),
    image_size=(1032, 776),
    input_size=(800, 608),
    space_size_mm=(8000.0, 8000.0, 2000.0),
    space_centre_mm=(450.0, -320.0, 800.0),
    score_threshold=0.2,
)
CAMPUS = Traits(
    name="Campus",
    skeleton=SHELF_14,
    views=("Camera0", "Camera1", "Camera2"),
    image_size=(360, 288),
    input_size=(800, 640),
    space_size_mm=(12000.0, 12000.0, 2000.0),
    space_centre_mm=(3000.0, 4500.0, 1000.0),
    score_threshold=0.2,
)

SHELF_TRAIN = Split("train", (Block("Shelf", 0, 299), Block("Shelf", 601, 2849)), imaged_frames)
CAMPUS_TRAIN = Split(
    "train", (Block("Campus", 0, 349), Block("Campus", 471, 649), Block("Campus", 751, 1649)), imaged_frames
)
"""The literature's training frames without those held back for validation and the 50 before them."""

SHELF_VALIDATION = Split("validation", (Block("Shelf", 2900, 3199),), imaged_frames)
CAMPUS_VALIDATION = Split("validation", (Block("Campus", 1700, 1999),), imaged_frames)
"""For choosing between models: the last 300 frames, 2300 (Shelf) and 950 (Campus) away from the test."""

SHELF_TEST = Split("test", (Block("Shelf", 300, 600),), frames_of_annotation)
CAMPUS_TEST = Split("test", (Block("Campus", 350, 470), Block("Campus", 650, 750)), frames_of_annotation)
"""The literature's test frames."""


def open_shelf(folder: Path, split: Split = SHELF_TEST, views: Sequence[str] = SHELF.views) -> Layout:
    """Look through a part of Shelf."""
    return open_actor_capture(folder, split, SHELF, "calibration_shelf.json", "img_{number:06d}.png", views)


def open_campus(folder: Path, split: Split = CAMPUS_TEST, views: Sequence[str] = CAMPUS.views) -> Layout:
    """Look through a part of Campus."""
    file = "campus4-c{camera}-{number:05d}.png"
    return open_actor_capture(folder, split, CAMPUS, "calibration_campus.json", file, views)


def open_actor_capture(
    folder: Path, split: Split, traits: Traits, calibration: str, file: str, views: Sequence[str]
) -> Layout:
    """Look through a recording: calibration and annotations are read, frames are listed.

    Args:
        folder: where everything lies.
        split: which frames.
        traits: of the data set.
        calibration: the name of its calibration.
        file: the name of an image, with ``{camera}`` and ``{number}``.
        views: names of the cameras wanted.
    """
    require_folder(folder)
    rig = read_rig(folder / calibration, traits, views)
    actors = read_actors(folder / ACTORS) if (folder / ACTORS).exists() else None
    keys = tuple(key for name in split.sequences for key in split.keys(name, folder, views))
    rigs = dict.fromkeys(split.sequences, rig)
    return Layout(traits, keys, rigs, partial(image_path, folder, file), partial(people_of, actors))


def image_path(folder: Path, file: str, key: FrameKey, camera: str) -> Path:
    """Where the image of a camera lies, or would."""
    return folder / camera / file.format(camera=int(camera.removeprefix("Camera")), number=key.number)


def people_of(actors: Actors | None, key: FrameKey) -> Poses | None:
    """The annotated people of a frame; nothing in the file tells one that nobody annotated from one without people."""
    if actors is None or key.number >= actors.annotated.shape[1]:
        return None
    poses = actors.at(key.number)
    return poses if len(poses.id) else None


def read_rig(path: Path, traits: Traits, views: Sequence[str]) -> Cameras:
    """The cameras named; the file stores no size of images, so it is the data set's."""
    cameras = read_calibration_voxelpose(path)
    for view in views:
        if view not in cameras.names or not CAMERA.fullmatch(view):
            raise InputError(f"{path}: no camera {view!r} (there is {', '.join(cameras.names)}).")
    chosen = cameras.select(views=[cameras.names.index(view) for view in views])
    size = torch.tensor(traits.image_size, dtype=torch.float64).expand(len(chosen), 2)
    return replace(chosen, size=size.clone())

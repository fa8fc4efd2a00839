"""The layout that Shelf and Campus share (VoxelPose's): a folder per camera, one calibration, ``actorsGT.mat``."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from dispose.datasets.layouts.source import FrameKey, Layout, Split, Traits, files_by_number, require_folder
from dispose.errors import InputError
from dispose.formats.actors_mat import Actors, read_actors
from dispose.formats.calibration.voxelpose import read_calibration_voxelpose
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Poses

ACTORS = "actorsGT.mat"
CAMERA = re.compile(r"Camera(\d+)")
IMAGE_FILE = re.compile(r".*?(\d+)\.\w+")


def frames_of_annotation(folder: Path, views: Sequence[str]) -> list[int]:
    """Numbers of all frames that the annotation file speaks of, those without people included."""
    return list(range(read_actors(folder / ACTORS).annotated.shape[1]))


def imaged_frames(folder: Path, views: Sequence[str]) -> list[int]:
    """Numbers of the frames of which at least one of the cameras has an image."""
    return sorted({number for view in views for number in files_by_number(folder / view, IMAGE_FILE)})


def open_actor_capture(
    folder: Path, split: Split, *, traits: Traits, calibration: str, file: str, views: Sequence[str]
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

"""CMU Panoptic (joo2015panoptic) as its tool box downloads it: a folder per sequence, cm, y down.

``SEQ/calibration_SEQ.json``, ``SEQ/hdImgs/00_CC/00_CC_00000000.jpg``,
``SEQ/hdPose3d_stage1_coco19/body3DScene_00000000.json``.
"""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from dispose.datasets.layouts.source import Block, FrameKey, Layout, Split, Traits, files_by_number, sequence_folders
from dispose.errors import InputError
from dispose.formats.body3d import read_bodies
from dispose.formats.calibration.json_files import read_calibration_panoptic
from dispose.scene.convert import convert_poses
from dispose.scene.frame import Poses
from dispose.skeletons.catalog import PANOPTIC_15, PANOPTIC_19


def hd_cameras(*nodes: int) -> tuple[str, ...]:
    """Names of high-definition cameras from their numbers."""
    return tuple(f"00_{node:02d}" for node in nodes)


CMU0 = hd_cameras(3, 6, 12, 13, 23)
CMU0_3 = hd_cameras(3, 6, 12)
CMU0_4 = hd_cameras(3, 6, 12, 13)
CMU0_6 = (*CMU0, *hd_cameras(10))
CMU0_7 = (*CMU0, *hd_cameras(10, 16))
CMU1 = hd_cameras(1, 2, 3, 4, 6, 7, 10)
CMU2 = hd_cameras(12, 16, 18, 19, 22, 23, 30)
CMU3 = hd_cameras(10, 12, 16, 18)
CMU4 = hd_cameras(6, 7, 10, 12)
ARRANGEMENTS = {
    "CMU0": CMU0, "CMU0_3": CMU0_3, "CMU0_4": CMU0_4, "CMU0_6": CMU0_6, "CMU0_7": CMU0_7,
    "CMU1": CMU1, "CMU2": CMU2, "CMU3": CMU3, "CMU4": CMU4,
}  # fmt: skip
"""Camera set-ups of the literature: `CMU0` is the one trained with, CMU1-CMU4 are arrangements never trained with."""

PANOPTIC = Traits(
    name="CMU Panoptic",
    skeleton=PANOPTIC_15,
    views=CMU0,
    image_size=(1920, 1080),
    input_size=(960, 512),
    space_size_mm=(8000.0, 8000.0, 2000.0),
    space_centre_mm=(0.0, -500.0, 800.0),
    score_threshold=0.2,
)

KNOWN_SCORE = 0.1
"""A joint is known where its published confidence exceeds this; a person counts where the mid-hip does."""

POSES = "hdPose3d_stage1_coco19"
POSE_FILE = re.compile(r"body3DScene_(\d+)\.json")
IMAGE_FILE = re.compile(r"00_\d\d_(\d+)\.jpg")


def annotated_frames(folder: Path, views: Sequence[str]) -> list[int]:
    """Numbers of the frames with an annotation file."""
    return sorted(files_by_number(folder / POSES, POSE_FILE))


def imaged_frames(folder: Path, views: Sequence[str]) -> list[int]:
    """Numbers of the frames of which at least one of the cameras has an image."""
    return sorted({number for view in views for number in files_by_number(folder / "hdImgs" / view, IMAGE_FILE)})


TRAIN_SEQUENCES = (
    "160422_ultimatum1", "160224_haggling1", "160226_haggling1", "161202_haggling1",
    "160906_ian1", "160906_ian2", "160906_ian3", "160906_band1", "160906_band2",
)  # fmt: skip
VALIDATION_SEQUENCES = ("160906_band3",)
TEST_SEQUENCES = ("160906_pizza1", "160422_haggling1", "160906_ian5", "160906_band4")

PANOPTIC_TRAIN = Split("train", tuple(Block(name) for name in TRAIN_SEQUENCES), imaged_frames)
"""The nine sequences of the literature; frames are those with images, annotations are not looked at."""

PANOPTIC_VALIDATION = Split(
    "validation", tuple(Block(name, every=12) for name in VALIDATION_SEQUENCES), annotated_frames
)
"""For choosing between models: the literature downloads this sequence and uses it for nothing."""

PANOPTIC_TEST = Split("test", tuple(Block(name, every=12) for name in TEST_SEQUENCES), annotated_frames)
"""The four sequences of the literature, every twelfth annotation file."""


def open_panoptic(folder: Path, split: Split = PANOPTIC_TEST, views: Sequence[str] = CMU0) -> Layout:
    """Look through a part of CMU Panoptic: calibrations are read, frames are listed, nothing else.

    Truth has the joints of `PANOPTIC_15`.

    Args:
        folder: where the folders of the sequences lie.
        split: `PANOPTIC_TRAIN`, `PANOPTIC_VALIDATION`, `PANOPTIC_TEST`, or one of your own.
        views: names of the cameras, such as `CMU3`.
    """
    places = sequence_folders(folder, split)
    rigs = {
        name: read_calibration_panoptic(place / f"calibration_{name}.json", tuple(views))
        for name, place in places.items()
    }
    keys = tuple(key for name, place in places.items() for key in split.keys(name, place, views))
    return Layout(PANOPTIC, keys, rigs, partial(image_path, folder), partial(read_people, folder))


def image_path(folder: Path, key: FrameKey, camera: str) -> Path:
    """Where the image of a camera lies, or would."""
    return folder / key.sequence / "hdImgs" / camera / f"{camera}_{key.number:08d}.jpg"


def read_people(folder: Path, key: FrameKey) -> Poses | None:
    """The people of the frame's annotation file whose mid-hip is known: the others are not the literature's truth."""
    path = folder / key.sequence / POSES / f"body3DScene_{key.number:08d}.json"
    if not path.is_file():
        return None
    bodies = read_bodies(path)
    if bodies.skeleton not in (None, PANOPTIC_19):
        raise InputError(f"{path}: people have {len(bodies.skeleton)} joints, {len(PANOPTIC_19)} are expected.")
    poses = bodies.poses(PANOPTIC_19, known_above=KNOWN_SCORE)
    keep = poses.valid[:, PANOPTIC_19.index("mid_hip")]
    known = Poses(PANOPTIC_19, poses.xyz_world[keep], poses.confidence[keep], poses.valid[keep], poses.id[keep])
    return convert_poses(known, PANOPTIC_15)

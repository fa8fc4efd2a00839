"""CMU Panoptic (joo2015panoptic) as its tool box downloads it: a folder per sequence, cm, y down.

``SEQ/calibration_SEQ.json``, ``SEQ/hdImgs/00_CC/00_CC_00000000.jpg``,
``SEQ/hdPose3d_stage1_coco19/body3DScene_00000000.json``.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.datasets.layouts.source import Block, FrameKey, Split, Traits, Truth, no_poses, sequence_folders
from dispose.errors import InputError
from dispose.formats.body3d import world_from_panoptic
from dispose.formats.calibration.panoptic import PANOPTIC_FROM_OURS, read_calibration_panoptic
from dispose.formats.entry import Entry
from dispose.formats.files import visible
from dispose.scene.cameras import Cameras
from dispose.scene.convert import convert_poses
from dispose.scene.poses import Poses
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
PICTURE_FILE = re.compile(r"00_\d\d_(\d+)\.jpg")


def annotated(folder: Path, views: Sequence[str]) -> list[int]:
    """Numbers of the frames with an annotation file."""
    return numbers_in(folder / POSES, POSE_FILE)


def pictured(folder: Path, views: Sequence[str]) -> list[int]:
    """Numbers of the frames of which at least one of the cameras has a picture."""
    numbers: set[int] = set()
    for view in views:
        numbers.update(numbers_in(folder / "hdImgs" / view, PICTURE_FILE))
    return sorted(numbers)


def numbers_in(folder: Path, name: re.Pattern[str]) -> list[int]:
    """The numbers in the names of a folder's files; `InputError` where there is no such folder."""
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; data/cards/panoptic.md says how to obtain it.")
    found = (name.fullmatch(path.name) for path in visible(folder.iterdir()))
    return sorted(int(match[1]) for match in found if match)


TRAIN_SEQUENCES = (
    "160422_ultimatum1", "160224_haggling1", "160226_haggling1", "161202_haggling1",
    "160906_ian1", "160906_ian2", "160906_ian3", "160906_band1", "160906_band2",
)  # fmt: skip
VALIDATION_SEQUENCES = ("160906_band3",)
TEST_SEQUENCES = ("160906_pizza1", "160422_haggling1", "160906_ian5", "160906_band4")

PANOPTIC_TRAIN = Split("train", tuple(Block(name) for name in TRAIN_SEQUENCES), pictured)
"""The nine sequences of the literature; frames are those with pictures, annotations are not looked at."""

PANOPTIC_VALIDATION = Split("validation", tuple(Block(name, every=12) for name in VALIDATION_SEQUENCES), annotated)
"""For choosing between models: the literature downloads this sequence and uses it for nothing."""

PANOPTIC_TEST = Split("test", tuple(Block(name, every=12) for name in TEST_SEQUENCES), annotated)
"""The four sequences of the literature, every twelfth annotation file."""


@dataclass(frozen=True, eq=False)
class PanopticCapture:
    """A part of CMU Panoptic (a `Source`); truth has the joints of `PANOPTIC_15`."""

    folder: Path
    keys: tuple[FrameKey, ...]
    rigs: tuple[tuple[str, Cameras], ...]
    traits: Traits = PANOPTIC

    def cameras(self, sequence: str) -> Cameras:
        """The cameras of a sequence; every sequence has its own calibration."""
        return dict(self.rigs)[sequence]

    def picture(self, key: FrameKey, view: int) -> Path:
        """Where the picture of a view lies, or would."""
        name = self.cameras(key.sequence).names[view]
        return self.folder / key.sequence / "hdImgs" / name / f"{name}_{key.number:08d}.jpg"

    def truth(self, key: FrameKey) -> Truth:
        """The people of the frame's annotation file whose mid-hip is known."""
        path = self.folder / key.sequence / POSES / f"body3DScene_{key.number:08d}.json"
        if not path.is_file():
            return Truth(key.sequence, key.number, False, no_poses(PANOPTIC_15))
        poses = convert_poses(with_known_root(read_bodies(path)), PANOPTIC_15)
        return Truth(key.sequence, key.number, True, poses)


def open_panoptic(folder: Path, split: Split = PANOPTIC_TEST, *, views: Sequence[str] = CMU0) -> PanopticCapture:
    """Look through a part of CMU Panoptic: calibrations are read, frames are listed, nothing else.

    Args:
        folder: where the folders of the sequences lie.
        split: `PANOPTIC_TRAIN`, `PANOPTIC_VALIDATION`, `PANOPTIC_TEST`, or one of your own.
        views: names of the cameras, such as `CMU3`.
    """
    keys, rigs = [], []
    for name, place in zip(split.sequences, sequence_folders(folder, split), strict=True):
        rigs.append((name, read_calibration_panoptic(place / f"calibration_{name}.json", tuple(views))))
        numbers = split.numbers(place, views)
        for block in split.only(name).blocks:
            keys.extend(FrameKey(name, number) for number in block.of(numbers))
    return PanopticCapture(folder, tuple(keys), tuple(rigs))


def read_bodies(path: Path) -> Poses:
    """All people of an annotation file with the 19 joints, in mm with z up.

    The file is in cm with y down: ``(x, y, z)`` there is ``10 (x, z, -y)`` here.
    """
    ids, people = [], []
    for body in Entry.of_json(path).at("bodies").items():
        ids.append(int(body.at("id").number()))
        people.append(body.at("joints19").numbers(4 * len(PANOPTIC_19)).reshape(-1, 4))
    if not people:
        return no_poses(PANOPTIC_19)
    rows = torch.stack(people)
    score = rows[..., 3]
    valid = score > KNOWN_SCORE
    xyz = torch.where(valid[..., None], world_from_panoptic(rows[..., :3]), 0.0)
    return Poses(PANOPTIC_19, xyz, torch.where(valid, score.clamp(0, 1), 0.0), valid, torch.tensor(ids))


def panoptic_from_world(xyz_world: Float[Tensor, "*points 3"]) -> Float[Tensor, "*points 3"]:
    """Mm with z up as Panoptic's cm with y down."""
    return xyz_world @ PANOPTIC_FROM_OURS.T / 10


def with_known_root(poses: Poses) -> Poses:
    """The people whose mid-hip is known: the others are left out of the literature's truth."""
    keep: Bool[Tensor, " persons"] = poses.valid[:, poses.skeleton.index("mid_hip")]
    return Poses(poses.skeleton, poses.xyz_world[keep], poses.confidence[keep], poses.valid[keep], poses.id[keep])

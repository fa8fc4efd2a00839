"""A small capture on disk: four cameras, two walking people, exact detections."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from dispose.formats.calibration.pose2sim import write_calibration_toml
from dispose.formats.detections.openpose import write_openpose
from dispose.geometry.rigid import look_at
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections
from dispose.skeletons.catalog import COCO_17

FRAMES = 6

# A standing person: x to the right, y to the front, z up, mm.
STANDING = {
    "nose": (0, 100, 1600), "l_eye": (-30, 90, 1640), "r_eye": (30, 90, 1640), "l_ear": (-75, 10, 1620),
    "r_ear": (75, 10, 1620), "l_shoulder": (-180, 0, 1430), "r_shoulder": (180, 0, 1430),
    "l_elbow": (-240, -20, 1150), "r_elbow": (240, -20, 1150), "l_wrist": (-260, 80, 920),
    "r_wrist": (260, 80, 920), "l_hip": (-100, 0, 920), "r_hip": (100, 0, 920), "l_knee": (-110, 20, 500),
    "r_knee": (110, 20, 500), "l_ankle": (-110, -30, 90), "r_ankle": (110, -30, 90),
}  # fmt: skip


class Walk:
    """Two people walking past each other before four cameras."""

    frames = FRAMES

    @staticmethod
    def rig() -> Cameras:
        return rig()

    @staticmethod
    def people_at(frame: int) -> torch.Tensor:
        return people_at(frame)

    @staticmethod
    def detections_at(frame: int) -> Detections:
        return detections_at(rig(), frame)


@pytest.fixture
def walk() -> Walk:
    return Walk()


def rig(names: tuple[str, ...] = ("cam_01", "cam_02", "cam_03", "cam_04")) -> Cameras:
    views = len(names)
    # Neither the ring nor its cameras are alike: a symmetric rig explains its pictures in any order of the cameras.
    number = torch.arange(views, dtype=torch.float64)
    angle, radius = 0.4 + 1.2 * number + 0.13 * number**2, 3600 + 700 * (number % 3)
    centre = torch.stack([radius * angle.cos(), radius * angle.sin(), 1500 + 400 * number], -1)
    target = torch.tensor([0.0, 0.0, 900.0], dtype=torch.float64).expand(views, 3)
    rotation, translation = look_at(centre, target, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    matrix = torch.tensor([[1100.0, 0, 960], [0, 1100, 540], [0, 0, 1]], dtype=torch.float64).repeat(views, 1, 1)
    size = torch.tensor([1920.0, 1080.0], dtype=torch.float64).repeat(views, 1)
    return Cameras(names, size, matrix, torch.zeros(views, 8).double(), rotation, translation)


def people_at(frame: int) -> torch.Tensor:
    """Two people who walk past each other."""
    body = torch.tensor([STANDING[joint] for joint in COCO_17.joints], dtype=torch.float64)
    shift = torch.tensor([[-900.0 + 60 * frame, -500, 0], [900.0 - 60 * frame, 800, 0]], dtype=torch.float64)
    return body + shift[:, None]


def detections_at(cameras: Cameras, frame: int) -> Detections:
    xy, _ = cameras.project(people_at(frame))
    xys = torch.cat([xy, torch.full_like(xy[..., :1], 0.9)], dim=-1)
    # The detector lists people in another order in every camera and frame.
    return Detections.from_lists(
        COCO_17, [list(view.flip(0) if (v + frame) % 2 else view) for v, view in enumerate(xys)]
    )


@dataclass(frozen=True)
class CaptureFolder:
    """A capture on disk whose files the tests spoil."""

    path: Path
    cameras: Cameras

    @property
    def calibration(self) -> Path:
        return self.path / "calib" / "Calib.toml"

    def frame_file(self, camera: str, frame: int) -> Path:
        return self.path / "pose" / f"{camera}_json" / f"{camera}.{frame:04d}.json"

    def spoil_person(self, camera: str, frame: int, spoil: Callable[[list[float]], list[float]]) -> None:
        path = self.frame_file(camera, frame)
        record = json.loads(path.read_text())
        record["people"][1]["pose_keypoints_2d"] = spoil(record["people"][1]["pose_keypoints_2d"])
        path.write_text(json.dumps(record))


@pytest.fixture
def capture_folder(tmp_path: Path) -> CaptureFolder:
    cameras = rig()
    folder = tmp_path / "walk"
    write_calibration_toml(folder / "calib" / "Calib.toml", cameras)
    for frame in range(FRAMES):
        write_openpose(folder / "pose", frame, ("cam01", "cam02", "cam03", "cam04"), detections_at(cameras, frame))
    return CaptureFolder(folder, cameras)

"""A small scene with known people, cameras and who is who, for the pictures to draw."""

import math
from dataclasses import dataclass, replace

import pytest
import torch

from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Frame, Labels, Poses
from dispose.scene.results import Association, FrameResult, Hypotheses, Prediction, Results
from dispose.skeletons.catalog import COCO_17

STANDING = {
    "nose": (60, 0, 1640), "l_eye": (50, 30, 1670), "r_eye": (50, -30, 1670), "l_ear": (0, 70, 1650),
    "r_ear": (0, -70, 1650), "l_shoulder": (0, 180, 1430), "r_shoulder": (0, -180, 1430),
    "l_elbow": (20, 240, 1150), "r_elbow": (20, -240, 1150), "l_wrist": (120, 250, 920),
    "r_wrist": (120, -250, 920), "l_hip": (0, 95, 930), "r_hip": (0, -95, 930), "l_knee": (80, 100, 500),
    "r_knee": (-40, -100, 500), "l_ankle": (60, 100, 80), "r_ankle": (-120, -100, 90),
}  # fmt: skip


@dataclass(frozen=True)
class Toy:
    """A frame, the people in it, and the same people at later moments."""

    frame: Frame
    prediction: Prediction
    later: tuple[Prediction, ...]


def ring_of_cameras(views: int) -> Cameras:
    centres, rotations = [], []
    for view in range(views):
        angle = 2 * math.pi * view / views
        centre = torch.tensor([4500 * math.cos(angle), 4500 * math.sin(angle), 2600.0], dtype=torch.float64)
        forward = torch.tensor([0.0, 0.0, 900.0], dtype=torch.float64) - centre
        forward = forward / forward.norm()
        right = torch.linalg.cross(forward, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
        right = right / right.norm()
        rotations.append(torch.stack([right, torch.linalg.cross(forward, right), forward]))
        centres.append(centre)
    rotation, centre = torch.stack(rotations), torch.stack(centres)
    matrix = torch.tensor([[900.0, 0, 639.5], [0, 900.0, 359.5], [0, 0, 1]], dtype=torch.float64)
    return Cameras(
        tuple(f"cam{v + 1:02d}" for v in range(views)),
        torch.tensor([[1280.0, 720.0]], dtype=torch.float64).expand(views, 2),
        matrix.expand(views, 3, 3),
        torch.zeros(views, 8, dtype=torch.float64),
        rotation,
        -(rotation @ centre[..., None])[..., 0],
    )


def people_at(time: float, ids: tuple[int, ...]) -> Poses:
    body = torch.tensor([STANDING[j] for j in COCO_17.joints], dtype=torch.float64)
    people = []
    for i in ids:
        angle = time + 2 * math.pi * i / 3
        turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]).double()
        place = 1200 * torch.tensor([math.cos(angle), math.sin(angle)], dtype=torch.float64)
        people.append(torch.cat([body[:, :2] @ turn.T + place, body[:, 2:]], -1))
    xyz = torch.stack(people) if people else torch.zeros(0, len(COCO_17), 3, dtype=torch.float64)
    return Poses(COCO_17, xyz, torch.ones(xyz.shape[:2]).double(), torch.ones(xyz.shape[:2]).bool(), torch.tensor(ids))


def prediction_of(number: int, poses: Poses, members: torch.Tensor) -> Prediction:
    root = poses.xyz_world[:, poses.skeleton.indices(poses.skeleton.root_of)].mean(1)
    confidence = torch.linspace(1.0, 0.8, len(poses.id), dtype=torch.float64)
    return Prediction(number, Association(members, confidence), poses, root)


@pytest.fixture(scope="session")
def toy() -> Toy:
    """Three people in four views; camera 2 misses person 2 and has a false detection instead."""
    cameras, ids = ring_of_cameras(4), (0, 1, 2)
    poses = people_at(0.0, ids)
    xy, _ = cameras.project(poses.xyz_world)
    generator = torch.Generator().manual_seed(0)
    xy = xy + 3 * torch.randn(xy.shape, generator=generator, dtype=torch.float64)
    xys = torch.cat([xy, torch.full_like(xy[..., :1], 0.9)], -1)
    lists = [list(view) for view in xys]
    lists[1][2] = lists[1][2] + torch.tensor([200.0, 120.0, 0.0])
    members = torch.arange(3)[:, None].expand(3, 4).clone()
    members[2, 1] = -1
    frame = Frame(7, cameras, Detections.from_lists(COCO_17, lists))
    later = tuple(prediction_of(7 + t, people_at(0.05 * t, ids), members) for t in range(5))
    return Toy(frame, prediction_of(7, poses, members), later)


def hypotheses() -> Hypotheses:
    members = torch.tensor([[0, 0, 0, 0], [1, 1, 1, 1], [2, -1, 2, 2], [0, 1, -1, -1], [-1, -1, -1, -1]])
    mass = torch.tensor([[0.5, 0.5, 0.5, 0.4, 3.0], [0.8, 0.7, 0.6, 0.2, 3.0], [1.0, 1.0, 1.0, 0.0, 3.0]])
    return Hypotheses(members, torch.ones(5), torch.ones(5), mass[0], torch.tensor([1.0, 0.5, 0.0]), mass)


@pytest.fixture
def results(toy: Toy) -> Results:
    """Three frames: as the toy has it, with nobody, and without cameras."""
    labels = Labels.of_detections(toy.frame.detections.index, toy.prediction.poses)
    full = FrameResult(toy.prediction, toy.frame, hypotheses(), labels=labels)
    none = replace(toy.prediction.select(persons=[]), number=8)
    blind = FrameResult(replace(toy.prediction, number=9))
    return Results("toy", "ours", COCO_17, (full, FrameResult(none, replace(toy.frame, number=8)), blind), ("a note",))

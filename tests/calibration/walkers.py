"""Three people who walk about before five cameras, and a detector with a known noise."""

import torch

from dispose.geometry.rigid import look_at
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Frame
from dispose.skeletons.catalog import COCO_17

# A standing person: x to the left, y to the front, z up, mm.
STANDING = {
    "nose": (0, 100, 1600), "l_eye": (30, 90, 1640), "r_eye": (-30, 90, 1640), "l_ear": (75, 10, 1620),
    "r_ear": (-75, 10, 1620), "l_shoulder": (180, 0, 1430), "r_shoulder": (-180, 0, 1430),
    "l_elbow": (240, -20, 1150), "r_elbow": (-240, -20, 1150), "l_wrist": (260, 80, 920),
    "r_wrist": (-260, 80, 920), "l_hip": (100, 0, 920), "r_hip": (-100, 0, 920), "l_knee": (110, 20, 500),
    "r_knee": (-110, 20, 500), "l_ankle": (110, -30, 90), "r_ankle": (-110, -30, 90),
}  # fmt: skip
NAMES = ("cam_01", "cam_02", "cam_03", "cam_04", "cam_05")


def ring(views: int = 5) -> Cameras:
    """Cameras around a room, no two alike."""
    number = torch.arange(views, dtype=torch.float64)
    angle, radius = 0.4 + 1.2 * number + 0.13 * number**2, 3600 + 700 * (number % 3)
    centre = torch.stack([radius * angle.cos(), radius * angle.sin(), 1500 + 400 * number], -1)
    target = centre.new_tensor([[0.0, 0, 900]]).expand(views, 3)
    rotation, translation = look_at(centre, target, centre.new_tensor([0.0, 0, 1]))
    matrix = torch.tensor([[1100.0, 0, 960], [0, 1100, 540], [0, 0, 1]], dtype=torch.float64).repeat(views, 1, 1)
    size = torch.tensor([1920.0, 1080.0], dtype=torch.float64).repeat(views, 1)
    lens = torch.zeros(views, 8, dtype=torch.float64)
    lens[:, 0] = -0.1
    return Cameras(NAMES[:views], size, matrix, lens, rotation, translation)


def people_at(time: float) -> torch.Tensor:
    """Three people on circles of their own, in the middle of the floor."""
    body = torch.tensor([STANDING[joint] for joint in COCO_17.joints], dtype=torch.float64)
    phase = torch.tensor([0.0, 2.1, 4.2], dtype=torch.float64) + time * torch.tensor([0.4, -0.3, 0.25])
    reach = torch.tensor([700.0, 1100.0, 1400.0], dtype=torch.float64)
    shift = torch.stack([reach * phase.cos(), reach * phase.sin(), torch.zeros(3, dtype=torch.float64)], -1)
    cos, sin, zero = phase.cos(), phase.sin(), torch.zeros_like(phase)
    turn = torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, zero + 1], -1).reshape(3, 3, 3)
    return body @ turn.mT + shift[:, None]


def filmed(
    cameras: Cameras, count: int, generator: torch.Generator, *, noise_px: float = 4.0, still: bool = False
) -> list[Frame]:
    """Frames of the people, seen with so much noise; `still`: nobody moves."""
    frames = []
    for number in range(count):
        xy, _ = cameras.project(people_at(0.0 if still else float(number)))
        xy = xy + noise_px * torch.randn(xy.shape, generator=generator, dtype=torch.float64)
        score = 0.5 + 0.5 * torch.rand(xy[..., :1].shape, generator=generator, dtype=torch.float64)
        people = torch.cat([xy, score], -1)
        # The detector lists people in another order in every camera and frame.
        lists = [list(view.roll(v + number, 0)) for v, view in enumerate(people)]
        frames.append(Frame(number, cameras, Detections.from_lists(COCO_17, lists)))
    return frames

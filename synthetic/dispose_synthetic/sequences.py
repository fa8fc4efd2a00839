"""Synthetic sequences: the same people walking, crossing each other and gesturing before fixed cameras."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.formats.calibration.pose2sim import write_calibration_toml
from dispose.formats.detections.openpose import write_openpose
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Frame, Labels
from dispose.tensors import stack
from dispose_synthetic.detectors.detector import detect
from dispose_synthetic.detectors.parameters import BOTTOM_UP, POOR, DetectorRanges, sample_detectors
from dispose_synthetic.people import (
    Angles,
    BoneLengths,
    PeopleConfig,
    gait,
    place_people,
    pose_people,
    sample_angles,
    sample_bodies,
)
from dispose_synthetic.placement import PUSHES, from_cameras, no_furniture, push_apart
from dispose_synthetic.randomness import Noise, between
from dispose_synthetic.rigs import OPERATING_ROOM, PERFECT_CALIBRATION
from dispose_synthetic.scenes import SceneConfig, sample_ghosts, sample_scenes, to_frame
from dispose_synthetic.visibility import look

STEP_LENGTH_MM = 1300.0
"""Way covered in a full cycle of the gait (two steps)."""
SMOOTH_FRAMES = 13
STANDING = PeopleConfig(activity_weights=(0.5, 0.0, 0.15, 0.2, 0.0, 0.0, 0.15, 0.0), angle_noise_deg=3.0)
"""Gestures that a person can do while walking: legs follow the gait, not the posture."""


@dataclass(frozen=True)
class SequenceConfig:
    """How a sequence moves and how it is detected.

    Attributes:
        rate_hz: frames per second.
        room_mm: radius of the floor on which people walk.
        walkers: share of the people who cross the room; the others stay about where they are.
        seconds_per_gesture: time from one posture of the arms and the trunk to the next.
        seconds_per_crossing: time from one side of the room to the other.
        correlation: of the detector's luck in neighbouring frames.
        detector: kind of detector; one is drawn for the sequence.
        ghosts: most false people per view.
    """

    rate_hz: float = 25.0
    room_mm: float = 1800.0
    walkers: float = 0.7
    seconds_per_gesture: float = 1.2
    seconds_per_crossing: float = 3.5
    correlation: float = 0.9
    detector: DetectorRanges = BOTTOM_UP
    ghosts: int = 2


def _between_keys(keys: Float[Tensor, "keys ..."], at: Float[Tensor, " frames"]) -> Float[Tensor, "frames ..."]:
    """Smooth way through keys at 0, 1, 2, …: Catmull-Rom, so that speed does not jump at the keys."""
    last = keys.shape[0] - 1
    i = at.floor().long().clamp(0, last - 1)
    t = (at - i).reshape(-1, *(1,) * (keys.ndim - 1))
    before, start, end, after = (keys[(i + step).clamp(0, last)] for step in (-1, 0, 1, 2))
    return 0.5 * (
        2 * start
        + (end - before) * t
        + (2 * before - 5 * start + 4 * end - after) * t**2
        + (3 * start - before - 3 * end + after) * t**3
    )


def _paths(
    source: Noise, seconds: Float[Tensor, " frames"], persons: int, config: SequenceConfig, cameras: Tensor
) -> Float[Tensor, "frames persons 2"]:
    """Floor points over time: walkers go through the middle from side to side, the others shift about."""
    keys = math.ceil(float(seconds[-1]) / config.seconds_per_crossing) + 2
    walks = source.uniform((1, persons)) < config.walkers
    start = between(source, (1, persons), 0.0, 2 * math.pi)
    turns = math.pi * torch.arange(keys)[:, None] + (0.5 * source.normal((keys, persons))).cumsum(0)
    away = config.room_mm * between(source, (keys, persons), 0.55, 1.0)
    there = torch.stack([away * (start + turns).cos(), away * (start + turns).sin()], dim=-1)
    home = config.room_mm * 0.6 * source.uniform((1, persons)).sqrt()
    place = torch.stack([home * start.cos(), home * start.sin()], dim=-1) + 60.0 * source.normal((keys, persons, 2))
    # Nobody starts at the same moment.
    delay = source.uniform((1, persons))
    way = [
        _between_keys(torch.where(walks[..., None], there, place)[:, p], seconds / config.seconds_per_crossing + d)
        for p, d in enumerate(delay[0])
    ]
    floor = torch.stack(way, dim=1)
    present = torch.ones(floor.shape[:2], dtype=torch.bool)
    for _ in range(PUSHES):
        floor = from_cameras(push_apart(floor, present), cameras)
    # Who meets head-on is pushed to the other side from one frame to the next: smoothed, they brush past.
    return _smooth(_smooth(floor))


def _smooth(values: Float[Tensor, "frames persons *rest"]) -> Float[Tensor, "frames persons *rest"]:
    """Average over `SMOOTH_FRAMES` neighbouring frames; the ends are repeated."""
    half = SMOOTH_FRAMES // 2
    ends = values[:1].expand(half, *values.shape[1:]), values[-1:].expand(half, *values.shape[1:])
    return torch.cat([ends[0], values, ends[1]]).unfold(0, SMOOTH_FRAMES, 1).mean(-1)


def _facing(
    source: Noise, floor: Float[Tensor, "frames persons 2"], velocity: Float[Tensor, "frames persons 2"]
) -> Float[Tensor, "frames persons"]:
    """People look where they go; who stands looks to the middle of the room or anywhere."""
    rest = -floor + 500.0 * source.normal((1, floor.shape[1], 2))
    ahead = velocity * 2.0 + torch.nn.functional.normalize(rest, dim=-1) * 150.0
    angle = torch.atan2(ahead[..., 1], ahead[..., 0])
    turn = torch.remainder(angle.diff(dim=0) + math.pi, 2 * math.pi) - math.pi
    unwrapped = torch.cat([angle[:1], angle[:1] + turn.cumsum(0)])
    # Nobody spins round in one frame at the end of a path.
    return _smooth(_smooth(unwrapped))


def _moving_people(
    source: Noise, bodies: BoneLengths, floor: Tensor, seconds: Tensor, config: SequenceConfig
) -> Tensor:
    """Joints over time: gestures between key postures, legs that walk as fast as the feet must go."""
    frames, persons = floor.shape[:2]
    # One difference per frame; a single frame stands still.
    step = floor.diff(dim=0) * config.rate_hz if frames > 1 else torch.zeros(0, persons, 2)
    velocity = torch.cat([step, step[-1:] if frames > 1 else torch.zeros(1, persons, 2)])
    keys = math.ceil(float(seconds[-1]) / config.seconds_per_gesture) + 2
    posture = sample_angles(source, keys, persons, STANDING)
    at = seconds / config.seconds_per_gesture
    angles = Angles(*(_between_keys(part, at) for part in (posture.trunk, posture.arms, posture.legs)))
    speed = velocity.norm(dim=-1)
    phase = (speed / config.rate_hz).cumsum(0) * (2 * math.pi / STEP_LENGTH_MM) + between(
        source, (1, persons), 0.0, 6.0
    )
    stride = (speed / 1000.0).clamp(max=1.2)
    legs = angles.legs + gait(phase, stride) * stride.clamp(max=1.0)[..., None, None]
    arms = angles.arms.clone()
    arms[..., 0] += torch.stack([-phase.sin(), phase.sin()], dim=-1) * 0.3 * stride[..., None]
    people = pose_people(bodies, Angles(angles.trunk, arms, legs).limit())
    return place_people(people.xyz_body, floor, _facing(source, floor, velocity))


def sample_sequence(
    generator: torch.Generator,
    frames: int,
    persons: int,
    cameras: Cameras,
    config: SequenceConfig = SequenceConfig(),
) -> list[tuple[Frame, Labels]]:
    """The same people in `frames` consecutive frames; `Labels.poses.id` is stable over time.

    The world's origin is the middle of the room, on the floor.

    Args:
        generator: source of everything random.
        frames: number of frames.
        persons: number of people.
        cameras: the rig.
        config: motion and detector.
    """
    steady = Noise(generator)
    seconds = torch.arange(frames) / config.rate_hz
    if not frames:
        return []
    # What does not change over time is drawn once.
    still = torch.zeros(frames, dtype=torch.long)
    rigs = stack([cameras.to(torch.float64)])[still]
    floor = _paths(steady, seconds, persons, config, rigs.centres)
    bodies = sample_bodies(steady, 1, persons)[still]
    xyz = _moving_people(steady, bodies, floor, seconds, config)
    present = torch.ones(frames, persons, dtype=torch.bool)
    sight = look(xyz, present, rigs, no_furniture(frames))
    ghosts = sample_ghosts(steady, 1, len(cameras), config.ghosts, STANDING)[still]
    model = sample_detectors(steady, 1, (config.detector,), (1.0,))[still]
    found = detect(Noise(generator, config.correlation), sight, rigs, ghosts, model)
    return [to_frame(xyz.double(), present, rigs, found, frame) for frame in range(frames)]


CROWDED = SequenceConfig(room_mm=1100.0, walkers=0.5, seconds_per_crossing=2.0, detector=POOR)
OPERATING = SceneConfig(
    views=(4, 4), persons=(1, 1), rigs=(OPERATING_ROOM,), calibration=PERFECT_CALIBRATION, moved_world=False, chunk=1
)


def crowded_room(
    generator: torch.Generator, frames: int, *, persons: int = 8, stride: int = 4
) -> list[tuple[Frame, Labels]]:
    """A sequence made to be hard: a full operating room, four cameras below its ceiling, and a poor detector.

    Associators that make no mistakes elsewhere make some here. Every `stride`-th of consecutive frames, with labels.

    Args:
        generator: of everything random.
        frames: how many frames are returned.
        persons: people in a room of 2.2 m across.
        stride: steps of a twenty-fifth of a second between them.
    """
    (empty, _), *_ = sample_scenes(generator, 1, OPERATING)
    return sample_sequence(generator, frames * stride, persons, empty.cameras, CROWDED)[::stride]


def write_capture(folder: Path, frames: list[Frame]) -> None:
    """Write a sequence as Pose2Sim lays it out: ``calibration/Calib.toml`` and ``pose/<camera>_json/*.json``.

    Detections are COCO-17; the cameras are those of the first frame.
    """
    if not frames:
        return
    cameras = frames[0].cameras
    write_calibration_toml(folder / "calibration" / "Calib.toml", cameras)
    for frame in frames:
        write_openpose(folder / "pose", frame.number, cameras.names, frame.detections)

"""Synthetic frames: people in a room, filmed by a rig, found by a detector."""

import math
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.options import FROM_0
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Frame, Labels, Poses
from dispose.skeletons.catalog import COCO_17
from dispose_synthetic.detectors.detector import Detected, detect
from dispose_synthetic.detectors.parameters import DETECTOR_WEIGHTS, DETECTORS, DetectorRanges, sample_detectors
from dispose_synthetic.people import PeopleConfig, place_people, present_mask, rotation_about, sample_people
from dispose_synthetic.placement import sample_floor, sample_furniture
from dispose_synthetic.randomness import Noise, between, choose
from dispose_synthetic.rigs import (
    ARCHETYPES,
    CalibrationError,
    RigArchetype,
    miscalibrate,
    sample_rooms,
)
from dispose_synthetic.visibility import look


@dataclass(frozen=True)
class SceneConfig:
    """What frames are drawn from.

    Attributes:
        views: fewest and most cameras.
        view_weights: how often each number of cameras occurs, from the fewest on (padded with its last).
        persons: fewest and most people in the room.
        ghosts: most false people per view.
        rigs: kinds of rigs.
        detectors: kinds of detectors.
        detector_weights: how often each of them occurs.
        calibration: how wrong the calibration is that a model is given.
        people: what people do.
        moved_world: whether the world's origin lies anywhere (else in the middle of the room, on the floor).
        chunk: frames computed together; they have the same number of cameras.
    """

    views: tuple[int, int] = (2, 10)
    view_weights: tuple[float, ...] = (1.0, 3.0, 3.0, 3.0, 1.5, 1.0, 0.7, 0.5, 0.5)
    persons: tuple[int, int] = (1, 12)
    ghosts: int = field(default=4, metadata=FROM_0)
    rigs: tuple[RigArchetype, ...] = ARCHETYPES
    detectors: tuple[DetectorRanges, ...] = DETECTORS
    detector_weights: tuple[float, ...] = DETECTOR_WEIGHTS
    calibration: CalibrationError = CalibrationError()
    people: PeopleConfig = PeopleConfig()
    moved_world: bool = True
    chunk: int = 32


def sample_scenes(generator: torch.Generator, count: int, config: SceneConfig) -> list[tuple[Frame, Labels]]:
    """Draw frames and their labels.

    Frames are computed in chunks of `config.chunk` with one number of cameras each; every chunk has a seed of
    its own, so that the first chunks of a longer draw equal a shorter draw.
    """
    out: list[tuple[Frame, Labels]] = []
    while len(out) < count:
        seed = int(torch.randint(2**62, (), generator=generator))
        chunk = _sample_chunk(Noise(torch.Generator().manual_seed(seed)), config)
        out += [(replace(frame, number=len(out) + i), labels) for i, (frame, labels) in enumerate(chunk)]
    return out[:count]


def _sample_chunk(source: Noise, config: SceneConfig) -> list[tuple[Frame, Labels]]:
    """One chunk of frames with the same number of cameras."""
    frames, (fewest, most) = config.chunk, config.views
    shares = torch.tensor([config.view_weights[min(i, len(config.view_weights) - 1)] for i in range(most - fewest + 1)])
    views = fewest + int(choose(source, (), shares))
    low, high = config.persons
    # Many small groups, few large ones.
    counts = low + ((high - low + 1) * source.uniform((frames,)) ** 1.3).long().clamp(max=high - low)
    present = present_mask(counts, int(counts.max()))
    filmed = sample_rooms(source, frames, views, config.rigs)
    rigs, furniture = filmed.cameras, sample_furniture(source, filmed.room, filmed.furniture)
    floor, facing = sample_floor(source, present, filmed.room, filmed.crowding, furniture, rigs.centres)
    people = sample_people(source, frames, present.shape[1], config.people)
    xyz = place_people(people.xyz_body, floor, facing)
    sight = look(xyz, present, rigs, furniture)
    ghosts = sample_ghosts(source, frames, views, config.ghosts, config.people)
    model = sample_detectors(source, frames, config.detectors, config.detector_weights)
    found = detect(source, sight, rigs, ghosts, model)
    calibration = miscalibrate(source, rigs, config.calibration)
    xyz = xyz.double()
    if config.moved_world:
        xyz, calibration = _move_world(source, xyz, calibration)
    return [to_frame(xyz, present, calibration, found, frame) for frame in range(frames)]


def sample_ghosts(
    source: Noise, frames: int, views: int, ghosts: int, config: PeopleConfig
) -> Float[Tensor, "frames views ghosts joints 3"]:
    """Shapes for false people, facing anywhere."""
    shapes = sample_people(source, frames, views * ghosts, config).xyz_body
    turned = shapes @ rotation_about(2, between(source, (frames, views * ghosts), 0.0, 2 * math.pi)).mT
    return turned.reshape(frames, views, ghosts, *shapes.shape[-2:])


def _move_world(source: Noise, xyz_world: Tensor, cameras: Cameras) -> tuple[Tensor, Cameras]:
    """Turn the world about its vertical axis and put its origin elsewhere: calibrations start anywhere."""
    frames = len(xyz_world)
    turn = rotation_about(2, between(source, (frames,), 0.0, 2 * math.pi).double())
    shift = torch.cat([2000.0 * source.normal((frames, 2)), 500.0 * source.normal((frames, 1))], dim=-1).double()
    shift = shift * (source.uniform((frames, 1)) < 0.5)
    rotation = cameras.rotation @ turn.mT[:, None]
    translation = cameras.translation - (rotation @ shift[:, None, :, None])[..., 0]
    xyz = xyz_world @ turn.mT[:, None] + shift[:, None, None]
    return xyz, replace(cameras, rotation=rotation, translation=translation)


def to_frame(
    xyz_world: Float[Tensor, "frames persons joints 3"],
    present: Bool[Tensor, "frames persons"],
    cameras: Cameras,
    found: Detected,
    frame: int,
) -> tuple[Frame, Labels]:
    """One frame of a batch as the records of the library, without its padding."""
    slots = int(found.valid[frame].sum(-1).max()) if found.valid.shape[2] else 0
    valid, visible = found.valid[frame, :, :slots], found.visible[frame, :, :slots]
    confidence = found.confidence[frame, :, :slots].double()
    score = confidence.sum(-1) / visible.sum(-1).clamp(min=1)
    index = torch.where(valid, torch.arange(slots), -1)
    xy = found.xy_image[frame, :, :slots].double()
    detections = Detections(COCO_17, xy, confidence, visible, score, valid, index)
    here = present[frame].nonzero()[:, 0]
    poses = xyz_world[frame, here].double()
    known = torch.ones(poses.shape[:2], dtype=torch.bool)
    labels = Labels.of_detections(found.identity[frame, :, :slots], Poses(COCO_17, poses, known.double(), known, here))
    return Frame(frame, cameras[frame], detections), labels

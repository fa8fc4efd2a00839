"""A sequence made to be hard: a full operating room, four cameras below its ceiling, and a poor detector."""

import torch

from dispose.scene.cameras import Cameras
from dispose.scene.frame import Frame, Labels
from dispose_synthetic.detectors.parameters import POOR
from dispose_synthetic.rigs import OPERATING_ROOM, PERFECT_CALIBRATION
from dispose_synthetic.scenes import SceneConfig, sample_scenes
from dispose_synthetic.sequences import SequenceConfig, sample_sequence

MOTION = SequenceConfig(room_mm=1100.0, walkers=0.5, seconds_per_crossing=2.0, detector=POOR)


def crowded_room(
    generator: torch.Generator, frames: int, *, persons: int = 8, stride: int = 4
) -> list[tuple[Frame, Labels]]:
    """Every `stride`-th of consecutive frames, with labels: associators that make no mistakes elsewhere make some here.

    Args:
        generator: of everything random.
        frames: how many frames are returned.
        persons: people in a room of 2.2 m across.
        stride: steps of a twenty-fifth of a second between them.
    """
    return sample_sequence(generator, frames * stride, persons, _four_cameras(generator), MOTION)[::stride]


def _four_cameras(generator: torch.Generator) -> Cameras:
    """The cameras of an operating room."""
    config = SceneConfig(views=(4, 4), persons=(1, 1), rigs=(OPERATING_ROOM,), calibration=PERFECT_CALIBRATION,
                         moved_world=False, chunk=1)  # fmt: skip
    (frame, _), *_ = sample_scenes(generator, 1, config)
    return frame.cameras

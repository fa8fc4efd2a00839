"""Campus (belagiannis2014shelf) as VoxelPose lays it out.

``Camera0/campus4-c0-00000.png``, ``calibration_campus.json``, ``actorsGT.mat``: one recording of three cameras.
"""

from collections.abc import Sequence
from pathlib import Path

from dispose.datasets.layouts.actors import frames_of_annotation, imaged_frames, open_actor_capture
from dispose.datasets.layouts.source import Block, Layout, Split, Traits
from dispose.skeletons.catalog import SHELF_14

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

CAMPUS_TRAIN = Split(
    "train", (Block("Campus", 0, 349), Block("Campus", 471, 649), Block("Campus", 751, 1649)), imaged_frames
)
"""The literature's training frames without those held back for validation and the 50 before them."""

CAMPUS_TRAIN_LITERATURE = Split(
    "train, literature",
    (Block("Campus", 0, 349), Block("Campus", 471, 649), Block("Campus", 751, 1999)),
    imaged_frames,
)
"""All frames but the test's: includes our validation frames, so choose no model by those after training on these."""

CAMPUS_VALIDATION = Split("validation", (Block("Campus", 1700, 1999),), imaged_frames)
"""For choosing between models: the last 300 frames, 950 away from the test."""

CAMPUS_TEST = Split("test", (Block("Campus", 350, 470), Block("Campus", 650, 750)), frames_of_annotation)
"""The literature's test frames."""


def open_campus(folder: Path, split: Split = CAMPUS_TEST, *, views: Sequence[str] = CAMPUS.views) -> Layout:
    """Look through a part of Campus; frames count from 0."""
    return open_actor_capture(
        folder,
        split,
        traits=CAMPUS,
        calibration="calibration_campus.json",
        file="campus4-c{camera}-{number:05d}.png",
        views=views,
    )

"""Shelf (belagiannis2014shelf) as VoxelPose lays it out.

``Camera0/img_000000.png``, ``calibration_shelf.json``, ``actorsGT.mat``: one recording of five cameras.
"""

from collections.abc import Sequence
from pathlib import Path

from dispose.datasets.layouts.actors import frames_of_annotation, imaged_frames, open_actor_capture
from dispose.datasets.layouts.source import Block, Layout, Split, Traits
from dispose.skeletons.catalog import SHELF_14

SHELF = Traits(
    name="Shelf",
    skeleton=SHELF_14,
    views=("Camera0", "Camera1", "Camera2", "Camera3", "Camera4"),
    image_size=(1032, 776),
    input_size=(800, 608),
    space_size_mm=(8000.0, 8000.0, 2000.0),
    space_centre_mm=(450.0, -320.0, 800.0),
    score_threshold=0.2,
)

SHELF_TRAIN = Split("train", (Block("Shelf", 0, 299), Block("Shelf", 601, 2849)), imaged_frames)
"""The literature's training frames without those held back for validation and the 50 before them."""

SHELF_TRAIN_LITERATURE = Split("train, literature", (Block("Shelf", 0, 299), Block("Shelf", 601, 3199)), imaged_frames)
"""All frames but the test's: includes our validation frames, so choose no model by those after training on these."""

SHELF_VALIDATION = Split("validation", (Block("Shelf", 2900, 3199),), imaged_frames)
"""For choosing between models: the last 300 frames, 2300 away from the test."""

SHELF_TEST = Split("test", (Block("Shelf", 300, 600),), frames_of_annotation)
"""The literature's test frames."""


def open_shelf(folder: Path, split: Split = SHELF_TEST, *, views: Sequence[str] = SHELF.views) -> Layout:
    """Look through a part of Shelf; frames count from 0."""
    return open_actor_capture(
        folder, split, traits=SHELF, calibration="calibration_shelf.json", file="img_{number:06d}.png", views=views
    )

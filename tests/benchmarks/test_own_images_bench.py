"""What `dispose bench own-images` counts: people of a frame, whether one is near the actor, and how near."""

import numpy as np
import pytest
import torch

from dispose.datasets.samples import sample_folder
from dispose.inference.capture import read_image_capture
from dispose.inference.readings import Reading, Source
from dispose.scene.frame import Detections, Frame
from dispose.skeletons.catalog import PANOPTIC_15
from dispose_benchmarks.own_images import NEAR_MM, part_of, row_of

BODY = np.random.default_rng(0).normal(0, 300, (12, 3))
ACTOR = {number: BODY + np.array((50.0 * number**2, 0, 0)) for number in range(4)}
STANDING = {number: BODY + np.array((0, 5000.0, 0)) for number in range(4)}


def test_whoever_is_near_the_actor_is_compared() -> None:
    ours = {n: joints + np.array((0, 0, 40.0)) for n, joints in ACTOR.items() if n != 3}
    ours[0] = ours[0].copy()
    ours[0][0] = np.nan
    row = row_of("ours", 3, {1: ours, 2: STANDING}, ACTOR)
    assert (row.frames, row.people, row.found) == (4, 1.75, 75.0)
    assert row.median_mm == pytest.approx(40) and row.mean_mm == pytest.approx(40)
    far = {n: joints + np.array((0, 0, NEAR_MM + 1)) for n, joints in ACTOR.items()}
    assert row_of("far", 3, {1: far}, ACTOR).found == 0 and np.isnan(row_of("nobody", 3, {}, ACTOR).mean_mm)


def test_frames_and_cameras_are_chosen() -> None:
    cameras = read_image_capture(sample_folder("studio")).cameras
    found = Detections.from_lists(PANOPTIC_15, [[], [], [], []])
    source = Source((4, 5, 6), lambda number: None if number == 6 else Reading(Frame(number, cameras, found)))
    some = part_of(source, [5, 6], [2, 0])
    reading = some.read(5)
    assert some.numbers == (5, 6) and some.read(6) is None and reading is not None
    assert reading.frame.cameras.names == (cameras.names[2], cameras.names[0])
    assert torch.equal(reading.frame.cameras.translation[0], cameras.translation[2])

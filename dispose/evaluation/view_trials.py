"""How errors shrink with the number of cameras: the same people before one camera, two, three … of a rig."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from dispose.datasets.tables.panoptic import read_panoptic_mini
from dispose.formats.calibration.json_files import read_calibration_json
from dispose.scene.frame import Frame, Labels
from dispose_synthetic.detectors.points import PointNoise, detect_points
from dispose_synthetic.scenes import SceneConfig, sample_scenes

HELD_OUT = 9_000_000_000
"""Added to seeds: training draws from others."""

MOST_VIEWS = 10
SCENES = 48
HD_NOISE = PointNoise(6.0, 0.1, 60.0)
"""Of HD pictures: twice that of HumanEva's small ones."""


def fewer_views(
    scenes: Sequence[tuple[Frame, Labels]], counts: Sequence[int], generator: torch.Generator
) -> Iterator[tuple[Frame, Labels]]:
    """Every frame as so many of its cameras see it, drawn at random: each camera more is added to those before.

    Frames are numbered anew; those of one number of cameras follow each other.
    """
    orders = [torch.randperm(len(frame.cameras), generator=generator).tolist() for frame, _ in scenes]
    number = 0
    for count in counts:
        for (frame, labels), order in zip(scenes, orders, strict=True):
            views = order[:count]
            yield replace(frame.select(views=views), number=number), labels.select(views=views)
            number += 1


def synthetic_views(_: Path, *, seed: int) -> Iterator[tuple[Frame, Labels]]:
    """One to four synthetic people before one to ten cameras, with detectors and calibrations as training has them."""
    generator = torch.Generator().manual_seed(HELD_OUT + seed)
    config = SceneConfig(views=(MOST_VIEWS, MOST_VIEWS), persons=(1, 4), ghosts=0)
    scenes = sample_scenes(generator, SCENES, config)
    return fewer_views(scenes, range(1, MOST_VIEWS + 1), generator)


def panoptic_views(folder: Path, *, seed: int) -> Iterator[tuple[Frame, Labels]]:
    """Panoptic's three people before two to ten of its 31 cameras, with simulated points."""
    generator = torch.Generator().manual_seed(seed)
    place = folder / "panoptic_mini"
    names = read_calibration_json(place / "cameras.json").names
    scenes = [detect_points(*pair, HD_NOISE, generator) for pair in read_panoptic_mini(place, views=names)]
    return fewer_views(scenes, range(2, MOST_VIEWS + 1), generator)

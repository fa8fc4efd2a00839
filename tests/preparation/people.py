"""A short synthetic sequence of people whose identities are known, for tests of how labels are made."""

import torch

from dispose.scene.frame import Frame, Labels
from dispose_synthetic.detectors.parameters import DETECTORS
from dispose_synthetic.rigs import sample_rigs
from dispose_synthetic.sequences import SequenceConfig, sample_sequence


def sequence(views: int = 4, people: int = 3, frames: int = 12, seed: int = 4) -> list[tuple[Frame, Labels]]:
    """Frames and their truth."""
    generator = torch.Generator().manual_seed(seed)
    (rig,) = sample_rigs(generator, 1, views)
    config = SequenceConfig(rate_hz=25.0, walkers=0.5, detector=DETECTORS[0])
    return list(sample_sequence(generator, frames, people, rig, config))

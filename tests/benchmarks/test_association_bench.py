"""The bench measures what it says."""

import torch

from dispose.association.cues import MISFIT_CAP
from dispose.association.evidence import pair_misfit
from dispose.models.dispose.associator import Associator, AssociatorConfig
from dispose.models.dispose.placement import PlacementConfig
from dispose_benchmarks.association import bench_frame, combinations, enumerate_all
from dispose_kernels.candidates import join


def test_a_bench_frame_has_the_people_it_should():
    missed = total = 0
    for seed in range(6):
        frame = bench_frame(5, 6, torch.Generator().manual_seed(seed))
        assert len(frame.cameras) == 5
        counts = frame.detections.counts
        assert (counts >= 1).all() and (counts <= 7).all()
        missed += int((7 - counts).sum())
        total += 30
    assert 0.03 < missed / total < 0.6


def test_plain_enumeration_finds_the_same_candidates():
    """What is timed beside ours is the same problem."""
    torch.manual_seed(0)
    associator = Associator(AssociatorConfig(placement=PlacementConfig(chans=16, blocks=1), chans=16, layers=1)).eval()
    for seed in range(3):
        frame = bench_frame(3, 3, torch.Generator().manual_seed(seed))
        described = associator.described(frame)
        assert described is not None
        limits = associator.config.candidates
        allowed = pair_misfit(described.evidence, cap=MISFIT_CAP) <= limits.pair_limit
        plain = enumerate_all(described.evidence, allowed, limits.member_limit)
        ours = join(described.evidence, allowed, cap=MISFIT_CAP, limit=limits.member_limit).members
        assert {tuple(row) for row in plain.tolist()} == {tuple(row) for row in ours.tolist()}
        assert len(plain) <= combinations(frame)

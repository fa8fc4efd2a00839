"""Who says who is who when labels are made."""

from dataclasses import replace

import pytest
import torch

from dispose.cli import prepare
from dispose.cli.main import main
from dispose.datasets.samples import sample_folder
from dispose.errors import InputError
from dispose.metrics.association import PairCounts, count_pairs
from dispose.preparation.associators import ASSOCIATORS, LEARNED, LEARNED_WINDOWS, PER_FRAME, grouping_of
from dispose_synthetic.detectors.parameters import DETECTORS
from dispose_synthetic.rigs import sample_rigs
from dispose_synthetic.sequences import SequenceConfig, sample_sequence


def test_stage_one_with_the_frames_around_groups_a_crowd_better_than_by_itself():
    generator = torch.Generator().manual_seed(4325)
    (rig,) = sample_rigs(generator, 1, 2)
    config = SequenceConfig(rate_hz=25.0, room_mm=600.0, walkers=0.5, detector=DETECTORS[3])
    scenes = sample_sequence(generator, 10, 7, replace(rig, names=("a", "b")), config)
    counts = []
    for name in (LEARNED, LEARNED_WINDOWS):
        found = grouping_of(name).group([frame for frame, _ in scenes])
        total = PairCounts()
        for one, (_, labels) in zip(found, scenes, strict=True):
            total += count_pairs(one.association, labels.identity)
        counts.append(total)
    assert counts[1].f1 > counts[0].f1 + 0.02


def test_windows_are_as_many_seconds_at_every_rate():
    assert [grouping_of(LEARNED_WINDOWS, rate_hz=rate).margin for rate in (30.0, 100.0, 1.0)] == [12, 40, 2]


def test_dispose_prepare_knows_the_rate_of_a_capture(tmp_path, monkeypatch):
    asked = []

    def grouping(name, **keys):
        asked.append((name, keys["rate_hz"]))
        return grouping_of(PER_FRAME)

    monkeypatch.setattr(prepare, "grouping_of", grouping)
    out = str(tmp_path / "labels.npz")
    command = ["prepare", str(sample_folder("crossing")), "--frames", "0:4", "--out", out]
    assert main([*command, "--associator", "learned-windows", "--rate-hz", "100"]) == 0
    assert asked == [("learned-windows", 100.0)]


def test_another_name_is_refused_with_those_there_are():
    with pytest.raises(InputError, match="plain, learned, learned-windows"):
        grouping_of("programme")
    assert len(set(ASSOCIATORS)) == 5

"""Every subset of the cameras: means over subsets, each counting once."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dispose.cli.evaluate import EvaluateCommand
from dispose.errors import InputError
from dispose.evaluation.protocols import PANOPTIC_MINI
from dispose.evaluation.score import Method, evaluate_association, gather
from dispose.evaluation.subsets import evaluate_subsets
from dispose.inference.run import each_alone
from dispose.scene.frame import Frame
from dispose.scene.results import Association, associate_each
from dispose.tensors import ABSENT
from dispose_synthetic.rigs import sample_rigs
from dispose_synthetic.sequences import sample_sequence


def pair_first_slots(frame: Frame) -> Association:
    """The first detections of the first two cameras are one person, and nobody else is found."""
    members = torch.full((1, len(frame.cameras)), ABSENT)
    members[0, :2] = 0
    return Association(members, torch.ones(1, dtype=torch.float64))


@pytest.fixture(scope="module")
def pairs():
    generator = torch.Generator().manual_seed(5)
    (rig,) = sample_rigs(generator, 1, 3)
    return sample_sequence(generator, 3, 4, replace(rig, names=("a", "b", "c")))


def test_a_row_is_the_mean_over_all_pairs_of_cameras(pairs):
    method = Method("first slots, 50 mm", associate_each(pair_first_slots), gate_mm=50.0)
    (row,) = evaluate_subsets(PANOPTIC_MINI, pairs, 2, [method])
    alone = [evaluate_association(PANOPTIC_MINI, gather(pairs, two), method) for two in ((0, 1), (0, 2), (1, 2))]
    for name in ("pair_recall", "pair_f1", "exact"):
        assert row.value(name) == pytest.approx(sum(one.value(name) for one in alone) / 3)
    assert row.value("lowest_subset_f1") == min(one.value("pair_f1") for one in alone)
    assert len({one.value("pair_f1") for one in alone}) > 1
    assert row.method == "first slots" and row.gate_mm == 50.0 and row.frames == 9
    assert row.detections.endswith("2 of 3 cameras, 3 subsets")


def test_figures_of_association_need_joints_only_where_other_frames_take_part(pairs):
    given = []

    def decide(blocks_from, methods, progress, batch):
        given.append(methods.reconstruct)
        return each_alone(blocks_from, methods, progress, batch)

    method = Method("first slots", associate_each(pair_first_slots), decide=decide)
    row = evaluate_association(PANOPTIC_MINI, gather(pairs), method)
    assert given == [method.reconstruct] and row.frames == 3


def test_the_command_scores_ours_with_the_frames_around(shared_data: Path, tmp_path: Path):
    out = tmp_path / "x.json"
    command = EvaluateCommand("panoptic_mini", associators=("ours", "ours_window"), data=shared_data, out=out)
    assert command.run() == 0
    rows = json.loads(out.read_text())["rows"]
    assert [row["method"] for row in rows] == ["ours", "ours, frames around"]
    assert rows[1]["seconds"] > rows[0]["seconds"]


def test_subsets_that_are_not_there_are_refused(pairs, tmp_path: Path):
    for count in (1, 4):
        with pytest.raises(InputError, match="from 2 to 3"):
            list(evaluate_subsets(PANOPTIC_MINI, pairs, count, []))
    with pytest.raises(InputError, match="no frames"):
        list(evaluate_subsets(PANOPTIC_MINI, [], 2, []))
    for wrong in (EvaluateCommand("triangulators", every=2), EvaluateCommand("shelf", views=(0, 1), every=2),
                  EvaluateCommand("toy_images", every=2), EvaluateCommand("doubt", every=2)):  # fmt: skip
        with pytest.raises(InputError, match="--every is for associators"):
            replace(wrong, out=tmp_path / "x.json").run()


def test_the_command_tries_every_gate(shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "x.json"
    EvaluateCommand("panoptic_mini", ("greedy",), shared_data, gates_mm=(5.0, 150.0), every=5, out=out).run()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("greedy")]
    assert len(lines) == 2 and out.exists()

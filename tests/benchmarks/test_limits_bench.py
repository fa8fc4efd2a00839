"""Frames at the limits are what their names say, and a row says what an associator did on them."""

import json
import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

import dispose.cli.main as cli
from dispose.errors import InputError
from dispose.models.dispose.associator import Associator, AssociatorConfig
from dispose.models.dispose.placement import PlacementConfig
from dispose.models.dispose.sampling import nobody
from dispose.scene.labels import association_of_identities
from dispose.scene.results import AssociationResult
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import ABSENT
from dispose_benchmarks.held_out import NOISE_PX, held_out, score
from dispose_benchmarks.limits import (
    Rival,
    chosen_sets,
    crowd,
    geometry_alone,
    many_views,
    measure,
    rivals,
    stress_sets,
)
from dispose_synthetic.joint_poor import HIPS


def network() -> Associator:
    torch.manual_seed(0)
    return Associator(AssociatorConfig(placement=PlacementConfig(chans=16, blocks=1), chans=16, layers=1)).eval()


def all_right(scenes, frames):
    """The truth, for frames of these scenes."""
    labels = {id(frame): known for frame, known in scenes}
    return [AssociationResult(association_of_identities(labels[id(frame)].identity)) for frame in frames]


def all_alone(frames):
    return [AssociationResult(nobody(len(frame.cameras), torch.device("cpu"))) for frame in frames]


def test_true_cameras_see_the_people_where_they_were_detected():
    apart = []
    for frame, labels in many_views(6, 0.0, held_out(0), 2):
        assert len(labels.poses.id) == 10 and frame.detections.valid.any(1).all()
        xy, _ = frame.cameras.project(labels.poses.xyz_world)
        for view, slot in (labels.identity != ABSENT).nonzero().tolist():
            apart.append(frame.detections.xy_image[view, slot] - xy[view, labels.identity[view, slot]])
        nobody_there = frame.detections.valid & (labels.identity == ABSENT)
        assert (nobody_there.sum(1) == 1).all()
        for row in labels.identity:
            people = row[row != ABSENT]
            assert len(people.unique()) == len(people)
    assert torch.cat(apart).std().item() == pytest.approx(NOISE_PX, rel=0.05)


def test_calibrations_differ_in_nothing_but_the_size_of_their_errors():
    true, once, twice = (many_views(5, times, held_out(1), 2) for times in (0.0, 1.0, 2.0))
    for (right, known), (wrong, told), (worse, _) in zip(true, once, twice, strict=True):
        assert torch.equal(right.detections.xy_image, worse.detections.xy_image)
        assert torch.equal(known.identity, told.identity) and right.cameras.names == wrong.cameras.names
        error = wrong.cameras.centres - right.cameras.centres
        assert error.norm(dim=-1).min() > 1.0
        torch.testing.assert_close(worse.cameras.centres - right.cameras.centres, 2 * error)


def test_a_crowd_stands_close_together_and_shows_the_joints_that_are_named():
    whole, poor = crowd(3, (), held_out(0), 4), crowd(3, HIPS, held_out(0), 4)
    hips = set(COCO_17.indices(HIPS))
    for (frame, labels), (left, _) in zip(whole, poor, strict=True):
        ground = labels.poses.xyz_world[:, list(hips), :2].mean(1)
        assert 6 <= len(ground) <= 10 and torch.cdist(ground, ground).max() < 2 * 900 + 300
        assert frame.detections.visible.any(0).any(0).sum() > 10
        assert set(left.detections.visible.nonzero()[:, 2].tolist()) == hips
        assert torch.equal(frame.cameras.rotation, left.cameras.rotation)


def test_a_score_says_what_is_right_and_which_seed_was_worst():
    scenes = [crowd(3, (), held_out(seed), 3) for seed in (0, 1)]
    right = partial(all_right, [*scenes[0], *scenes[1]])
    assert (score(right, scenes, 2).pair_f1, score(right, scenes, 2).exact) == (100.0, 100.0)

    def right_at_first(frames):
        return right(frames) if frames[0] is scenes[0][0][0] else all_alone(frames)

    found = score(right_at_first, scenes, 3)
    assert 0 < found.pair_f1 < 100 and found.lowest_f1 == 0.0


def test_a_row_is_the_one_of_the_best_gate():
    scenes = [crowd(2, (), held_out(0), 2)]
    (stress,) = chosen_sets(["crowd-2"])
    ways = ((50.0, all_alone), (100.0, partial(all_right, scenes[0])), (150.0, all_alone))
    row = measure(stress, scenes, Rival("some", ways), 2)
    assert (row.gate_mm, row.pair_f1, row.frames, row.views) == (100.0, 100.0, 2, 2) and math.isnan(row.calibration)


def test_geometry_says_the_same_of_a_frame_whatever_is_beside_it():
    associator = network()
    frames = [frame for frame, _ in crowd(3, (), held_out(0), 3)]
    blind = replace(frames[0].detections, valid=torch.zeros_like(frames[0].detections.valid))
    together = geometry_alone(associator, [frames[0], replace(frames[0], detections=blind), *frames[1:]])
    assert len(together[1].association.members) == 0
    for frame, found in zip(frames, [together[0], *together[2:]], strict=True):
        (alone,) = geometry_alone(associator, [frame])
        assert len(found.association.members) and torch.equal(alone.association.members, found.association.members)


def test_what_takes_minutes_is_not_run_on_many_views():
    few, many, most = ({one.name for one in rivals(network(), views, [100.0])} for views in (5, 12, 31))
    assert few - many == {"ours, one pass", "ours, six steps", "geometry alone"}
    assert many - most == {"integer programme"} and len(most) == 4


def test_sets_are_named_by_how_they_begin():
    assert len({one.key for one in stress_sets()}) == len({one.kind for one in stress_sets()}) == 18 + 3 + 2 + 2
    assert [one.key for one in chosen_sets(["hips", "many-20-x"])] == [
        "many-20-x1", "many-20-x2", "many-20-x3", "hips-2", "hips-3"
    ]  # fmt: skip
    for wrong in (["crowds"], []):
        with pytest.raises(InputError, match="--sets"):
            chosen_sets(wrong)


def test_every_row_of_the_limits_reaches_its_file(tmp_path: Path):
    out = tmp_path / "limits.json"
    few = ("--sets", "trunks-2", "many-5-x1", "--frames", "1", "--seeds", "0", "--gates", "100")
    assert cli.main(["bench", "limits", *few, "--out", str(out)]) == 0
    content = json.loads(out.read_text())
    assert content["schema"] == "dispose.bench.limits/1" and {"commit", "command", "versions"} <= set(content)
    kinds = [row["kind"] for row in content["rows"]]
    assert (len(kinds), len(set(kinds))) == (8 + 8, 2)
    for row in content["rows"]:
        assert 0 <= row["lowest_f1"] <= row["pair_f1"] <= 100 and 0 <= row["exact"] <= 100 and row["milliseconds"] > 0
        assert (row["gate_mm"] is None) == row["method"].startswith(("ours", "geometry"))
        assert (row["calibration"] is None) == row["kind"].startswith("crowd")


def test_wrong_gates_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["bench", "limits", "--gates", "0", "--out", str(tmp_path / "limits.json")]) == 2
    assert "--gates" in capsys.readouterr().err


def test_every_number_of_steps_reaches_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "steps.json"
    few = ("--steps", "1", "2", "--seeds", "0", "1", "--frames", "2", "--batch", "2")
    assert cli.main(["bench", "steps", *few, "--out", str(out)]) == 0
    content = json.loads(out.read_text())
    assert (content["schema"], content["frames"]) == ("dispose.bench.steps/1", 4)
    assert {"commit", "command", "versions"} <= set(content)
    wanted = [(kind, steps) for kind in ("as trained on", "crowded", "few views", "few joints") for steps in (1, 2)]
    assert [(row["kind"], row["steps"]) for row in content["rows"]] == wanted
    for row in content["rows"]:
        assert 0 <= row["lowest_f1"] <= row["pair_f1"] <= 100 and row["milliseconds"] > 0
    assert "few joints" in capsys.readouterr().out

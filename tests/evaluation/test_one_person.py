"""Scoring of one person at a time: perfect and wrong answers have the errors they should; refusals are sentences."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dispose.cli.main import main
from dispose.datasets.layouts.human36m import TEST_SUBJECTS, open_human36m
from dispose.datasets.one_person import Person
from dispose.errors import InputError
from dispose.evaluation import one_person
from dispose.evaluation.one_person import Errors, score_people, synthetic_people
from dispose.models.triangulation.algebraic import Algebraic, AlgebraicConfig
from dispose.models.triangulation.volumetric import Volumetric
from dispose.nn.backbones import Backbone, BackboneConfig
from dispose.recipes.triangulation import TOY_ALGEBRAIC_SMOKE, TOY_VOLUMETRIC_SMOKE
from dispose.skeletons.catalog import PANOPTIC_15
from dispose.zoo.checkpoints import load_person_network, save_weights
from tests.datasets.prepared_human36m import prepared_human36m

ROOT = PANOPTIC_15.index("mid_hip")


@pytest.fixture(scope="module")
def people() -> list[Person]:
    return list(synthetic_people(2))


def test_errors_are_absolute_and_relative_to_the_root(people):
    truth, errors = people[0].poses.xyz_world[0], Errors()
    errors.add(truth + torch.tensor([30.0, 40.0, 0.0]), people[0], ROOT)
    assert errors.absolute == [pytest.approx(50.0)] and errors.relative == [pytest.approx(0.0, abs=1e-9)]
    lifted = truth.clone()
    lifted[3, 2] += 150.0
    errors.add(lifted, people[0], ROOT)
    assert errors.absolute[1] == pytest.approx(10.0) and errors.relative[1] == pytest.approx(10.0)


def test_a_network_stands_beside_plain_ways_on_its_own_maps(people):
    torch.manual_seed(0)
    model = TOY_ALGEBRAIC_SMOKE.model
    assert isinstance(model, AlgebraicConfig)
    rows = score_people(Algebraic(model).eval(), people, "two people")
    assert [row.method for row in rows] == ["algebraic", "DLT", "RANSAC"]
    assert all(row.frames == 2 and row.value("mpjpe_mm") > 0 for row in rows)
    volumetric = Volumetric(TOY_VOLUMETRIC_SMOKE.model).eval()  # pyright: ignore[reportArgumentType]
    (row,) = score_people(volumetric, people, "two people")
    # An untrained cube says its middle: the error is the spread of the body.
    assert row.method == "volumetric" and 200 < row.value("absolute_mm") < 900


def test_the_command_scores_a_file_of_weights(tmp_path: Path, people, monkeypatch, capsys):
    monkeypatch.setattr("dispose.cli.evaluate.synthetic_people", lambda count: iter(people[:count]))
    torch.manual_seed(0)
    save_weights(tmp_path / "tiny.safetensors", Algebraic(TOY_ALGEBRAIC_SMOKE.model))  # pyright: ignore[reportArgumentType]
    out = tmp_path / "people.json"
    command = ["evaluate", "toy_people", "--weights", str(tmp_path / "tiny.safetensors"), "--frames", "1"]
    assert main([*command, "--out", str(out)]) == 0
    assert "RANSAC" in capsys.readouterr().out and out.exists()


def test_human36m_is_counted_as_published_by_a_network_and_by_stored_joints(tmp_path: Path, capsys):
    prepared_human36m(tmp_path / "h36m", TEST_SUBJECTS)
    torch.manual_seed(0)
    model = AlgebraicConfig(skeleton="mpii_17", input_size=(128, 128), backbone=BackboneConfig(18, 8, 8, 17))
    save_weights(tmp_path / "tiny.safetensors", Algebraic(model))
    command = ["evaluate", "human36m_people", "--data", str(tmp_path / "h36m"), "--out", str(tmp_path / "people.json")]
    assert main([*command, "--weights", str(tmp_path / "tiny.safetensors")]) == 0
    rows = json.loads((tmp_path / "people.json").read_text())["rows"]
    assert [row["method"] for row in rows] == ["algebraic", "DLT", "RANSAC"] and rows[0]["relative_mm"] > 50
    assert "Learnable Triangulation, volumetric" in capsys.readouterr().out, "published figures stand beside"

    truth = open_human36m(tmp_path / "h36m")
    joints = np.stack([truth.truth(key).poses.xyz_world[0].numpy() for key in truth.keys])
    joints[1] += (0.0, 0.0, 30.0)
    stored = {"keypoints_3d": joints, "indexes": np.arange(2)}
    (tmp_path / "val.pkl").write_bytes(pickle.dumps(stored))
    assert main([*command, "--answers", str(tmp_path / "val.pkl")]) == 0
    result = json.loads((tmp_path / "people.json").read_text())
    (row,) = result["rows"]
    assert row["relative_mm"] == pytest.approx(0, abs=1e-3) and row["absolute_mm"] == pytest.approx(15, abs=1e-3)
    assert result["published"] == ["human36m"]
    assert main(["evaluate", "toy_people", "--answers", str(tmp_path / "val.pkl")]) == 2
    assert "--answers is for human36m_people, not for toy_people" in capsys.readouterr().err


def test_what_cannot_be_scored_is_said_in_one_sentence(tmp_path: Path, people):
    with pytest.raises(InputError, match="must be named with --weights: none ship with the project"):
        load_person_network(None)
    save_weights(tmp_path / "other.safetensors", Backbone(BackboneConfig(depth=18, width=8, deconv_chans=8)))
    with pytest.raises(InputError, match="holds weights of Backbone; those of an algebraic or a volumetric network"):
        load_person_network(tmp_path / "other.safetensors")
    model = replace(TOY_ALGEBRAIC_SMOKE.model, skeleton="mpii_17", backbone=BackboneConfig(18, 8, 8, 17))
    with pytest.raises(InputError, match="the labels are of panoptic_15, the weights of mpii_17"):
        score_people(Algebraic(model).eval(), people, "two people")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="nobody: there is nobody to score"):
        score_people(Algebraic(model), [], "nobody")  # pyright: ignore[reportArgumentType]
    assert one_person.UNSEEN_SEED not in (TOY_ALGEBRAIC_SMOKE.seed,)

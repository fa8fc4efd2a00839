"""The demo: everything or nothing in its folder, and a table that is true."""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dispose.cli import demo
from dispose.cli.demo import DemoCommand, whole_folder
from dispose.cli.jobs import DRAWN
from dispose.errors import InputError
from dispose.evaluation.classic import classic
from dispose.formats.evidence import read_run
from dispose.formats.predictions import read_predictions
from dispose.inference.capture import read_capture, select_frames
from dispose.models.dispose.associator import Associator, AssociatorConfig
from dispose.models.dispose.model import DisPose
from dispose.models.dispose.placement import PlacementConfig
from dispose.recipes.synthetic import TOY_SMOKE
from dispose.zoo import save_weights
from dispose_workbench.notebooks.run import NotebookError


@pytest.fixture
def small(monkeypatch) -> list[Path]:
    """The demo on four frames, without weights and without a kernel; the folders that the notebook was asked for."""
    torch.manual_seed(0)
    network = Associator(AssociatorConfig(placement=PlacementConfig(chans=32, blocks=1), chans=32, layers=1))
    asked: list[Path] = []
    monkeypatch.setattr(demo, "read_capture", lambda folder: select_frames(read_capture(folder), 24, 28))
    monkeypatch.setattr(demo, "load_associator", lambda: network)
    monkeypatch.setattr(demo, "CLASSIC", (classic("integer_programme"),))
    monkeypatch.setattr(demo, "run_notebook", lambda path, given, folder: asked.append(folder))
    monkeypatch.setattr(demo, "shipped_image_weights", lambda: Path("none.safetensors"))
    return asked


def header_told(folder: Path) -> list[str]:
    """What the first line of the predictions says of what was read."""
    return json.loads((folder / "predictions.jsonl").read_text().splitlines()[0])["read"]


def test_the_demo_writes_predictions_and_figures_and_replaces_an_older_one(small, tmp_path, capsys) -> None:
    out = tmp_path / "demo"
    for _ in range(2):
        assert DemoCommand(out).run() == 0
    assert [p.name for p in tmp_path.iterdir()] == ["demo"]
    ours, classic = json.loads((out / "figures.json").read_text())
    assert ours["name"].startswith("ours") and classic["name"] == "integer programme"
    assert classic["figures"]["pair_f1"] > 80 and classic["figures"]["found"] > 90
    assert 5 < classic["figures"]["mpjpe_mm"] < 60
    saved = read_predictions(out / "predictions.jsonl")
    assert [f.number for f in saved.frames] == [24, 25, 26, 27] and len(saved.cameras) == 5
    assert set(np.load(out / "predictions.npz")["frame"].tolist()) <= {24, 25, 26, 27}
    opened = read_run(out)
    there = sum(int(case.detections.valid.sum()) for case in opened.cases if case.detections is not None)
    assert there > 50 and header_told(out) == [f"4 frames read, {there} detections."]
    assert opened.method == "ours" and all(c.reference is not None and c.hypotheses is not None for c in opened.cases)
    said = capsys.readouterr().out
    assert "integer programme" in said and f"{classic['figures']['pair_f1']:.1f}" in said
    assert len(small) == 2 and all(folder.name == "start_here" for folder in small)


def test_without_weights_for_pictures_the_demo_says_so_and_is_whole(small, tmp_path, capsys) -> None:
    assert DemoCommand(tmp_path / "demo").run() == 0
    said = capsys.readouterr().out
    assert "from pictures: left out, because the weights none.safetensors are not in this copy" in said
    assert not (tmp_path / "demo" / "from_pictures").exists() and "people found in pictures" not in said


def test_the_demo_ends_with_pictures(small, tmp_path, capsys, monkeypatch) -> None:
    torch.manual_seed(0)
    network = DisPose(replace(TOY_SMOKE.training.model, peaks=3))
    torch.nn.init.constant_(network.backbone.get_parameter("heatmaps.bias"), 0.5)
    save_weights(tmp_path / "some.safetensors", network)
    monkeypatch.setattr(demo, "shipped_image_weights", lambda: tmp_path / "some.safetensors")
    # In this process and without the notebook, which has a test of its own.
    here = lambda folder, weights: nullcontext(lambda: demo.write_image_demo(folder, weights))  # noqa: E731
    monkeypatch.setattr(demo, "beside", here)
    assert DemoCommand(tmp_path / "demo").run() == 0
    folder = tmp_path / "demo" / "from_pictures"
    written = json.loads((folder / "figures.json").read_text())
    said = capsys.readouterr().out
    assert f"{written['figures']['found']:.1f} % of the people found" in said and "people found in pictures" in said
    assert len(read_predictions(folder / "predictions.jsonl").frames) == 12
    assert header_told(folder) == [DRAWN, "12 frames read, 48 pictures."]


def test_a_folder_that_is_no_demo_is_left_alone(small, tmp_path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match="no folder of an earlier demo"):
        DemoCommand(tmp_path / "mine").run()
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"] and not small


def test_a_demo_that_fails_leaves_the_older_one(tmp_path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "figures.json").write_text("old")
    with pytest.raises(KeyboardInterrupt), whole_folder(tmp_path / "demo") as work:
        (work / "figures.json").write_text("new")
        raise KeyboardInterrupt
    assert (tmp_path / "demo" / "figures.json").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["demo"]
    with pytest.raises(NotebookError), whole_folder(tmp_path / "demo") as work:
        (work / "start_here-failed").mkdir()
        raise NotebookError("cell [3] failed")
    assert len([p for p in tmp_path.glob(".demo.running-*/start_here-failed")]) == 1


def test_a_demo_keeps_others_out_and_removes_what_killed_ones_left(tmp_path) -> None:
    for name in (".demo.running-abc", ".demo.old"):
        (tmp_path / name).mkdir()
    with whole_folder(tmp_path / "demo") as work:
        (work / "figures.json").touch()
        with pytest.raises(InputError, match="another run"), whole_folder(tmp_path / "demo"):
            pass
    with whole_folder(tmp_path / "demo") as work:
        (work / "figures.json").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_threads_are_given_back(monkeypatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    with demo.single_threaded():
        assert torch.get_num_threads() == 1 and demo.os.environ["OMP_NUM_THREADS"] == "1"
    assert torch.get_num_threads() == before and "OMP_NUM_THREADS" not in demo.os.environ

"""Runs on images: killed and resumed is unbroken, bit by bit; two processes learn what one does."""

import csv
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dispose.models.dispose.model import DisPose
from dispose.training.config import BACKBONE, MODEL
from dispose.zoo.checkpoints import load_weights
from tests.training.killed_runs import ENVIRONMENT, command, killed_when, run_whole


def logged(folder: Path, name: str) -> list[float]:
    with (folder / "csv" / "metrics.csv").open() as file:
        return [float(row[name]) for row in csv.DictReader(file) if row.get(name)]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    run_whole("toy_smoke", folder)
    return folder


def test_the_weights_are_a_model(unbroken):
    model = load_weights(unbroken / MODEL, DisPose)
    assert all(bool(torch.isfinite(p).all()) for p in model.parameters())


@pytest.mark.slow
def test_killed_and_resumed_is_the_same(unbroken, tmp_path):
    shutil.copytree(unbroken / "shards", tmp_path / "shards")
    for sign in ("backbone/last.ckpt", "pose/last.ckpt"):
        killed_when("toy_smoke", tmp_path, tmp_path / sign)
        assert not (tmp_path / MODEL).exists()
    run_whole("toy_smoke", tmp_path)
    whole, resumed = load_file(unbroken / MODEL), load_file(tmp_path / MODEL)
    for name, value in whole.items():
        torch.testing.assert_close(resumed[name], value, rtol=0, atol=0)


@pytest.mark.slow
def test_two_gloo_processes_have_the_loss_of_one(unbroken, tmp_path):
    """On the same heat maps: batch statistics of a backbone are each process's own on CPU."""
    shutil.copytree(unbroken / "shards", tmp_path / "shards")
    shutil.copy(unbroken / BACKBONE, tmp_path / BACKBONE)
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    done = subprocess.run(
        command("toy_smoke", tmp_path, *torchrun),
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = (logged(folder / "pose", "pose/loss") for folder in (unbroken, tmp_path))
    assert one
    assert two == pytest.approx(one, rel=1e-4)

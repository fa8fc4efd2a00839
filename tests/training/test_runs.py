"""A run killed at any moment ends as an unbroken one, bit by bit; two processes learn what one does."""

import subprocess
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from dispose.errors import InputError
from dispose.recipes.synthetic import SMOKE
from dispose.training.config import ASSOCIATOR
from dispose.training.examples import VALIDATION_CHUNK, scenes_of_chunk
from dispose.training.runs import train_associator
from dispose.zoo import load_associator
from tests.training.killed_runs import ENVIRONMENT, command, killed_when, run_whole


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    run_whole("smoke", folder)
    return folder


@pytest.mark.slow
def test_killed_three_times_and_resumed_is_the_same(unbroken, tmp_path):
    for sign in ("shards/detections_00000.safetensors", "placement/last.ckpt", "denoiser/last.ckpt"):
        killed_when("smoke", tmp_path, tmp_path / sign)
        assert not (tmp_path / ASSOCIATOR).exists()
    run_whole("smoke", tmp_path)
    whole, resumed = load_file(unbroken / ASSOCIATOR), load_file(tmp_path / ASSOCIATOR)
    for name, value in whole.items():
        torch.testing.assert_close(resumed[name], value, rtol=0, atol=0)


@pytest.mark.slow
def test_two_gloo_processes_equal_one(unbroken, tmp_path):
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    done = subprocess.run(
        command("smoke", tmp_path, *torchrun), env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = load_associator(unbroken / ASSOCIATOR), load_associator(tmp_path / ASSOCIATOR)
    for frame, _ in scenes_of_chunk(SMOKE, VALIDATION_CHUNK, 6):
        problem = one.problem(frame)
        if problem is not None:
            torch.testing.assert_close(
                two.posterior(problem).marginal, one.posterior(problem).marginal, rtol=0, atol=2e-3
            )


def test_a_folder_of_another_recipe_is_refused(unbroken):
    with pytest.raises(InputError, match="run of another recipe"):
        train_associator(replace(SMOKE, seed=1), unbroken)


def test_logs_are_there_to_be_drawn(unbroken):
    assert (unbroken / "denoiser" / "csv" / "metrics.csv").read_text().count("\n") >= 1
    assert list((unbroken / "denoiser" / "tensorboard").rglob("events.out.tfevents.*"))

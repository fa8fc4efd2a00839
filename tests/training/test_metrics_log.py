"""The log of a training that was killed: rows stay, those that are done again are there once, torn ones go."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
import torch

from dispose.errors import InputError
from dispose.losses.objective import Term
from dispose.training import fit
from dispose.training.config import Optimisation
from dispose.training.metrics_log import MetricsLog
from dispose.training.task import Task


def test_rows_survive_a_kill_and_are_there_once(tmp_path: Path) -> None:
    path = tmp_path / "csv" / "metrics.csv"
    first = MetricsLog(path)
    for step in (9, 19, 29):
        first.add(step, {"loss": step / 10})
    # Killed within the row after that; the last checkpoint was of step 20.
    path.write_text(path.read_text() + "39,3.")
    again = MetricsLog(path)
    again.add(29, {"loss": 2.9})
    again.add(39, {"loss": 3.9, "score": 7.0})
    assert path.read_text() == "step,loss,score\n9,0.9,\n19,1.9,\n29,2.9,\n39,3.9,7.0\n"


@pytest.mark.parametrize(
    "rows", ["9,1.0\n9,2.0\n", "9,1.0\n3,2.0\n", "x,1.0\n", "9,1.0,7\n", "1e3,1.0\n", "9" * 30 + ",1\n"]
)
def test_rows_that_no_training_wrote_are_refused(tmp_path: Path, rows: str) -> None:
    (tmp_path / "metrics.csv").write_text("step,loss\n" + rows)
    with pytest.raises(InputError, match=rf"metrics.csv: line {rows.count(chr(10)) + 1}: the step is"):
        MetricsLog(tmp_path / "metrics.csv")


class Seeds:
    """Examples that are their seeds."""

    groups = (0, 0, 0)

    def batch(self, rows: Sequence[int], seeds: Sequence[int]) -> torch.Tensor:
        return torch.tensor(seeds, dtype=torch.float32) % 7


class Nearest(Task):
    """One number learns to be near all others."""

    name = "nearest"

    def __init__(self) -> None:
        super().__init__()
        self.value = torch.nn.Parameter(torch.zeros(()))

    def forward(self, batch: torch.Tensor) -> tuple[Term, ...]:
        off = batch - self.value
        # What an odd step alone can say is no row's of an even one.
        odd = [Term("odd", off.mean())] * (int(batch[0]) % 2)
        return (Term("square", off.square().mean()), Term("distance", off.abs().mean()), *odd)


PLAN = Optimisation(steps=12, batch=2, rate=0.1, warmup=0, checkpoint_every=4)


class PowerCutError(Exception):
    """The end of a process."""


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
@pytest.mark.parametrize("saved", [0, 1], ids=["before the checkpoint is saved", "after it"])
def test_the_log_of_a_broken_run_is_an_unbroken_ones(saved: int, tmp_path: Path) -> None:
    save = fit.AtomicCheckpointIO.save_checkpoint

    def cut(self: fit.AtomicCheckpointIO, checkpoint: dict, path: str, storage_options: object = None) -> None:
        if checkpoint["global_step"] == 8:
            if saved:
                save(self, checkpoint, path)
            raise PowerCutError
        save(self, checkpoint, path)

    with patch.object(fit, "LOG_EVERY", 2):
        fit.fit(Nearest(), Seeds(), tmp_path / "whole", PLAN, seed=1, workers=0)
        with patch.object(fit.AtomicCheckpointIO, "save_checkpoint", cut), pytest.raises(PowerCutError):
            fit.fit(Nearest(), Seeds(), tmp_path / "broken", PLAN, seed=1, workers=0)
        fit.fit(Nearest(), Seeds(), tmp_path / "broken", PLAN, seed=1, workers=0)
    whole, broken = (tmp_path / name / "csv" / "metrics.csv" for name in ("whole", "broken"))
    assert broken.read_text() == whole.read_text()
    assert [line.split(",")[0] for line in whole.read_text().splitlines()] == ["step", "1", "3", "5", "7", "9", "11"]
    assert ",\n" in whole.read_text(), "steps that say less than others leave their cells blank"


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_a_training_that_ended_early_has_nothing_left_to_do(tmp_path: Path) -> None:
    """As one that was killed before anybody took its weights."""
    plan, scores = replace(PLAN, select_every=2, patience=2), iter((2.0, 1.0, 1.0, 9.0, 9.0, 9.0))
    ends = []
    for _ in range(2):
        task = Nearest()
        fit.fit(task, Seeds(), tmp_path, plan, seed=1, workers=0, score=lambda: next(scores))
        ends.append(float(task.value))
    assert ends[0] == ends[1]
    assert next(scores) == 9.0, "the second run looked for something better"

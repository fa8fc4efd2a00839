"""`dispose train --adapt`: learned from a recording's own labels, judged by stretches apart, no truth within reach."""

import json
import math
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import lightning
import pytest
import torch

from dispose.cli.main import main
from dispose.datasets.samples import sample_folder
from dispose.errors import InputError
from dispose.formats.pseudo_labels import read_pseudo_labels
from dispose.inference.capture import read_capture, source_of
from dispose.inference.readings import Reading, Source
from dispose.metrics.association import PairCounts
from dispose.preparation.labels import LabelSettings
from dispose.tensors import ABSENT
from dispose.training.adaptation import (
    DECISION,
    LABELS,
    REPORT,
    AdaptVerdict,
    KnownFrame,
    adapt_associator,
    read_verdict,
    verdict_of,
    with_subsets,
)
from dispose.training.fit import BestSoFar, KeepBest
from dispose.training.stretches import AdaptRecipe, stretches_of
from dispose.zoo.checkpoints import load_associator, save_weights, shipped_associator_weights

QUICK = LabelSettings(inspect=False)
PLAN = AdaptRecipe().denoiser.optimisation
SMALL = replace(
    AdaptRecipe(), frames=24, stretches=3, subsets=1, rehearsal=4,
    denoiser=replace(AdaptRecipe().denoiser, optimisation=replace(PLAN, steps=4, batch=4, warmup=1, select_every=2)),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Truthless(Reading):
    """A reading whose truth nobody may ask for."""

    def __getattribute__(self, name: str) -> object:
        assert name != "labels", "the truth was read"
        return super().__getattribute__(name)


@pytest.fixture(scope="module")
def crossing() -> Source:
    source = source_of(read_capture(sample_folder("crossing")))

    def read(number: int) -> Reading | None:
        reading = source.read(number)
        return None if reading is None else Truthless(reading.frame)

    return Source(source.numbers, read)


def test_stretches_are_frames_in_a_row_spread_over_the_recording() -> None:
    numbers = list(range(100, 400, 2))
    parts = stretches_of(numbers, replace(SMALL, frames=60, stretches=6))
    assert [len(part) for part in parts] == [10] * 6
    assert parts[0][0] == numbers[0] and parts[-1][-1] == numbers[-1]
    assert all(set(b - a for a, b in pairwise(part)) == {2} for part in parts)
    assert len({number for part in parts for number in part}) == 60
    # A short recording is cut into fewer, all of it is used.
    assert [len(part) for part in stretches_of(range(30), SMALL)] == [8, 8, 8]
    with pytest.raises(InputError, match=r"has 23 frames; .* it takes 24 at least"):
        stretches_of(range(23), SMALL)


def test_cameras_are_chosen_with_their_detections(crossing: Source) -> None:
    reading = crossing.read(crossing.numbers[0])
    assert reading is not None
    frame = reading.frame
    views, slots = frame.detections.valid.shape
    identity = torch.where(frame.detections.valid, torch.arange(views * slots).reshape(views, slots), ABSENT)
    found = with_subsets([KnownFrame(frame, identity, 3)], 5, seed=0)
    assert len(found) == 6 and found[0].frame is frame
    assert {len(one.frame.cameras) for one in found[1:]} <= set(range(2, views))
    for one in found:
        rows = [frame.cameras.names.index(name) for name in one.frame.cameras.names]
        assert torch.equal(one.identity, identity[rows]) and one.stretch == 3
        assert torch.equal(one.frame.detections.xy_image, frame.detections.xy_image[rows])


def test_new_weights_are_taken_where_they_are_surely_better() -> None:
    recipe = replace(SMALL, least_gain=0.1, least_errors=2.0)
    assert AdaptVerdict(98.0, 98.5, 0.2).better(recipe)
    assert not AdaptVerdict(98.0, 98.5, 0.3).better(recipe), "that may be chance"
    assert not AdaptVerdict(98.0, 98.05, 0.0).better(recipe), "that is worth nothing"
    assert "nothing is taken" in AdaptVerdict(98.0, 97.0, 0.1).sentence(recipe)


def test_the_error_is_that_of_the_mean_gain_over_the_stretches() -> None:
    before = {0: counts(right=8, wrong=2), 2: counts(right=6, wrong=4)}
    after = {0: counts(right=9, wrong=1), 2: counts(right=9, wrong=1)}
    found = verdict_of(before, after)
    assert found.before == pytest.approx(70.0) and found.after == pytest.approx(90.0)
    assert found.error == pytest.approx(10.0), "gains of 10 and 30: deviation 14.14, of a mean of two 10"
    assert verdict_of({0: before[0]}, {0: after[0]}).error == float("inf")


def counts(right: int, wrong: int) -> PairCounts:
    """F1 is right / (right + wrong)."""
    return PairCounts(correct=right, predicted=right + wrong, actual=right + wrong)


def test_a_run_learns_judges_and_says_the_same_when_it_is_asked_again(crossing: Source, tmp_path: Path) -> None:
    weights, verdict = adapt_associator(SMALL, "crossing", crossing, tmp_path, settings=QUICK, workers=0)
    assert (tmp_path / REPORT).read_text().startswith("crossing: 24 frames")
    assert len(read_pseudo_labels(tmp_path / LABELS).numbers("crossing")) == 24
    assert weights == (tmp_path / "associator.safetensors" if verdict.better(SMALL) else shipped_associator_weights())
    assert adapt_associator(SMALL, "crossing", crossing, tmp_path, settings=QUICK, workers=0) == (weights, verdict)
    # Killed after the last step: the same again.
    (tmp_path / DECISION).unlink()
    assert adapt_associator(SMALL, "crossing", crossing, tmp_path, settings=QUICK, workers=0) == (weights, verdict)
    with pytest.raises(InputError, match="another recipe"):
        adapt_associator(SMALL, "elsewhere", crossing, tmp_path, settings=QUICK, workers=0)


@pytest.mark.slow
def test_what_was_learned_is_taken_where_the_held_out_stretches_say_so(crossing: Source, tmp_path: Path) -> None:
    """Beginning with a denoiser that says nonsense, anything learned is better."""
    spoilt = load_associator(None)
    with torch.no_grad():
        for parameter in spoilt.denoiser.parameters():
            parameter.mul_(-1.0)
    start = tmp_path / "spoilt.safetensors"
    save_weights(start, spoilt)
    plan = replace(PLAN, steps=60, batch=8, rate=3e-3, warmup=5, select_every=20)
    recipe = replace(SMALL, denoiser=replace(SMALL.denoiser, optimisation=plan), least_errors=0.0)
    weights, verdict = adapt_associator(recipe, "crossing", crossing, tmp_path / "run", start=start, workers=0)
    assert verdict.after > verdict.before + 5, verdict
    assert weights == tmp_path / "run" / "associator.safetensors"
    found, old = load_associator(weights).state_dict(), spoilt.state_dict()
    assert any(not torch.equal(found[name], old[name]) for name in found if name.startswith("denoiser"))
    assert all(torch.equal(found[name], old[name]) for name in found if name.startswith("placement"))


def test_training_ends_where_nothing_gets_better(tmp_path: Path) -> None:
    scores = iter((1.0, 3.0, 2.0, 3.0, 9.0))
    keep = KeepBest(lambda: next(scores), tmp_path / "best.safetensors", replace(PLAN, select_every=5, patience=2))
    loop = SimpleNamespace(task=torch.nn.Linear(1, 1), eval=lambda: None, train=lambda: None)
    stops = []
    for step in range(1, 22):
        trainer = Mock(spec=lightning.Trainer, global_step=step, should_stop=False)
        keep.on_train_batch_end(trainer, loop)
        stops.append(trainer.should_stop)
    assert keep.best() == BestSoFar(3.0, 10)
    assert stops.index(True) + 1 == 20, "two looks after that of step 10, neither of which found more"


def test_a_word_too_much_or_too_little(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample, parts = str(sample_folder("crossing")), tmp_path / "parts"
    parts.mkdir()
    for words, said in (
        (["train", "--out", str(tmp_path / "a")], "say what to train: a recipe"),
        (["train", "smoke", "--adapt", sample, "--out", str(tmp_path / "b")], "no training by smoke"),
        (["train", "--adapt", sample, "--labels", "x.npz", "--out", str(tmp_path / "c")], "--labels is for"),
        (["train", "shelf", "--detections", sample, "--out", str(tmp_path / "d")], "--detections is for captures"),
        (["train", "--adapt", str(parts), "--out", str(tmp_path / "e")], "no calibration"),
    ):
        assert main(words) == 2
        assert said in capsys.readouterr().err


def test_a_verdict_is_read_as_it_was_written_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    path, verdict = tmp_path / "decision.json", AdaptVerdict(90.0, 91.0, math.inf, "that")
    path.write_text(json.dumps(asdict(verdict)))
    assert read_verdict(path) == verdict
    for damaged, said in (("[]", "an object"), (json.dumps(asdict(verdict) | {"after": "9"}), "holds no verdict")):
        path.write_text(damaged)
        with pytest.raises(InputError, match=said):
            read_verdict(path)

"""Commands as attempts run them: the real ones, on small inputs, in one process where they would start more."""

import importlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

# Imported here, so that no attempt has to.
import torch

from dispose.association.reconstruct import reconstruct_frame
from dispose.baselines.greedy_agglomerative import greedy_agglomerative
from dispose.cli import detect as detect_command
from dispose.cli import notebook as notebook_command
from dispose.cli import prepare as prepare_command
from dispose.cli.main import main
from dispose.inference.capture import read_capture, source_of
from dispose.inference.readings import Source
from dispose.inference.results_folder import RunFiles, results_folder
from dispose.inference.run import run
from dispose.preparation import labels
from dispose.recipes import synthetic
from dispose.scene.results import associate_each, reconstruct_each
from dispose.training import fit, runs, shards
from dispose.zoo.checkpoints import load_associator
from dispose_benchmarks.studies import lifters
from dispose_workbench.notebooks import run as notebooks
from dispose_workbench.notebooks.sweep import SweepRun
from tests.preparation.dots import DotDetector

torch.set_num_threads(1)
load_associator()
for name in ("detect", "evaluate", "notebook", "predict", "prepare", "train"):
    importlib.import_module(f"dispose.cli.{name}")

FEW = replace(synthetic.SMOKE.placement.optimisation, steps=12, batch=8, checkpoint_every=5, warmup=1)
TINY = replace(
    synthetic.SMOKE, frames_per_chunk=2, validation_frames=1,
    placement=replace(synthetic.SMOKE.placement, chunks=1, optimisation=FEW),
    denoiser=replace(synthetic.SMOKE.denoiser, chunks=1, optimisation=replace(FEW, batch=1)),
)  # fmt: skip
"""The miniature of a training, made smaller."""


def nothing() -> int:
    """So that whoever waits knows that everything is imported."""
    return 0


def predict(capture: str, out: str) -> int:
    """`dispose predict`."""
    return main(["predict", capture, "--associator", "greedy", "--batch", "2", "--out", out])


SOURCES: dict[str, Source] = {}


def write(capture: str, out: str) -> int:
    """What `dispose predict` does with its results, and nothing else."""
    source = SOURCES.get(capture) or SOURCES.setdefault(capture, _in_memory(Path(capture)))
    files = RunFiles("take", "greedy", inputs=(("capture", capture),))
    with results_folder(Path(out), files) as sink:
        run(source, associate_each(greedy_agglomerative), reconstruct_each(reconstruct_frame), sink, batch=2)
    return 0


def _in_memory(capture: Path) -> Source:
    source = source_of(read_capture(capture))
    readings = {number: source.read(number) for number in source.numbers}
    return Source(source.numbers, readings.get)


def detect(capture: str, out: str) -> int:
    """`dispose detect` with a detector whose networks are a rule."""
    with patch.object(detect_command, "detector_of", lambda *_, **__: DotDetector):
        return main(["detect", capture, "--out", out, "--processes", "1", "--search-every", "4"])


def prepare(capture: str, out: str) -> int:
    """`dispose prepare`, in blocks of two frames."""
    with patch.object(labels, "BLOCK", 2), patch.object(prepare_command, "commit", lambda: "this one"):
        return main(["prepare", capture, "--out", out, "--associator", "per-frame", "--trust-cameras"])


class Inline(ThreadPoolExecutor):
    """What would go to other processes is done by a thread."""

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__(1)


def train(out: str) -> int:
    """`dispose train`."""
    with (
        patch.dict(synthetic.RECIPES, smoke=TINY),
        patch.object(shards, "worker_pool", Inline),
        patch.object(fit, "LOG_EVERY", 3),
        patch.object(runs, "fit", lambda *given, workers, **named: fit.fit(*given, workers=0, **named)),
    ):
        return main(["train", "smoke", "--out", out, "--workers", "1"])


def here(path: Path, folder: Path, runs: Sequence[SweepRun], *, jobs: int) -> Iterator[SweepRun]:
    """The runs of a sweep, in this process."""
    for one in runs:
        notebooks.run_notebook(path, one.given, folder / one.name)
        yield one


def study(out: str) -> int:
    """`dispose evaluate lifters`, one of its studies in miniature for two seeds."""
    tiny = replace(lifters.PARTS[0], smoke=replace(lifters.PARTS[0].smoke, steps=2, people=4))
    with patch.object(lifters, "PARTS", (tiny,)), patch.object(lifters, "worker_pool", Inline):
        return main(["evaluate", "lifters", "--smoke", "--seeds", "0", "1", "--out", out])


def sweep(path: str, out: str) -> int:
    """`dispose notebook sweep` of two runs."""
    with (
        patch.object(notebooks, "SAVED_EVERY_S", 0.0),
        patch.object(notebooks, "commit", lambda: "this one"),
        patch.object(notebook_command, "side_by_side", here),
    ):
        return main(["notebook", "sweep", path, "-p", "steps", "1,2", "--out", out])


def notebook(path: str, out: str) -> int:
    """`dispose notebook run`."""
    with patch.object(notebooks, "SAVED_EVERY_S", 0.0), patch.object(notebooks, "commit", lambda: "this one"):
        return main(["notebook", "run", path, "--out", out])

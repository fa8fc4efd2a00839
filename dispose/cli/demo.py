"""`dispose demo`: the whole path on the sample capture that lies in the repository."""

import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from tqdm import tqdm

from dispose.association.reconstruct import reconstruct_frame
from dispose.baselines.greedy_agglomerative import greedy_agglomerative
from dispose.baselines.incremental_hungarian import incremental_hungarian
from dispose.baselines.integer_programme import integer_programme
from dispose.baselines.svt import svt
from dispose.cli import demo_pictures
from dispose.datasets.samples import sample_folder
from dispose.errors import InputError
from dispose.evaluation.against_truth import Figures, score_frames
from dispose.formats.files import replacing
from dispose.formats.predictions import read_predictions
from dispose.inference.capture import Capture, read_capture
from dispose.inference.predict import (
    Associate,
    CapturePrediction,
    Reconstruct,
    Weigh,
    captured,
    predict_cases,
    unweighed,
    write_capture_evidence,
    write_capture_prediction,
)
from dispose.models.dispose.associator import Associator
from dispose.scene.prediction import Prediction
from dispose.zoo.checkpoints import load_associator, shipped_image_weights
from dispose_workbench.notebooks.run import NotebookError, folder_beside, notebook_path, replace_folder, run_notebook

SAMPLE = "crossing"
SAMPLE_RATE_HZ = 12.5
NOTEBOOK = "00_start_here"
FIGURES = "figures.json"
PAGES = "start_here"
HEADER = f"{'associator':<24}{'pair F1 %':>10}{'groups %':>10}{'found %':>9}{'error mm':>10}{'ms/frame':>10}"


@dataclass(frozen=True)
class DemoRow:
    """One associator on the sample.

    Attributes:
        name: as the table says it.
        figures: how right it is.
        ms_per_frame: association, reconstruction and reading, on this machine.
    """

    name: str
    figures: Figures
    ms_per_frame: float

    def __str__(self) -> str:
        f = self.figures
        return (
            f"{self.name:<24}{f.pair_f1:>10.1f}{f.exact:>10.1f}{f.found:>9.1f}"
            f"{f.mpjpe_mm:>10.1f}{self.ms_per_frame:>10.0f}"
        )


CLASSICS: tuple[tuple[str, Associate], ...] = (
    ("incremental Hungarian", incremental_hungarian),
    ("greedy agglomerative", greedy_agglomerative),
    ("multi-way matching (SVT)", svt),
    ("integer programme", integer_programme),
)


@dataclass(frozen=True)
class DemoCommand:
    """Four people cross before five cameras: from 2-D detections to 3-D people, a table, pictures and a page.

    Writes predictions.jsonl, predictions.npz, evidence.npz, trc/*.trc, figures.json, and start_here/ with the pictures
    and the notebook 00_start_here as it ran, also as a page that opens offline. Then the same in small from the
    pictures of three people before four cameras, into from_pictures/. A second run replaces the folder when it is done.
    """

    out: Path = Path("out/demo")
    """Folder for the results; it may exist if an earlier demo wrote it."""

    def run(self) -> int:
        """Do it, say what happens, and where to look."""
        out = self.out.resolve()
        if out.exists() and not (out / FIGURES).is_file():
            raise InputError(f"{out} exists and is no folder of an earlier demo; name another with --out")
        started = time.perf_counter()
        capture = read_capture(sample_folder(SAMPLE))
        print(f"capture: {len(capture.numbers)} frames, {len(capture.cameras)} cameras, {capture.skeleton.name}")
        weights = shipped_image_weights()
        with single_threaded(), whole_folder(out) as work, demo_pictures.beside(work, weights) as from_pictures:
            write_demo(capture, load_associator(), work)
            print(f"\nfrom pictures: {from_pictures()}")
        print(f"\nAll of it took {time.perf_counter() - started:.0f} s. Look at")
        print(f"  {out / PAGES / f'{NOTEBOOK}.html'}    every step, with a scene to turn")
        print(f"  {out / 'predictions.jsonl'}    who is where, frame by frame (also .npz and trc/)")
        print(f"  {out / PAGES}    the pictures")
        if (out / demo_pictures.FOLDER).is_dir():
            page = out / demo_pictures.FOLDER / demo_pictures.PAGES / f"{demo_pictures.NOTEBOOK}.html"
            print(f"  {page}    people found in pictures")
        return 0


def write_demo(capture: Capture, associator: Associator, folder: Path) -> None:
    """Everything the demo shows, into an existing folder."""
    truth = read_predictions(capture.source / "truth" / "predictions.jsonl").frames
    print(f"people in 3-D, by ours and by the classic associators on the same detections\n\n{HEADER}", flush=True)
    ours, row = measure("ours (diffusion)", capture, truth, associator.weigh, associator.reconstruct_frame)
    rows = [row]
    print(row, flush=True)
    write_capture_prediction(folder, SAMPLE, ours, SAMPLE_RATE_HZ)
    for name, associate in CLASSICS:
        result, row = measure(name, capture, truth, unweighed(associate), reconstruct_frame)
        rows.append(row)
        print(row, flush=True)
        if associate is integer_programme:
            write_capture_evidence(folder, SAMPLE, "ours", beside(ours, result))
    with replacing(folder / FIGURES) as file:
        json.dump([asdict(row) for row in rows], file, indent=1)
    print(f"\npictures and page: the notebook {NOTEBOOK} runs", flush=True)
    run_notebook(notebook_path(NOTEBOOK), (("capture", str(capture.source)),), folder / PAGES)


def measure(
    name: str, capture: Capture, truth: Sequence[Prediction], weigh: Weigh, rebuild: Reconstruct
) -> tuple[CapturePrediction, DemoRow]:
    """Run one associator over the capture and score it; a progress bar where that takes longer than two seconds."""
    started = time.perf_counter()
    steps = predict_cases(capture, weigh, rebuild)
    found = list(tqdm(steps, total=len(capture.numbers), unit="frame", desc=name, delay=2.0, leave=False))
    ms = 1000 * (time.perf_counter() - started) / len(found)
    frames = [case.frame for case, _ in found if case.frame is not None]
    figures = score_frames(frames, [case.prediction for case, _ in found], truth)
    return captured(capture, found), DemoRow(name, figures, ms)


def beside(result: CapturePrediction, reference: CapturePrediction) -> CapturePrediction:
    """A result that knows what another associator said about the same frames."""
    pairs = zip(result.cases, reference.cases, strict=True)
    return replace(result, cases=tuple(replace(one, reference=other.prediction.association) for one, other in pairs))


@contextmanager
def single_threaded() -> Iterator[None]:
    """One thread for torch, here and in the notebook's kernel: a frame's tensors are small, threads only wait."""
    here, inherited = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        torch.set_num_threads(here)
        if inherited is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = inherited


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill that takes `folder`'s place at the end, and leaves it as it was if something fails.

    What a notebook left that failed is kept, because the error names it.
    """
    work = folder_beside(folder)
    try:
        yield work
    except NotebookError:
        raise
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    replace_folder(work, folder)

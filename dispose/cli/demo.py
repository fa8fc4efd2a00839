"""`dispose demo`: the whole path on the sample captures that lie in the repository."""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from glob import escape
from pathlib import Path

import torch

from dispose.cli.jobs import DRAWN, stages_of
from dispose.datasets.samples import sample_folder
from dispose.errors import InputError
from dispose.evaluation.against_truth import Figures, score_frames, score_people
from dispose.evaluation.classic import CLASSIC, classic
from dispose.evaluation.score import Method
from dispose.formats.detections.people import DetectionView
from dispose.formats.files import replacing
from dispose.formats.folders import lock_folder
from dispose.formats.predictions import read_predictions
from dispose.inference.capture import Capture, image_source_of, read_capture, read_image_capture, source_of
from dispose.inference.readings import Source
from dispose.inference.results_folder import RunFiles, write_results
from dispose.inference.run import Kept, run
from dispose.models.dispose.associator import Associator
from dispose.options import require_folder
from dispose.scene.results import associate_each
from dispose.workers import worker_pool
from dispose.zoo.checkpoints import load_associator, load_image_model, shipped_image_weights
from dispose.zoo.triangulators import load_reconstruction
from dispose_workbench.notebooks.run import NotebookError, folder_beside, notebook_path, replace_folder, run_notebook

SAMPLE, IMAGE_SAMPLE = "crossing", "studio"
SAMPLE_RATE_HZ, IMAGE_RATE_HZ = 12.5, 5.0
NOTEBOOK, IMAGE_NOTEBOOK = "00_start_here", "from_pictures"
FIGURES = "figures.json"
PAGES, IMAGE_PAGES = "start_here", "look"
FROM_IMAGES = "from_pictures"
HEADER = f"{'associator':<24}{'pair F1 %':>10}{'groups %':>10}{'found %':>9}{'error mm':>10}{'ms/frame':>10}"


@dataclass(frozen=True)
class DemoRow:
    """How right one associator is on the sample, and its time with reading and reconstruction, on this machine."""

    name: str
    figures: Figures
    ms_per_frame: float

    def __str__(self) -> str:
        f = self.figures
        return (
            f"{self.name:<24}{f.pair_f1:>10.1f}{f.exact:>10.1f}{f.found:>9.1f}"
            f"{f.mpjpe_mm:>10.1f}{self.ms_per_frame:>10.0f}"
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
        out = require_folder(self.out).resolve()
        started = time.perf_counter()
        capture = read_capture(sample_folder(SAMPLE))
        print(f"capture: {len(capture.numbers)} frames, {len(capture.cameras)} cameras, {capture.skeleton.name}")
        weights = shipped_image_weights()
        with single_threaded(), whole_folder(out) as work, beside(work, weights) as from_images:
            write_demo(capture, load_associator(), work)
            print(f"\nfrom pictures: {from_images()}")
        print(f"\nAll of it took {time.perf_counter() - started:.0f} s. Look at")
        print(f"  {out / PAGES / f'{NOTEBOOK}.html'}    every step, with a scene to turn")
        print(f"  {out / 'predictions.jsonl'}    who is where, frame by frame (also .npz and trc/)")
        print(f"  {out / PAGES}    the pictures")
        if (out / FROM_IMAGES).is_dir():
            page = out / FROM_IMAGES / IMAGE_PAGES / f"{IMAGE_NOTEBOOK}.html"
            print(f"  {page}    people found in pictures")
        return 0


def write_demo(capture: Capture[DetectionView], associator: Associator, folder: Path) -> None:
    """Everything the demo shows, into an existing folder."""
    truth = read_predictions(capture.source / "truth" / "predictions.jsonl").frames
    print(f"people in 3-D, by ours and by the classic associators on the same detections\n\n{HEADER}", flush=True)
    place = load_reconstruction()
    methods = [Method("ours (diffusion)", associator.associate, place)]
    methods += [Method(one.name, associate_each(one.associate), place) for one in reversed(CLASSIC)]
    rows, found = [], dict[str, Kept]()
    for method in methods:
        kept, ms = timed(source_of(capture), method)
        frames = [result.frame for result in kept.results if result.frame is not None]
        figures = score_frames(frames, [result.prediction for result in kept.results], truth)
        rows.append(DemoRow(method.name, figures, ms))
        found[method.name] = kept
        print(rows[-1], flush=True)
    ours, other = found[methods[0].name], found[classic("ilp").name]
    pairs = zip(ours.results, other.results, strict=True)
    results = [replace(one, reference=second.prediction.association) for one, second in pairs]
    write_results(folder, results, RunFiles(SAMPLE, "ours", SAMPLE_RATE_HZ), ours.summary)
    with replacing(folder / FIGURES) as file:
        json.dump([asdict(row) for row in rows], file, indent=1)
    print(f"\npictures and page: the notebook {NOTEBOOK} runs", flush=True)
    run_notebook(notebook_path(NOTEBOOK), (("capture", str(capture.source)),), folder / PAGES)


def timed(source: Source, method: Method, batch: int = 16) -> tuple[Kept, float]:
    """What somebody says about all frames, and the milliseconds per frame with reading."""
    started, sink = time.perf_counter(), Kept()
    run(source, method.associate, method.reconstruct, sink, batch=batch, title=method.name)
    return sink, 1000 * (time.perf_counter() - started) / max(len(sink.results), 1)


def write_image_demo(folder: Path, weights: Path) -> str:
    """Find people in the other sample's images, write them beside, say how right they are."""
    capture, model = read_image_capture(sample_folder(IMAGE_SAMPLE)), load_image_model(weights)
    stages = stages_of(model)
    method = Method("predict", stages.associate, stages.reconstruct)
    kept, ms = timed(image_source_of(capture, model.config.input_size), method, batch=4)
    truth = read_predictions(sample_folder(IMAGE_SAMPLE) / "truth" / "predictions.jsonl").frames
    figures = score_people([one.prediction for one in kept.results], truth)
    files = RunFiles(IMAGE_SAMPLE, "DisPOSE", IMAGE_RATE_HZ, warnings=(DRAWN,))
    write_results(folder / FROM_IMAGES, kept.results, files, kept.summary)
    with replacing(folder / FROM_IMAGES / FIGURES) as file:
        json.dump({"figures": asdict(figures), "ms_per_frame": ms}, file, indent=1)
    return (
        f"{len(kept.results)} frames, {len(capture.cameras)} cameras, no detections; weights {weights.name}\n"
        f"{figures.found:.1f} % of the people found, {figures.nobody:.1f} % of the answers nobody; mean error of their "
        f"joints {figures.mpjpe_mm:.1f} mm; {ms:.0f} ms per frame beside the notebook"
    )


@contextmanager
def beside(folder: Path, weights: Path) -> Iterator[Callable[[], str]]:
    """The part from images, made by a process of its own while the block runs; the function waits for what it says.

    Without weights it says so and nothing is made: the first part is whole without it.
    """
    if not weights.is_file():
        yield lambda: f"left out, because the weights {weights.name} are not in this copy ({weights.parent})."
        return
    given = (("weights", str(weights)), ("capture", str(sample_folder(IMAGE_SAMPLE))))
    (folder / FROM_IMAGES).mkdir()
    with worker_pool(1, _silent) as process:
        page = process.submit(run_notebook, notebook_path(IMAGE_NOTEBOOK), given, folder / FROM_IMAGES / IMAGE_PAGES)
        people = process.submit(write_image_demo, folder, weights)
        yield people.result
        page.result()


def _silent() -> None:
    """Its progress bars would run through the table of the first part."""
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115


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

    What a notebook left that failed is kept, because the error names it. Nobody else writes there meanwhile, and what
    killed demos have left goes. Raises `InputError` where somebody does, or the folder is no earlier demo's.
    """
    with lock_folder(folder):
        if folder.exists() and not (folder / FIGURES).is_file():
            raise InputError(f"{folder} exists and is no folder of an earlier demo; name another with --out")
        for left in folder.parent.glob(f".{escape(folder.name)}.running-*"):
            shutil.rmtree(left, ignore_errors=True)
        work = folder_beside(folder)
        try:
            yield work
        except NotebookError:
            raise
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
        replace_folder(work, folder)

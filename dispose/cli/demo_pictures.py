"""The second part of `dispose demo`: the same from pictures, on the sample capture that has some."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

import torch

from dispose.datasets.samples import sample_folder
from dispose.errors import InputError
from dispose.evaluation.against_truth import PeopleFigures, score_people
from dispose.formats.files import replacing
from dispose.formats.predictions import read_predictions
from dispose.inference.image_capture import ImageCapture, read_image_capture
from dispose.inference.predict import CapturePrediction, write_capture_prediction
from dispose.inference.predict_pictures import predict_picture_capture
from dispose.zoo.checkpoints import PicturesModel, load_image_model
from dispose_workbench.notebooks.run import notebook_path, run_notebook

SAMPLE = "studio"
SAMPLE_RATE_HZ = 5.0
NOTEBOOK = "from_pictures"
FOLDER = "from_pictures"
PAGES = "look"


def write_image_demo(folder: Path, weights: Path) -> str:
    """Find people in the sample's pictures, write them into `FOLDER` of an existing folder, say how right they are."""
    capture = read_image_capture(sample_folder(SAMPLE))
    frames, views = len(capture.numbers), len(capture.cameras)
    result, figures, ms = measure(capture, load_image_model(weights))
    write_capture_prediction(folder / FOLDER, SAMPLE, result, SAMPLE_RATE_HZ)
    with replacing(folder / FOLDER / "figures.json") as file:
        json.dump({"figures": asdict(figures), "ms_per_frame": ms}, file, indent=1)
    return (
        f"{frames} frames, {views} cameras, no detections; weights {weights.name}\n"
        f"{figures.found:.1f} % of the people found, {figures.nobody:.1f} % of the answers nobody; mean error of their "
        f"joints {figures.mpjpe_mm:.1f} mm; {ms:.0f} ms per frame beside the notebook"
    )


@contextmanager
def beside(folder: Path, weights: Path) -> Iterator[Callable[[], str]]:
    """This part, made by a process of its own while the block runs; the function waits for it and says how it went.

    Without weights it says so and nothing is made: the first part is whole without it.
    """
    if not weights.is_file():
        yield lambda: f"left out, because the weights {weights.name} are not in this copy ({weights.parent})."
        return
    given = (("weights", str(weights)), ("capture", str(sample_folder(SAMPLE))))
    (folder / FOLDER).mkdir()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_silent) as process:
        page = process.submit(run_notebook, notebook_path(NOTEBOOK), given, folder / FOLDER / PAGES)
        people = process.submit(write_image_demo, folder, weights)
        yield people.result
        page.result()


def _silent() -> None:
    """Its progress bars would run through the table of the first part; a second thread would wait for that part's."""
    torch.set_num_threads(1)
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def measure(capture: ImageCapture, model: PicturesModel) -> tuple[CapturePrediction, PeopleFigures, float]:
    """People in all frames, how right they are, and milliseconds per frame with reading.

    Raises:
        InputError: nothing is known about one of the capture's frames.
    """
    started = time.perf_counter()
    result = predict_picture_capture(capture, model, model.config.input_size, skeleton=model.skeleton)
    ms = 1000 * (time.perf_counter() - started) / max(len(result.saved.frames), 1)
    source = capture.source.parent
    if not (source / "truth" / "predictions.jsonl").is_file():
        raise InputError(f"{source}: no truth to compare with.")
    truth = read_predictions(source / "truth" / "predictions.jsonl").frames
    return result, score_people(result.saved.frames, truth), ms

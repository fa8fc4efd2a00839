"""The second part of `dispose demo`: the same from pictures, on the sample capture that has some."""

import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

from dispose.cli.notebook_run import notebook_path, run_notebook
from dispose.datasets.samples import sample_folder
from dispose.errors import InputError
from dispose.evaluation.against_truth import PeopleFigures, score_people
from dispose.formats.files import replacing
from dispose.formats.predictions import read_predictions
from dispose.inference.image_capture import ImageCapture, read_image_capture
from dispose.inference.predict import CapturePrediction, write_capture_prediction
from dispose.inference.predict_pictures import predict_picture_capture
from dispose.zoo.checkpoints import PicturesModel, load_pictures_model

SAMPLE = "studio"
SAMPLE_RATE_HZ = 5.0
NOTEBOOK = "from_pictures"
FOLDER = "from_pictures"
PAGES = "look"


def write_pictures_demo(folder: Path, weights: Path) -> bool:
    """Everything this part shows, into the folder `FOLDER` of an existing one; whether it could be done.

    Without weights it says so and does nothing: the first part is whole without it.
    """
    if not weights.is_file():
        print(f"\nfrom pictures: left out, because the weights {weights.name} are not in this copy ({weights.parent}).")
        return False
    capture = read_image_capture(sample_folder(SAMPLE))
    frames, views = len(capture.numbers), len(capture.cameras)
    print(f"\nfrom pictures: {frames} frames, {views} cameras, no detections; weights {weights.name}", flush=True)
    result, figures, ms = measure(capture, load_pictures_model(weights))
    write_capture_prediction(folder / FOLDER, SAMPLE, result, SAMPLE_RATE_HZ)
    with replacing(folder / FOLDER / "figures.json") as file:
        json.dump({"figures": asdict(figures), "ms_per_frame": ms}, file, indent=1)
    print(
        f"{figures.found:.1f} % of the people found, {figures.nobody:.1f} % of the answers nobody; mean error of their "
        f"joints {figures.mpjpe_mm:.1f} mm; {ms:.0f} ms per frame",
        flush=True,
    )
    return True


@contextmanager
def page_beside(folder: Path, weights: Path) -> Iterator[None]:
    """The page of this part, made by a process of its own while the block runs; the end of the block waits for it.

    Without weights there is nothing to make.
    """
    if not weights.is_file():
        yield
        return
    given = (("weights", str(weights)), ("capture", str(sample_folder(SAMPLE))))
    (folder / FOLDER).mkdir()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_silent) as beside:
        page = beside.submit(run_notebook, notebook_path(NOTEBOOK), given, folder / FOLDER / PAGES)
        yield
        page.result()


def _silent() -> None:
    """Its progress bar would run through the table of the first part."""
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

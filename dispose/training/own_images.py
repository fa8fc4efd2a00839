"""The model for images fine-tuned on a capture's own images and pseudo-labels, judged by stretches kept apart.

It goes on from finished weights. Frames of videos are kept in the run's folder as image files, since training reads
them in any order; nothing is read that says where people truly are.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from dispose.datasets.layouts.source import FrameKey, Layout, Traits
from dispose.datasets.multiview import MultiViewDataset
from dispose.errors import InputError
from dispose.formats.detections.people import DamagedFrameError
from dispose.formats.files import digest_of, replacing, replacing_path
from dispose.formats.images.series import ImageFolder, ImageSeries
from dispose.formats.pseudo_labels import PseudoLabelStore, read_pseudo_labels
from dispose.inference.capture import Capture
from dispose.models.dispose.model import DisPose
from dispose.training.adaptation import DECISION, AdaptVerdict, error_of_mean, read_verdict
from dispose.training.beginnings import claim_beginning
from dispose.training.config import MODEL, Beginning, ModelRecipe
from dispose.training.frames import PseudoLabelled, Skipped, ValidationFrames
from dispose.training.runs import train_model
from dispose.training.shards import is_first, meet
from dispose.training.stretches import CaptureRecipe, stretches_of
from dispose.zoo.checkpoints import load_weights, shipped_image_weights
from dispose.zoo.records import to_json

IMAGES, JPEG_QUALITY = "images", 95


@dataclass(frozen=True, eq=False)
class CaptureLabels:
    """A capture's images and their labels: of one sequence in the file of labels, as some of its cameras see it."""

    capture: Capture[ImageSeries]
    store: PseudoLabelStore
    sequence: str

    @property
    def numbers(self) -> list[int]:
        """The frames that are recorded and labelled, ascending."""
        return sorted(set(self.capture.numbers) & set(self.store.numbers(self.sequence)))


def open_labelled(name: str, capture: Capture[ImageSeries], labels: Path, cameras: Sequence[str]) -> CaptureLabels:
    """The images of a capture with a file of labels.

    Args:
        name: of the capture: that of its sequence where the labels are of several.
        capture: its images.
        labels: as `dispose prepare` writes them.
        cameras: those to learn from; all where none is named.

    Raises:
        InputError: cameras are unknown, or the labels are of other cameras or other frames.
    """
    names = capture.cameras.names
    unknown = [camera for camera in cameras if camera not in names]
    if unknown:
        raise InputError(f"--cameras {unknown[0]}: the capture has no such camera (there is {', '.join(names)}).")
    if cameras:
        rows = [names.index(camera) for camera in cameras]
        views = tuple(capture.views[row] for row in rows)
        capture = replace(capture, cameras=capture.cameras.select(views=rows), views=views)
    store = read_pseudo_labels(labels, skeleton=DisPose.skeleton)
    sequence = store.sequences[0] if len(store.sequences) == 1 else name
    if sequence not in store.sequences:
        raise InputError(f"{labels}: has no sequence {name!r} (there is {', '.join(store.sequences)}).")
    labelled = CaptureLabels(capture, store.select(capture.cameras.names), sequence)
    if not labelled.numbers:
        raise InputError(f"{labels}: has labels for none of the {len(capture.numbers)} frames of the capture.")
    return labelled


def train_on_capture(
    recipe: CaptureRecipe, labelled: CaptureLabels, folder: Path, *, start: Path | None = None,
    workers: int | None = None,
) -> tuple[Path, AdaptVerdict]:  # fmt: skip
    """Fine-tune the heat maps and both stages on a capture; the path of the weights that are best there, and why.

    These are the weights that training started with where it does not help.

    Args:
        recipe: how.
        labelled: the capture's images and labels.
        folder: of the run; a run that was stopped goes on.
        start: weights to begin with (default: those of the package).
        workers: processes that read ahead.

    Raises:
        InputError: the folder holds another run, the recording is too short to be judged apart, or the weights are none
            of our model for images.
    """
    start = start or shipped_image_weights()
    model = load_weights(start, DisPose).eval()
    parts = stretches_of(labelled.numbers, recipe)
    labels = digest_of(labelled.store.path)
    said = f"{to_json(recipe)} of {labelled.sequence} as {', '.join(labelled.capture.cameras.names)} labels {labels}"
    beginning = Beginning(backbone=start, stages=start)
    claim_beginning(folder, said, beginning)
    weights, decision = folder / MODEL, folder / DECISION
    if not decision.exists():
        size = model.config.input_size
        layout = layout_of(labelled, parts, folder / IMAGES, size)
        apart = set(range(recipe.held_out - 1, len(parts), recipe.held_out))
        known = [row for row in range(len(parts)) if row not in apart]
        learned = PseudoLabelled(some_of(layout, parts, known, size), labelled.store, recipe.rules)
        judges = {row: ValidationFrames(some_of(layout, parts, [row], size), labelled.store, recipe.rules)
                  for row in sorted(apart)}  # fmt: skip
        before = [judge.score(model) for judge in judges.values()]
        plan = ModelRecipe(recipe.name, recipe.seed, model.config, recipe.backbone, recipe.pose)
        train_model(plan, folder, lambda: learned, beginning, workers, partial(mean_score, list(judges.values())))
        after = [judge.score(load_weights(weights, DisPose).eval()) for judge in judges.values()]
        verdict = AdaptVerdict(
            float(np.mean(before)), float(np.mean(after)), error_of_mean(np.subtract(after, before).tolist()),
            "skeletons agree with the labels by mean average precision",
        )  # fmt: skip
        if is_first():
            with replacing(decision) as file:
                json.dump(asdict(verdict), file)
        meet()
    verdict = read_verdict(decision)
    return (weights if verdict.better(recipe) else start), verdict


def mean_score(judges: Sequence[ValidationFrames], model: DisPose) -> float:
    """Mean average precision over some stretches, percent."""
    return float(np.mean([judge.score(model) for judge in judges]))


def layout_of(
    labelled: CaptureLabels, parts: Sequence[Sequence[int]], folder: Path, input_size: tuple[int, int]
) -> Layout:
    """A capture as a data set of which nobody measured anything; frames of videos are kept in the folder."""
    capture = labelled.capture
    keys = tuple(FrameKey(labelled.sequence, number) for part in parts for number in part)
    if is_first():
        keep_frames(capture.views, capture.cameras.names, [key.number for key in keys], folder)
    meet()
    files = {
        name: view.files
        for name, view in zip(capture.cameras.names, capture.views, strict=True)
        if isinstance(view, ImageFolder)
    }
    width, height = capture.cameras.size[0].int().tolist()
    nowhere = (0.0, 0.0, 0.0)
    traits = Traits(
        labelled.sequence, DisPose.skeleton, capture.cameras.names, (width, height), input_size, nowhere, nowhere, 0.0
    )
    return Layout(
        traits, keys, {labelled.sequence: capture.cameras}, partial(image_file, files, folder), nobody_measured
    )


def image_file(files: Mapping[str, Mapping[int, Path]], folder: Path, key: FrameKey, camera: str) -> Path:
    """Where the image of a camera lies; where none would, for a frame that the camera has not recorded."""
    return files.get(camera, {}).get(key.number, kept_frame(folder, camera, key.number))


def nobody_measured(key: FrameKey) -> None:
    """A capture of one's own has no truth."""


def kept_frame(folder: Path, camera: str, number: int) -> Path:
    """The file of a video's frame."""
    return folder / camera / f"{number:08d}.jpg"


def keep_frames(views: Sequence[ImageSeries], names: Sequence[str], numbers: Sequence[int], folder: Path) -> None:
    """Write the frames of videos as image files, as far as they are not there; damaged ones are left out and told."""
    lost = Skipped()
    for name, view in zip(names, views, strict=True):
        (folder / name).mkdir(parents=True, exist_ok=True)
        if isinstance(view, ImageFolder):
            continue
        recorded = set(view.numbers)
        for number in tqdm(numbers, desc=f"frames of {name}", unit="frame"):
            path = kept_frame(folder, name, number)
            if number not in recorded or path.exists():
                continue
            try:
                image = view.read(number)
            except DamagedFrameError as error:
                lost.add([str(error)])
                continue
            with replacing_path(path) as temporary:
                done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
                assert done
                temporary.write_bytes(data.tobytes())
    lost.report()


def some_of(
    layout: Layout, parts: Sequence[Sequence[int]], rows: Sequence[int], input_size: tuple[int, int]
) -> MultiViewDataset:
    """The frames of some stretches."""
    chosen = {number for row in rows for number in parts[row]}
    keys = tuple(key for key in layout.keys if key.number in chosen)
    return MultiViewDataset(replace(layout, keys=keys), input_size)

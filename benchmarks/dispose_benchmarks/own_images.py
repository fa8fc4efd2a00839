"""What the model for images reaches on real images that it learned from by a capture's own labels; the detector's way.

On Pose2Sim's two people: detected in the videos, labelled as `dispose prepare` does, learned from as `dispose train
capture` does. Scored are the stretches that were not learned from, against the one actor in the 3-D from the
detections that come with the capture; nobody measured the truth. One camera is left out of the training, and is seen
at last by all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from dispose.evaluation.from_videos import Track, agreement_of_actor, frames_ahead, later, tracks_of
from dispose.formats.folders import require_file
from dispose.formats.pseudo_labels import write_pseudo_labels
from dispose.inference.capture import find_images, image_source_of, read_capture, read_image_capture, source_of
from dispose.inference.readings import Reading, Source
from dispose.inference.run import results_of
from dispose.models.dispose.model import DisPose, TwoStages
from dispose.preparation.detecting import DetectOrder, detect
from dispose.preparation.detectors import detector_of
from dispose.preparation.labels import LabelSettings, label_frames, read_frames
from dispose.recipes.capture import CAPTURE, train
from dispose.recipes.orders import TrainingOrder
from dispose.scene.results import FrameResult
from dispose.skeletons.catalog import PANOPTIC_15
from dispose.training.config import MODEL
from dispose.training.stretches import stretches_of
from dispose.zoo.checkpoints import load_associator, load_weights, shipped_image_weights
from dispose.zoo.triangulators import load_reconstruction
from dispose_benchmarks.report import write_figures

SCHEMA = "dispose.bench.own_images/1"
NEAR_MM = 500.0
"""Whoever is farther from the actor is somebody else."""


@dataclass(frozen=True)
class OwnImagesRow:
    """One way from images to people, on frames that no training saw.

    Attributes:
        method: the way.
        cameras: that show the frames.
        frames: of the actor.
        people: mean number of people in a frame; there are three.
        found: share of the frames in which somebody is near the actor, percent.
        median_mm, mean_mm: distances of the twelve joints of the limbs, where they are.
    """

    method: str
    cameras: int
    frames: int
    people: float
    found: float
    median_mm: float
    mean_mm: float

    def __str__(self) -> str:
        return (f"{self.method}, {self.cameras} cameras: {self.people:.1f} people a frame, the actor in "
                f"{self.found:.0f} % of {self.frames} frames, median {self.median_mm:.0f}, "
                f"mean {self.mean_mm:.0f} mm")  # fmt: skip


def row_of(method: str, cameras: int, people: Mapping[int, Track], actor: Track) -> OwnImagesRow:
    """How near the nearest of everybody found is to the actor, in all frames of the actor."""
    apart, counts = [], []
    for number in sorted(actor):
        there = [track[number] for track in people.values() if number in track]
        counts.append(len(there))
        off = [np.linalg.norm(joints - actor[number], axis=-1) for joints in there]
        off = [one for one in off if np.isfinite(one).any()]
        nearest = min(off, key=np.nanmean, default=np.full(len(actor[number]), np.nan))
        near = np.isfinite(nearest).any() and np.nanmean(nearest) < NEAR_MM
        apart.append(nearest if near else np.full_like(nearest, np.nan))
    mm = np.stack(apart)
    found = np.isfinite(mm).any(1)
    median, mean = (float(np.nanmedian(mm)), float(np.nanmean(mm))) if found.any() else (float("nan"),) * 2
    return OwnImagesRow(
        method, cameras, len(mm), float(np.mean(counts)), 100 * float(found.mean()), median, mean
    )  # fmt: skip


@dataclass(frozen=True)
class OwnImagesBench:
    """Let the model for images learn from Pose2Sim's videos by their own labels; score it beside the detector's way.

    Three ways: the shipped weights, which saw drawn people only; those that learned from three of the four cameras; and
    detections, Stage I and the usual triangulator. With the cameras that were learned from and with all four.
    """

    capture: Path = Path("../shared/data/raw/pose2sim_multi")
    """With videos, and detections of another detector."""
    work: Path = Path("out/own-images")
    """Folder for detections, labels and the training; a run that was stopped goes on there."""
    without: int = 3
    """The camera that is not learned from, counted from 0."""
    out: Path = Path("data/results/own_images.json")
    """Result file."""

    def run(self) -> int:
        """Detect, label, learn, score, write."""
        path = require_file(self.out)
        torch.set_num_threads(1)
        images = read_image_capture(self.capture)
        names = images.cameras.names
        learned = tuple(name for row, name in enumerate(names) if row != self.without)
        detections, labels, run = self.work / "detections", self.work / "labels.npz", self.work / "run"
        detect(DetectOrder(find_images(self.capture), detections), detector_of())
        if not labels.exists():
            self.label(detections, labels)
        train(TrainingOrder(CAPTURE.name, run, data=self.capture, labels=labels, cameras=learned))
        parts = stretches_of(images.numbers, CAPTURE)
        numbers = [n for part in parts[CAPTURE.held_out - 1 :: CAPTURE.held_out] for n in part]
        actor, ahead = self.actor(detections, images.numbers, names)
        actor = {n: joints for n, joints in actor.items() if n in numbers}
        rows = []
        for cameras in (learned, names):
            found = self.detected(detections, numbers, cameras)
            rows.append(row_of("detections and Stage I", len(cameras), tracks_of(found), actor))
            for method, weights in (("drawn people", shipped_image_weights()), ("own images", run / MODEL)):
                found = self.seen(weights, numbers, cameras)
                rows.append(row_of(f"model for images, {method}", len(cameras), tracks_of(found), actor))
        print("\n".join(map(str, rows)))
        print(f"The actor's joints are those of {ahead} frames before, at which the two detectors agree.")
        figures = {"learned": learned, "frames_ahead": ahead, "rows": [asdict(row) for row in rows]}
        write_figures(path, SCHEMA, figures)
        return 0

    def actor(self, detections: Path, numbers: Sequence[int], names: Sequence[str]) -> tuple[Track, int]:
        """The actor by the other detector's joints, at the frames of the videos, and how many these are ahead."""
        ours, theirs = (tracks_of(self.detected(one, numbers, names)) for one in (detections, self.capture / "pose"))
        same = agreement_of_actor(ours, theirs)
        assert same is not None, "somebody moves in this capture"
        ahead = frames_ahead(ours[same.person], theirs[same.other])
        return later(theirs[same.other], -ahead), ahead

    def label(self, detections: Path, labels: Path) -> None:
        """Write the labels of the capture's detections, as `dispose prepare` makes them."""
        name, capture = self.capture.resolve().name, read_capture(self.capture, detections=detections)
        read = read_frames(name, source_of(capture), 1)
        made = label_frames(name, read.frames, LabelSettings(), read=read.sentences)
        write_pseudo_labels(labels, PANOPTIC_15, capture.cameras.names, made.labels)

    def detected(self, detections: Path, numbers: Sequence[int], cameras: Sequence[str]) -> Sequence[FrameResult]:
        """Everybody by a folder of detections, as `dispose predict` finds them."""
        capture, associator = read_capture(self.capture, detections=detections), load_associator()
        some = part_of(source_of(capture), numbers, [capture.cameras.names.index(name) for name in cameras])
        return results_of(some, associator.associate, load_reconstruction(associator=associator))

    def seen(self, weights: Path, numbers: Sequence[int], cameras: Sequence[str]) -> Sequence[FrameResult]:
        """Everybody by the model for images."""
        model, capture = load_weights(weights, DisPose).eval(), read_image_capture(self.capture)
        source, stages = image_source_of(capture, model.config.input_size), TwoStages(model, None)
        some = part_of(source, numbers, [capture.cameras.names.index(name) for name in cameras])
        return results_of(some, stages.associate, stages.reconstruct)


def part_of(source: Source, numbers: Sequence[int], views: Sequence[int]) -> Source:
    """Some frames of a source as some of its cameras see them."""

    def read(number: int) -> Reading | None:
        found = source.read(number)
        return None if found is None else Reading(found.frame.select(views=views))

    return Source(tuple(numbers), read)

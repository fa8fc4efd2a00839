"""Labelled frames as the image model learns from them: synthetic ones, and those of data sets with pseudo-labels."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch

from dispose.datasets.augmentation.images import AugmentationConfig, augment
from dispose.datasets.multiview import MultiViewDataset, read_raw
from dispose.errors import InputError
from dispose.formats.pseudo_labels import PseudoLabelStore
from dispose.geometry.image_affine import letterbox
from dispose.metrics.detection import AP_THRESHOLDS_MM, average_precision_one_to_one, pair_errors
from dispose.models.dispose.model import DisPose
from dispose.scene.cameras import Cameras
from dispose.scene.convert import campus_poses, convert_poses
from dispose.scene.frame import Frame, Labels, Poses
from dispose.scene.labels import strongest_unmatched, with_view_confidence, with_whole_skeletons, without_raised_ankles
from dispose.skeletons.catalog import PANOPTIC_15, SHELF_14
from dispose.training.config import LabelRules
from dispose.training.shards import Shards, save_shard
from dispose_synthetic.renderer.captures import RenderConfig, RenderedFrame, as_input, as_labels, sample_captures


@dataclass(frozen=True, eq=False)
class ImageExample:
    """One frame as it is learned from: what the model sees, and the labels that only training sees.

    The seed is that of everything random that a step does with it. Augmented copies of one frame of the step share the
    number `of_frame`; copy 0 is the frame as it is.
    """

    frame: Frame
    labels: Labels
    seed: int
    of_frame: int
    copy: int


@dataclass(frozen=True, eq=False)
class ExampleBatch:
    """The examples of a step, and why frames are missing."""

    examples: tuple[ImageExample, ...]
    skipped: tuple[str, ...]


@runtime_checkable
class ImageExamples(Protocol):
    """Labelled frames by number."""

    def __len__(self) -> int:
        """Number of frames."""
        ...

    def views(self, row: int) -> int:
        """Number of cameras of a frame: frames with equally many are learned from together."""
        ...

    def copies(self, row: int, count: int, generator: torch.Generator) -> Sequence[tuple[Frame, Labels]]:
        """The frame as it is and `count` augmented copies of it. Raises `InputError` for a frame that is unusable."""
        ...


class FrameSource:
    """Labelled frames as a task's examples; a frame that cannot be read is left out, and why is said."""

    def __init__(self, frames: ImageExamples, copies: int) -> None:
        self.frames, self.copies = frames, copies

    @property
    def groups(self) -> Sequence[int]:
        """Numbers of cameras."""
        return [self.frames.views(row) for row in range(len(self.frames))]

    def batch(self, rows: Sequence[int], seeds: Sequence[int]) -> ExampleBatch:
        """Some frames, each as it is and as augmented copies."""
        examples: list[ImageExample] = []
        skipped: list[str] = []
        for place, (row, seed) in enumerate(zip(rows, seeds, strict=True)):
            try:
                versions = self.frames.copies(row, self.copies, torch.Generator().manual_seed(seed))
            except InputError as error:
                skipped.append(str(error))
                continue
            examples += [
                ImageExample(frame, labels, seed + 97 * k, place, k) for k, (frame, labels) in enumerate(versions)
            ]
        return ExampleBatch(tuple(examples), tuple(skipped))


@dataclass
class Skipped:
    """Frames that could not be used, and the first reasons."""

    count: int = 0
    reasons: list[str] = field(default_factory=list)

    def add(self, reasons: Sequence[str]) -> None:
        """Count; the first ones are said at once."""
        self.count += len(reasons)
        for reason in reasons[: 5 - len(self.reasons)]:
            self.reasons.append(reason)
            print(f"dispose: skipped a frame: {reason}", file=sys.stderr)

    def report(self) -> None:
        """One line at the end of a run in which something was skipped."""
        if self.count:
            print(f"{self.count} frames skipped, the first because {self.reasons[0]}")


class PseudoLabelled:
    """The frames of a data set that have pseudo-labels; true poses are never read.

    Raises:
        InputError: no frame of the data set has labels.
    """

    def __init__(
        self,
        dataset: MultiViewDataset,
        labels: PseudoLabelStore,
        rules: LabelRules,
        *,
        interval: int = 1,
    ) -> None:
        self._dataset, self._rules = dataset, rules
        known = set(labels.keys)
        keys = dataset.source.keys
        rows = [row for row, key in enumerate(keys) if (key.sequence, key.number) in known]
        if not rows:
            first = f", such as frame {keys[0].number} of {keys[0].sequence}" if keys else ""
            raise InputError(f"{labels.path}: has labels for none of the {len(keys)} training frames{first}.")
        self._rows = rows[::interval]
        self._labels = labels.select(dataset.source.rigs[keys[rows[0]].sequence].names)

    def __len__(self) -> int:
        return len(self._rows)

    def views(self, row: int) -> int:
        """Number of cameras, present or not."""
        return len(self._dataset.source.rigs[self._dataset.source.keys[self._rows[row]].sequence])

    def labels(self, row: int) -> Labels:
        """What is learned of a frame: its labels by the data set's rules."""
        key = self._dataset.source.keys[self._rows[row]]
        return apply_rules(self._labels.at(key.sequence, key.number), self._rules)

    def copies(self, row: int, count: int, generator: torch.Generator) -> list[tuple[Frame, Labels]]:
        """The frame as it is, then varied copies; labels are in original pixels and shared by all.

        Raises:
            InputError: an image cannot be read, or none is there.
        """
        source, labels, size = self._dataset.source, self.labels(row), self._dataset.input_size
        raw = read_raw(source, source.keys[self._rows[row]])
        versions = augment(
            raw.images,
            letterbox(raw.cameras.size, size),
            size,
            (labels.xy_image, labels.visible),
            AugmentationConfig(copies=count),
            generator,
        )
        return [(Frame.of_images(raw.number, raw.cameras, images), labels) for images in versions]


def apply_rules(labels: Labels, rules: LabelRules) -> Labels:
    """The labels as a data set's recipe learns from them."""
    labels = with_whole_skeletons(labels, rules.fewest_joints)
    if rules.highest_ankle_mm is not None:
        labels = without_raised_ankles(labels, rules.highest_ankle_mm)
    if rules.view_confidence:
        labels = with_view_confidence(labels)
    return strongest_unmatched(labels, rules.slots)


class ValidationFrames:
    """The frames of a validation split of which people are known: measured, or else from pseudo-labels.

    Raises:
        InputError: no frame's people are known.
    """

    def __init__(self, dataset: MultiViewDataset, labels: PseudoLabelStore, rules: LabelRules) -> None:
        self._dataset, self._truth = dataset, dict[int, Poses]()
        source, known = dataset.source, set(labels.keys)
        for row, key in enumerate(source.keys):
            truth = source.truth(key)
            if truth.annotated:
                self._truth[row] = truth.poses
            elif (key.sequence, key.number) in known:
                self._truth[row] = apply_rules(labels.at(key.sequence, key.number), rules).poses
        if not self._truth:
            raise InputError(f"of none of the {len(source.keys)} validation frames the people are known.")

    def score(self, model: DisPose) -> float:
        """Mean average precision of the skeletons, percent; frames that cannot be read are left out."""
        frames = []
        for row, truth in self._truth.items():
            try:
                frame, _ = self._dataset[row]
            except InputError:
                continue
            answer = model(frame)
            heads = truth.skeleton == SHELF_14
            people = campus_poses(answer.poses) if heads else convert_poses(answer.poses, truth.skeleton)
            frames.append(pair_errors(people, answer.association.confidence, truth))
        precision = [average_precision_one_to_one(frames, threshold_mm=mm) for mm in AP_THRESHOLDS_MM]
        return 100 * float(torch.tensor(precision).nan_to_num().mean())


class RenderedFrames:
    """The captures of some shards; images are read when they are asked for.

    Augmented copies are not made: the images come from rigs, rooms and people that are all drawn at random.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.captures = Shards(paths, no_capture())

    def __len__(self) -> int:
        return len(self.captures)

    def views(self, row: int) -> int:
        """Number of cameras of a capture."""
        return self.captures.shape(row, "images")[0]

    def copies(self, row: int, count: int, generator: torch.Generator) -> list[tuple[Frame, Labels]]:
        """The capture once (`count` is not used, see the class)."""
        capture = self.captures[row]
        return [(as_input(capture, row), as_labels(capture))]


def captures_of_chunk(config: RenderConfig, seed: int, chunk: int, frames: int) -> list[RenderedFrame]:
    """The captures of a chunk: a function of the seed and the chunk's number."""
    generator = torch.Generator().manual_seed(seed * 10_000_019 + chunk)
    return list(sample_captures(generator, frames, config))


def render_shard(config: RenderConfig, seed: int, frames: int, chunk: int, path: Path) -> None:
    """Draw and write the captures of one chunk."""
    save_shard(path, captures_of_chunk(config, seed, chunk, frames))


def no_capture() -> RenderedFrame:
    """By no camera, of nobody."""
    joints, double = len(PANOPTIC_15), torch.float64
    cameras = Cameras((), *(torch.zeros(0, *shape, dtype=double) for shape in ((2,), (3, 3), (8,), (3, 3), (3,))))
    flags = torch.zeros(0, 0, joints, dtype=torch.bool)
    nobody = torch.zeros(0, joints, dtype=double)
    poses = Poses(PANOPTIC_15, torch.zeros(0, joints, 3, dtype=double), nobody, nobody > 0, torch.zeros(0).long())
    return RenderedFrame(cameras, torch.zeros(0, 1, 1, 3, dtype=torch.uint8), poses, flags, flags)

"""Protocols: data set, frames, measures and thresholds, as frozen records.

To score on something else, write another record; to sweep views or their order, pass them to `gather`. Models for
images are scored twice: `released` counts as the released code does and, as its authors did, chooses models by the test
frames; `clean` matches people one to one, makes all heads alike, and chooses models by other, validation frames.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch

from dispose.datasets.layouts.campus import CAMPUS, CAMPUS_TEST, CAMPUS_VALIDATION, open_campus
from dispose.datasets.layouts.mm_or import MM_OR, MM_OR_TEST, MM_OR_VALIDATION, open_mm_or
from dispose.datasets.layouts.panoptic import PANOPTIC, PANOPTIC_TEST, PANOPTIC_VALIDATION, open_panoptic
from dispose.datasets.layouts.shelf import SHELF, SHELF_TEST, SHELF_VALIDATION, open_shelf
from dispose.datasets.layouts.source import Layout, Split, Traits
from dispose.datasets.multiview import FrameLog, MultiViewDataset, good_samples
from dispose.datasets.tables.mvor import UPPER_BODY, read_mvor, scored_joints
from dispose.datasets.tables.panoptic import read_panoptic_mini
from dispose.datasets.tables.reading import Table, all_rows, without_repeats
from dispose.datasets.tables.shelf import read_shelf
from dispose.errors import InputError
from dispose.evaluation.figures import Measure
from dispose.evaluation.measures import (
    association_figures,
    campus_released,
    clean_parts,
    clean_roots,
    clean_skeletons,
    detection_figures,
    released_parts,
    released_roots,
    released_skeletons,
    root_figures,
    root_pairs,
    shelf_figures,
)
from dispose.released.heads import shelf_poses_released
from dispose.scene.convert import campus_poses, convert_poses, shelf_poses
from dispose.scene.frame import Frame, Labels, Poses
from dispose.skeletons.catalog import COCO_17, MVOR_10


@dataclass(frozen=True)
class Protocol:
    """How a data set is scored.

    Attributes:
        name: on the command line; of images also the convention.
        title: one line for people.
        detections: what made the detections, or how images are counted, for tables.
        read: the frames and their labels, from the folder of all converted tables or of the data set in its own layout.
        measures: what is computed.
        gates_mm: gates over which classic associators are swept; empty = their defaults.
        joints: the joints whose rays classic associators compare, where that suits them better than all (empty).
        truth_of: the true skeletons with those joints alone that mean the same in predictions.
        test: the frames of images that are scored.
        selection: the frames of images by which one may choose between models.
        published: the published table that the figures stand beside, in data/published; empty where there is none.
    """

    name: str
    title: str
    detections: str
    read: Callable[[Path], Iterable[tuple[Frame, Labels]]]
    measures: tuple[Measure, ...]
    gates_mm: tuple[float, ...] = ()
    joints: tuple[str, ...] = ()
    truth_of: Callable[[Poses], Poses] = lambda poses: poses
    test: Split | None = None
    selection: Split | None = None
    published: str = ""


def mvor_joints(poses: Poses) -> Poses:
    """The seven joints that mean the same in COCO and MVOR."""
    return scored_joints(convert_poses(poses, MVOR_10))


def coco_joints(poses: Poses) -> Poses:
    """COCO's joints."""
    return convert_poses(poses, COCO_17)


def shelf_scenes(folder: Path) -> Iterable[tuple[Frame, Labels]]:
    """Shelf in COCO joints."""
    return read_shelf(folder / "shelf")


def mvor_scenes(
    folder: Path, *, detector: str, clean: Callable[[Table], Table] = all_rows
) -> Iterable[tuple[Frame, Labels]]:
    """Days 1 and 2 of MVOR with one detector."""
    return read_mvor(folder / "mvor", detector, days=(1, 2), clean=clean)


def panoptic_scenes(folder: Path) -> Iterable[tuple[Frame, Labels]]:
    """The standard five views of Panoptic mini, 6 px noise, a fifth of the joints missing."""
    return read_panoptic_mini(folder / "panoptic_mini")


MVOR_MEASURES = (
    association_figures,
    partial(detection_figures, prepare=mvor_joints, min_joints=3),
)
SWEEP_MM = (50.0, 75.0, 100.0, 150.0, 200.0, 250.0, 300.0, 400.0)

SHELF_DEV = Protocol(
    "shelf",
    "Shelf, frames 300-449 and 500-549, PCP with an actor-agnostic head",
    "OpenPose",
    shelf_scenes,
    (association_figures, shelf_figures),
)
MVOR_RTPOSE = Protocol(
    "mvor_rtpose",
    "MVOR, days 1 and 2, RTPose detections",
    "RTPose",
    partial(mvor_scenes, detector="rtpose"),
    MVOR_MEASURES,
    joints=UPPER_BODY,
    truth_of=scored_joints,
)
MVOR_OPENPOSE = Protocol(
    "mvor_openpose",
    "MVOR, days 1 and 2, OpenPose detections",
    "OpenPose",
    partial(mvor_scenes, detector="openpose"),
    MVOR_MEASURES,
    SWEEP_MM,
    joints=UPPER_BODY,
    truth_of=scored_joints,
)
MVOR_OPENPOSE_DISTINCT = Protocol(
    "mvor_openpose_distinct",
    "MVOR, days 1 and 2, OpenPose detections without the file's exact repeats",
    "OpenPose, distinct",
    partial(mvor_scenes, detector="openpose", clean=without_repeats),
    MVOR_MEASURES,
    SWEEP_MM,
    joints=UPPER_BODY,
    truth_of=scored_joints,
)
MVOR_OPENPOSE_MS = Protocol(
    "mvor_openpose_ms",
    "MVOR, days 1 and 2, multi-scale OpenPose detections",
    "OpenPose multi-scale",
    partial(mvor_scenes, detector="openpose_ms"),
    MVOR_MEASURES,
    SWEEP_MM,
    joints=UPPER_BODY,
    truth_of=scored_joints,
)
PANOPTIC_MINI = Protocol(
    "panoptic_mini",
    "Panoptic mini, five views, simulated detections (6 px noise, 20 % of the joints missing)",
    "simulated",
    panoptic_scenes,
    (
        association_figures,
        partial(detection_figures, prepare=coco_joints, min_joints=1),
        partial(root_figures, prepare=coco_joints),
    ),
)


@dataclass(frozen=True, eq=False)
class ImageFrames:
    """The frames of a source that somebody annotated, read one by one.

    Attributes:
        source: of the data set in its original layout.
        log: counts what was read, and the frames that cannot be.
    """

    source: Layout
    log: FrameLog = field(default_factory=FrameLog)

    def __len__(self) -> int:
        return len(self.source.keys)

    def __iter__(self) -> Iterator[tuple[Frame, Labels]]:
        for frame, truth in good_samples(MultiViewDataset(self.source, self.source.traits.input_size), self.log):
            if truth.annotated:
                nobody = torch.zeros(len(frame.cameras), 0, dtype=torch.long)
                yield frame, Labels.of_detections(nobody, truth.poses)


def image_protocols(
    key: str,
    traits: Traits,
    open_source: Callable[..., Layout],
    test: Split,
    validation: Split,
    released: tuple[Measure, ...],
    clean: tuple[Measure, ...],
) -> tuple[Protocol, Protocol]:
    """The two conventions on one data set; cameras are those that are usually taken."""

    def read(folder: Path) -> ImageFrames:
        return ImageFrames(open_source(folder, test, views=traits.views))

    pairs = partial(root_pairs, input_size=traits.input_size)
    conventions = (("released", test, released), ("clean", validation, (*clean, pairs)))
    one, other = (
        Protocol(f"{key}, {name}", test.name, f"{key}, {name}", read, measures,
                 test=test, selection=selection, published=key)
        for name, selection, measures in conventions
    )  # fmt: skip
    return one, other


RELEASED_PEOPLE = (released_skeletons, released_roots)
CLEAN_PEOPLE = (clean_skeletons, clean_roots)
PANOPTIC_IMAGES = image_protocols(
    "panoptic", PANOPTIC, open_panoptic, PANOPTIC_TEST, PANOPTIC_VALIDATION, RELEASED_PEOPLE, CLEAN_PEOPLE
)
MM_OR_IMAGES = image_protocols("mm_or", MM_OR, open_mm_or, MM_OR_TEST, MM_OR_VALIDATION, RELEASED_PEOPLE, CLEAN_PEOPLE)
SHELF_IMAGES = image_protocols(
    "shelf", SHELF, open_shelf, SHELF_TEST, SHELF_VALIDATION,
    (partial(released_parts, prepare=shelf_poses_released),), (partial(clean_parts, prepare=shelf_poses),),
)  # fmt: skip
CAMPUS_IMAGES = image_protocols(
    "campus", CAMPUS, open_campus, CAMPUS_TEST, CAMPUS_VALIDATION,
    (partial(released_parts, prepare=campus_released),), (partial(clean_parts, prepare=campus_poses),),
)  # fmt: skip

SUITES = (
    ("shelf", (SHELF_DEV,)),
    ("mvor", (MVOR_RTPOSE, MVOR_OPENPOSE, MVOR_OPENPOSE_DISTINCT, MVOR_OPENPOSE_MS)),
    ("mvor_rtpose", (MVOR_RTPOSE,)),
    ("mvor_openpose", (MVOR_OPENPOSE,)),
    ("mvor_openpose_distinct", (MVOR_OPENPOSE_DISTINCT,)),
    ("mvor_openpose_ms", (MVOR_OPENPOSE_MS,)),
    ("panoptic_mini", (PANOPTIC_MINI,)),
    ("panoptic_images", PANOPTIC_IMAGES),
    ("shelf_images", SHELF_IMAGES),
    ("campus_images", CAMPUS_IMAGES),
    ("mm_or_images", MM_OR_IMAGES),
)
"""Names on the command line and the protocols that one run of them scores into one file."""


def protocols_of(name: str) -> tuple[Protocol, ...]:
    """The protocols of a name; `InputError` lists the names where there is none."""
    for known, protocols in SUITES:
        if known == name:
            return protocols
    raise InputError(f"no protocol named {name!r}; known: {', '.join(known for known, _ in SUITES)}")

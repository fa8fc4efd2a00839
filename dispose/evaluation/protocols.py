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

from dispose.datasets.layouts.source import Layout, Split
from dispose.datasets.multiview import FrameLog, MultiViewDataset, good_samples
from dispose.datasets.originals import ORIGINALS
from dispose.datasets.tables.mvor import UPPER_BODY, read_mvor, scored_joints
from dispose.datasets.tables.panoptic import read_panoptic_mini
from dispose.datasets.tables.reading import LabelledFrames, Table, all_rows, without_repeats
from dispose.datasets.tables.shelf import read_shelf
from dispose.errors import InputError
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
from dispose.evaluation.reports import Measure
from dispose.released.metrics import shelf_poses_released
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


COCO_JOINTS = partial(convert_poses, target=COCO_17)
SWEEP_MM = (50.0, 75.0, 100.0, 150.0, 200.0, 250.0, 300.0, 400.0)

SHELF_DEV = Protocol(
    "shelf",
    "Shelf, frames 300-449 and 500-549, PCP with an actor-agnostic head",
    "OpenPose",
    lambda folder: read_shelf(folder / "shelf"),
    (association_figures, shelf_figures),
)


def mvor_protocol(
    name: str,
    title: str,
    detections: str,
    detector: str,
    gates_mm: tuple[float, ...] = SWEEP_MM,
    clean: Callable[[Table], Table] = all_rows,
) -> Protocol:
    """Days 1 and 2 of MVOR with the detections of one detector; classic associators compare upper bodies."""

    def read(folder: Path) -> LabelledFrames:
        return read_mvor(folder / "mvor", detector, days=(1, 2), clean=clean)

    measures = (association_figures, partial(detection_figures, prepare=mvor_joints, min_joints=3))
    return Protocol(name, f"MVOR, days 1 and 2, {title}", detections, read, measures, gates_mm,
                    joints=UPPER_BODY, truth_of=scored_joints)  # fmt: skip


MVOR_RTPOSE = mvor_protocol("mvor_rtpose", "RTPose detections", "RTPose", "rtpose", gates_mm=())
MVOR_OPENPOSE = mvor_protocol("mvor_openpose", "OpenPose detections", "OpenPose", "openpose")
MVOR_OPENPOSE_DISTINCT = mvor_protocol(
    "mvor_openpose_distinct", "OpenPose detections without the file's exact repeats", "OpenPose, distinct", "openpose",
    clean=without_repeats,
)  # fmt: skip
MVOR_OPENPOSE_MS = mvor_protocol(
    "mvor_openpose_ms", "multi-scale OpenPose detections", "OpenPose multi-scale", "openpose_ms"
)
PANOPTIC_MINI = Protocol(
    "panoptic_mini",
    "Panoptic mini, five views, simulated detections (6 px noise, 20 % of the joints missing)",
    "simulated",
    lambda folder: read_panoptic_mini(folder / "panoptic_mini"),
    (
        association_figures,
        partial(detection_figures, prepare=COCO_JOINTS, min_joints=1),
        partial(root_figures, prepare=COCO_JOINTS),
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


def image_protocols(key: str, released: tuple[Measure, ...], clean: tuple[Measure, ...]) -> tuple[Protocol, Protocol]:
    """The two conventions on one data set; cameras are those that are usually taken."""
    data = ORIGINALS[key]

    def read(folder: Path) -> ImageFrames:
        return ImageFrames(data.open(folder, data.test, data.traits.views))

    pairs = partial(root_pairs, input_size=data.traits.input_size)
    conventions = (("released", data.test, released), ("clean", data.validation, (*clean, pairs)))
    one, other = (
        Protocol(f"{key}, {name}", data.test.name, f"{key}, {name}", read, measures,
                 test=data.test, selection=selection, published=key)
        for name, selection, measures in conventions
    )  # fmt: skip
    return one, other


RELEASED_PEOPLE = (released_skeletons, released_roots)
CLEAN_PEOPLE = (clean_skeletons, clean_roots)
SHELF_PARTS = (partial(released_parts, prepare=shelf_poses_released),), (partial(clean_parts, prepare=shelf_poses),)
CAMPUS_PARTS = (partial(released_parts, prepare=campus_released),), (partial(clean_parts, prepare=campus_poses),)

MVOR = (MVOR_RTPOSE, MVOR_OPENPOSE, MVOR_OPENPOSE_DISTINCT, MVOR_OPENPOSE_MS)
SUITES = (
    *((one.name, (one,)) for one in (SHELF_DEV, *MVOR, PANOPTIC_MINI)),
    ("mvor", MVOR),
    ("panoptic_images", image_protocols("panoptic", RELEASED_PEOPLE, CLEAN_PEOPLE)),
    ("shelf_images", image_protocols("shelf", *SHELF_PARTS)),
    ("campus_images", image_protocols("campus", *CAMPUS_PARTS)),
    ("mm_or_images", image_protocols("mm_or", RELEASED_PEOPLE, CLEAN_PEOPLE)),
)
"""Names on the command line and the protocols that one run of them scores into one file."""


def protocols_of(name: str) -> tuple[Protocol, ...]:
    """The protocols of a name; `InputError` lists the names where there is none."""
    for known, protocols in SUITES:
        if known == name:
            return protocols
    raise InputError(f"no protocol named {name!r}; known: {', '.join(known for known, _ in SUITES)}")

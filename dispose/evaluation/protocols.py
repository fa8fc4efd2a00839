"""Protocols: data set, frames, measures and thresholds, as frozen records.

To score on something else, write another record; to sweep views or their order, pass them to `gather`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dispose.datasets.tables.mvor import UPPER_BODY, read_mvor, scored_joints
from dispose.datasets.tables.panoptic import read_panoptic_mini
from dispose.datasets.tables.reading import Table, all_rows, without_repeats
from dispose.datasets.tables.shelf import read_shelf
from dispose.errors import InputError
from dispose.evaluation.measures import detection_figures, root_figures, shelf_figures
from dispose.evaluation.scenes import Measure
from dispose.scene.convert import convert_poses
from dispose.scene.frame import Frame, Labels
from dispose.scene.poses import Poses
from dispose.skeletons.catalog import COCO_17, MVOR_10

REFERENCE_GATES: tuple[float, ...] = ()
"""No sweep: every classic associator at its own default gate."""


@dataclass(frozen=True)
class Protocol:
    """How a data set is scored.

    Attributes:
        name: on the command line.
        title: one line for people.
        detections: what made the detections, for tables.
        read: the scenes, from the folder of all converted tables.
        measures: what is computed besides the figures of association.
        gates_mm: gates over which classic associators are swept; empty = their defaults.
        joints: the joints whose rays classic associators compare, where that suits them better than all (empty).
        truth_of: the true skeletons with those joints alone that mean the same in predictions.
    """

    name: str
    title: str
    detections: str
    read: Callable[[Path], Iterable[tuple[Frame, Labels]]]
    measures: tuple[Measure, ...]
    gates_mm: tuple[float, ...] = REFERENCE_GATES
    joints: tuple[str, ...] = ()
    truth_of: Callable[[Poses], Poses] = lambda poses: poses


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


MVOR_MEASURES = (partial(detection_figures, prepare=mvor_joints, min_joints=3),)
SWEEP_MM = (50.0, 75.0, 100.0, 150.0, 200.0, 250.0, 300.0, 400.0)

SHELF_DEV = Protocol(
    "shelf",
    "Shelf, frames 300-449 and 500-549, PCP with an actor-agnostic head",
    "OpenPose",
    shelf_scenes,
    (shelf_figures,),
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
    (partial(detection_figures, prepare=coco_joints, min_joints=1), partial(root_figures, prepare=coco_joints)),
)

SUITES = (
    ("shelf", (SHELF_DEV,)),
    ("mvor", (MVOR_RTPOSE, MVOR_OPENPOSE, MVOR_OPENPOSE_DISTINCT, MVOR_OPENPOSE_MS)),
    ("mvor_rtpose", (MVOR_RTPOSE,)),
    ("mvor_openpose", (MVOR_OPENPOSE,)),
    ("mvor_openpose_distinct", (MVOR_OPENPOSE_DISTINCT,)),
    ("mvor_openpose_ms", (MVOR_OPENPOSE_MS,)),
    ("panoptic_mini", (PANOPTIC_MINI,)),
)
"""Names on the command line and the protocols that one run of them scores into one file."""


def protocols_of(name: str) -> tuple[Protocol, ...]:
    """The protocols of a name; `InputError` lists the names where there is none."""
    for known, protocols in SUITES:
        if known == name:
            return protocols
    raise InputError(f"no protocol named {name!r}; known: {', '.join(known for known, _ in SUITES)}")

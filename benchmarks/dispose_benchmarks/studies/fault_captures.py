"""Captures that faults are injected into: detections of all frames with who they are, and cameras that are right."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from dispose.datasets.samples import sample_folder
from dispose.datasets.tables.mvor import read_mvor
from dispose.datasets.tables.reading import Table, detections_of, read_columns
from dispose.datasets.tables.shelf import read_shelf
from dispose.formats.calibration.read import read_calibration
from dispose.formats.predictions import read_predictions
from dispose.inference.capture import read_capture, read_frame
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections
from dispose.scene.labels import identities
from dispose.skeletons.catalog import BODY_25B
from dispose.tensors import ABSENT, cat

NOISE_PX = 1.5
"""Of a detector in the studio's pictures of 320 x 240 pixels."""


@dataclass(frozen=True, eq=False)
class Take:
    """What all cameras saw in one frame, who that is (`ABSENT`: nobody knows), and which frame each camera shows."""

    detections: Detections
    identity: Int[Tensor, "views slots"]
    shown: tuple[int, ...]

    @property
    def instant(self) -> int:
        """The frame that most cameras show."""
        return Counter(self.shown).most_common(1)[0][0]

    def select(self, views: Sequence[int]) -> "Take":
        """Some of the cameras."""
        rows = list(views)
        return Take(self.detections.select(views=rows), self.identity[rows], tuple(self.shown[v] for v in rows))

    def view(self, view: int, slots: int) -> tuple[Detections, Int[Tensor, "one slots"]]:
        """One camera's part, with so many slots."""
        more = slots - self.identity.shape[1]
        one = torch.nn.functional.pad(self.identity[view : view + 1], (0, more), value=ABSENT)
        return self.detections.select(views=[view]).pad(slots=slots), one


def taken(takes: Sequence[Take], rows: Sequence[int]) -> Take:
    """A frame in which every camera shows another row."""
    slots = max(takes[row].identity.shape[1] for row in rows)
    parts = [takes[row].view(view, slots) for view, row in enumerate(rows)]
    shown = tuple(takes[row].shown[view] for view, row in enumerate(rows))
    return Take(cat([found for found, _ in parts], "views"), torch.cat([identity for _, identity in parts]), shown)


def in_a_row(frames: Iterable[tuple[Detections, Int[Tensor, "views slots"]]]) -> tuple[Take, ...]:
    """Frames whose cameras all show the same instant."""
    return tuple(Take(found, who, (row,) * len(who)) for row, (found, who) in enumerate(frames))


@dataclass(frozen=True, eq=False)
class LabelledCapture:
    """Frames in a row, cameras that are right, and the frame rate."""

    name: str
    takes: tuple[Take, ...]
    cameras: Cameras
    rate_hz: float


def shelf(data: Path) -> LabelledCapture:
    """Shelf, the first 150 frames in a row."""
    table = read_shelf(data / "shelf")
    frames = [table.frame(number) for number in table.numbers[:150]]
    takes = in_a_row((frame.detections, labels.identity) for frame, labels in frames)
    return LabelledCapture("shelf", takes, table.cameras, 25.0)


def mvor(data: Path) -> LabelledCapture:
    """MVOR's pictures of days 1 and 2, which are seconds apart, with RTPose's detections."""
    table = read_mvor(data / "mvor", "rtpose")
    takes = in_a_row((frame.detections, labels.identity) for frame, labels in table)
    return LabelledCapture("mvor", takes, table.cameras, 25.0)


def pose2sim_multi(data: Path) -> LabelledCapture:
    """Pose2Sim's demo of two people, with the cameras as published."""
    cameras = read_calibration(data / "raw" / "pose2sim_multi" / "calib" / "Calib_qualisys.toml")
    path = data / "pose2sim" / "detections_multi.npz"
    frame, view, keypoints, known = read_columns(path, ("frame", "view", "kpts", "ref_identity"))
    table = Table(frame, view, keypoints, keypoints[..., 2].mean(1))
    takes = []
    for number in range(int(table.frame.max()) + 1):
        here = table.frame == number
        found = detections_of(table.rows(here), BODY_25B, views=len(cameras))
        identity = torch.full(found.valid.shape, ABSENT, dtype=torch.long)
        for view in range(len(cameras)):
            mine = torch.from_numpy(known[here][table.key[here] == view].astype(np.int64))
            identity[view, : len(mine)] = mine
        takes.append((found, identity))
    return LabelledCapture("pose2sim_multi", in_a_row(takes), cameras, 60.0)


def crossing(data: Path) -> LabelledCapture:
    """The sample of detections that `dispose demo` begins with."""
    capture = read_capture(sample_folder("crossing"))
    truth = read_predictions(sample_folder("crossing") / "truth" / "predictions.jsonl").frames
    known = {one.number: one for one in truth}
    frames = [read_frame(capture, number).frame for number in capture.numbers]
    takes = in_a_row((frame.detections, identities(frame, known[frame.number])) for frame in frames)
    return LabelledCapture("crossing", takes, capture.cameras, 12.5)


def studio(data: Path) -> LabelledCapture:
    """The sample of pictures: its people as a detector with some noise sees them, twelve frames."""
    cameras = read_calibration(sample_folder("studio") / "calibration" / "Calib.toml")
    generator = torch.Generator().manual_seed(5)
    takes = []
    for truth in read_predictions(sample_folder("studio") / "truth" / "predictions.jsonl").frames:
        xy, front = cameras.project(truth.poses.xyz_world)
        seen = front & cameras.inside(xy) & truth.poses.valid
        xy = xy + NOISE_PX * torch.randn(xy.shape, generator=generator, dtype=xy.dtype)
        points = torch.cat([xy, 0.9 * seen[..., None].double()], -1)
        found = Detections.from_lists(truth.poses.skeleton, [list(people) for people in points])
        there = seen.sum(-1) >= 4
        identity = torch.where(there, truth.poses.id, ABSENT)
        takes.append((replace(found, valid=found.valid & there), identity))
    return LabelledCapture("studio", in_a_row(takes), cameras, 5.0)


CAPTURES: tuple[Callable[[Path], LabelledCapture], ...] = (shelf, mvor, pose2sim_multi, crossing, studio)
SAMPLES: tuple[Callable[[Path], LabelledCapture], ...] = (crossing, studio)
"""Those that lie in the repository."""

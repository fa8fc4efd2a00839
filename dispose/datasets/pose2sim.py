"""The demo recordings of Pose2Sim (pagnon2022pose2sim): four cameras, OpenPose BODY_25B.

There is no ground truth; the labels are the people that Pose2Sim's own selection followed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Shaped

from dispose.datasets.tables.reading import Table, detections_of, read_cameras, read_columns
from dispose.scene.cameras import Cameras
from dispose.scene.convert import convert_detections
from dispose.scene.detections import Detections
from dispose.scene.frame import Frame, Labels
from dispose.scene.poses import Poses
from dispose.skeletons.catalog import BODY_25B, COCO_17
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT


@dataclass(frozen=True, eq=False)
class Pose2Sim:
    """One trial; iterates ``(Frame, Labels)`` without true poses. Identities are Pose2Sim's choice, not truth."""

    cameras: Cameras
    numbers: tuple[int, ...]
    detections: Table
    identity: Shaped[np.ndarray, " rows"]
    skeleton: Skeleton

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[tuple[Frame, Labels]]:
        for number in self.numbers:
            rows = self.detections.at(number)
            found = detections_of(rows, BODY_25B, views=len(self.cameras))
            identity = self.identity[self.detections.frame == number]
            frame = Frame(number, self.cameras, convert_detections(found, self.skeleton))
            yield frame, Labels.of_detections(identity_of_slots(found, rows, identity), no_poses(self.skeleton))


def read_pose2sim(
    folder: Path, trial: str, *, cameras: str = "cameras_refined.json", skeleton: Skeleton = COCO_17
) -> Pose2Sim:
    """Read the folder ``pose2sim`` of the converted tables.

    Args:
        folder: where the tables lie.
        trial: ``single`` or ``multi``.
        cameras: ``cameras_refined.json`` or, as published and 7-17 px off, ``cameras.json``.
        skeleton: joints of the frames.
    """
    names = ("frame", "view", "kpts", "ref_identity")
    frame, view, keypoints, identity = read_columns(folder / f"detections_{trial}.npz", names)
    numbers = tuple(sorted({int(number) for number in frame}))
    table = Table(frame, view, keypoints, np.ones(len(frame)))
    return Pose2Sim(read_cameras(folder / cameras), numbers, table, identity, skeleton)


def identity_of_slots(detections: Detections, rows: Table, identity: Shaped[np.ndarray, " rows"]) -> torch.Tensor:
    """The identities of a frame's rows at the slots of their detections."""
    table = torch.full(detections.valid.shape, ABSENT, dtype=torch.long)
    for view in range(table.shape[0]):
        mine = identity[rows.key == view]
        table[view, : len(mine)] = torch.from_numpy(mine.astype(np.int64))
    return table


def no_poses(skeleton: Skeleton) -> Poses:
    """True poses where none are known."""
    empty = torch.zeros(0, len(skeleton), dtype=torch.float64)
    return Poses(skeleton, empty[..., None].expand(0, len(skeleton), 3), empty, empty > 0, torch.zeros(0).long())

"""Shelf (belagiannis2014shelf): five cameras, four actors, OpenPose detections.

Detections are labelled by the projected ground truth, see `label_detections`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from dispose.datasets.tables.reading import Table, detections_of, poses_of, read_cameras, read_detections, read_poses
from dispose.scene.cameras import Cameras
from dispose.scene.convert import convert_detections
from dispose.scene.detections import Detections
from dispose.scene.frame import Frame, Labels
from dispose.scene.poses import Poses
from dispose.skeletons.catalog import BODY_25, COCO_17, SHELF_14
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT

LABEL_GATE = 0.25
"""Largest median joint distance of a labelled detection, as a share of the diagonal of the projected person's box."""

LABEL_MIN_JOINTS = 4

STORED_JOINTS = Skeleton(
    name="shelf_stored_19",
    joints=(
        "mid_hip", "neck", "r_hip", "l_hip", "nose", "r_shoulder", "l_shoulder", "r_knee", "l_knee", "r_ear",
        "l_ear", "r_elbow", "l_elbow", "r_ankle", "l_ankle", "r_wrist", "l_wrist", "l_big_toe", "r_big_toe",
    ),
    bones=(("mid_hip", "neck"), ("neck", "nose")),
    root="mid_hip",
    root_of=("mid_hip",),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Shelf:
    """The converted tables of Shelf; iterates ``(Frame, Labels)`` in order of the frame numbers.

    Labels hold the annotated actors 0-3 with Shelf's 14 joints; frames have `skeleton`.
    """

    cameras: Cameras
    numbers: tuple[int, ...]
    detections: Table
    truth: Table
    skeleton: Skeleton

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[tuple[Frame, Labels]]:
        for number in self.numbers:
            found = detections_of(self.detections.at(number), BODY_25, views=len(self.cameras))
            poses = poses_of(self.truth.at(number), SHELF_14)
            frame = Frame(number, self.cameras, convert_detections(found, self.skeleton))
            yield frame, Labels.of_detections(label_detections(frame.cameras, found, poses), poses)


def read_shelf(folder: Path, *, skeleton: Skeleton = COCO_17) -> Shelf:
    """Read the folder ``shelf`` of the converted tables, with the detections in a skeleton of choice."""
    detections = read_detections(folder / "detections.npz")
    numbers = tuple(sorted({int(number) for number in detections.frame}))
    return Shelf(read_cameras(folder / "cameras.json"), numbers, detections, read_poses(folder / "gt3d.npz"), skeleton)


@dataclass(frozen=True, eq=False)
class StoredPoses:
    """A published method's 3-D output on these frames."""

    table: Table

    def at(self, number: int) -> Poses:
        """The people of one frame."""
        return poses_of(self.table.at(number), STORED_JOINTS)


def read_stored(folder: Path) -> StoredPoses:
    """Read the stored result that comes with the converted tables."""
    return StoredPoses(read_poses(folder / "result_4dassociation.npz"))


def label_detections(cameras: Cameras, detections: Detections, truth: Poses) -> Int[Tensor, "views slots"]:
    """The actor of every detection, one to one per view; `ABSENT` where none is near enough.

    The limb joints of the ground truth are projected; the cost is the median distance over at least
    `LABEL_MIN_JOINTS` common joints, gated at `LABEL_GATE` times the diagonal of the projected person's box.
    """
    identity = torch.full(detections.valid.shape, ABSENT, dtype=torch.long)
    if identity.shape[1] == 0 or len(truth.id) == 0:
        return identity
    cost = label_cost(cameras, detections, truth)
    for view in range(len(cameras)):
        finite = torch.where(torch.isfinite(cost[view]), cost[view], 1e6)
        slots, persons = linear_sum_assignment(finite.numpy())
        for slot, person in zip(slots, persons, strict=True):
            if torch.isfinite(cost[view, slot, person]):
                identity[view, slot] = truth.id[person]
    return identity


def label_cost(cameras: Cameras, detections: Detections, truth: Poses) -> Float[Tensor, "views slots persons"]:
    """Median distance of common limb joints, pixels; infinite where it exceeds the gate."""
    limbs = tuple(joint for joint in SHELF_14.joints if "head" not in joint)
    mine = detections.skeleton.indices(limbs)
    theirs = SHELF_14.indices(limbs)
    xy, front = cameras.project(truth.xyz_world[:, theirs])
    valid = truth.valid[:, theirs] & front
    low = torch.where(valid[..., None], xy, torch.inf).amin(-2)
    high = torch.where(valid[..., None], xy, -torch.inf).amax(-2)
    diagonal = (high - low).norm(dim=-1)
    distance = (detections.xy_image[:, :, None, mine] - xy[:, None]).norm(dim=-1)
    common = detections.visible[:, :, None, mine] & valid[:, None]
    median = torch.where(common, distance, torch.nan).nanquantile(0.5, dim=-1)
    near = (common.sum(-1) >= LABEL_MIN_JOINTS) & (median <= LABEL_GATE * diagonal[:, None])
    return torch.where(near & detections.valid[..., None], median, torch.inf)

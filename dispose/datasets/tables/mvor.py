"""MVOR (srivastav2018mvor): an operating room, three cameras, the detections of three detectors.

Detections are labelled by the annotated boxes, see `label_detections`.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from dispose.datasets.tables.reading import (
    Table,
    all_rows,
    detections_of,
    poses_of,
    read_cameras,
    read_columns,
    read_detections,
    read_poses,
)
from dispose.scene.cameras import Cameras
from dispose.scene.convert import convert_detections, keep_joints
from dispose.scene.detections import Detections
from dispose.scene.frame import Frame, Labels
from dispose.scene.poses import Poses
from dispose.skeletons.catalog import COCO_17, MVOR_10
from dispose.tensors import ABSENT, TensorStruct

UPPER_BODY = (
    "nose", "l_eye", "r_eye", "l_ear", "r_ear", "l_shoulder", "r_shoulder", "l_elbow", "r_elbow", "l_wrist", "r_wrist",
)  # fmt: skip
"""Joints that can be relied on: tables and drapes hide the legs, and what detectors report of them is guessed."""

SCORED_JOINTS = ("head", "l_shoulder", "r_shoulder", "l_elbow", "r_elbow", "l_wrist", "r_wrist")
"""Joints of `MVOR_10` that mean the same in COCO; hips and neck lie 90-185 mm apart."""

MIN_INSIDE = 0.8
"""Least share of a detection's scored joints in the annotated box whose identity it takes."""

MIN_VIEWS = 2
"""Least number of annotated views of a true 3-D person that counts."""


@dataclass(frozen=True, eq=False)
class Boxes(TensorStruct):
    """Annotated people of one picture or of all.

    Attributes:
        frame: frame number.
        view: view.
        person: the person's number in the 3-D ground truth, `ABSENT` where the box has no keypoints.
        identity: the person's number on every box (``person_id_v2``).
        box: left, top, width, height in pixels.
        keypoints: ``x, y, score`` of `MVOR_10`; NaN where not annotated.
    """

    frame: Int[Tensor, " boxes"]
    view: Int[Tensor, " boxes"]
    person: Int[Tensor, " boxes"]
    identity: Int[Tensor, " boxes"]
    box: Float[Tensor, "boxes 4"]
    keypoints: Float[Tensor, "boxes joints 3"]

    def rows(self, which: Tensor) -> "Boxes":
        """Some of the boxes."""
        return Boxes(*(t[which] for t in (self.frame, self.view, self.person, self.identity, self.box, self.keypoints)))


@dataclass(frozen=True, eq=False)
class Mvor:
    """The converted tables of MVOR with one detector; iterates ``(Frame, Labels)``.

    Labels hold the people annotated in at least `MIN_VIEWS` views, 10 upper-body joints, and for every
    detection the identity of its box. Their 3-D ground truth is good to 40-45 mm.
    """

    cameras: Cameras
    numbers: tuple[int, ...]
    detections: Table
    boxes: Boxes
    truth: Table
    joints: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[tuple[Frame, Labels]]:
        for number in self.numbers:
            found = detections_of(self.detections.at(number), COCO_17, views=len(self.cameras))
            boxes = self.boxes.rows(self.boxes.frame == number)
            poses = annotated_people(poses_of(self.truth.at(number), MVOR_10), boxes)
            frame = Frame(number, self.cameras, keep_joints(found, self.joints))
            yield frame, Labels.of_detections(label_detections(found, boxes), poses)


def scored_joints(poses: Poses) -> Poses:
    """Poses of `MVOR_10` with the joints that are scored; the others marked as not known."""
    rows = MVOR_10.indices(SCORED_JOINTS)
    kept = torch.zeros_like(poses.valid)
    kept[:, rows] = poses.valid[:, rows]
    return replace(poses, valid=kept)


def read_mvor(
    folder: Path,
    detector: str,
    *,
    days: Sequence[int] = (1, 2),
    joints: Sequence[str] = COCO_17.joints,
    clean: Callable[[Table], Table] = all_rows,
) -> Mvor:
    """Read the folder ``mvor`` of the converted tables.

    Args:
        folder: where ``cameras.json`` and the tables lie.
        detector: ``openpose``, ``openpose_ms`` or ``rtpose``: which ``detections_*.npz``.
        days: which of the recording days.
        joints: those of `COCO_17` that the frames keep, such as `UPPER_BODY`.
        clean: `all_rows`, or `without_repeats`: more than a fifth of the rows of the two OpenPose files are exact
            repeats of others.
    """
    (day,) = read_columns(folder / "frames.npz", ("day",))
    names = ("frame", "view", "person_id", "person_id_v2", "bbox", "kpts")
    frame, view, person, identity, box, keypoints = read_columns(folder / "gt2d.npz", names)
    numbers = tuple(np.flatnonzero(np.isin(day, list(days))).tolist())
    boxes = Boxes(
        *(torch.from_numpy(column.astype(np.int64)) for column in (frame, view, person, identity)),
        *(torch.from_numpy(column.astype(np.float64)) for column in (box, keypoints)),
    )
    return Mvor(
        read_cameras(folder / "cameras.json"),
        numbers,
        clean(read_detections(folder / f"detections_{detector}.npz")),
        boxes,
        read_poses(folder / "gt3d.npz"),
        tuple(joints),
    )


def annotated_people(truth: Poses, boxes: Boxes) -> Poses:
    """The people with annotated keypoints in enough views, numbered by the identity that most of their boxes have.

    Frame 24 of the release has one person twice; the second row says the same and is left out.
    """
    keep, identity = [], []
    for row, person in enumerate(truth.id.tolist()):
        mine = boxes.identity[boxes.person == person].tolist()
        number = Counter(mine).most_common(1)[0][0] if mine else ABSENT
        if len(mine) >= MIN_VIEWS and number not in identity:
            keep.append(row)
            identity.append(number)
    return replace(
        truth,
        xyz_world=truth.xyz_world[keep],
        confidence=truth.confidence[keep],
        valid=truth.valid[keep],
        id=torch.tensor(identity, dtype=torch.long),
    )


TIE = 1e-6
"""Added per slot to the cost of a possible match: of equal ones the first slot wins."""


def label_detections(detections: Detections, boxes: Boxes) -> Int[Tensor, "views slots"]:
    """The identity of every detection, one to one per view; `ABSENT` where no box holds enough of its joints."""
    views, slots = detections.valid.shape
    identity = torch.full((views, slots), ABSENT, dtype=torch.long)
    if slots == 0:
        return identity
    same = keep_joints(convert_detections(detections, MVOR_10), SCORED_JOINTS)
    for view in range(views):
        here = boxes.rows((boxes.view == view) & (boxes.identity != ABSENT))
        cost = box_cost(same, view, here)
        # The OpenPose files hold many detections twice; of exact repeats the first is the labelled one.
        finite = torch.where(torch.isfinite(cost), cost + TIE * torch.arange(slots)[:, None], 1e6)
        for slot, row in zip(*linear_sum_assignment(finite.numpy()), strict=True):
            if torch.isfinite(cost[slot, row]):
                identity[view, slot] = here.identity[row]
    return identity


def box_cost(detections: Detections, view: int, boxes: Boxes) -> Float[Tensor, "slots boxes"]:
    """How badly detections of `MVOR_10` fit annotated boxes: difference of size and distance to annotated joints.

    ``|log(size of detection / size of box)|`` plus the mean joint distance in units of the box's diagonal
    (half a diagonal where there are no annotated joints); infinite unless the box holds `MIN_INSIDE` of the joints.
    """
    xy, seen = detections.xy_image[view].to(torch.float64), detections.visible[view]
    low, size = boxes.box[:, :2], boxes.box[:, 2:]
    inside = ((xy[:, None] >= low[:, None]) & (xy[:, None] <= (low + size)[:, None])).all(-1) & seen[:, None]
    share = inside.sum(-1) / seen.sum(-1, keepdim=True).clamp(min=1)
    top = torch.where(seen[..., None], xy, -torch.inf).amax(1)
    extent = (top - torch.where(seen[..., None], xy, torch.inf).amin(1)).norm(dim=-1).clamp(min=1)
    diagonal = size.norm(dim=-1)
    cost = (extent[:, None] / diagonal).log().abs() + joint_distance(detections, view, boxes) / diagonal
    return torch.where((share >= MIN_INSIDE) & detections.valid[view][:, None], cost, torch.inf)


def joint_distance(detections: Detections, view: int, boxes: Boxes) -> Float[Tensor, "slots boxes"]:
    """Mean distance of common joints in pixels; half the box's diagonal where there are none."""
    known = torch.isfinite(boxes.keypoints).all(-1) & (boxes.keypoints[..., 2] > 0)
    common = detections.visible[view][:, None] & known
    gap = (detections.xy_image[view].to(torch.float64)[:, None] - boxes.keypoints[..., :2]).norm(dim=-1)
    count = common.sum(-1)
    mean = torch.where(common, gap, 0.0).sum(-1) / count.clamp(min=1)
    return torch.where(count > 0, mean, boxes.box[:, 2:].norm(dim=-1) / 2)

"""MVOR (srivastav2018mvor): an operating room, three cameras, the detections of three detectors.

Detections are labelled by the annotated boxes, see `label_detections`.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dispose.datasets.tables.reading import (
    LabelledFrames,
    Table,
    all_rows,
    detections_of,
    match_finite,
    poses_of,
    read_cameras,
    read_columns,
    read_detections,
    read_poses,
)
from dispose.scene.convert import convert_detections, keep_joints
from dispose.scene.frame import Detections, Frame, Labels, Poses
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
    """Annotated people of one image or of all.

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
) -> LabelledFrames:
    """Read the folder ``mvor`` of the converted tables.

    Labels hold the people annotated in at least `MIN_VIEWS` views, 10 upper-body joints, and for every
    detection the identity of its box. Their 3-D ground truth is good to 40-45 mm.

    Args:
        folder: where ``cameras.json`` and the tables lie.
        detector: ``openpose``, ``openpose_ms`` or ``rtpose``: which ``detections_*.npz``.
        days: which of the recording days.
        joints: those of `COCO_17` that the frames keep, such as `UPPER_BODY`.
        clean: `all_rows`, or `without_repeats`: more than a fifth of the rows of the two OpenPose files are exact
            repeats of others.
    """
    (day,) = read_columns(folder / "frames.npz", ("day",))
    integers = read_columns(folder / "gt2d.npz", ("frame", "view", "person_id", "person_id_v2"))
    reals = read_columns(folder / "gt2d.npz", ("bbox", "kpts"))
    boxes = Boxes(
        *(torch.from_numpy(column.astype(np.int64)) for column in integers),
        *(torch.from_numpy(column.astype(np.float64)) for column in reals),
    )
    cameras, truth = read_cameras(folder / "cameras.json"), read_poses(folder / "gt3d.npz", numbered=False)
    table = clean(read_detections(folder / f"detections_{detector}.npz"))

    def frame_of(number: int) -> tuple[Frame, Labels]:
        found = detections_of(table.at(number), COCO_17, views=len(cameras))
        here = boxes[boxes.frame == number]
        poses = annotated_people(poses_of(truth.at(number), MVOR_10), here)
        frame = Frame(number, cameras, keep_joints(found, joints))
        return frame, Labels.of_detections(label_detections(found, here), poses)

    return LabelledFrames(cameras, tuple(np.flatnonzero(np.isin(day, list(days))).tolist()), frame_of)


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
    return replace(truth.select(persons=keep), id=torch.tensor(identity, dtype=torch.long))


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
        here = boxes[(boxes.view == view) & (boxes.identity != ABSENT)]
        # The OpenPose files hold many detections twice; of exact repeats the first is the labelled one.
        for slot, row in match_finite(box_cost(same, view, here) + TIE * torch.arange(slots)[:, None]):
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

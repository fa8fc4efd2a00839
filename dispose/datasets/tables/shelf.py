"""Shelf (belagiannis2014shelf): five cameras, four actors, OpenPose detections.

Detections are labelled by the projected ground truth, see `label_detections`.
"""

from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dispose.datasets.tables.reading import (
    LabelledFrames,
    detections_of,
    match_finite,
    poses_of,
    read_cameras,
    read_detections,
    read_poses,
)
from dispose.scene.cameras import Cameras
from dispose.scene.convert import convert_detections
from dispose.scene.frame import Detections, Frame, Labels, Poses
from dispose.skeletons.catalog import BODY_25, COCO_17, SHELF_14
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT

LABEL_GATE = 0.25
"""Largest median joint distance of a labelled detection, as a share of the diagonal of the projected person's box."""

LABEL_MIN_JOINTS = 4


def read_shelf(folder: Path, *, skeleton: Skeleton = COCO_17) -> LabelledFrames:
    """Read the folder ``shelf`` of the converted tables, with the detections in a skeleton of choice.

    Labels hold the annotated actors 0-3 with Shelf's 14 joints.
    """
    cameras, truth = read_cameras(folder / "cameras.json"), read_poses(folder / "gt3d.npz")
    table = read_detections(folder / "detections.npz")

    def frame_of(number: int) -> tuple[Frame, Labels]:
        found = detections_of(table.at(number), BODY_25, views=len(cameras))
        poses = poses_of(truth.at(number), SHELF_14)
        frame = Frame(number, cameras, convert_detections(found, skeleton))
        return frame, Labels.of_detections(label_detections(cameras, found, poses), poses)

    return LabelledFrames(cameras, tuple(sorted(set(table.frame.tolist()))), frame_of)


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
        for slot, person in match_finite(cost[view]):
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

"""A standing person before a ring of cameras, as groups of keypoints that tests can spoil."""

from collections.abc import Callable

import torch
from torch import Tensor

from dispose.association.packing import GroupKeypoints, gather_groups
from dispose.scene.frame import Detections, Frame
from dispose.scene.results import Association
from dispose.skeletons.catalog import COCO_17
from dispose_benchmarks.studies.triangulation import ring_of

STANDING = torch.tensor(
    [
        (90.0, 0, 700), (70, 30, 735), (70, -30, 735), (0, 70, 710), (0, -70, 710), (0, 170, 500), (0, -170, 500),
        (0, 200, 220), (0, -200, 220), (30, 210, -20), (30, -210, -20), (0, 110, 0), (0, -110, 0), (10, 115, -410),
        (10, -115, -410), (0, 120, -800), (0, -120, -800),
    ],
    dtype=torch.float64,
)  # fmt: skip
"""COCO's joints, mm; faces along x."""


def seen_by(
    views: int = 4, change: Callable[[Tensor], Tensor] = lambda xy: xy, score: Tensor | None = None
) -> GroupKeypoints:
    """The person alone before a ring, their keypoints (views, joints, 2) changed; scores 0.9 unless given."""
    rig = ring_of(views)
    xy = change(rig.project(STANDING)[0].clone())
    sure = torch.full(xy.shape[:2], 0.9, dtype=torch.float64) if score is None else score
    keypoints = torch.cat([xy, sure[..., None]], -1)
    frame = Frame(0, rig, Detections.from_lists(COCO_17, [[keypoints[v]] for v in range(views)]))
    return gather_groups([frame], [Association(torch.zeros(1, views, dtype=torch.long), torch.ones(1).double())])


def shifted(view: int, joint: int, by_px: float) -> Callable[[Tensor], Tensor]:
    """One keypoint moved along x."""

    def change(xy: Tensor) -> Tensor:
        xy[view, joint, 0] += by_px
        return xy

    return change

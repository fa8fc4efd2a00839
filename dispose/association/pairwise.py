"""How far apart the rays of every two detections of a frame are."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.geometry.triangulation import ray_distance
from dispose.scene.frame import Frame, usable_keypoints
from dispose.scene.results import Association
from dispose.tensors import ABSENT, TensorStruct


@dataclass(frozen=True, eq=False)
class PairDistances(TensorStruct):
    """The detections of a frame as one flat list, and the distance of every two.

    Attributes:
        views: number of views of the frame.
        view: the view of every detection, ascending.
        slot: its slot in that view.
        mm: mean shortest distance between the rays of the joints that both show, mm; infinite where there is
            none or where both are in one view.
        common: number of joints that both show.
    """

    views: int
    view: Int[Tensor, " detections"]
    slot: Int[Tensor, " detections"]
    mm: Float[Tensor, "detections detections"]
    common: Int[Tensor, "detections detections"]

    def __len__(self) -> int:
        return self.view.shape[0]


@dataclass(frozen=True, eq=False)
class JointGaps(TensorStruct):
    """The detections of a frame as one flat list, and for every two of different views the distances of their joints.

    Attributes:
        view: the view of every detection, ascending.
        slot: its slot in that view.
        first: one detection of every pair.
        second: the other.
        mm: shortest distance between the rays of a joint, mm.
        both: which joints both show.
    """

    view: Int[Tensor, " detections"]
    slot: Int[Tensor, " detections"]
    first: Int[Tensor, " pairs"]
    second: Int[Tensor, " pairs"]
    mm: Float[Tensor, "pairs joints"]
    both: Bool[Tensor, "pairs joints"]


def joint_gaps(frame: Frame) -> JointGaps:
    """Shortest ray-to-ray distance of every joint, for every two detections of different views."""
    detections, cameras = frame.detections, frame.cameras.to(torch.float64)
    view, slot = detections.valid.nonzero(as_tuple=True)
    xy, _, seen = usable_keypoints(detections.xy_image, detections.confidence, detections.visible)
    direction = cameras.directions(xy)[view, slot]
    origin = cameras.centres[view]
    visible = seen[view, slot]
    a, b = torch.triu_indices(len(view), len(view), offset=1, device=view.device)
    apart = view[a] != view[b]
    a, b = a[apart], b[apart]
    gaps = ray_distance(origin[a][:, None], direction[a], origin[b][:, None], direction[b])
    return JointGaps(view, slot, a, b, gaps, visible[a] & visible[b])


def pair_distances(frame: Frame) -> PairDistances:
    """Mean shortest ray-to-ray distance over common joints, for every two detections of different views."""
    found = joint_gaps(frame)
    a, b, count = found.first, found.second, len(found.view)
    common = found.both.sum(-1)
    mean = torch.where(found.both, found.mm, 0.0).sum(-1) / common.clamp(min=1)
    mm = mean.new_full((count, count), torch.inf)
    mm[a, b] = mm[b, a] = torch.where(common > 0, mean, torch.inf)
    shared = common.new_zeros(count, count)
    shared[a, b] = shared[b, a] = common
    return PairDistances(len(frame.cameras), found.view, found.slot, mm, shared)


def association_of_groups(
    distances: PairDistances, group: Int[Tensor, " detections"] | np.ndarray, *, gate_mm: float
) -> Association:
    """The association that a group number per detection means; groups seen in one view only are left out.

    The confidence of a group is ``exp(-d / gate)`` with d the mean distance of its pairs that share joints.
    """
    numbers, own = torch.unique(torch.as_tensor(group, device=distances.view.device), return_inverse=True)
    members = own.new_full((len(numbers), distances.views), ABSENT)
    members[own, distances.view] = distances.slot
    known = torch.isfinite(distances.mm) & (own[:, None] == own)
    gaps = torch.where(known, distances.mm, 0.0).sum(1)
    total, pairs = gaps.new_zeros(2, len(numbers)).index_add(1, own, torch.stack([gaps, known.sum(1).double()]))
    mean = torch.where(pairs > 0, total / pairs, torch.inf)
    kept = ((members != ABSENT).sum(1) >= 2) & (numbers != ABSENT)
    return Association(members[kept], torch.exp(-mean[kept] / gate_mm))

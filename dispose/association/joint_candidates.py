"""Places in space where the peaks of one joint from several views agree."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.geometry.triangulation import triangulate_midpoint
from dispose.scene.cameras import Cameras
from dispose.tensors import ABSENT, TensorStruct

ROUNDS = 2
"""Times that members and place are found from each other."""


@dataclass(frozen=True, eq=False)
class ViewPeaks(TensorStruct):
    """The peaks of one joint, and how far a peak may lie from its joint's projection in every view, pixels."""

    xy_image: Float[Tensor, "views peaks 2"]
    score: Float[Tensor, "views peaks"]
    valid: Bool[Tensor, "views peaks"]
    gate_px: Float[Tensor, " views"]


@dataclass(frozen=True, eq=False)
class JointCandidates(TensorStruct):
    """Hypotheses for one joint of somebody.

    Attributes:
        xyz_world: places, mm.
        members: the peak of every view that supports it, `ABSENT` where none does; at least two do.
        support: ``Σ s (1 - e²)`` over the members, with score s and reprojection error e in gates.
    """

    xyz_world: Float[Tensor, "candidates 3"]
    members: Int[Tensor, "candidates views"]
    support: Float[Tensor, " candidates"]

    def __len__(self) -> int:
        return self.members.shape[0]


def joint_candidates(
    cameras: Cameras, peaks: ViewPeaks, near_world: Float[Tensor, "persons 3"], reach_mm: float
) -> JointCandidates:
    """All places that two peaks of different views propose, with everybody who agrees.

    A pair of peaks proposes its midpoint where both see it within their gates and in front of them, and where it is
    within reach of one of the people. In every other view the nearest peak within the gate joins; place and members
    are found from each other again. Places with the same members are one.
    """
    if not bool(peaks.valid.any()) or not len(near_world):
        return JointCandidates(
            torch.zeros(0, 3, dtype=torch.float64),
            torch.zeros(0, len(cameras), dtype=torch.long),
            torch.zeros(0, dtype=torch.float64),
        )
    direction = cameras.directions(torch.where(peaks.valid[..., None], peaks.xy_image, 0.0))
    members = _pairs(cameras, peaks, direction, near_world, reach_mm)
    for _ in range(ROUNDS):
        xyz = _midpoints(cameras, peaks, direction, members)
        members = _members(cameras, peaks, xyz)
        members = torch.unique(members[(members != ABSENT).sum(1) >= 2], dim=0)
    xyz = _midpoints(cameras, peaks, direction, members)
    error = member_error(cameras, peaks, xyz, members)
    view = torch.arange(len(cameras))
    score = torch.where(members != ABSENT, peaks.score[view, members.clamp(min=0)], 0.0)
    support = (score * (1 - error.square()).clamp(min=0)).sum(1)
    close = torch.cdist(xyz, near_world).amin(1) <= reach_mm
    # What some view no longer agrees with has another place with fewer members among the candidates.
    sound = close & (torch.where(members != ABSENT, error, 0.0) <= 1).all(1)
    return JointCandidates(xyz[sound], members[sound], support[sound])


def member_error(
    cameras: Cameras,
    peaks: ViewPeaks,
    xyz_world: Float[Tensor, "candidates 3"],
    members: Int[Tensor, "candidates views"],
) -> Float[Tensor, "candidates views"]:
    """Reprojection error of the members in gates; infinite behind a camera, 1 where a view has no member."""
    xy, front = cameras.project(xyz_world)
    view = torch.arange(len(cameras))
    gap = torch.linalg.vector_norm(xy.transpose(0, 1) - peaks.xy_image[view, members.clamp(min=0)], dim=-1)
    error = torch.where(front.T, gap / peaks.gate_px, torch.inf)
    return torch.where(members != ABSENT, error, 1.0)


def _pairs(
    cameras: Cameras,
    peaks: ViewPeaks,
    direction: Float[Tensor, "views peaks 3"],
    near_world: Float[Tensor, "persons 3"],
    reach_mm: float,
) -> Int[Tensor, "candidates views"]:
    """Every sound pair of peaks as a hypothesis of two members."""
    views = len(cameras)
    view, slot = peaks.valid.nonzero(as_tuple=True)
    a, b = torch.triu_indices(len(view), len(view), offset=1)
    apart = view[a] != view[b]
    a, b = a[apart], b[apart]
    members = torch.full((len(a), views), ABSENT, dtype=torch.long)
    rows = torch.arange(len(a))
    members[rows, view[a]] = slot[a]
    members[rows, view[b]] = slot[b]
    xyz = _midpoints(cameras, peaks, direction, members)
    error = member_error(cameras, peaks, xyz, members)
    agree = (error <= 1).all(1) & (torch.cdist(xyz, near_world).amin(1) <= reach_mm)
    return members[agree]


def _midpoints(
    cameras: Cameras,
    peaks: ViewPeaks,
    direction: Float[Tensor, "views peaks 3"],
    members: Int[Tensor, "candidates views"],
) -> Float[Tensor, "candidates 3"]:
    """The point nearest to the rays of the members."""
    view = torch.arange(len(cameras))
    slot = members.clamp(min=0)
    weight = torch.where(members != ABSENT, peaks.score[view, slot].clamp(min=1e-3), 0.0)
    return triangulate_midpoint(cameras.centres, direction[view, slot], weight)


def _members(
    cameras: Cameras, peaks: ViewPeaks, xyz_world: Float[Tensor, "candidates 3"]
) -> Int[Tensor, "candidates views"]:
    """In every view the nearest peak within the gate."""
    xy, front = cameras.project(xyz_world)
    gap = torch.linalg.vector_norm(xy[:, :, None] - peaks.xy_image[:, None], dim=-1)
    gap = torch.where(peaks.valid[:, None] & front[..., None], gap, torch.inf)
    least, slot = gap.min(-1)
    return torch.where(least <= peaks.gate_px[:, None], slot, ABSENT).T

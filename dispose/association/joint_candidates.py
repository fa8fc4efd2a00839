"""Places in space where the peaks of one joint from several views agree; all joints of a frame at once."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.geometry.triangulation import triangulate_midpoint
from dispose.scene.cameras import Cameras
from dispose.scene.peaks import JointPeaks
from dispose.tensors import ABSENT, TensorStruct, cat

ROUNDS = 2
"""Times that members and place are found from each other."""


@dataclass(frozen=True, eq=False)
class PeakRays(TensorStruct):
    """The peaks of a frame and their rays.

    Attributes:
        cameras: of the frame.
        xy_image: original pixels.
        direction: unit directions in the world.
        score: in [0, 1].
        valid: which places hold a peak.
        gate_px: how far a peak may lie from its joint's projection in every view, original pixels.
    """

    cameras: Cameras
    xy_image: Float[Tensor, "views joints peaks 2"]
    direction: Float[Tensor, "views joints peaks 3"]
    score: Float[Tensor, "views joints peaks"]
    valid: Bool[Tensor, "views joints peaks"]
    gate_px: Float[Tensor, " views"]


@dataclass(frozen=True, eq=False)
class JointCandidates(TensorStruct):
    """Hypotheses for joints of somebody.

    Attributes:
        joint: which joint.
        xyz_world: places, mm.
        members: the peak of every view that supports it, `ABSENT` where none does; at least two do.
        support: ``Σ s (1 - e²)`` over the members, with score s and reprojection error e in gates.
    """

    joint: Int[Tensor, " candidates"]
    xyz_world: Float[Tensor, "candidates 3"]
    members: Int[Tensor, "candidates views"]
    support: Float[Tensor, " candidates"]

    def __len__(self) -> int:
        return self.members.shape[0]


def peak_rays(cameras: Cameras, peaks: JointPeaks, gate: float) -> PeakRays:
    """The rays of all peaks; `gate` in heat-map pixels."""
    used = peaks.valid.flatten(0, 1).any(0).nonzero()[:, 0]
    count = int(used.max()) + 1 if len(used) else 0
    valid = peaks.valid[:, :, :count]
    xy = torch.where(valid[..., None], peaks.xy_image[:, :, :count].to(torch.float64), 0.0)
    score = torch.where(valid, peaks.score[:, :, :count].to(torch.float64), 0.0).clamp(0, 1)
    return PeakRays(
        cameras, xy, cameras.directions(xy), score, valid, gate * peaks.spacing_px.to(torch.float64)
    )  # fmt: skip


def joint_candidates(
    rays: PeakRays, near_world: Float[Tensor, "persons 3"], reach_mm: Float[Tensor, " joints"]
) -> JointCandidates:
    """All places that two peaks of one joint in different views propose, with everybody who agrees.

    A pair of peaks proposes its midpoint where both see it within their gates and in front of them, and where it is
    within the joint's reach of one of the people. In every other view the nearest peak within the gate joins; place
    and members are found from each other again. Places with the same members are one.
    """
    joint, members = _pairs(rays)
    found = _settled(rays, joint, members)
    found = found[_reached(found, near_world, reach_mm)]
    if not len(found):
        return found
    joint, members = found.joint, found.members
    for _ in range(ROUNDS):
        members = _members(rays, joint, _midpoints(rays, joint, members))
        joint, members = _distinct(joint, members)
    found = _settled(rays, joint, members)
    return found[_reached(found, near_world, reach_mm)]


def without_peaks(
    rays: PeakRays, candidates: JointCandidates, taken: Bool[Tensor, "views joints peaks"]
) -> JointCandidates:
    """The candidates that are left where some peaks are not to be had; those that lose a member are placed again."""
    if not len(candidates):
        return candidates
    view = torch.arange(len(rays.cameras), device=rays.valid.device)
    members = candidates.members
    gone = (members != ABSENT) & taken[view, candidates.joint[:, None], members.clamp(min=0)]
    hit = gone.any(1)
    if not bool(hit.any()):
        return candidates
    joint, members = _distinct(candidates.joint[hit], torch.where(gone, ABSENT, members)[hit])
    return cat([candidates[~hit], _settled(rays, joint, members)], "candidates")


def _settled(rays: PeakRays, joint: Int[Tensor, " candidates"], members: Tensor) -> JointCandidates:
    """Members placed, where all of them agree with the place."""
    xyz = _midpoints(rays, joint, members)
    there = members != ABSENT
    view = torch.arange(len(rays.cameras), device=rays.valid.device)
    xy, front = rays.cameras.project(xyz)
    own = rays.xy_image[view, joint[:, None], members.clamp(min=0)]
    gap = torch.linalg.vector_norm(xy.transpose(0, 1) - own, dim=-1)
    error = torch.where(front.T, gap / rays.gate_px, torch.inf)
    score = rays.score[view, joint[:, None], members.clamp(min=0)]
    support = torch.where(there, score * (1 - error.clamp(max=1).square()), 0.0).sum(1)
    # What some member no longer agrees with has another place, with fewer members, among the candidates.
    sound = (torch.where(there, error, 0.0) <= 1).all(1)
    return JointCandidates(joint, xyz, members, support)[sound]


def _reached(
    found: JointCandidates, near_world: Float[Tensor, "persons 3"], reach_mm: Float[Tensor, " joints"]
) -> Bool[Tensor, " candidates"]:
    """Which places are within reach of somebody."""
    return (torch.cdist(found.xyz_world, near_world) <= reach_mm[found.joint][:, None]).any(1)


def _pairs(rays: PeakRays) -> tuple[Int[Tensor, " candidates"], Int[Tensor, "candidates views"]]:
    """Every two peaks of one joint in different views."""
    view, joint, slot = rays.valid.nonzero(as_tuple=True)
    a, b = ((joint[:, None] == joint[None]) & (view[:, None] < view[None])).nonzero(as_tuple=True)
    members = a.new_full((len(a), len(rays.cameras)), ABSENT)
    rows = torch.arange(len(a), device=a.device)
    members[rows, view[a]] = slot[a]
    members[rows, view[b]] = slot[b]
    return joint[a], members


def _midpoints(
    rays: PeakRays, joint: Int[Tensor, " candidates"], members: Int[Tensor, "candidates views"]
) -> Float[Tensor, "candidates 3"]:
    """The points nearest to the rays of the members."""
    view, slot = torch.arange(len(rays.cameras), device=members.device), members.clamp(min=0)
    score = rays.score[view, joint[:, None], slot]
    weight = torch.where(members != ABSENT, score.clamp(min=1e-3), 0.0)
    return triangulate_midpoint(rays.cameras.centres, rays.direction[view, joint[:, None], slot], weight)


def _members(
    rays: PeakRays, joint: Int[Tensor, " candidates"], xyz_world: Float[Tensor, "candidates 3"]
) -> Int[Tensor, "candidates views"]:
    """In every view the nearest peak of the joint within the gate."""
    xy, front = rays.cameras.project(xyz_world)
    gap = torch.linalg.vector_norm(xy[:, :, None] - rays.xy_image[:, joint], dim=-1)
    gap = torch.where(rays.valid[:, joint] & front[..., None], gap, torch.inf)
    least, slot = gap.min(-1)
    return torch.where(least <= rays.gate_px[:, None], slot, ABSENT).T


def _distinct(joint: Tensor, members: Tensor) -> tuple[Int[Tensor, " candidates"], Int[Tensor, "candidates views"]]:
    """Candidates of at least two members, each once."""
    rows = torch.cat([joint[:, None], members], 1)[(members != ABSENT).sum(1) >= 2]
    rows = torch.unique(rows, dim=0)
    return rows[:, 0], rows[:, 1:]

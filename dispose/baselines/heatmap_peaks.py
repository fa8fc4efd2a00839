"""People from the peaks of heat maps without learning: classic association of roots, then joint by joint.

What Stage II has to beat on the same heat maps, made as strong as classical means allow: a body is chosen as a whole
(exact dynamic programming over bones), every view that agrees takes part, no peak serves two people, and points are
refined to least reprojection error.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from dispose.association.body_tree import MISSING, PANOPTIC_SHAPE, BodyShape, best_body
from dispose.association.joint_candidates import joint_candidates, peak_rays, without_peaks
from dispose.errors import ShapeError
from dispose.geometry.triangulation import RobustPoints, triangulate_robust
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Poses
from dispose.scene.peaks import JointPeaks
from dispose.scene.results import Association, Prediction
from dispose.tensors import ABSENT


@dataclass(frozen=True)
class PeakGates:
    """How far peaks may be from where they should be.

    Attributes:
        joint: from a joint's projection, heat-map pixels.
        root: from a root's projection, heat-map pixels; a member farther away is left out of the root's place.
        error: of a triangulated joint, heat-map pixels as seen from the cameras' mean distance; widens the bones.
        floor: what a candidate must gain, in peaks of score 1: below it a joint is rather missing.
        shape: how long bones are.
    """

    joint: float = 2.0
    root: float = 2.5
    error: float = 0.3
    floor: float = 0.4
    shape: BodyShape = PANOPTIC_SHAPE


MAP_GATES = PeakGates()
"""For networks whose peaks err by less than a heat-map pixel, on any data set: the unit is the heat map's."""


def people_from_peaks(
    cameras: Cameras,
    peaks: JointPeaks,
    association: Association,
    roots: Float[Tensor, "persons 3"] | None = None,
    *,
    gates: PeakGates = MAP_GATES,
    number: int = 0,
) -> Prediction:
    """The skeletons of groups of root peaks: every other joint from its own peaks.

    Joints on which fewer than two views agree are not valid; the root is valid wherever it is given (not NaN). The
    confidence of a joint is `joint_confidence`, that of a person the mean over all joints, 0 for those not found.
    Raises `ShapeError` where views, people or skeletons differ.

    Args:
        cameras: of the frame.
        peaks: of all joints.
        association: who is who; slots are positions among the root's peaks (`dispose.scene.peaks.root_frame`).
        roots: where everybody's root is, mm; None = where the members' rays meet.
        gates: how far peaks may be from where they should be.
        number: the frame's.
    """
    if peaks.valid.shape[0] != len(cameras):
        raise ShapeError(f"frame {number}: {len(cameras)} cameras, {peaks.valid.shape[0]} views in the peaks")
    root = peaks.skeleton.index(str(peaks.skeleton.root))
    if roots is None:
        placed, _ = triangulate_people(cameras, peaks, association.members[:, None], [root], gates.root)
        roots = placed.xyz_world[:, 0]
    if association.members.shape != (len(roots), len(cameras)):
        raise ShapeError(
            f"frame {number}: groups of {tuple(association.members.shape)} people and views, "
            f"{len(roots)} roots and {len(cameras)} cameras"
        )
    if peaks.skeleton != gates.shape.skeleton:
        raise ShapeError(f"peaks of skeleton {peaks.skeleton.name}, bones of {gates.shape.skeleton.name}")
    known = torch.isfinite(roots).all(-1)
    members = torch.full((len(association), len(peaks.skeleton), len(cameras)), ABSENT, dtype=torch.long)
    members[known] = choose_bodies(cameras, peaks, roots[known].to(torch.float64), gates)
    members[:, root] = association.members
    points, score = triangulate_people(cameras, peaks, members, list(range(len(peaks.skeleton))), gates.joint)
    xyz, inlier = points.xyz_world.clone(), points.inlier.clone()
    # A root is where its group says it is, agreeing or not.
    xyz[:, root], inlier[:, root] = roots.to(torch.float64), association.members != ABSENT
    valid = torch.isfinite(xyz).all(-1) & (inlier.sum(-1) >= 2)
    valid[:, root] = known
    error = points.error_px / (gates.joint * peaks.spacing_px.to(torch.float64))
    trust = joint_confidence(inlier, torch.nan_to_num(error, nan=3.0, posinf=3.0), score)
    confidence = torch.where(valid, trust, 0.0)
    poses = Poses(
        peaks.skeleton, torch.where(valid[..., None], xyz, 0.0), confidence, valid, torch.arange(len(association))
    )
    sure = Association(association.members, confidence.mean(1))
    return Prediction(number, sure, poses, torch.where(known[:, None], xyz[:, root], torch.nan))


def joint_confidence(
    inlier: Bool[Tensor, "*batch views"], error: Float[Tensor, "*batch views"], score: Float[Tensor, "*batch views"]
) -> Float[Tensor, "*batch"]:
    """How far a triangulated point can be trusted, in [0, 1]: ``s · m/(m+1) · exp(−e²/2)``.

    s is the mean score and m the number of the views that agree with the point (`inlier`), e their root mean square
    reprojection error in units of the inlier bound.
    """
    weight = inlier.to(torch.float64)
    count = weight.sum(-1)
    mean = (weight * score).sum(-1) / count.clamp(min=1)
    square = torch.where(inlier, error, 0.0).square().sum(-1) / count.clamp(min=1)
    return (mean * count / (count + 1) * torch.exp(-square / 2)).clamp(0, 1)


def triangulate_people(
    cameras: Cameras, peaks: JointPeaks, members: Int[Tensor, "persons joints views"], joints: list[int], gate: float
) -> tuple[RobustPoints, Float[Tensor, "persons joints views"]]:
    """The places of joints from their members, at least reprojection error, and the members' scores.

    `gate` is in heat-map pixels; the score is 0 where there is no member.
    """
    xy, score = torch.zeros(*members.shape, 2, dtype=torch.float64), torch.zeros(members.shape, dtype=torch.float64)
    if peaks.valid.shape[2]:
        chosen = torch.arange(len(cameras)), torch.tensor(joints)[:, None], members.clamp(min=0)
        xy = peaks.xy_image[chosen].to(torch.float64)
        score = torch.where(members != ABSENT, peaks.score[chosen].to(torch.float64).clamp(1e-3, 1), 0.0)
    points = triangulate_robust(
        xy, score, cameras.matrix, cameras.lens, cameras.rotation, cameras.translation,
        threshold_px=gate * peaks.spacing_px.to(torch.float64),
    )  # fmt: skip
    return points, score


def choose_bodies(
    cameras: Cameras, peaks: JointPeaks, roots: Float[Tensor, "persons 3"], gates: PeakGates
) -> Int[Tensor, "persons joints views"]:
    """The peaks of every person's joints except the root, no peak for two people.

    People whose best bodies share no peak have them. Those who want the same peaks choose one after another from what
    the others left: by gain, with the one of them first with whom all gain most.
    """
    members = torch.full((len(roots), len(peaks.skeleton), len(cameras)), ABSENT, dtype=torch.long)
    if not len(roots):
        return members
    crowd = _Crowd(cameras, peaks, roots, gates)
    best = [crowd.body(person, torch.zeros_like(peaks.valid)) for person in range(len(roots))]
    used = torch.stack([body.used for body in best])
    flat = used.flatten(1).double()
    # Rivals want the same peaks, directly or through others.
    groups, group_of = connected_components((flat @ flat.T > 0).numpy(), directed=False)
    for group in range(groups):
        taken = used[torch.from_numpy(group_of != group)].any(0)
        rivals = np.flatnonzero(group_of == group).tolist()
        by_gain = sorted(rivals, key=lambda person: -best[person].gain)
        orders = [(first, *(other for other in by_gain if other != first)) for first in by_gain]
        plans = [crowd.in_order(order, taken, best) for order in orders]
        for person, body in max(plans, key=lambda plan: sum(body.gain for _, body in plan)):
            members[person] = body.members
    return members


@dataclass(frozen=True, eq=False)
class _Body:
    """Peaks of one person, which these are among all, and what they gain."""

    members: Int[Tensor, "joints views"]
    used: Bool[Tensor, "views joints peaks"]
    gain: float


class _Crowd:
    """The people of one frame and the candidates of all joints."""

    def __init__(
        self, cameras: Cameras, peaks: JointPeaks, roots: Float[Tensor, "persons 3"], gates: PeakGates
    ) -> None:
        self.roots, self.gates = roots, gates
        self.root = peaks.skeleton.index(str(peaks.skeleton.root))
        size = map_pixel_mm(cameras, peaks, roots)
        self.shapes = [gates.shape.blurred(gates.error * float(mm)) for mm in size]
        widest = gates.shape.blurred(gates.error * float(size.max()))
        self.reach = torch.tensor(widest.reach_mm, dtype=torch.float64)
        rays = peak_rays(cameras, peaks, gates.joint)
        others = torch.arange(len(peaks.skeleton)) != self.root
        self.rays = replace(rays, valid=rays.valid & others[:, None])
        self.all = joint_candidates(self.rays, roots, self.reach)

    def body(self, person: int, taken: Bool[Tensor, "views joints peaks"]) -> _Body:
        """The best body without the peaks that are taken."""
        root, reach = self.roots[person], self.reach
        near = torch.linalg.vector_norm(self.all.xyz_world - root, dim=-1) <= reach[self.all.joint]
        found = without_peaks(self.rays, self.all[near], taken)
        gain = found.support - self.gates.floor
        close = torch.linalg.vector_norm(found.xyz_world - root, dim=-1) <= reach[found.joint]
        kept = (close & (gain > 0)).nonzero()[:, 0]
        rows = [kept[found.joint[kept] == joint] for joint in range(len(reach))]
        places = [found.xyz_world[mine].numpy() for mine in rows]
        gains = [gain[mine].numpy() for mine in rows]
        places[self.root], gains[self.root] = root[None].numpy(), np.zeros(1)
        choice = best_body(self.shapes[person], places, gains)
        members = torch.full((len(reach), found.members.shape[1]), ABSENT, dtype=torch.long)
        for joint, chosen in enumerate(choice.candidate):
            if chosen != MISSING and joint != self.root:
                members[joint] = found.members[rows[joint][chosen]]
        used = torch.zeros_like(taken)
        joint, view = (members != ABSENT).nonzero(as_tuple=True)
        used[view, joint, members[joint, view]] = True
        return _Body(members, used, choice.gain)

    def in_order(
        self, order: tuple[int, ...], taken: Bool[Tensor, "views joints peaks"], best: list[_Body]
    ) -> list[tuple[int, _Body]]:
        """One after another from what is left; the first has their best."""
        plan = []
        for person in order:
            body = best[person] if not plan else self.body(person, taken)
            plan.append((person, body))
            taken = taken | body.used
        return plan


def map_pixel_mm(
    cameras: Cameras, peaks: JointPeaks, xyz_world: Float[Tensor, "persons 3"]
) -> Float[Tensor, " persons"]:
    """Size of a heat-map pixel at a place, mm, the mean over the cameras that it lies in front of."""
    depth = cameras.to_camera(xyz_world)[..., 2]
    focal = (cameras.matrix[:, 0, 0] + cameras.matrix[:, 1, 1]) / 2
    size = depth * (peaks.spacing_px.to(torch.float64) / focal)[:, None]
    front = (depth > 0).to(torch.float64)
    return (size * front).sum(0) / front.sum(0).clamp(min=1)

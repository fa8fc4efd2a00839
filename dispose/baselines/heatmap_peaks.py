"""People from the peaks of heat maps without learning: classic association of roots, then joint by joint.

What Stage II has to beat on the same heat maps, made as strong as classical means allow: a body is chosen as a whole
(exact dynamic programming over bones), every view that agrees takes part, no peak serves two people, and points are
refined to least reprojection error.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.association.body_tree import MISSING, PANOPTIC_SHAPE, BodyShape, best_body
from dispose.association.joint_candidates import joint_candidates, peak_rays, without_peaks
from dispose.errors import ShapeError
from dispose.geometry.triangulation import RobustPoints, triangulate_robust
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Frame, Poses
from dispose.scene.peaks import JointPeaks, root_frame
from dispose.scene.results import Association, Prediction
from dispose.tensors import ABSENT

Associate = Callable[[Frame], Association]

MOST_PERMUTED = 2


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
    cameras: Cameras, peaks: JointPeaks, *, associate: Associate, gates: PeakGates = MAP_GATES, number: int = 0
) -> Prediction:
    """Roots by a classic associator and triangulation, everything else by `skeletons_from_roots`.

    Args:
        cameras: of the frame.
        peaks: of all joints.
        associate: who is who among detections of which only the root is seen; slots are positions among the peaks.
        gates: how far peaks may be from where they should be.
        number: the frame's.
    """
    _check_views(cameras, peaks, number)
    association = associate(root_frame(number, cameras, peaks))
    root = peaks.skeleton.index(str(peaks.skeleton.root))
    roots = triangulate_people(cameras, peaks, association.members[:, None], [root], gates.root).xyz_world[:, 0]
    return skeletons_from_roots(cameras, peaks, association, roots, gates=gates, number=number)


def skeletons_from_roots(
    cameras: Cameras,
    peaks: JointPeaks,
    association: Association,
    roots: Float[Tensor, "persons 3"],
    *,
    gates: PeakGates = MAP_GATES,
    number: int = 0,
) -> Prediction:
    """The skeletons of given groups of root peaks and of their places: every other joint from its own peaks.

    Joints on which fewer than two views agree are not valid; the root is valid wherever it is given (not NaN). The
    confidence of a joint is ``s · m / (m + 1) · exp(-e² / 2)`` with m agreeing views of mean score s and root mean
    square error e in gates; that of a person is the mean over all joints, 0 for those not found.
    Raises `ShapeError` where views or skeletons differ.
    """
    _check_views(cameras, peaks, number)
    if association.members.shape != (len(roots), len(cameras)):
        raise ShapeError(
            f"frame {number}: groups of {tuple(association.members.shape)} people and views, "
            f"{len(roots)} roots and {len(cameras)} cameras"
        )
    if peaks.skeleton != gates.shape.skeleton:
        raise ShapeError(f"peaks of skeleton {peaks.skeleton.name}, bones of {gates.shape.skeleton.name}")
    root = peaks.skeleton.index(str(peaks.skeleton.root))
    roots = roots.to(torch.float64)
    members = torch.full((len(association), len(peaks.skeleton), len(cameras)), ABSENT, dtype=torch.long)
    placed = torch.isfinite(roots).all(-1)
    members[placed] = choose_bodies(cameras, peaks, roots[placed], gates)
    members[:, root] = association.members
    points = triangulate_people(cameras, peaks, members, list(range(len(peaks.skeleton))), gates.joint)
    xyz, inlier = points.xyz_world.clone(), points.inlier.clone()
    xyz[:, root], inlier[:, root] = roots, association.members != ABSENT
    return _prediction(peaks, association, members, replace(points, xyz_world=xyz, inlier=inlier), number, gates)


def _check_views(cameras: Cameras, peaks: JointPeaks, number: int) -> None:
    if peaks.valid.shape[0] != len(cameras):
        raise ShapeError(f"frame {number}: {len(cameras)} cameras, {peaks.valid.shape[0]} views in the peaks")


def triangulate_people(
    cameras: Cameras,
    peaks: JointPeaks,
    members: Int[Tensor, "persons joints views"],
    joints: list[int],
    gate: float,
) -> RobustPoints:
    """The places of joints from their members, at least reprojection error; `gate` in heat-map pixels."""
    xy, score = gather_peaks(peaks, members, joints)
    return triangulate_robust(
        xy, score, cameras.matrix, cameras.distortion, cameras.rotation, cameras.translation,
        threshold_px=gate * peaks.spacing_px.to(torch.float64),
    )  # fmt: skip


def gather_peaks(
    peaks: JointPeaks, members: Int[Tensor, "persons joints views"], joints: list[int]
) -> tuple[Float[Tensor, "persons joints views 2"], Float[Tensor, "persons joints views"]]:
    """Pixels and scores of the members; score 0 where there is none."""
    persons, count, views = members.shape
    if peaks.valid.shape[2] == 0:
        empty = torch.zeros(persons, count, views, 2, dtype=torch.float64)
        return empty, empty[..., 0]
    view, joint = torch.arange(views), torch.tensor(joints)[:, None]
    slot = members.clamp(min=0)
    there = members != ABSENT
    score = peaks.score[view, joint, slot].to(torch.float64).clamp(1e-3, 1)
    return peaks.xy_image[view, joint, slot].to(torch.float64), torch.where(there, score, 0.0)


def choose_bodies(
    cameras: Cameras, peaks: JointPeaks, roots: Float[Tensor, "persons 3"], gates: PeakGates
) -> Int[Tensor, "persons joints views"]:
    """The peaks of every person's joints except the root, no peak for two people.

    People whose best bodies share no peak have them. Those who want the same peaks choose one after another from what
    the others left, in the order that gains most among some orders.
    """
    crowd = _Crowd(cameras, peaks, roots, gates)
    best = [crowd.body(person, torch.zeros_like(peaks.valid)) for person in range(len(roots))]
    used = [_used(body.members, peaks.valid) for body in best]
    members = torch.full((len(roots), len(peaks.skeleton), len(cameras)), ABSENT, dtype=torch.long)
    for group in _rivals(used):
        taken = torch.zeros_like(peaks.valid)
        for person in range(len(roots)):
            if person not in group:
                taken |= used[person]
        plans = [crowd.in_order(order, taken, best) for order in _orders(group, best)]
        for person, body in max(plans, key=lambda plan: sum(body.gain for _, body in plan)):
            members[person] = body.members
    return members


@dataclass(frozen=True, eq=False)
class _Body:
    """Peaks of one person and what they gain."""

    members: Int[Tensor, "joints views"]
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
        widest = gates.shape.blurred(gates.error * float(size.max()) if len(size) else 0.0)
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
        return _Body(members, choice.gain)

    def in_order(
        self, order: tuple[int, ...], taken: Bool[Tensor, "views joints peaks"], best: list[_Body]
    ) -> list[tuple[int, _Body]]:
        """One after another from what is left; the first has their best."""
        plan = []
        for person in order:
            body = best[person] if not plan else self.body(person, taken)
            plan.append((person, body))
            taken = taken | _used(body.members, taken)
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


def _rivals(used: list[Bool[Tensor, "views joints peaks"]]) -> list[list[int]]:
    """Groups of people whose peaks overlap, directly or through others."""
    groups: list[tuple[list[int], Tensor]] = []
    for person, mine in enumerate(used):
        meets = [group for group in groups if bool((group[1] & mine).any())]
        people = sorted([person, *(one for group in meets for one in group[0])])
        everything = mine.clone()
        for group in meets:
            everything |= group[1]
        groups = [group for group in groups if not any(group is other for other in meets)] + [(people, everything)]
    return [people for people, _ in groups]


def _orders(group: list[int], best: list[_Body]) -> list[tuple[int, ...]]:
    """Both orders of two people; of more, the one by gain with each of them first once."""
    by_gain = sorted(group, key=lambda person: -best[person].gain)
    if len(group) <= MOST_PERMUTED:
        return list(permutations(by_gain))
    return [(first, *(other for other in by_gain if other != first)) for first in by_gain]


def _used(
    members: Int[Tensor, "joints views"], like: Bool[Tensor, "views joints peaks"]
) -> Bool[Tensor, "views joints peaks"]:
    """Which peaks these are."""
    used = torch.zeros_like(like)
    joint, view = (members != ABSENT).nonzero(as_tuple=True)
    used[view, joint, members[joint, view]] = True
    return used


def _prediction(
    peaks: JointPeaks,
    association: Association,
    members: Int[Tensor, "persons joints views"],
    points: RobustPoints,
    number: int,
    gates: PeakGates,
) -> Prediction:
    """Joints with two agreeing views, their confidence, and the people's."""
    root = peaks.skeleton.index(str(peaks.skeleton.root))
    finite = torch.isfinite(points.xyz_world).all(-1)
    valid = finite & (points.inlier.sum(-1) >= 2)
    # A root is where its group says it is, agreeing or not.
    valid[:, root] = finite[:, root]
    xyz = torch.where(valid[..., None], points.xyz_world, 0.0)
    _, score = gather_peaks(peaks, members, list(range(len(peaks.skeleton))))
    inlier = points.inlier.to(torch.float64)
    count = inlier.sum(-1)
    mean = (inlier * score).sum(-1) / count.clamp(min=1)
    gate = gates.joint * peaks.spacing_px.to(torch.float64)
    error = torch.where(points.inlier, torch.nan_to_num(points.error_px / gate, nan=3.0, posinf=3.0), 0.0)
    square = error.square().sum(-1) / count.clamp(min=1)
    confidence = (mean * count / (count + 1) * torch.exp(-square / 2)).clamp(0, 1)
    confidence = torch.where(valid, confidence, 0.0)
    poses = Poses(peaks.skeleton, xyz, confidence, valid, torch.arange(len(association)))
    known = torch.where(valid[:, root, None], xyz[:, root], torch.nan)
    return Prediction(number, Association(association.members, confidence.mean(1)), poses, known)

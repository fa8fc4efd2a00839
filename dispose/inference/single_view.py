"""What one camera alone sees of a capture: people and joints that no second view confirms, by a lifter's many poses.

Nobody is reported otherwise whom only one camera sees. A lifter says how they may stand, how large they may be and so
how far away; the covariance of that is what is known of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.association.packing import bound_of, box_diagonal
from dispose.association.reconstruct import roots_of, trust_joints
from dispose.models.lifting.sight import PeopleInView, PeopleLifter, lift_people, one_view_each, sight_of
from dispose.scene.convert import convert_detections
from dispose.scene.frame import Frame, Poses
from dispose.scene.lifted import spread_of
from dispose.scene.results import Association, Prediction, Reconstruct
from dispose.skeletons.skeleton import conversion_between, convert_joints
from dispose.tensors import ABSENT, cat

FEWEST_SEEN = 8
"""Keypoints of somebody whom one camera alone is believed to see."""

LEAST_SCORE = 0.4
"""Mean score of these."""

RIGHT_MM = 150.0
"""Within this distance in the mean a pose is right, as `Poses.score` has it."""

WIDEST_MM = 120.0
"""A joint filled in whose standard deviation is larger, in the mean of the axes, stays unknown."""


@dataclass(frozen=True)
class SingleViews:
    """A `Reconstruct`: as another one, and then what a lifter makes of what one view alone sees.

    Attributes:
        reconstruct: says what several views see.
        lifter: needs no image.
        seed: of the poses that are drawn; a frame's do not depend on other frames.
    """

    reconstruct: Reconstruct
    lifter: PeopleLifter
    seed: int = 0

    def __call__(self, frames: Sequence[Frame], associations: Sequence[Association]) -> list[Prediction]:
        """The predictions of some frames, in their order."""
        found = self.reconstruct(frames, associations)
        return [self.complete(frame, one) for frame, one in zip(frames, found, strict=True)]

    def complete(self, frame: Frame, found: Prediction) -> Prediction:
        """One frame's people with joints filled in, and those whom one view alone sees at their end."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + max(frame.number, 0))
        filled = replace(found, poses=fill_joints(self.lifter, frame, found, generator))
        view, slot = lonely_detections(frame, filled).unbind(1)
        if not len(view):
            return filled
        return join_people(filled, lift_lonely(self.lifter, frame, view, slot, found.poses, generator), view, slot)


def in_view(
    lifter: PeopleLifter, frame: Frame, view: Int[Tensor, " persons"], slot: Int[Tensor, " persons"]
) -> PeopleInView:
    """Some detections of a frame as they are lifted."""
    detections = convert_detections(frame.detections, lifter.skeleton)
    place, score = detections.xy_image[view, slot].double(), detections.confidence[view, slot]
    cameras = one_view_each(frame.cameras, view)
    return sight_of(lifter.skeleton.joints, cameras, place, score, detections.visible[view, slot])


def lonely_detections(frame: Frame, found: Prediction) -> Int[Tensor, "persons 2"]:
    """View and slot of the detections that are nobody's and look like somebody: none that repeats a person found."""
    detections, members = frame.detections, found.association.members
    free = detections.valid & (detections.visible.sum(-1) >= FEWEST_SEEN)
    free &= (detections.confidence * detections.visible).sum(-1) >= LEAST_SCORE * detections.visible.sum(-1)
    for view in range(len(frame.cameras)):
        held = members[:, view][members[:, view] != ABSENT]
        free[view, held] = False
    return (free & ~repeated(frame, found.poses)).nonzero()


def repeated(frame: Frame, poses: Poses) -> Bool[Tensor, "views slots"]:
    """Detections that lie where somebody who was found is seen: a second detection of them, or a part of one."""
    detections = frame.detections
    xy, front = frame.cameras.project(poses.xyz_world.double())
    both = detections.visible[:, :, None] & (front & poses.valid)[:, None]
    off = torch.where(both, (detections.xy_image[:, :, None] - xy[:, None]).norm(dim=-1), 0.0)
    mean = off.sum(-1) / both.sum(-1).clamp(min=1)
    bound = 2 * bound_of(box_diagonal(detections.xy_image, detections.visible))
    return ((mean <= bound[..., None]) & (both.sum(-1) >= 3)).any(-1)


def lift_lonely(
    lifter: PeopleLifter,
    frame: Frame,
    view: Int[Tensor, " persons"],
    slot: Int[Tensor, " persons"],
    like: Poses,
    generator: torch.Generator,
) -> Poses:
    """People of single detections, in the skeleton of others: mean, covariance and score by their poses in the room."""
    sight = in_view(lifter, frame, view, slot)
    xyz = lift_people(lifter, sight, None, generator).to_world(sight.cameras)
    there = torch.ones(xyz.shape[:-1], dtype=torch.bool)
    cloud, _, known = convert_joints(xyz, there.double(), there, conversion_between(lifter.skeleton, like.skeleton))
    valid = known[:, 0]
    off = (cloud - cloud.mean(1, keepdim=True)).norm(dim=-1)
    far = (off * known).sum(-1) / known.sum(-1).clamp(min=1)
    score = (far <= RIGHT_MM).double().mean(1) * frame.detections.score[view, slot].clamp(0, 1)
    covariance = torch.where(valid[..., None, None], spread_of(cloud.transpose(1, 2)), 0.0)
    none = torch.zeros(len(view), dtype=torch.long)
    return trust_joints(Poses(like.skeleton, cloud.mean(1), valid.double(), valid, none, covariance, score))


def join_people(
    found: Prediction, lonely: Poses, view: Int[Tensor, " persons"], slot: Int[Tensor, " persons"]
) -> Prediction:
    """Those whom several views see, and then those of one detection."""
    members = torch.full((len(view), found.association.members.shape[1]), ABSENT)
    members[torch.arange(len(view)), view] = slot
    score = lonely.score
    assert score is not None
    kind = found.poses.xyz_world.dtype
    people = cat([found.poses, lonely.to(kind)], "persons")
    people = replace(people, id=torch.arange(len(people.id)))
    groups = cat([found.association, Association(members, torch.ones_like(score))], "persons")
    root = roots_of(lonely.skeleton, lonely.xyz_world, lonely.valid).to(found.root.dtype)
    return Prediction(found.number, groups, people, torch.cat([found.root, root]))


def fill_joints(lifter: PeopleLifter, frame: Frame, found: Prediction, generator: torch.Generator) -> Poses:
    """The people found, with joints that are not known and that a view of theirs sees, by the poses of that view.

    The poses are drawn on until they agree with the joints that are known (`condition`), each as surely as it is
    claimed. Where several views see a joint and no two agreed, the one that is surest afterwards speaks.
    """
    poses, members = found.poses, found.association.members
    if poses.covariance is None or not len(poses.id):
        return poses
    detections = convert_detections(frame.detections, lifter.skeleton)
    rows = [
        poses.skeleton.joints.index(joint) if joint in poses.skeleton.joints else -1 for joint in lifter.skeleton.joints
    ]
    have = torch.tensor(rows) >= 0
    valid = poses.valid[:, rows] & have
    held = members != ABSENT
    seen = torch.where(held[..., None], detections.visible[torch.arange(members.shape[1]), members.clamp(min=0)], False)
    asked = (seen & (have & ~valid)[:, None]).any(-1) & (valid.sum(1) >= 3)[:, None]
    person, view = asked.nonzero().unbind(1)
    if not len(person):
        return poses
    sight = in_view(lifter, frame, view, members[person, view])
    clouds = lift_people(lifter, sight, None, generator).to_world(sight.cameras)
    xyz, covariance, known = poses.xyz_world.clone(), poses.covariance.clone(), poses.valid.clone()
    widest = torch.full(known.shape, WIDEST_MM, dtype=torch.float64)
    for number, (who, which) in enumerate(zip(person.tolist(), view.tolist(), strict=True)):
        sure = valid[who]
        places, shapes = poses.xyz_world[who, rows].double(), poses.covariance[who, rows].double()
        drawn = condition(clouds[number], sure, places[sure], shapes[sure], generator)
        shape = spread_of(drawn.transpose(0, 1))
        wide = torch.diagonal(shape, dim1=-2, dim2=-1).mean(-1).sqrt()
        for joint in (seen[who, which] & have & ~sure).nonzero()[:, 0].tolist():
            if wide[joint] <= widest[who, rows[joint]]:
                at = (who, rows[joint])
                widest[at], known[at] = wide[joint], True
                xyz[at], covariance[at] = drawn[:, joint].mean(0).to(xyz), shape[joint].to(covariance)
    return trust_joints(replace(poses, xyz_world=xyz, covariance=covariance, valid=known))


def condition(
    cloud: Float[Tensor, "hypotheses joints 3"],
    known: Bool[Tensor, " joints"],
    xyz: Float[Tensor, "known 3"],
    covariance: Float[Tensor, "known 3 3"],
    generator: torch.Generator,
) -> Float[Tensor, "hypotheses joints 3"]:
    """Poses as they are given that some joints are known: each moves as joints go together in all (Matheron's rule).

    ``x + C_xk (C_kk + R)⁻¹ (y + noise - x_k)``, with the covariances C of the poses and R of what is known; exact where
    both are Gaussian.

    Args:
        cloud: poses, mm.
        known: which joints are.
        xyz: where these are, mm.
        covariance: of these.
        generator: of the noise of what is known.
    """
    count = len(cloud)
    flat, seen = cloud.flatten(1), cloud[:, known].flatten(1)
    off, off_seen = flat - flat.mean(0), seen - seen.mean(0)
    doubt = torch.block_diag(*covariance) + torch.eye(seen.shape[1], dtype=cloud.dtype)
    noise = torch.randn(seen.shape, generator=generator, dtype=cloud.dtype) @ torch.linalg.cholesky(doubt).mT
    together = off_seen.mT @ off_seen / (count - 1) + doubt
    gain = torch.linalg.solve(together, off_seen.mT @ off / (count - 1))
    return (flat + (xyz.flatten() + noise - seen) @ gain).view(cloud.shape)

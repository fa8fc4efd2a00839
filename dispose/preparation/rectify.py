"""Groups put right by geometry: contradicting views, sides taken one for the other, detections left over."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from dispose.association.body_bounds import without_joints
from dispose.association.packing import GroupKeypoints, bound_of, box_diagonal, gather_groups, inlier_bound
from dispose.association.reconstruct import Triangulate
from dispose.inference.trajectories.sides import untangle
from dispose.inference.trajectories.track import track_keypoints
from dispose.preparation.anatomy import Bones, misfits
from dispose.scene.frame import Detections, Frame, Poses
from dispose.scene.results import Association
from dispose.tensors import ABSENT, cat


@dataclass(frozen=True)
class RectifyConfig:
    """What is put right.

    Attributes:
        contradicts: a view goes whose keypoints lie in the median so many bounds (`inlier_bound`) from the person.
        fewest_views: a group keeps so many views.
        attach: a left-over detection joins a person whose joints lie within so many bounds of it in the median,
        attach_joints: and share so many with it.
        bone_limit: a bone is wrong that is so many standard deviations off.
    """

    contradicts: float = 1.5
    fewest_views: int = 2
    attach: float = 1.2
    attach_joints: int = 3
    bone_limit: float = 3.5


@dataclass(frozen=True)
class Repairs:
    """How often something was put right."""

    views_taken_out: int = 0
    sides_switched: int = 0
    attached: int = 0
    joints_mended: int = 0
    joints_dropped: int = 0

    def __add__(self, other: "Repairs") -> "Repairs":
        return Repairs(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))


@dataclass(frozen=True, eq=False)
class Rectified:
    """Frames with their keypoints put right, who is who, everybody's joints frame after frame, and what was done."""

    frames: tuple[Frame, ...]
    associations: tuple[Association, ...]
    poses: Poses
    repairs: Repairs


def rectify(
    frames: Sequence[Frame], associations: Sequence[Association], triangulate: Triangulate, config: RectifyConfig
) -> Rectified:
    """Take contradicting views out, undo exchanged sides, and give left-over detections to the people they show."""
    associations = list(associations)
    poses = triangulate(gather_groups(frames, associations))
    associations, taken = _without_contradicting(frames, associations, poses, config)
    if taken:
        poses = triangulate(gather_groups(frames, associations))
    frames, switched = with_sides(frames, associations, poses)
    if switched:
        poses = triangulate(gather_groups(frames, associations))
    associations, attached = _with_left_over(frames, associations, poses, config)
    if attached:
        poses = triangulate(gather_groups(frames, associations))
    done = Repairs(views_taken_out=taken, sides_switched=switched, attached=attached)
    return Rectified(tuple(frames), tuple(associations), poses, done)


def relative_errors(evidence: GroupKeypoints, poses: Poses) -> Float[Tensor, "persons views joints"]:
    """How far keypoints lie from their joints' projections, in units of `inlier_bound`; NaN where either is unknown."""
    xy, front = evidence.cameras.project(poses.xyz_world.double())
    error = (xy - evidence.xy_image).norm(dim=-1) / inlier_bound(evidence)[..., None]
    return torch.where(evidence.seen & poses.valid[:, None] & front, error, torch.nan)


def _without_contradicting(
    frames: Sequence[Frame], associations: list[Association], poses: Poses, config: RectifyConfig
) -> tuple[list[Association], int]:
    """The worst view of every group goes, where it contradicts and enough others stay."""
    evidence = gather_groups(frames, associations)
    if not len(evidence.frame):
        return associations, 0
    error = relative_errors(evidence, poses).nanmedian(-1).values.nan_to_num(0.0)
    there = evidence.member != ABSENT
    worst, view = torch.where(there, error, 0.0).max(1)
    gone = (worst > config.contradicts) & (there.sum(1) > config.fewest_views)
    members = torch.cat([one.members for one in associations])
    members[gone.nonzero()[:, 0], view[gone]] = ABSENT
    return _parted(associations, members), int(gone.sum())


def _parted(associations: Sequence[Association], members: Int[Tensor, "persons views"]) -> list[Association]:
    """The groups of all frames, frame by frame."""
    parts = members.split([len(one) for one in associations])
    return [replace(one, members=part) for one, part in zip(associations, parts, strict=True)]


def with_sides(frames: Sequence[Frame], associations: Sequence[Association], poses: Poses) -> tuple[list[Frame], int]:
    """The frames with left and right of a view's body, arms or legs exchanged where that is far likelier."""
    evidence = gather_groups(frames, associations)
    if not len(evidence.frame):
        return list(frames), 0
    mirror = torch.tensor(poses.skeleton.mirror)
    known = (poses.valid & poses.valid[:, mirror])[:, None]
    keypoints = track_keypoints(frames[0].cameras, evidence.xy_image.numpy(), (evidence.seen & known).numpy())
    switched = untangle(keypoints, poses.xyz_world.double().numpy(), poses.skeleton).switched
    members = torch.cat([one.members for one in associations])
    found = list(frames)
    groups, views = np.nonzero(switched.any(-1))
    for group, view in zip(groups.tolist(), views.tolist(), strict=True):
        row, slot = int(evidence.frame[group]), int(members[group, view])
        found[row] = _switched(found[row], view, slot, torch.from_numpy(switched[group, view]))
    return found, len(groups)


def _switched(frame: Frame, view: int, slot: int, joints: Bool[Tensor, " joints"]) -> Frame:
    """A frame with some joints of one detection and their mirror images exchanged."""
    found = frame.detections
    order = torch.where(joints, torch.tensor(found.skeleton.mirror), torch.arange(len(joints)))
    xy, confidence, visible = found.xy_image.clone(), found.confidence.clone(), found.visible.clone()
    xy[view, slot] = xy[view, slot, order]
    confidence[view, slot] = confidence[view, slot, order]
    visible[view, slot] = visible[view, slot, order]
    return replace(frame, detections=replace(found, xy_image=xy, confidence=confidence, visible=visible))


def _with_left_over(
    frames: Sequence[Frame], associations: Sequence[Association], poses: Poses, config: RectifyConfig
) -> tuple[list[Association], int]:
    """Detections of no group given to people whom their view lacks, one to one and the nearest first."""
    found, first, count = [], 0, 0
    for frame, association in zip(frames, associations, strict=True):
        mine = poses[slice(first, first + len(association))]
        first += len(association)
        members = association.members.clone()
        if len(association):
            cost = attach_cost(frame, mine, config.attach_joints)
            for view, person, slot in _best_attachments(members, cost, frame.detections, config.attach):
                members[person, view] = slot
                count += 1
        found.append(replace(association, members=members))
    return found, count


def attach_cost(frame: Frame, poses: Poses, fewest: int) -> Float[Tensor, "views persons slots"]:
    """Median distance of detections from people's projected joints, in bounds of the person; infinite for too few."""
    detections = frame.detections
    xy, front = frame.cameras.project(poses.xyz_world.double())
    shown = front & poses.valid
    bound = bound_of(box_diagonal(xy, shown))[..., None, None]
    gap = (detections.xy_image.double()[:, None] - xy[:, :, None]).norm(dim=-1) / bound
    both = (detections.visible & detections.valid[..., None])[:, None] & shown[:, :, None]
    median = torch.where(both, gap, torch.nan).nanmedian(-1).values
    return torch.where(both.sum(-1) >= fewest, median.nan_to_num(torch.inf), torch.inf)


def _best_attachments(
    members: Int[Tensor, "persons views"],
    cost: Float[Tensor, "views persons slots"],
    detections: Detections,
    limit: float,
) -> list[tuple[int, int, int]]:
    """View, person and slot."""
    found = []
    for view in range(members.shape[1]):
        taken = set(members[:, view].tolist())
        slots = [s for s in detections.valid[view].nonzero()[:, 0].tolist() if s not in taken]
        people = (members[:, view] == ABSENT).nonzero()[:, 0].tolist()
        if not slots or not people:
            continue
        here = cost[view][people][:, slots].numpy()
        rows, columns = linear_sum_assignment(np.minimum(here, 1e3))
        pairs = zip(rows.tolist(), columns.tolist(), strict=True)
        found += [(view, people[r], slots[c]) for r, c in pairs if here[r, c] <= limit]
    return found


def with_fitting_bones(given: Rectified, bones: Bones, triangulate: Triangulate, config: RectifyConfig) -> Rectified:
    """Joints whose bones are impossible for these people: tried without their worst view, else not known."""
    poses = given.poses
    wrong = torch.from_numpy(misfits(poses, bones, config.bone_limit))
    if not wrong.any():
        return given
    some = wrong.any(1).nonzero()[:, 0]
    again = evidence_without_worst(gather_groups(given.frames, given.associations), poses, wrong)
    tried = triangulate(GroupKeypoints(again.packed, again.frame[some], again.member[some]))
    tried = replace(tried, id=poses.id[some])
    better = tried.valid & ~torch.from_numpy(misfits(tried, bones, config.bone_limit)) & wrong[some]
    mended = torch.zeros_like(wrong)
    mended[some] = better
    merged = _replaced(poses, tried, some, better)
    dropped = (wrong & ~mended) | torch.from_numpy(misfits(merged, bones, config.bone_limit))
    done = Repairs(joints_mended=int((mended & ~dropped).sum()), joints_dropped=int((dropped & poses.valid).sum()))
    return replace(given, poses=without_joints(merged, dropped), repairs=given.repairs + done)


def evidence_without_worst(
    evidence: GroupKeypoints, poses: Poses, wrong: Bool[Tensor, "persons joints"]
) -> GroupKeypoints:
    """The keypoints without the one of every wrong joint that lies farthest from it, where two others stay."""
    error = relative_errors(evidence, poses).nan_to_num(-1.0)
    packed, visible = evidence.packed, evidence.packed.visible.clone()
    able = wrong & (evidence.seen.sum(1) > 2) & (error.amax(1) >= 0)
    person, joint = able.nonzero(as_tuple=True)
    worst = error[person, :, joint].argmax(1)
    visible[evidence.member[person, worst], joint] = False
    return GroupKeypoints(replace(packed, visible=visible), evidence.frame, evidence.member)


def _replaced(poses: Poses, tried: Poses, rows: Int[Tensor, " some"], better: Bool[Tensor, "some joints"]) -> Poses:
    """The joints of some people taken from elsewhere."""
    xyz, confidence, valid = poses.xyz_world.clone(), poses.confidence.clone(), poses.valid.clone()
    xyz[rows] = torch.where(better[..., None], tried.xyz_world, xyz[rows])
    confidence[rows] = torch.where(better, tried.confidence, confidence[rows])
    valid[rows] = torch.where(better, tried.valid, valid[rows])
    return replace(poses, xyz_world=xyz, confidence=confidence, valid=valid)


def joined(parts: Sequence[Rectified]) -> Rectified:
    """The frames of several parts one after the other."""
    frames = tuple(frame for part in parts for frame in part.frames)
    associations = tuple(one for part in parts for one in part.associations)
    repairs = sum((part.repairs for part in parts), Repairs())
    return Rectified(frames, associations, cat([part.poses for part in parts], "persons"), repairs)

"""What can be said of a frame in which nobody is known to be wrong: the worst joint, and what was not sure."""

import torch

from dispose.association.decode import pair_posterior
from dispose.metrics.pose import pairwise_mpjpe
from dispose.scene.results import FrameResult
from dispose_workbench.failures.context import group_members
from dispose_workbench.failures.measures import (
    Failure,
    Sighting,
    in_joints_of,
    matched,
    pairs_of,
    reprojection_errors,
)
from dispose_workbench.failures.sentences import counted, listed

TOLD_PX = 1.0
"""No detection nearer to its person than this is worth a sentence."""


def unknown_people(case: FrameResult, failure: Failure) -> list[str]:
    """The predicted people of whom the truth has nothing."""
    if not failure.unannotated:
        return []
    people = []
    for row in failure.unannotated:
        places = group_members(case.prediction.association, row) if case.detections is not None else ()
        views = f", seen by {counted(len(places), 'camera')}" if places else ""
        people.append(f"id {int(case.prediction.poses.id[row])}{views}")
    return [f"the truth has no skeleton for {counted(len(people), 'person', 'people')} found ({'; '.join(people)})"]


def worst_joint(case: FrameResult, failure: Failure) -> list[str]:
    """The joint that is farthest off, where who is who is right."""
    if case.labels is None or failure.joint_error_mm is None:
        return []
    truth = case.labels.poses
    poses = in_joints_of(case.prediction.poses, truth)
    found = matched(pairwise_mpjpe(poses, truth))
    both = poses.valid[found.rows] & truth.valid[found.truths]
    gap = (poses.xyz_world[found.rows].double() - truth.xyz_world[found.truths].double()).norm(dim=-1)
    gap = torch.where(both, gap, -1.0)
    pair, joint = divmod(int(gap.argmax()), gap.shape[1])
    person, row = int(truth.id[found.truths[pair]]), int(found.rows[pair])
    places = group_members(case.prediction.association, row)
    views = f", seen by {counted(len(places), 'camera')}" if places else ""
    right = "everybody is who they are" if failure.wrong_pairs is not None else "everybody is found"
    return [
        f"{right}, the joints are {failure.joint_error_mm:.0f} mm off on average, the worst is "
        f"{truth.skeleton.joints[joint]} of person {person}{views} ({float(gap.max()):.0f} mm)"
    ]


def doubts(case: FrameResult, failure: Failure) -> list[str]:
    """What cannot be called wrong and yet is not sure."""
    found = []
    if case.reference is not None and failure.disagreement and failure.wrong_pairs is None:
        mine, theirs = pairs_of(case.prediction.association), pairs_of(case.reference)
        example = min(mine ^ theirs, key=lambda pair: (pair[0].view, pair[0].slot, pair[1].view, pair[1].slot))
        here = example in mine
        found.append(
            f"the integer programme differs in {counted(failure.disagreement, 'pair')}: {listed(case, example)} are "
            f"one person {'here and not there' if here else 'there and not here'}"
        )
    least = least_certain(case) if (failure.undecided_pairs or 0.0) > 1 else None
    if least is not None:
        found.append(f"the network expected to get {failure.undecided_pairs:.1f} pairs wrong before sampling, {least}")
    worst = worst_view(case) if failure.wrong_pairs is None else None
    if worst is not None:
        found.append(worst)
    return found


def least_certain(case: FrameResult) -> str | None:
    """The pair of detections whose probability of being one person is nearest to a half."""
    hypotheses = case.hypotheses
    if hypotheses is None or case.frame is None or not len(hypotheses.members):
        return None
    slots = int(hypotheses.members.max()) + 1
    p = pair_posterior(hypotheses.marginal, hypotheses.members).clamp(0, 1)
    undecided = torch.minimum(p, 1 - p).triu(1)
    one, other = divmod(int(undecided.argmax()), undecided.shape[1])
    pair = [Sighting(*divmod(number, slots)) for number in (one, other)]
    return f"above all {listed(case, pair)}, one person with probability {float(p[one, other]):.2f}"


def worst_view(case: FrameResult) -> str | None:
    """The detection that lies farthest from the person it was put to; None where all lie on them."""
    errors = reprojection_errors(case)
    if errors is None or not bool(torch.isfinite(errors).any()):
        return None
    mean = errors.nanmean(-1)
    row, view = divmod(int(torch.nan_to_num(mean, nan=-1.0).argmax()), mean.shape[1])
    slot = int(case.prediction.association.members[row, view])
    number = int(case.prediction.poses.id[row])
    pixels = float(mean[row, view])
    if pixels < TOLD_PX:
        return None
    return f"{listed(case, [Sighting(view, slot)])} lies {pixels:.0f} px from id {number}, whom it was put to"

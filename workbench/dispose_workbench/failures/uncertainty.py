"""What can be said of a frame in which nobody is known to be wrong: the worst joint, and what was not sure."""

import torch

from dispose.association.decode import pair_posterior
from dispose_workbench.failures.facts import FrameFacts
from dispose_workbench.failures.measures import Sighting, pairs_of
from dispose_workbench.failures.sentences import name_detections, number_of

LEAST_PX = 1.0
"""No detection nearer to its person than this is worth a sentence."""


def seen_by(facts: FrameFacts, row: int) -> str:
    """How many cameras a predicted person is seen by, as an apposition."""
    return f", seen by {number_of(len(facts.groups[row]), 'camera')}" if facts.groups[row] else ""


def unknown_people(facts: FrameFacts) -> list[str]:
    """The predicted people of whom the truth has nothing."""
    ids, rows = facts.result.prediction.poses.id.tolist(), facts.failure.unannotated
    people = "; ".join(f"id {ids[row]}{seen_by(facts, row)}" for row in rows)
    return (
        [f"the truth has no skeleton for {number_of(len(rows), 'person', 'people')} found ({people})"] if rows else []
    )


def worst_joint(facts: FrameFacts) -> list[str]:
    """The joint that is farthest off, where who is who is right."""
    if facts.failure.joint_error_mm is None:
        return []
    truth, (rows, truths) = facts.labels.poses, facts.matches
    both = facts.poses.valid[rows] & truth.valid[truths]
    gap = (facts.poses.xyz_world[rows].double() - truth.xyz_world[truths].double()).norm(dim=-1)
    gap = torch.where(both, gap, -1.0)
    pair, joint = divmod(int(gap.argmax()), gap.shape[1])
    right = "everybody is who they are" if facts.wrong_pairs is not None else "everybody is found"
    person = f"person {int(truth.id[truths[pair]])}{seen_by(facts, int(rows[pair]))} ({float(gap.max()):.0f} mm)"
    return [
        f"{right}, the joints are {facts.failure.joint_error_mm:.0f} mm off on average, the worst is "
        f"{truth.skeleton.joints[joint]} of {person}"
    ]


def unsure(facts: FrameFacts) -> list[str]:
    """What cannot be called wrong and yet is not sure."""
    found, failure = [], facts.failure
    if facts.result.reference is not None and failure.disagreement and facts.wrong_pairs is None:
        mine, theirs = pairs_of(facts.association), pairs_of(facts.result.reference)
        example = min(mine ^ theirs)
        found.append(
            f"the integer programme differs in {number_of(failure.disagreement, 'pair')}: "
            f"{name_detections(facts.frame, example)} are one person "
            f"{'here and not there' if example in mine else 'there and not here'}"
        )
    if (failure.undecided_pairs or 0.0) > 1 and facts.result.frame is not None:
        pairs = f"the network expected to get {failure.undecided_pairs:.1f} pairs wrong before sampling"
        found.append(f"{pairs}, above all {least_certain(facts)}")
    if facts.wrong_pairs is None:
        found += worst_view(facts)
    return found


def least_certain(facts: FrameFacts) -> str:
    """The pair of detections whose probability of being one person is nearest to a half."""
    hypotheses = facts.result.hypotheses
    assert hypotheses is not None
    slots = int(hypotheses.members.max()) + 1
    p = pair_posterior(hypotheses.marginal, hypotheses.members).clamp(0, 1)
    undecided = torch.minimum(p, 1 - p).triu(1)
    one, other = divmod(int(undecided.argmax()), undecided.shape[1])
    pair = [Sighting(*divmod(number, slots)) for number in (one, other)]
    return f"{name_detections(facts.frame, pair)}, one person with probability {float(p[one, other]):.2f}"


def worst_view(facts: FrameFacts) -> list[str]:
    """The detection that lies farthest from the person it was put to, unless all lie on theirs."""
    if facts.failure.reprojection_px is None or facts.reprojection_px is None:
        return []
    mean = facts.reprojection_px.nanmean(-1)
    row, view = divmod(int(torch.nan_to_num(mean, nan=-1.0).argmax()), mean.shape[1])
    place, pixels = Sighting(view, int(facts.association.members[row, view])), float(mean[row, view])
    number = int(facts.result.prediction.poses.id[row])
    text = f"{name_detections(facts.frame, [place])} lies {pixels:.0f} px from id {number}, whom it was put to"
    return [text] if pixels >= LEAST_PX else []

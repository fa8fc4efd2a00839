"""What went wrong in a frame of a finished run, as numbers to rank by; `dispose_workbench.failures.reasons` says why.

Each measure is None where it cannot be known: without labels nobody can say who is wrong, without detections nobody
can say how far they are from the people.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dispose.association.decode import pair_posterior
from dispose.metrics.one_to_one import best_pairs
from dispose.metrics.pose import pairwise_mpjpe
from dispose.scene.convert import convert_poses, shelf_poses
from dispose.scene.poses import Poses
from dispose.scene.prediction import Association
from dispose.scene.results import FrameResult, Hypotheses
from dispose.skeletons.catalog import SHELF_14
from dispose.tensors import ABSENT

FOUND_MM = 500.0
"""A true person is found where somebody's joints are nearer than this on average (as in the protocols)."""

SAME_BODY_MM = 250.0
"""Two skeletons whose joints are nearer than this on average are of one body: nobody stands inside somebody else."""


@dataclass(frozen=True)
class Sighting:
    """One detection: the slot of a view."""

    view: int
    slot: int


@dataclass(frozen=True)
class WrongPair:
    """Two labelled detections of different views that are not grouped as they should be.

    Attributes:
        one: the detection of the lower view.
        other: the other.
        joined: whether two people were put together; otherwise one person was split.
    """

    one: Sighting
    other: Sighting
    joined: bool


@dataclass(frozen=True)
class Failure:
    """What went wrong in one frame.

    Attributes:
        number: the frame's number.
        wrong_pairs: labelled detections wrongly joined or split; None where no detection is labelled.
        missed: ids of the true people whom nobody is near; None without true skeletons.
        extra: rows of the predicted people who are near nobody, or near somebody already found; None as above.
        unannotated: those of `extra` whom the truth may not know: none of their detections is labelled as a person
            with a true skeleton, and no such skeleton is where theirs is. Nobody, where the truth labels no detections.
        joint_error_mm: mean over the people found of their mean joint error; None as above, or if none is found.
        entropy_bits: how undecided the network was before sampling, ``-sum x log2 x`` over all tuples' marginals.
        undecided_pairs: pairs that it would expect to get wrong by deciding each at its more probable side.
        disagreement: pairs in which the answer and the integer programme's differ.
        reprojection_px: mean distance of the people's joints from the keypoints they were made of.
    """

    number: int
    wrong_pairs: tuple[WrongPair, ...] | None = None
    missed: tuple[int, ...] | None = None
    extra: tuple[int, ...] | None = None
    unannotated: tuple[int, ...] = ()
    joint_error_mm: float | None = None
    entropy_bits: float | None = None
    undecided_pairs: float | None = None
    disagreement: int | None = None
    reprojection_px: float | None = None


@dataclass(frozen=True)
class Measure:
    """Something to rank frames by.

    Attributes:
        key: a name without spaces.
        title: what people read.
        unit: of the value, "" for counts.
        value: greater is worse; None where it is not known.
    """

    key: str
    title: str
    unit: str
    value: Callable[[Failure], float | None]


@dataclass(frozen=True, eq=False)
class Matched:
    """Predicted and true people one to one.

    Attributes:
        rows: predicted people.
        truths: the true person of each, as row of the labels.
        error_mm: mean error of their common joints.
    """

    rows: Int[Tensor, " pairs"]
    truths: Int[Tensor, " pairs"]
    error_mm: Float[Tensor, " pairs"]


def failure_of(case: FrameResult) -> Failure:
    """Everything that can be measured in one frame."""
    pairs = wrong_pairs(case)
    missed = extra = error = None
    unlabelled: tuple[int, ...] = ()
    if case.labels is not None and has_truth(case):
        errors = errors_mm(case)
        found = matched(errors)
        everybody = range(len(case.prediction.association))
        truths = case.labels.poses.id.tolist()
        missed = tuple(truths[t] for t in range(len(truths)) if t not in found.truths.tolist())
        extra = tuple(row for row in everybody if row not in found.rows.tolist())
        unlabelled = tuple(row for row in extra if may_be_unannotated(case, row, errors[row]))
        error = float(found.error_mm.mean()) if len(found.rows) else None
    hypotheses = case.hypotheses
    return Failure(
        case.prediction.number,
        wrong_pairs=pairs,
        missed=missed,
        extra=extra,
        unannotated=unlabelled,
        joint_error_mm=error,
        entropy_bits=None if hypotheses is None else entropy_bits(hypotheses),
        undecided_pairs=None if hypotheses is None else undecided_pairs(hypotheses),
        disagreement=None if case.reference is None else disagreement(case.prediction.association, case.reference),
        reprojection_px=reprojection_px(case),
    )


def wrong_pairs(case: FrameResult) -> tuple[WrongPair, ...] | None:
    """Labelled cross-view pairs that are joined and should not be, or the other way round; None if unknown."""
    if case.labels is None or case.frame is None or not bool((case.labels.identity != ABSENT).any()):
        return None
    return wrong_pairs_of(case.prediction.association, case.labels.identity)


def wrong_pairs_of(association: Association, identity: Int[Tensor, "views slots"]) -> tuple[WrongPair, ...]:
    """The wrong pairs of one association."""
    # Lists: a tensor is slow to ask for one entry after the other, and thousands of frames are looked at.
    group, people = groups_of(association, identity.shape[1]).tolist(), identity.tolist()
    places = (identity != ABSENT).nonzero().tolist()
    found = []
    for a, (view, slot) in enumerate(places):
        for other_view, other_slot in places[a + 1 :]:
            if other_view == view:
                continue
            mine, theirs = group[view][slot], group[other_view][other_slot]
            joined = mine != ABSENT and mine == theirs
            if joined != (people[view][slot] == people[other_view][other_slot]):
                found.append(WrongPair(Sighting(view, slot), Sighting(other_view, other_slot), joined))
    return tuple(found)


def groups_of(association: Association, slots: int) -> Int[Tensor, "views slots"]:
    """The group of every slot, `ABSENT` where none holds it."""
    group = torch.full((association.members.shape[1], slots), ABSENT, dtype=torch.long)
    row, view = (association.members != ABSENT).nonzero(as_tuple=True)
    group[view, association.members[row, view]] = row
    return group


def labels_detections(case: FrameResult) -> bool:
    """Whether the truth says of detections whose they are; that of other programs has skeletons alone.

    A frame in which nobody is labelled, and of whom the truth has nobody either, may be of a truth that does.
    """
    if case.labels is None or case.labels.identity.numel() == 0:
        return False
    return bool((case.labels.identity != ABSENT).any()) or len(case.labels.poses.id) == 0


def may_be_unannotated(case: FrameResult, row: int, error_mm: Float[Tensor, " truths"]) -> bool:
    """Whether a predicted person who is nobody's match may be somebody whom the truth leaves out."""
    assert case.labels is not None
    if not labels_detections(case) or set(people_of(case, row)) & set(case.labels.poses.id.tolist()):
        return False
    return not bool((error_mm < SAME_BODY_MM).any())


def labelled_members(case: FrameResult, row: int) -> list[Sighting]:
    """The members of a predicted person that have a label."""
    if case.labels is None or case.frame is None:
        return []
    members = case.prediction.association.members[row].tolist()
    identity = case.labels.identity
    return [Sighting(v, s) for v, s in enumerate(members) if s != ABSENT and int(identity[v, s]) != ABSENT]


def people_of(case: FrameResult, row: int) -> list[int]:
    """The true people whose detections a predicted person holds, without repetition, ascending."""
    if case.labels is None:
        return []
    identity = case.labels.identity
    return sorted({int(identity[place.view, place.slot]) for place in labelled_members(case, row)})


def has_truth(case: FrameResult) -> bool:
    """Whether there are true skeletons that predictions can be compared with (possibly of nobody)."""
    return case.labels is not None and len(case.labels.poses.skeleton) > 0


def matched(errors: Float[Tensor, "predictions truths"], *, limit_mm: float = FOUND_MM) -> Matched:
    """Predicted and true people one to one: as many as can be nearer than the limit, of least total error."""
    rows, truths = best_pairs(errors, limit_mm=limit_mm)
    return Matched(rows, truths, errors[rows, truths])


def errors_mm(case: FrameResult) -> Float[Tensor, "predictions truths"]:
    """Mean error of the common joints of every predicted and every true person; infinite without any."""
    assert case.labels is not None
    return pairwise_mpjpe(in_joints_of(case.prediction.poses, case.labels.poses), case.labels.poses)


def in_joints_of(poses: Poses, truth: Poses) -> Poses:
    """Predictions in the truth's joints; Shelf's heads are made as its protocol makes them."""
    if truth.skeleton == SHELF_14 and poses.skeleton != SHELF_14:
        return shelf_poses(poses)
    return convert_poses(poses, truth.skeleton)


def entropy_bits(hypotheses: Hypotheses) -> float:
    """``-sum x log2 x`` over the marginals of all tuples: 0 where the network was sure before it sampled."""
    x = hypotheses.marginal.double().clamp(0, 1)
    return abs(float(torch.special.xlogy(x, x).sum() / math.log(2)))


def undecided_pairs(hypotheses: Hypotheses) -> float:
    """Sum over the pairs of detections of ``min(p, 1 - p)``, p = probability that they are one person."""
    p = pair_posterior(hypotheses.marginal, hypotheses.members).clamp(0, 1)
    return float(torch.minimum(p, 1 - p).triu(1).sum())


def pairs_of(association: Association) -> frozenset[tuple[Sighting, Sighting]]:
    """The cross-view pairs that an association joins."""
    found = set()
    for row in association.members.tolist():
        there = [Sighting(view, slot) for view, slot in enumerate(row) if slot != ABSENT]
        found.update((a, b) for i, a in enumerate(there) for b in there[i + 1 :])
    return frozenset(found)


def disagreement(one: Association, other: Association) -> int:
    """Pairs that one of two associations joins and the other does not."""
    return len(pairs_of(one) ^ pairs_of(other))


def reprojection_px(case: FrameResult) -> float | None:
    """Mean distance of joints from the keypoints of the members, over all joints that both know; None without any."""
    distances = reprojection_errors(case)
    if distances is None or not bool(torch.isfinite(distances).any()):
        return None
    return float(distances[torch.isfinite(distances)].mean())


def reprojection_errors(case: FrameResult) -> Float[Tensor, "persons views joints"] | None:
    """Pixels between every person's projected joint and the keypoint in every view; NaN where one is not known."""
    members = case.prediction.association.members
    if case.frame is None or case.frame.detections.valid.shape[1] == 0 or members.shape[1] != len(case.frame.cameras):
        return None
    found = case.frame.detections
    poses = convert_poses(case.prediction.poses, found.skeleton)
    xy, front = case.frame.cameras.project(poses.xyz_world.double())
    view = torch.arange(members.shape[1]).expand_as(members)
    slot = members.clamp(min=0)
    gap = (xy.transpose(0, 1) - found.xy_image[view, slot].double()).norm(dim=-1)
    known = found.visible[view, slot] & (members != ABSENT)[..., None]
    known = known & poses.valid[:, None] & front.transpose(0, 1)
    return torch.where(known, gap, torch.nan)


def trouble(failure: Failure) -> float | None:
    """One number for "what went wrong": errors first, then doubts; None where nothing at all is known.

    ``wrong pairs + 3 missed + 3 extra + error / 100 mm + doubts / 10 + pixels / 100``. A person missed or invented
    weighs as much as three pairs; extra people whom the truth may not know (`Failure.unannotated`) weigh nothing.
    Doubts are the undecided pairs and, where there is no truth at all, the disagreement with the integer
    programme: they rank frames that are equally right, and all frames without truth.
    """
    if all(measure.value(failure) is None for measure in MEASURES[1:]):
        return None
    errors = len(failure.wrong_pairs or ()) + 3 * len(failure.missed or ())
    errors += 3 * (len(failure.extra or ()) - len(failure.unannotated))
    doubts = failure.undecided_pairs or 0.0
    if failure.wrong_pairs is None and failure.missed is None:
        doubts += failure.disagreement or 0
    return errors + (failure.joint_error_mm or 0.0) / 100 + doubts / 10 + (failure.reprojection_px or 0.0) / 100


def counted(found: Sequence[object] | None) -> float | None:
    """How many, None where unknown."""
    return None if found is None else float(len(found))


MEASURES: tuple[Measure, ...] = (
    Measure("trouble", "what went wrong", "", trouble),
    Measure("wrong_pairs", "wrong pairs", "", lambda f: counted(f.wrong_pairs)),
    Measure("missed", "missed people", "", lambda f: counted(f.missed)),
    Measure("extra", "extra people", "", lambda f: counted(f.extra)),
    Measure("joint_error_mm", "joint error", "mm", lambda f: f.joint_error_mm),
    Measure("entropy_bits", "posterior entropy", "bits", lambda f: f.entropy_bits),
    Measure("undecided_pairs", "undecided pairs", "", lambda f: f.undecided_pairs),
    Measure("disagreement", "disagreement with the integer programme", "pairs", lambda f: f.disagreement),
    Measure("reprojection_px", "reprojection error", "px", lambda f: f.reprojection_px),
)
"""Everything that frames can be ranked by; the first is the usual one."""


def failures_of(cases: Sequence[FrameResult]) -> tuple[Failure, ...]:
    """The failures of all frames, in their order."""
    return tuple(failure_of(case) for case in cases)


def known_measures(failures: Sequence[Failure]) -> tuple[Measure, ...]:
    """The measures that at least one frame has."""
    return tuple(measure for measure in MEASURES if any(measure.value(f) is not None for f in failures))


def ranked(failures: Sequence[Failure], measure: Measure = MEASURES[0]) -> tuple[int, ...]:
    """Positions of the frames, worst first; equals in order of time, frames without a value last."""
    values = [measure.value(failure) for failure in failures]
    return tuple(sorted(range(len(failures)), key=lambda i: (values[i] is None, -(values[i] or 0.0), i)))

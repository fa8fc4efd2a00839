"""What went wrong in a frame of a finished run, as numbers to rank by; `dispose_workbench.failures.reasons` says why.

Each measure is None where it cannot be known: without labels nobody can say who is wrong, without detections nobody
can say how far they are from the people.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from dispose.association.decode import pair_posterior
from dispose.scene.results import Association, Hypotheses
from dispose.tensors import ABSENT


@dataclass(frozen=True, order=True)
class Sighting:
    """One detection: the slot of a view."""

    view: int
    slot: int


@dataclass(frozen=True)
class WrongPair:
    """Two labelled detections of different views, the lower view's first, that are not grouped as they should be.

    Either two people were `joined`, or one person was split.
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
    """Something to rank frames by: a key without spaces, the title that people read, a unit ("" for counts), and its
    value: greater is worse; None where it is not known.
    """

    key: str
    title: str
    unit: str
    value: Callable[[Failure], float | None]


def wrong_pairs_of(association: Association, identity: Int[Tensor, "views slots"]) -> tuple[WrongPair, ...]:
    """Labelled cross-view pairs that are joined and should not be, or the other way round."""
    group = torch.full_like(identity, ABSENT)
    row, view = (association.members != ABSENT).nonzero(as_tuple=True)
    group[view, association.members[row, view]] = row
    place = (identity != ABSENT).nonzero()
    view, mine, person = place[:, 0], group[place[:, 0], place[:, 1]], identity[place[:, 0], place[:, 1]]
    joined = (mine[:, None] == mine) & (mine != ABSENT)
    wrong = (joined != (person[:, None] == person)) & (view[:, None] < view)
    # A list: a tensor is slow to ask for one entry after the other, and thousands of frames are looked at.
    sighting = [Sighting(v, s) for v, s in place.tolist()]
    return tuple(WrongPair(sighting[a], sighting[b], bool(joined[a, b])) for a, b in wrong.nonzero().tolist())


def entropy_bits(hypotheses: Hypotheses) -> float:
    """``-sum x log2 x`` over the marginals of all tuples: 0 where the network was sure before it sampled."""
    x = hypotheses.marginal.double().clamp(0, 1)
    return abs(float(torch.special.xlogy(x, x).sum() / math.log(2)))


def undecided_pairs(hypotheses: Hypotheses) -> float:
    """Sum over the pairs of detections of ``min(p, 1 - p)``, p = probability that they are one person."""
    p = pair_posterior(hypotheses.marginal, hypotheses.members).clamp(0, 1)
    return float(torch.minimum(p, 1 - p).triu(1).sum())


def members_of(association: Association, row: int) -> tuple[Sighting, ...]:
    """The detections of a predicted person, by view."""
    return tuple(Sighting(v, s) for v, s in enumerate(association.members[row].tolist()) if s != ABSENT)


def pairs_of(association: Association) -> frozenset[tuple[Sighting, Sighting]]:
    """The cross-view pairs that an association joins."""
    groups = [members_of(association, row) for row in range(len(association))]
    return frozenset((a, b) for group in groups for i, a in enumerate(group) for b in group[i + 1 :])


def disagreement(one: Association, other: Association) -> int:
    """Pairs that one of two associations joins and the other does not."""
    return len(pairs_of(one) ^ pairs_of(other))


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


def count(found: Sequence[object] | None) -> float | None:
    """How many, None where unknown."""
    return None if found is None else float(len(found))


MEASURES: tuple[Measure, ...] = (
    Measure("trouble", "what went wrong", "", trouble),
    Measure("wrong_pairs", "wrong pairs", "", lambda f: count(f.wrong_pairs)),
    Measure("missed", "missed people", "", lambda f: count(f.missed)),
    Measure("extra", "extra people", "", lambda f: count(f.extra)),
    Measure("joint_error_mm", "joint error", "mm", lambda f: f.joint_error_mm),
    Measure("entropy_bits", "posterior entropy", "bits", lambda f: f.entropy_bits),
    Measure("undecided_pairs", "undecided pairs", "", lambda f: f.undecided_pairs),
    Measure("disagreement", "disagreement with the integer programme", "pairs", lambda f: f.disagreement),
    Measure("reprojection_px", "reprojection error", "px", lambda f: f.reprojection_px),
)
"""Everything that frames can be ranked by; the first is the usual one."""


def known_measures(failures: Sequence[Failure]) -> tuple[Measure, ...]:
    """The measures that at least one frame has."""
    return tuple(measure for measure in MEASURES if any(measure.value(f) is not None for f in failures))


def rank(failures: Sequence[Failure], measure: Measure = MEASURES[0]) -> tuple[int, ...]:
    """Positions of the frames, worst first; equals in order of time, frames without a value last."""
    values = [measure.value(failure) for failure in failures]
    return tuple(sorted(range(len(failures)), key=lambda i: (values[i] is None, -(values[i] or 0.0), i)))

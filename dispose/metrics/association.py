"""Who is who: pairs of detections and whole groups, counted on the labelled detections only."""

from dataclasses import astuple, dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from dispose.errors import ShapeError
from dispose.scene.results import Association
from dispose.tensors import ABSENT


@dataclass(frozen=True)
class PairCounts:
    """Sums over frames from which the association figures follow.

    Attributes:
        correct: cross-view pairs that are in one predicted group and are one person.
        predicted: cross-view pairs of labelled detections in one predicted group.
        actual: cross-view pairs that are one person.
        exact: people whose labelled detections are one group, complete and alone.
        people: people with labelled detections in at least two views.
    """

    correct: int = 0
    predicted: int = 0
    actual: int = 0
    exact: int = 0
    people: int = 0

    def __add__(self, other: "PairCounts") -> "PairCounts":
        return PairCounts(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    @property
    def precision(self) -> float:
        """Share of the predicted pairs that are right; NaN without predicted pairs."""
        return ratio(self.correct, self.predicted)

    @property
    def recall(self) -> float:
        """Share of the true pairs that were found; NaN without true pairs."""
        return ratio(self.correct, self.actual)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, ``2 correct / (predicted + actual)``."""
        return ratio(2 * self.correct, self.predicted + self.actual)

    @property
    def exact_rate(self) -> float:
        """Share of the people whose complete set of labelled detections is one group."""
        return ratio(self.exact, self.people)


def ratio(part: int, whole: int) -> float:
    """``part / whole``, NaN where the whole is zero."""
    return part / whole if whole else float("nan")


def count_pairs(association: Association, identity: Int[Tensor, "views slots"]) -> PairCounts:
    """Compare predicted groups with identities; detections with identity `ABSENT` do not count.

    Raises `ShapeError` where the views differ in number.
    """
    views, slots = identity.shape
    if association.members.shape[1] != views:
        raise ShapeError(f"{association.members.shape[1]} views in the association, {views} in the identities")
    group = torch.full((views, slots), ABSENT, dtype=torch.long)
    number, view = (association.members != ABSENT).nonzero(as_tuple=True)
    group[view, association.members[number, view]] = number
    labelled = identity != ABSENT
    person, group = identity[labelled], group[labelled]
    view = torch.arange(views)[:, None].expand(views, slots)[labelled]
    apart = torch.triu(view[:, None] != view[None], diagonal=1)
    same_person = (person[:, None] == person[None]) & apart
    same_group = (group[:, None] == group[None]) & (group != ABSENT)[:, None] & apart
    exact, people = 0, 0
    for number in torch.unique(person):
        mine = person == number
        if mine.sum() < 2:
            continue
        people += 1
        theirs = group == group[mine][0]
        exact += int(group[mine][0] != ABSENT and torch.equal(theirs, mine))
    return PairCounts(
        int((same_person & same_group).sum()), int(same_group.sum()), int(same_person.sum()), exact, people
    )

"""Whether random samples of the associator agree where a scene is clear, and over which detections they do not."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.association.decode import pair_worth, set_packing
from dispose.evaluation.doubt import SAMPLES, Question, controls
from dispose.evaluation.reports import Figure, Row
from dispose.models.dispose.associator import Associator, sees_enough
from dispose.models.dispose.sampling import PAIR_THRESHOLD
from dispose.scene.frame import Frame, Labels
from dispose.tensors import ABSENT

Pair = tuple[tuple[int, int], tuple[int, int]]
"""Two detections of one group, each as view and slot."""


@dataclass(frozen=True)
class Scope:
    """Which pairs of detections are asked about: in words, and by whether each of the two is labelled."""

    name: str
    holds: Callable[[bool, bool], bool]


SCOPES = (
    Scope("all detections", lambda one, other: True),
    Scope("pairs with a labelled detection", lambda one, other: one or other),
    Scope("pairs of labelled detections", lambda one, other: one and other),
)


def pairs_of(members: Int[Tensor, "tuples views"], chosen: Bool[Tensor, " tuples"]) -> frozenset[Pair]:
    """The pairs of detections that the chosen tuples put together."""
    rows = [[(view, slot) for view, slot in enumerate(row) if slot != ABSENT] for row in members[chosen].tolist()]
    return frozenset(pair for row in rows for pair in combinations(row, 2))


def within(pairs: frozenset[Pair], scope: Scope, labelled: Bool[Tensor, "views slots"]) -> frozenset[Pair]:
    """Those that are asked about."""
    return frozenset((a, b) for a, b in pairs if scope.holds(bool(labelled[a]), bool(labelled[b])))


def decided(question: Question, mass: Float[Tensor, " all_tuples"]) -> frozenset[Pair]:
    """The pairs of the groups that are decided on by a belief."""
    worth = pair_worth(mass[:-1], question.members, threshold=PAIR_THRESHOLD)
    return pairs_of(question.members, set_packing(worth, question.members))


def evaluate_agreement(associator: Associator, pairs: Iterable[tuple[Frame, Labels]], title: str) -> Iterator[Row]:
    """A row for every scope: frames in which all samples say the same, frames in which their mean decides as shipped.

    Who stands alone in a view is in no pair, and says nothing here.
    """
    by_name = {control.name: control for control in controls(associator)}
    shipped = by_name["two steps, as shipped"]
    samples = by_name[f"best of {SAMPLES} samples, by the labels"]
    generator = torch.Generator().manual_seed(0)
    alike, as_shipped, frames = dict.fromkeys(SCOPES, 0), dict.fromkeys(SCOPES, 0), 0
    for frame, labels in pairs:
        if not sees_enough(frame):
            continue
        frames += 1
        question = Question(associator.problems([frame]), labels.identity)
        masses = samples.answer(question, generator)
        each = {pairs_of(question.members, mass[:-1] > 0.5) for mass in masses}
        means = [torch.stack(masses).mean(0), *shipped.answer(question, generator)]
        both = [decided(question, mass) for mass in means]
        labelled = labels.identity != ABSENT
        for scope in SCOPES:
            alike[scope] += len({within(one, scope, labelled) for one in each}) == 1
            as_shipped[scope] += len({within(one, scope, labelled) for one in both}) == 1
    for scope in SCOPES:
        figures = (
            Figure("alike", 100 * alike[scope] / frames if frames else float("nan")),
            Figure("as_shipped", 100 * as_shipped[scope] / frames if frames else float("nan")),
        )
        yield Row(f"{SAMPLES} samples, {scope.name}", title, frames, None, figures, 0.0)

"""What the reverse diffusion weighed, as a record that is small enough to keep."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from dispose.scene.results import Hypotheses
from dispose.tensors import ABSENT

MASS_FLOOR = 1e-3
"""A tuple whose mass stays below this at every step and whose marginal does too was never in question."""

CHEAPEST = 3
"""So many tuples of least cost per member are kept of every detection: the ones geometry would have chosen."""


def prune_hypotheses(
    hypotheses: Hypotheses,
    always: Sequence[Int[Tensor, "_ views"]] = (),
    *,
    floor: float = MASS_FLOOR,
    cheapest: int = CHEAPEST,
) -> Hypotheses:
    """The tuples that somebody may ask about later, in the order they came; `dropped` counts the others.

    Kept: mass or marginal ever above the floor; of every detection the tuples of least cost per pair of members and
    of greatest cue among those with two members at least, `cheapest` each; and the groups of `always` that are
    candidates at all.
    """
    start = hypotheses.mass[1:] if hypotheses.mass.shape[0] > 1 else hypotheses.mass
    # The first state is noise and spreads mass over everything: it says nothing about a tuple.
    kept = (hypotheses.marginal > floor) | (start > floor).any(0)
    kept |= best_of_every_detection(hypotheses, cheapest)
    for groups in always:
        kept |= contained_in(hypotheses.members, groups)
    dropped = hypotheses.dropped + int((~kept).sum())
    return replace(hypotheses.select(tuples=kept), dropped=dropped)


def best_of_every_detection(hypotheses: Hypotheses, count: int) -> Bool[Tensor, " tuples"]:
    """The tuples of two or more members that are among the `count` cheapest, or of best cue, of one of them."""
    members = hypotheses.members
    size = (members != ABSENT).sum(1)
    several = (size >= 2).nonzero()[:, 0]
    kept = torch.zeros_like(size, dtype=torch.bool)
    each = hypotheses.cost / (size - 1).clamp(min=1)
    for ranking in (each[several], -hypotheses.cue[several]):
        order = several[torch.argsort(ranking, stable=True)]
        for view in range(members.shape[1]):
            slot = members[order, view]
            for number in torch.unique(slot[slot != ABSENT]).tolist():
                kept[order[slot == number][:count]] = True
    return kept


def contained_in(members: Int[Tensor, "tuples views"], groups: Int[Tensor, "groups views"]) -> Bool[Tensor, " tuples"]:
    """Which tuples are one of some groups."""
    return (members[:, None] == groups[None]).all(-1).any(-1)

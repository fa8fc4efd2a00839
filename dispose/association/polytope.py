"""The hypergraph of candidate tuples and its polystochastic polytope, which is never empty.

The released polytope is in `dispose.released.candidates`.

A sample's tuples are its candidates, one row of slots (or `ABSENT`) each, followed by one **fallback** tuple that is
absent in every view and takes the mass nobody claims. Every view has one bin per detection and a dustbin. In the
complete problem everybody is seen once in every view, every combination is a candidate and nobody is absent: for two
views its polytope is Birkhoff's, the doubly stochastic matrices, whose vertices are the permutations.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from dispose.errors import ShapeError
from dispose.tensors import ABSENT, TensorStruct
from dispose_kernels.sinkhorn import (
    Marginals,
    Projection,
    marginal_residual,
    newton_projection,
    pack,
    sweep_projection,
)


@dataclass(frozen=True, eq=False)
class CandidateGraph(TensorStruct):
    """A hypergraph of one sample, or of several packed one after the other.

    The last tuple of every sample is absent in every view: it takes the mass that nobody claims
    (`dispose.association.polytope`).

    Attributes:
        members: slot of every tuple in every view, `ABSENT` where it leaves a view out.
        detections: features of every detection.
        tuples: features of every tuple.
        incidences: features of every membership.
        cue: geometric score of every tuple in [0, 1].
        tuple_of: tuple of every membership.
        detection_of: detection of every membership.
        sample: sample of every tuple.
        marginals: the polytope.
    """

    members: Int[Tensor, "tuples views"]
    detections: Float[Tensor, "detections detection_features"]
    tuples: Float[Tensor, "tuples tuple_features"]
    incidences: Float[Tensor, "incidences incidence_features"]
    cue: Float[Tensor, " tuples"]
    tuple_of: Int[Tensor, " incidences"]
    detection_of: Int[Tensor, " incidences"]
    sample: Int[Tensor, " tuples"]
    marginals: Marginals

    @property
    def samples(self) -> int:
        """Number of packed samples."""
        return self.marginals.samples


def collate(graphs: Sequence[CandidateGraph]) -> CandidateGraph:
    """Pack several graphs into one; fewer views are padded with `ABSENT`."""
    views = max(graph.members.shape[1] for graph in graphs)
    members, tuple_of, detection_of, sample = [], [], [], []
    tuples = detections = samples = 0
    for graph in graphs:
        members.append(torch.nn.functional.pad(graph.members, (0, views - graph.members.shape[1]), value=ABSENT))
        tuple_of.append(graph.tuple_of + tuples)
        detection_of.append(graph.detection_of + detections)
        sample.append(graph.sample + samples)
        tuples += len(graph.cue)
        detections += len(graph.detections)
        samples += graph.samples
    return CandidateGraph(
        members=torch.cat(members),
        detections=torch.cat([graph.detections for graph in graphs]),
        tuples=torch.cat([graph.tuples for graph in graphs]),
        incidences=torch.cat([graph.incidences for graph in graphs]),
        cue=torch.cat([graph.cue for graph in graphs]),
        tuple_of=torch.cat(tuple_of),
        detection_of=torch.cat(detection_of),
        sample=torch.cat(sample),
        marginals=pack([graph.marginals for graph in graphs]),
    )


__all__ = [
    "Marginals",
    "Projection",
    "feasible_marginals",
    "is_fallback",
    "marginal_residual",
    "newton_projection",
    "pack",
    "sweep_projection",
    "with_fallbacks",
]


def feasible_marginals(
    members: Int[Tensor, "tuples views"],
    valid: Bool[Tensor, "*frames views slots"],
    frame: Int[Tensor, " tuples"] | None = None,
) -> Marginals:
    """Our constraints of one sample, or of every frame of several: a detection carries 1, ``K = all detections + 1``.

    The dustbin of a view with n detections carries ``K - n``. Mass 1 on every lone detection and on the fallback is
    feasible, so the polytope has an interior whatever is detected, as long as the singletons are among the tuples.
    """
    counts = valid.sum(-1).double()
    return marginals_of(members, valid, 1.0, counts.sum(-1, keepdim=True) + 1.0 - counts, frame)


def with_fallbacks(
    rows: Shaped[Tensor, "tuples *chans"], fallback: Shaped[Tensor, "frames *chans"], frame: Int[Tensor, " tuples"]
) -> Shaped[Tensor, "all_tuples *chans"]:
    """Values of tuples, every frame's followed by that of its fallback."""
    owner = torch.cat([frame, torch.arange(len(fallback), device=frame.device)])
    return torch.cat([rows, fallback])[torch.argsort(owner, stable=True)]


def is_fallback(marginals: Marginals) -> Bool[Tensor, " tuples"]:
    """Which tuples of a packed problem are their sample's fallback (its last)."""
    last = torch.ones(len(marginals.sample), dtype=torch.bool, device=marginals.sample.device)
    last[:-1] = marginals.sample[1:] != marginals.sample[:-1]
    return last


def marginals_of(
    members: Int[Tensor, "tuples views"],
    valid: Bool[Tensor, "*frames views slots"],
    real: float,
    dustbin: Float[Tensor, "*frames views"],
    frame: Int[Tensor, " tuples"] | None = None,
) -> Marginals:
    """Number the bins (per view: its valid slots in order, then its dustbin) and append every frame's fallback.

    A view that pads a frame has a dustbin alone, which holds everything: implied by the others, harmless.
    """
    *frames, views, slots = valid.shape
    if members.shape[1] != views:
        raise ShapeError(f"{members.shape[1]} views in the tuples, {views} in the valid slots")
    valid = valid.view(math.prod(frames), views, slots)
    frame = torch.zeros_like(members[:, 0]) if frame is None else frame
    used = torch.cat([valid, valid.new_ones(len(valid), views, 1)], -1)
    number = (used.flatten().cumsum(0) - 1).view(used.shape)
    everyone = with_fallbacks(members, members.new_full((len(valid), views), ABSENT), frame)
    each = torch.arange(len(valid), device=frame.device)
    sample = with_fallbacks(frame, each, frame)
    slot = torch.where(everyone == ABSENT, slots, everyone)
    place = sample[:, None], torch.arange(views, device=members.device), slot
    if not bool(used[place].all()):
        row = int(torch.nonzero(~used[place].all(1))[0])
        raise ShapeError(f"tuple {row} is {everyone[row].tolist()}, which names a slot without a detection")
    filled = dustbin.new_full(valid.shape, real, dtype=torch.float64)
    target = torch.cat([filled, dustbin.view(len(valid), views, 1)], -1)[used]
    return Marginals(number[place], target, sample, each.repeat_interleave(used.sum((1, 2))), len(valid))


def true_tuples(
    members: Int[Tensor, "tuples views"],
    cost: Float[Tensor, " tuples"],
    identity: Int[Tensor, "views slots"],
) -> Float[Tensor, " tuples"]:
    """Mass 1 on disjoint tuples that cover every detection once: a vertex of the polytope.

    A person's complete tuple where it is a candidate; where it was pruned, its largest candidate part (the
    cheapest of these), then the next. Detections of nobody stand alone. Singletons must be among the tuples.
    """
    views = members.shape[1]
    there = members != ABSENT
    who = torch.where(there, identity[torch.arange(views, device=members.device), members.clamp(min=0)], ABSENT)
    first = torch.where(there, who, torch.iinfo(torch.long).max).amin(1)
    same = (~there | ((who == first[:, None]) & (first[:, None] != ABSENT))).all(1)
    pure = (there.sum(1) == 1) | (same & there.any(1))
    rows = pure.nonzero()[:, 0]
    order = rows[torch.argsort(cost[rows], stable=True)]
    order = order[torch.argsort(there[order].sum(1), descending=True, stable=True)]
    used = torch.zeros_like(identity, dtype=torch.bool)
    mass = torch.zeros(members.shape[0], device=members.device)
    for row in order.tolist():
        at = there[row].nonzero()[:, 0]
        slots = members[row, at]
        if not bool(used[at, slots].any()):
            used[at, slots] = True
            mass[row] = 1.0
    return mass


def every_tuple(people: int, views: int) -> Int[Tensor, "tuples views"]:
    """All ``people ** views`` combinations of one detection per view, the last view fastest.

    Mass over them is a tensor: ``mass.view((people,) * views)``, for two views a matrix.

    >>> every_tuple(2, 2).tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    if people < 1 or views < 2:
        raise ShapeError(f"a complete problem needs people and at least two views, got {people} and {views}")
    return torch.cartesian_prod(*[torch.arange(people)] * views)


def everybody_once(people: int, views: int) -> Marginals:
    """The constraints on `every_tuple`: every detection carries exactly 1, there is no dustbin."""
    members = every_tuple(people, views)
    return Marginals(
        bins=members + people * torch.arange(views),
        target=torch.ones(people * views, dtype=torch.float64),
        sample=torch.zeros(len(members), dtype=torch.long),
        sample_of_bin=torch.zeros(people * views, dtype=torch.long),
        samples=1,
    )

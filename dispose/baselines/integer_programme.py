"""Exact set packing over tuples of detections, the idea of COMPOSE (compose)."""

import numpy as np
from jaxtyping import Bool, Float

from dispose.association.decode import pack_sets
from dispose.association.pairwise import PairDistances, association_of_groups, pair_distances
from dispose.scene.frame import Frame
from dispose.scene.results import Association

BUDGET = 400
"""Tuples that every detection keeps while they are built."""


def integer_programme(frame: Frame, *, gate_mm: float = 150.0, budget: int = BUDGET) -> Association:
    """The disjoint tuples of greatest total gain, found exactly (HiGHS).

    A tuple gains ``1 - d / gate`` for every pair of members that share joints, so agreeing pairs pay and
    disagreeing ones cost. Tuples are built view by view; at each view every detection keeps the `budget`
    tuples of greatest gain that hold it, so work grows with detections, not with their combinations.
    """
    distances = pair_distances(frame)
    number = np.arange(len(distances))
    member, gain = candidate_tuples(distances, gate_mm=gate_mm, budget=budget)
    for row in np.flatnonzero(pack_sets(gain, member)):
        members = np.flatnonzero(member[row])
        number[members] = members[0]
    return association_of_groups(distances, number, gate_mm=gate_mm)


def candidate_tuples(
    distances: PairDistances, *, gate_mm: float, budget: int
) -> tuple[Bool[np.ndarray, "tuples detections"], Float[np.ndarray, " tuples"]]:
    """The tuples with a positive gain, and the gains, by joining the detections of one view at a time.

    A detection joins a partial tuple where its mean distance to the members that share joints with it is
    within the gate.
    """
    mm, view = distances.mm.cpu().numpy(), distances.view.cpu().numpy()
    count = len(view)
    known = np.isfinite(mm)
    pair_gain = np.where(known, 1 - np.where(known, mm, 0.0) / gate_mm, 0.0)
    member = np.zeros((0, count), dtype=bool)
    gain = np.zeros(0)
    for v in range(distances.views):
        new = np.flatnonzero(view == v)
        more = member.astype(np.float64) @ pair_gain[:, new]
        linked = member.astype(np.float64) @ known[:, new].astype(np.float64)
        parent, column = np.nonzero((linked > 0) & (more >= 0))
        joined = member[parent]
        joined[np.arange(len(parent)), new[column]] = True
        single = np.zeros((len(new), count), dtype=bool)
        single[np.arange(len(new)), new] = True
        member = np.concatenate([member, joined, single])
        gain = np.concatenate([gain, gain[parent] + more[parent, column], np.zeros(len(new))])
        member, gain = best(member, gain, budget)
    keep = (gain > 0) & (member.sum(1) >= 2)
    return member[keep], gain[keep]


def best(
    member: Bool[np.ndarray, "tuples detections"], gain: Float[np.ndarray, " tuples"], budget: int
) -> tuple[Bool[np.ndarray, "kept detections"], Float[np.ndarray, " kept"]]:
    """The tuples that are among the `budget` of greatest gain of one of their detections, and all single ones."""
    order = np.argsort(-gain, kind="stable")
    rank = np.cumsum(member[order], axis=0)
    keep = np.empty(len(gain), dtype=bool)
    keep[order] = (member[order] & (rank <= budget)).any(1)
    keep |= member.sum(1) == 1
    return member[keep], gain[keep]

"""Who is who in the frames of a recording as an integer programme: every detection in exactly one group (compose).

A group of several views is worth the sum of the gains of its pairs, a detection alone nothing. What a pair gains is
said by the rays of its joints, in this frame and, less, in the frames around it: two detections that were one person
a moment ago are it now.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from dispose.association.decode import SLACK, pack_sets_within
from dispose.association.pairwise import association_of_groups, joint_gaps, pair_distances
from dispose.baselines.integer_programme import best
from dispose.scene.convert import keep_joints
from dispose.scene.frame import Detections, Frame
from dispose.scene.results import Association

FEWEST_COMMON = 3
"""Detections of two frames are compared that show so many joints in common."""

LEAST_NEAR = 0.1
"""Less near detections of two frames say nothing of each other."""


@dataclass(frozen=True)
class ProgrammeConfig:
    """What pairs gain, and how far the programme is pursued.

    Attributes:
        gate_mm: a joint whose rays pass each other at this distance speaks neither for nor against a pair.
        most_loss: what one joint loses at most, in units of what one gains at most: a wrong joint is only wrong.
        half_joints: a pair with so many common joints counts half of one that shares very many.
        window: frames to either side whose gains count.
        share: what all of them together count, at most, beside the frame's own.
        near: keypoints that moved by this share of a person's size from frame to frame are half as near as at rest.
        budget: tuples that are kept while tuples are built, divided among the detections; where that cuts any, the gap
            says it.
        nodes: of branch and bound for a part of a frame; then the best answer so far counts, and the gap says it.
        joints: those whose rays are compared; all where none is named.
    """

    gate_mm: float = 200.0
    most_loss: float = 1.0
    half_joints: float = 3.0
    window: int = 3
    share: float = 0.5
    near: float = 0.1
    budget: int = 8_000
    nodes: int = 20
    joints: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class PairGains:
    """The detections of a frame as one flat list, and what every two of different views gain as one person."""

    view: Int[np.ndarray, " detections"]
    slot: Int[np.ndarray, " detections"]
    gain: Float[np.ndarray, "detections detections"]
    compared: Bool[np.ndarray, "detections detections"]


@dataclass(frozen=True, eq=False)
class Partition:
    """Everybody in exactly one group.

    Attributes:
        group: number of every detection's group.
        worth: of all groups.
        bound: what no partition can be worth more than; the worth where that is proven to be the optimum.
        seconds: of the processor it took.
    """

    group: Int[np.ndarray, " detections"]
    worth: float
    bound: float
    seconds: float = 0.0

    @property
    def gap(self) -> float:
        """By what share of the bound the worth may lie below the optimum; 0: proven."""
        return max(self.bound - self.worth, 0.0) / self.bound if self.bound > 0 else 0.0


@dataclass(frozen=True, eq=False)
class Grouped:
    """An answer for one frame, its seconds of the processor, and how far from the best it may be (`Partition.gap`)."""

    association: Association
    seconds: float = 0.0
    gap: float = 0.0


GroupFrames = Callable[[Sequence[Frame]], Sequence[Grouped]]
"""Who is who in frames that follow each other."""


def group_by_programme(frames: Sequence[Frame], config: ProgrammeConfig) -> list[Grouped]:
    """Every frame's programme with what the frames around it say, as far as they are among `frames`."""
    if config.joints:
        frames = [Frame(one.number, one.cameras, keep_joints(one.detections, config.joints)) for one in frames]
    found = []
    gains, clock = [], []
    for frame in frames:
        start = time.process_time()
        gains.append(pair_gains(frame, config))
        clock.append(time.process_time() - start)
    step = min((b.number - a.number for a, b in pairwise(frames)), default=1)
    links = _Links(frames, config.near)
    for row, frame in enumerate(frames):
        start = time.process_time()
        rows = range(max(row - config.window, 0), min(row + config.window + 1, len(frames)))
        around = [r for r in rows if r != row and abs(frames[r].number - frame.number) <= config.window * step]
        said = [(gains[other], links.between(row, other)) for other in around]
        own = with_neighbours(gains[row], said, config.share)
        answer = solve_partition(own.gain, own.view, config.budget, config.nodes)
        took = time.process_time() - start + clock[row]
        pairs = association_of_groups(pair_distances(frame), answer.group, gate_mm=config.gate_mm)
        found.append(Grouped(pairs, took, answer.gap))
    return found


def pair_gains(frame: Frame, config: ProgrammeConfig) -> PairGains:
    """``n / (n + half) · mean over the n common joints of max(1 - d / gate, -most_loss)``; 0 without common joints."""
    gaps = joint_gaps(frame)
    one = (1 - gaps.mm / config.gate_mm).clamp(min=-config.most_loss)
    common = gaps.both.sum(-1)
    value = torch.where(gaps.both, one, 0.0).sum(-1) / (common + config.half_joints)
    gain = np.zeros((len(gaps.view), len(gaps.view)))
    compared = np.zeros(gain.shape, dtype=bool)
    a, b = gaps.first.numpy(), gaps.second.numpy()
    gain[a, b] = gain[b, a] = value.numpy()
    compared[a, b] = compared[b, a] = (common > 0).numpy()
    return PairGains(gaps.view.numpy(), gaps.slot.numpy(), gain, compared)


def with_neighbours(
    own: PairGains, said: Sequence[tuple[PairGains, Float[np.ndarray, "_ _ _"]]], share: float
) -> PairGains:
    """The gains of a frame with the mean of what the frames around it say of the same detections, times `share`.

    A neighbour's pair counts as much as both of its detections are near to ours.
    """
    total, weight = np.zeros_like(own.gain), np.zeros_like(own.gain)
    for other, near in said:
        if not len(own.view) or not len(other.view):
            continue
        same = own.view[:, None] == other.view
        link = np.where(same, near[own.view[:, None], own.slot[:, None], other.slot], 0.0)
        total += link @ other.gain @ link.T
        weight += link @ other.compared.astype(float) @ link.T
    gain = own.gain + share * total / np.maximum(weight, 1.0)
    gain[own.view[:, None] == own.view] = 0.0
    return PairGains(own.view, own.slot, gain, own.compared)


class _Links:
    """How near the detections of two frames are to each other, computed once for every two frames."""

    def __init__(self, frames: Sequence[Frame], near: float) -> None:
        self._frames, self._near = frames, near
        self._known: dict[tuple[int, int], Float[np.ndarray, "views slots others"]] = {}

    def between(self, row: int, other: int) -> Float[np.ndarray, "views slots others"]:
        """From the detections of one frame to those of another."""
        key = (min(row, other), max(row, other))
        if key not in self._known:
            first, second = (self._frames[at].detections for at in key)
            self._known[key] = nearness(first, second, self._near)
        return self._known[key] if row < other else self._known[key].transpose(0, 2, 1)


def nearness(one: Detections, other: Detections, half: float) -> Float[np.ndarray, "views slots others"]:
    """``1 / (1 + (m / half)²)``, m the median way of the common joints over the person's size, of mutual best matches.

    0 for others, for less than `FEWEST_COMMON` joints, and below `LEAST_NEAR`.
    """
    shown, also = one.visible & one.valid[..., None], other.visible & other.valid[..., None]
    if not shown.shape[1] or not also.shape[1]:
        return np.zeros((len(shown), shown.shape[1], also.shape[1]))
    size = (_extent(one, shown)[:, :, None] + _extent(other, also)[:, None]) / 2
    both = shown[:, :, None] & also[:, None]
    way = (one.xy_image[:, :, None] - other.xy_image[:, None]).norm(dim=-1)
    moved = torch.where(both, way, torch.nan).nanmedian(-1).values / size.clamp(min=1.0)
    near = torch.where(both.sum(-1) >= FEWEST_COMMON, 1 / (1 + (moved / half) ** 2), 0.0)
    mutual = (near == near.amax(2, keepdim=True)) & (near == near.amax(1, keepdim=True)) & (near >= LEAST_NEAR)
    return torch.where(mutual, near, 0.0).double().numpy()


def _extent(people: Detections, shown: torch.Tensor) -> torch.Tensor:
    """Diagonal of the box around everybody's joints, pixels."""
    low = torch.where(shown[..., None], people.xy_image, torch.inf).amin(2)
    high = torch.where(shown[..., None], people.xy_image, -torch.inf).amax(2)
    return torch.where(shown.any(-1), (high - low).norm(dim=-1), 0.0)


def solve_partition(
    gain: Float[np.ndarray, "detections detections"],
    view: Int[np.ndarray, " detections"],
    budget: int,
    nodes: int | None = None,
) -> Partition:
    """The partition of greatest worth, at most one detection of a view in a group.

    Parts that no positive gain joins are solved by themselves; one that is a group without a negative pair is its own
    optimum. For the others the tuples that could be in an optimum are listed and packed (HiGHS).
    """
    start, group = time.process_time(), np.arange(len(view))
    count, label = connected_components(csr_array(gain > 0), directed=False)
    worth = bound = 0.0
    for part in range(count):
        rows = np.flatnonzero(label == part)
        inner = gain[np.ix_(rows, rows)]
        if len(np.unique(view[rows])) == len(rows) and (inner >= 0).all():
            group[rows], total = rows[0], inner.sum() / 2
            worth, bound = worth + total, bound + total
            continue
        member, value, whole = candidate_groups(inner, view[rows], budget)
        packing = pack_sets_within(value, member, nodes)
        own = np.arange(len(rows))
        for row in np.flatnonzero(packing.chosen):
            own[member[row]] = member[row].argmax()
        found = float(value[packing.chosen].sum())
        if packing.bound > found + SLACK or not whole:
            own, found = improved(own, inner, view[rows])
        group[rows], worth = rows[own], worth + found
        bound += packing.bound if whole else max(packing.bound, _most(inner, view[rows]))
    return Partition(group, worth, bound, time.process_time() - start)


def candidate_groups(
    gain: Float[np.ndarray, "detections detections"], view: Int[np.ndarray, " detections"], budget: int
) -> tuple[Bool[np.ndarray, "tuples detections"], Float[np.ndarray, " tuples"], bool]:
    """The tuples that an optimum can hold, what they are worth, and whether that is all of them.

    In an optimum every member gains by the rest of its group, or it would be better off alone. Tuples are built view by
    view; one is kept while every member gains or can still gain by the best of the views to come, and among these, for
    every detection, as many of the best that hold it as fit into `budget`.
    """
    count, whole = len(view), True
    member, worth = np.zeros((0, count), dtype=bool), np.zeros(0)
    views = np.unique(view)
    hope = np.zeros((count, len(views) + 1))
    for at in range(len(views) - 1, -1, -1):
        hope[:, at] = hope[:, at + 1] + gain[:, view == views[at]].max(1).clip(min=0)
    own = np.zeros((0, count))
    for at, v in enumerate(views):
        new = np.flatnonzero(view == v)
        parent, column = np.divmod(np.arange(len(member) * len(new)), max(len(new), 1))
        added = new[column]
        joined, more = member[parent], own[parent, added]
        joined[np.arange(len(parent)), added] = True
        single = np.zeros((len(new), count), dtype=bool)
        single[np.arange(len(new)), new] = True
        gained = np.concatenate([own, own[parent] + gain[added], gain[new]])
        member = np.concatenate([member, joined, single])
        worth = np.concatenate([worth, worth[parent] + more, np.zeros(len(new))])
        able = ((gained + hope[:, at + 1] > 0) | ~member).all(1)
        member, worth, own = member[able], worth[able], gained[able]
        kept, fewer = best(member, worth, max(budget // count, 1))
        if len(kept) < len(member):
            whole = False
            own = kept.astype(np.float64) @ gain
        member, worth = kept, fewer
    useful = (worth > SLACK) & (member.sum(1) >= 2)
    return member[useful], worth[useful], whole


def improved(
    group: Int[np.ndarray, " detections"],
    gain: Float[np.ndarray, "detections detections"],
    view: Int[np.ndarray, " detections"],
) -> tuple[Int[np.ndarray, " detections"], float]:
    """Groups, and what they are worth, after every detection has moved to where it gains most, until none moves.

    For parts whose optimum is not proven; a detection moves to a group without one of its view, or goes alone.
    """
    group, count = group.copy(), len(group)
    moved = True
    while moved:
        moved = False
        for one in range(count):
            gains = np.bincount(group, weights=gain[one], minlength=count)
            gains[group[view == view[one]]] = -np.inf
            free = np.setdiff1d(np.arange(count), group)
            here = gain[one, group == group[one]].sum()
            best_group = int(gains.argmax())
            if max(gains[best_group], 0.0) > here + SLACK:
                moved = True
                group[one] = best_group if gains[best_group] > 0 else free[0]
    worth = gain[group[:, None] == group].sum() / 2
    return group, float(worth)


def _most(gain: Float[np.ndarray, "detections detections"], view: Int[np.ndarray, " detections"]) -> float:
    """What no partition is worth more than: everybody with the best of every other view, half of it each."""
    return sum(float(gain[:, view == v].max(1).clip(min=0).sum()) for v in np.unique(view)) / 2

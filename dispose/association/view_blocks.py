"""Many views in small blocks: each is decided as a frame of its own, and the blocks' pairs make the groups.

Tuples over all views do not scale: a person whom twenty views see has a million partial tuples. Blocks of four views
hold few, every one of them is what the network was trained on, and blocks that overlap say twice who is together.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from dispose.association.evidence import Placement
from dispose.association.packing import PackedDetections
from dispose.association.viewpoint import Viewpoints
from dispose.scene.results import Association, AssociationResult, Hypotheses
from dispose.tensors import ABSENT

DIRECT_VIEWS = 5
"""Up to so many views that see somebody are decided together."""

BLOCK_VIEWS = 4
ROUNDS = 3
"""So many times every view is in a block. Two rounds lose a point of pair F1 where cameras are badly calibrated."""

LEAST_GAIN = 1e-9
"""What moving a detection has to gain: rounding must not move it back and forth."""

NEWS = 0.1
"""How much less a view is worth to a block for every earlier block with one of its views."""

LEAST_OVERLAP = 1e-3
"""What a view is worth that shares nobody: the block has to be filled."""

SPREAD = (5**0.5 - 1) / 2
"""Views are taken in steps of the golden section through their order, so that blocks are not of neighbours alone."""


def share_people(packed: PackedDetections, seen: Viewpoints, placement: Placement) -> Float[np.ndarray, "views views"]:
    """Share of the detections of one view of a frame whose bodies the other could see, in quarters; symmetric."""
    body = seen.centre + placement.log_depth.double().exp()[:, None] * seen.axes[:, 2]
    xy, front = packed.cameras[0].project(body)
    sees = (packed.cameras[0].inside(xy) & front).double().T
    total = sees.new_zeros(len(packed.cameras), len(packed.cameras)).index_add(0, packed.view, sees)
    share = total / torch.bincount(packed.view, minlength=len(total)).clamp(min=1)[:, None]
    return ((2 * (share + share.T)).round() / 4).cpu().numpy()


def view_blocks(overlap: Float[np.ndarray, "views views"]) -> list[list[int]]:
    """Blocks of views: in each of `ROUNDS` rounds every view is in one of at most `BLOCK_VIEWS`.

    A block grows by the view that shares most of its people with it and has met least of it in earlier blocks.

    Args:
        overlap: share of the people of one view that the other could see.
    """
    views = len(overlap)
    count = -(-views // BLOCK_VIEWS)
    sizes = [views // count + (block < views % count) for block in range(count)]
    spread = np.argsort((SPREAD * np.arange(views)) % 1.0, kind="stable").tolist()
    met = np.zeros((views, views))
    blocks = []
    for _ in range(ROUNDS):
        left = list(spread)
        # Whom a view has met, and whom those have: both are less news than the others.
        worth = (overlap + LEAST_OVERLAP) * NEWS ** (met + (met @ met > 0))
        for size in sizes:
            block = [left.pop(0)]
            while len(block) < size:
                block.append(left.pop(int(worth[left][:, block].sum(1).argmax())))
            blocks.append(sorted(block))
            met[np.ix_(block, block)] += 1
    return blocks + _links(met, overlap)


def _links(met: Float[np.ndarray, "views views"], overlap: Float[np.ndarray, "views views"]) -> list[list[int]]:
    """Further blocks of two views each, so that all views that share people are connected."""
    links = []
    while True:
        _, part = connected_components(met, directed=False)
        apart = np.where(part[:, None] != part, overlap, 0.0)
        if not apart.any():
            return links
        links.append([int(view) for view in sorted(np.unravel_index(apart.argmax(), apart.shape))])
        met[np.ix_(links[-1], links[-1])] += 1


def join_blocks(
    blocks: list[list[int]], found: list[AssociationResult], valid: Bool[Tensor, "views slots"], threshold: float
) -> AssociationResult:
    """Groups over all views from what was weighed in blocks of them.

    A pair counts once for every block that holds both its views; a tuple's cost, cue and mass are the mean over the
    blocks that list it.

    Args:
        blocks: the views of every block.
        found: what was weighed there.
        valid: which slots of the frame hold a detection.
        threshold: probability above which two detections are better grouped than apart.
    """
    weighed = [_widen(one.hypotheses, block, len(valid)) for block, one in zip(blocks, found, strict=True)
               if one.hypotheses is not None]  # fmt: skip
    if not weighed:
        nobody = torch.zeros(0, len(valid), dtype=torch.long, device=valid.device)
        return AssociationResult(Association(nobody, torch.zeros(0, dtype=torch.float64, device=valid.device)))
    number = torch.where(valid, valid.flatten().cumsum(0).view(valid.shape) - 1, ABSENT)
    view, slot = valid.nonzero(as_tuple=True)
    together = torch.zeros(len(valid), len(valid), dtype=torch.float64, device=valid.device)
    for block in blocks:
        rows = torch.tensor(block, device=valid.device)
        together[rows[:, None], rows] += 1
    times = together[view[:, None], view] * (view[:, None] != view)
    marginal = sum_pairs(weighed, [one.marginal for one in weighed], number)
    sampled = sum_pairs(weighed, [one.mass[-1] for one in weighed], number)
    gain = (marginal + sampled) / 2 - threshold * times
    label = torch.from_numpy(group_pairs(gain.cpu().numpy(), view.cpu().numpy())).to(valid.device)
    members = label.new_full((int(label.max()) + 1, len(valid)), ABSENT)
    members[label, view] = slot
    members = members[(members != ABSENT).sum(1) >= 2]
    probability = marginal / times.clamp(min=1)
    return AssociationResult(Association(members, _confidence(members, number, probability, times)), _merge(weighed))


def sum_pairs(
    weighed: list[Hypotheses], mass: list[Float[Tensor, " _"]], number: Int[Tensor, "views slots"]
) -> Float[Tensor, "detections detections"]:
    """Mass of all tuples of all blocks that hold both detections."""
    count = int(number.max()) + 1
    out = torch.zeros(count * count, dtype=torch.float64, device=number.device)
    view = torch.arange(len(number), device=number.device)
    for one, weight in zip(weighed, mass, strict=True):
        detection = torch.where(one.members == ABSENT, ABSENT, number[view, one.members.clamp(min=0)])
        both = (detection != ABSENT)[:, :, None] & (detection != ABSENT)[:, None]
        both &= ~torch.eye(len(number), dtype=torch.bool, device=number.device)
        key = detection[:, :, None] * count + detection[:, None]
        out.index_add_(0, key[both], weight.double()[:, None, None].expand(both.shape)[both])
    return out.view(count, count)


def group_pairs(
    gain: Float[np.ndarray, "detections detections"], view: Int[np.ndarray, " detections"]
) -> Int[np.ndarray, " detections"]:
    """A group for every detection, at most one of a view in each: great total gain of the pairs within groups.

    The exact optimum is out of reach (correlation clustering). Groups are joined in falling order of what joining them
    gains, then single detections move to the group that gains most, until nothing does (greedy additive edge
    contraction, Keuper et al. 2015, with the moves of Kernighan and Lin).
    """
    apart = view[:, None] != view
    gain = np.where(apart, gain, 0.0)
    label, between = np.arange(len(view)), np.where(apart, gain, -np.inf)
    while len(view):
        one, other = np.unravel_index(np.argmax(between), between.shape)
        if not between[one, other] > 0:
            break
        between[one] += between[other]
        between[:, one] = between[one]
        between[other] = between[:, other] = between[one, one] = -np.inf
        label[label == other] = one
    _move_single(label, gain, view)
    return np.unique(label, return_inverse=True)[1]


def _move_single(
    label: Int[np.ndarray, " detections"],
    gain: Float[np.ndarray, "detections detections"],
    view: Int[np.ndarray, " detections"],
) -> None:
    """The detection that gains most goes to another group, or to none, in place, until nothing gains."""
    rows = np.arange(len(label))
    while len(label):
        groups = label.max() + 2  # the last one is empty
        inside, taken = np.zeros((len(label), groups)), np.zeros((view.max() + 1, groups), dtype=bool)
        inside[rows, label], taken[view, label] = 1.0, True
        worth = gain @ inside
        more = np.where(taken[view], -np.inf, worth - worth[rows, label][:, None])
        one, group = np.unravel_index(more.argmax(), more.shape)
        if more[one, group] <= LEAST_GAIN:
            return
        label[one] = group


def _confidence(
    members: Int[Tensor, "groups views"], number: Int[Tensor, "views slots"], probability: Tensor, times: Tensor
) -> Float[Tensor, " groups"]:
    """Mean probability of being one person over a group's pairs that some block looked at."""
    detection = number[torch.arange(len(number), device=number.device), members.clamp(min=0)]
    there = members != ABSENT
    pairs = (there[:, :, None] & there[:, None]).tril(-1)
    looked = pairs & (times[detection[:, :, None], detection[:, None]] > 0)
    total = torch.where(looked, probability[detection[:, :, None], detection[:, None]], 0.0).sum((1, 2))
    return (total / looked.sum((1, 2)).clamp(min=1)).clamp(0, 1)


def _widen(weighed: Hypotheses, block: list[int], views: int) -> Hypotheses:
    """The same with all views of the frame as columns."""
    members = weighed.members.new_full((len(weighed.members), views), ABSENT)
    members[:, block] = weighed.members
    return Hypotheses(members, weighed.cost, weighed.cue, weighed.marginal, weighed.time, weighed.mass, weighed.dropped)


def _merge(weighed: list[Hypotheses]) -> Hypotheses:
    """Every tuple once, in lexicographic order, its numbers the mean over the blocks that list it."""
    members, row = torch.unique(torch.cat([one.members for one in weighed]), dim=0, return_inverse=True)
    count = torch.bincount(row).double()

    def mean(values: Tensor) -> Tensor:
        return values.new_zeros(*values.shape[:-1], len(count)).index_add(-1, row, values) / count.to(values.dtype)

    cost, cue, marginal = (
        mean(torch.cat(values)) for values in zip(*((one.cost, one.cue, one.marginal) for one in weighed), strict=True)
    )
    mass = mean(torch.cat([one.mass for one in weighed], 1))
    return Hypotheses(members, cost, cue, marginal, weighed[0].time, mass, sum(one.dropped for one in weighed))

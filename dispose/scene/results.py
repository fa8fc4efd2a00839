"""What is said of frames: groups, skeletons, what was weighed (and which of it is worth keeping), and who says it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Frame, Labels, Poses
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT, TensorStruct


@dataclass(frozen=True, eq=False)
class Association(TensorStruct):
    """Disjoint groups of detections that are one person, with a confidence in [0, 1].

    `members` holds the slot of every group in every view, `ABSENT` where it is not seen.
    """

    members: Int[Tensor, "persons views"]
    confidence: Float[Tensor, " persons"]

    def __len__(self) -> int:
        return self.members.shape[0]


@dataclass(frozen=True, eq=False)
class Prediction(TensorStruct):
    """Groups and their skeletons, row by row the same persons.

    Attributes:
        number: the frame's number.
        association: who is who.
        poses: where every joint is; `poses.id` is stable over time after tracking.
        root: the skeleton's reference point of every person, mm (NaN where it is not known).
    """

    number: int
    association: Association
    poses: Poses
    root: Float[Tensor, "persons 3"]

    @property
    def score(self) -> Float[Tensor, " persons"]:
        """How sure one may be of a person: that they are right (`Poses.score`), else that these detections are one."""
        return self.association.confidence if self.poses.score is None else self.poses.score


@dataclass(frozen=True, eq=False)
class Hypotheses(TensorStruct):
    """The candidate tuples of one frame and how the reverse diffusion moved their mass.

    Attributes:
        members: the slot of every tuple in every view, `ABSENT` where it leaves a view out.
        cost: geometric cost of every tuple (`dispose_kernels.candidates`; chi-square summed over the joints).
        cue: geometric score of every tuple in [0, 1].
        marginal: mass that the network gave every tuple before sampling: how probable it is by itself.
        time: diffusion time of every recorded step, 1 = noise, 0 = decided.
        mass: mass of every tuple at every step; the last row is the decision.
        dropped: how many further tuples were weighed and are not listed here.
    """

    members: Int[Tensor, "tuples views"]
    cost: Float[Tensor, " tuples"]
    cue: Float[Tensor, " tuples"]
    marginal: Float[Tensor, " tuples"]
    time: Float[Tensor, " steps"]
    mass: Float[Tensor, "steps tuples"]
    dropped: int = 0


@dataclass(frozen=True, eq=False)
class AssociationResult(TensorStruct):
    """An answer and what it was chosen from.

    Attributes:
        association: who is who.
        hypotheses: what was weighed; None where nothing was, as in classic associators or frames that hardly see.
        frame: with the detections that the members count, where the associator found them itself, in images.
    """

    association: Association
    hypotheses: Hypotheses | None = None
    frame: Frame | None = None


Associate = Callable[[Sequence[Frame]], Sequence[AssociationResult]]
"""Who is who in each of some frames; a frame's answer does not depend on the others."""

Reconstruct = Callable[[Sequence[Frame], Sequence[Association]], Sequence[Prediction]]
"""Where every joint is, in the frames that were associated last, in the same order."""


def associate_each(one: Callable[[Frame], Association]) -> Associate:
    """An associator of single frames, which says nothing of what it weighed, as one of several."""
    return lambda frames: [AssociationResult(one(frame)) for frame in frames]


def reconstruct_each(one: Callable[[Frame, Association], Prediction]) -> Reconstruct:
    """A reconstruction of single frames as one of several."""
    return lambda frames, associations: [one(*pair) for pair in zip(frames, associations, strict=True)]


@dataclass(frozen=True, eq=False)
class FrameResult(TensorStruct):
    """One frame of a finished run, with everything that can explain it.

    What a file does not hold is None: people of other programs come without detections, some without cameras.

    Attributes:
        prediction: who was found; members are slots of `frame.detections` where there are detections.
        frame: cameras and detections; None where the cameras are unknown.
        hypotheses: what the diffusion weighed; None where the method has none, or they were not saved.
        reference: who is who by the integer programme on the same detections.
        labels: the truth. Only metrics and pictures look at it.
    """

    prediction: Prediction
    frame: Frame | None = None
    hypotheses: Hypotheses | None = None
    reference: Association | None = None
    labels: Labels | None = None

    @property
    def cameras(self) -> Cameras | None:
        """The cameras, if known."""
        return None if self.frame is None else self.frame.cameras

    @property
    def detections(self) -> Detections | None:
        """The detections, if known."""
        return None if self.frame is None else self.frame.detections


@dataclass(frozen=True, eq=False)
class Results:
    """A finished run: all its frames in order.

    Attributes:
        name: what the run was about, such as the capture's folder.
        method: who answered, such as "ours" or "integer programme".
        skeleton: what the joint axis of the predictions means.
        cases: one per frame, frame numbers rising.
        notes: sentences about what the files do not hold, or what was left out.
    """

    name: str
    method: str
    skeleton: Skeleton
    cases: tuple[FrameResult, ...]
    notes: tuple[str, ...] = ()


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

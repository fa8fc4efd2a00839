"""What geometry can tell without a network: every possible tuple of some frames, judged by the truth."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.association import cues
from dispose.association.evidence import pair_misfit
from dispose.models.dispose.associator import Associator, FrameEvidence
from dispose.released.candidates import RootPoints, released_cue, reprojection_error
from dispose.scene.frame import Frame
from dispose.scene.labels import identities
from dispose.scene.results import Prediction
from dispose.tensors import ABSENT
from dispose_kernels.candidates import join

EVERYTHING = 1e12
"""A limit that nothing reaches."""


@dataclass(frozen=True)
class CandidateStages:
    """How many tuples of two or more detections are left after every stage of one frame.

    All that are possible; those whose detections are allowed together two by two; those that also fit as a whole; and
    the candidates, which are those kept within the budget of every detection.
    """

    possible: int
    paired: int
    fitting: int
    kept: int


@dataclass(frozen=True, eq=False)
class Judged:
    """Tuples of two or more detections of several frames.

    Attributes:
        size: number of members.
        misfit: chi-square per degree of freedom.
        cue: our geometric score in [0, 1].
        released: the released score of the same tuples' root points; NaN where a member shows no hips.
        pure: all members are truly one person.
        whole: they are all detections of that person.
    """

    size: Int[np.ndarray, " tuples"]
    misfit: Float[np.ndarray, " tuples"]
    cue: Float[np.ndarray, " tuples"]
    released: Float[np.ndarray, " tuples"]
    pure: Bool[np.ndarray, " tuples"]
    whole: Bool[np.ndarray, " tuples"]


def stages(frame: Frame, associator: Associator) -> CandidateStages | None:
    """How the candidates of one frame come about; None where fewer than two views see anybody."""
    described = associator.described(frame)
    if described is None:
        return None
    evidence, limits = described.evidence, associator.config.candidates
    allowed = pair_misfit(evidence, cap=cues.MISFIT_CAP) <= limits.pair_limit
    counts = described.frame.detections.counts.tolist()
    possible = math.prod(count + 1 for count in counts) - 1 - sum(counts)
    found = []
    for limit, budget in ((EVERYTHING, None), (limits.member_limit, None), (limits.member_limit, limits.budget)):
        kept = join(evidence, allowed, cap=cues.MISFIT_CAP, limit=limit, budget=budget, gain=limits.gain)
        found.append(int(((kept.members != ABSENT).sum(1) > 1).sum()))
    return CandidateStages(possible, *found)


def pair_table(
    frame: Frame, truth: Prediction, associator: Associator
) -> tuple[Float[Tensor, "detections detections"], Int[Tensor, " detections"]]:
    """Mean capped chi-square of every two detections (infinite within a view), and who each truly is.

    Detections come view by view in the frame's own order, those that repeat another one left out.
    """
    described = associator.described(frame)
    if described is None:
        return torch.zeros(0, 0, dtype=torch.float64), torch.zeros(0, dtype=torch.long)
    back = torch.tensor(described.order).argsort()
    misfit = pair_misfit(described.evidence, cap=cues.MISFIT_CAP)[back][:, :, back]
    valid = described.frame.detections.valid[back]
    return misfit.flatten(2)[valid][:, valid.flatten()], identities(frame, truth)[valid]


def judge(frames: Sequence[Frame], truth: Sequence[Prediction], associator: Associator) -> Judged:
    """All possible tuples of two or more detections of some frames: many for many views, so choose a few frames."""
    parts = list(_judged_frames(frames, truth, associator))
    columns = [np.concatenate([part[k] for part in parts]) for k in range(6)] if parts else [np.zeros(0)] * 6
    return Judged(columns[0].astype(int), *columns[1:4], *(column.astype(bool) for column in columns[4:]))


def _judged_frames(
    frames: Sequence[Frame], truth: Sequence[Prediction], associator: Associator
) -> Iterator[tuple[np.ndarray, ...]]:
    known = {true.number: true for true in truth}
    for frame in frames:
        described = associator.described(frame)
        if described is None:
            continue
        detections = described.frame.detections
        slots = detections.valid.shape
        anything = torch.ones(*slots, *slots, dtype=torch.bool)
        members = join(described.evidence, anything, cap=cues.MISFIT_CAP, limit=EVERYTHING).members
        size = (members != ABSENT).sum(1)
        members, size = members[size > 1], size[size > 1]
        fused = cues.fuse(described.evidence, members, detections.visible)
        misfit = fused.misfit.sum(1) / cues.degrees_of_freedom(fused).clamp(min=1)
        identity = identities(frame, known[frame.number])[list(described.order)]
        pure, whole = purity(members, identity)
        parts = (size, misfit, cues.noise_normalised_cue(fused), released_scores(described, members), pure, whole)
        yield tuple(part.numpy() for part in parts)


def purity(
    members: Int[Tensor, "tuples views"], identity: Int[Tensor, "views slots"]
) -> tuple[Bool[Tensor, " tuples"], Bool[Tensor, " tuples"]]:
    """Whether all members of a tuple are one person, and whether they are all that there is of the person."""
    there = members != ABSENT
    who = identity[torch.arange(members.shape[1]), members.clamp(min=0)]
    first = torch.where(there, who, torch.iinfo(torch.long).max).amin(1)
    pure = (~there | (who == first[:, None])).all(1) & (first != ABSENT)
    total = (identity[None] == first[:, None, None]).any(2).sum(1)
    return pure, pure & (there.sum(1) == total)


def released_scores(described: FrameEvidence, members: Int[Tensor, "tuples views"]) -> Float[Tensor, " tuples"]:
    """The released score from the middle of the hips; NaN where a member does not show them."""
    frame = described.frame
    rows = frame.detections.skeleton.indices(frame.detections.skeleton.root_of)
    xy = frame.detections.xy_image[:, :, rows].mean(2).double()
    shown = frame.detections.visible[:, :, rows].all(-1)
    points = RootPoints(frame.cameras, xy, frame.detections.score.double(), shown)
    there = members != ABSENT
    usable = (~there | shown[torch.arange(members.shape[1]), members.clamp(min=0)]).all(1)
    error = reprojection_error(points, members)
    score = released_cue(error, there.sum(1), members.shape[1])
    return torch.where(usable, score, torch.nan)


def separation(score: Float[np.ndarray, " tuples"], right: Bool[np.ndarray, " tuples"]) -> float:
    """Probability that a right tuple scores higher than a wrong one (equal scores count half); NaN without both."""
    known = np.isfinite(score)
    good, bad = score[known & right], np.sort(score[known & ~right])
    if not len(good) or not len(bad):
        return math.nan
    below = (np.searchsorted(bad, good, side="left") + np.searchsorted(bad, good, side="right")) / 2
    return float(below.mean() / len(bad))

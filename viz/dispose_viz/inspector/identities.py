"""Who has every detection of a frame, and whose it is: the people of a result and those of the truth, one to one."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from scipy.optimize import linear_sum_assignment

from dispose.metrics.detection import best_pairs
from dispose.scene.results import FrameResult
from dispose.tensors import ABSENT
from dispose_workbench.failures.facts import FrameFacts

Members = tuple[int, ...]
"""A tuple of detections: the slot of every view, `ABSENT` where it leaves a view out."""


@dataclass(frozen=True, eq=False)
class IdentityMatch:
    """Every detection of a frame: who has it, and whose it is.

    Attributes:
        row: the predicted person's row, `ABSENT` = nobody's.
        identity: the true person's number, `ABSENT` = nobody's or not known.
        ids: of the predicted people.
        truth_of: for every predicted person the true number that most of it is, `ABSENT` where none.
        truths: numbers of the true people, rising.
    """

    row: Int[np.ndarray, "views slots"]
    identity: Int[np.ndarray, "views slots"]
    ids: Int[np.ndarray, " persons"]
    truth_of: Int[np.ndarray, " persons"]
    truths: tuple[int, ...]

    @property
    def owner(self) -> Int[np.ndarray, "views slots"]:
        """The predicted person's id of every detection, `ABSENT` = nobody's."""
        return np.append(self.ids, ABSENT)[self.row]

    @property
    def missed(self) -> tuple[int, ...]:
        """True people for whom nobody was predicted."""
        return tuple(number for number in self.truths if number not in self.truth_of)

    @property
    def swapped(self) -> Bool[np.ndarray, "views slots"]:
        """Detections of a known person that were given to another."""
        meant = np.append(self.truth_of, ABSENT)[self.row]
        return (self.row != ABSENT) & (self.identity != ABSENT) & (meant != self.identity)

    @property
    def lost(self) -> Bool[np.ndarray, "views slots"]:
        """Detections of somebody seen in two or more views that nobody was given."""
        several = [number for number in self.truths if (self.identity == number).any(1).sum() >= 2]
        return (self.row == ABSENT) & np.isin(self.identity, several)

    def true_members(self, number: int) -> Members:
        """All detections of a true person; of two in one view the first."""
        seen = self.identity == number
        return tuple(np.where(seen.any(1), seen.argmax(1), ABSENT).tolist()) if seen.size else ()

    def true_color(self, number: int) -> int:
        """The id whose colour a true person takes: that of who was predicted for them, else one that nobody has."""
        rows = np.flatnonzero(self.truth_of == number)
        if len(rows):
            return int(self.ids[rows[-1]])
        return int(self.ids.max(initial=ABSENT)) + 1 + self.missed.index(number)


def match_identities(result: FrameResult) -> IdentityMatch:
    """Match predicted people with true ones: by the detections they share, else by where they stand."""
    facts, labels, ids = FrameFacts(result), result.labels, result.prediction.poses.id.numpy()
    shape = (0, 0) if result.detections is None else tuple(result.detections.valid.shape)
    row, identity = np.full(shape, ABSENT), np.full(shape, ABSENT)
    if names_detections(result):
        for place, person in facts.row_of.items():
            row[place.view, place.slot] = person
    if labels is not None and tuple(labels.identity.shape) == shape:
        identity = labels.identity.numpy()
    truths = [] if labels is None else sorted({*labels.poses.id.tolist(), *identity[identity != ABSENT].tolist()})
    shared = np.array([[((row == p) & (identity == t)).sum() for t in truths] for p in range(len(ids))])
    shared = shared.reshape(len(ids), len(truths)).astype(float)
    truth_of = np.full(len(ids), ABSENT)
    for person, truth in zip(*linear_sum_assignment(-shared), strict=True):
        if shared[person, truth] > 0:
            truth_of[person] = truths[truth]
    if labels is not None and facts.has_truth:
        taken = (truth_of != ABSENT)[:, None] | np.isin(labels.poses.id.numpy(), truth_of)
        error = facts.error_mm.masked_fill(torch.from_numpy(taken), torch.inf)
        for person, truth in zip(*best_pairs(error), strict=True):
            truth_of[int(person)] = int(labels.poses.id[truth])
    return IdentityMatch(row, identity, ids, truth_of, tuple(truths))


def names_detections(result: FrameResult) -> bool:
    """Whether members are slots of the result's detections: other programs name none, or others."""
    members = result.prediction.association.members
    if result.detections is None or members.shape[1] != result.detections.valid.shape[0]:
        return False
    return not len(members) or 0 <= int(members.max()) < result.detections.valid.shape[1]

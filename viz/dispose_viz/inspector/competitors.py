"""What a frame was decided on: who has every detection and whose it is, who is in doubt, and which tuples competed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from scipy.optimize import linear_sum_assignment

from dispose.association.reconstruct import reconstruct_frame
from dispose.metrics.detection import best_pairs
from dispose.scene.results import Association, FrameResult
from dispose.tensors import ABSENT
from dispose_workbench.failures.facts import FrameFacts

TRUTH = "truth"
REFERENCE = "integer programme"

Members = tuple[int, ...]
"""A tuple of detections: the slot of every view, `ABSENT` where it leaves a view out."""


@dataclass(frozen=True, eq=False)
class IdentityMatch:
    """Every detection of a frame: who has it (`row` of the predicted person), and whose it is (`identity`).

    `ABSENT` = nobody's or not known. For every predicted person (`ids`) `truth_of` is the true number that most of it
    is, among the `truths`, rising.
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


@dataclass(frozen=True)
class Competitor:
    """A tuple that could be one person.

    Attributes:
        members: slot of every view, `ABSENT` where it leaves a view out.
        sources: who holds it to be a person: the method, ``truth T3``, the integer programme; else it was a candidate.
        person: the predicted id whose tuple it is, `ABSENT` = none.
        row: its place among the hypotheses, `ABSENT` where it was no candidate; then all that follows but the error
            is NaN.
        error_px: mean distance of its keypoints from its own triangulated joints; NaN where none can be triangulated.
        cost: geometric cost.
        cue: geometric score in [0, 1].
        before: mass before sampling.
        after: mass when it was decided.
    """

    members: Members
    sources: tuple[str, ...]
    person: int
    row: int
    error_px: float
    cost: float = np.nan
    cue: float = np.nan
    before: float = np.nan
    after: float = np.nan

    @property
    def is_true(self) -> bool:
        """Whether this is a person of the truth."""
        return any(source.startswith(TRUTH) for source in self.sources)


def people_to_inspect(result: FrameResult, match: IdentityMatch) -> tuple[tuple[str, Members], ...]:
    """Who can be looked at closely, worst first: a name and a tuple, of every predicted and every missed person."""
    if not names_detections(result):
        return ()
    swapped, lost = match.swapped, match.lost
    found = []
    for row, members in enumerate(result.prediction.association.members.tolist()):
        if set(members) == {ABSENT}:
            continue
        wrong = int((swapped & (match.row == row)).sum())
        missing = int((lost & (match.identity == match.truth_of[row])).sum())
        parts = [f"{wrong} wrong"] * bool(wrong) + [f"{missing} left out"] * bool(missing)
        name = f"P{match.ids[row]}" + (f" ({', '.join(parts)})" if parts else "")
        found.append((wrong + missing, _doubt(result, tuple(members)), name, tuple(members)))
    for number in match.missed:
        seen = match.identity == number
        if seen.any(1).sum() >= 2:
            found.append((int(seen.sum()), 1.0, f"T{number} (missed)", match.true_members(number)))
    ordered = sorted(found, key=lambda one: (-one[0], -one[1]))
    return tuple((name, members) for _, _, name, members in ordered)


def why_no_competitors(result: FrameResult) -> str:
    """Why a frame has no tuples to compare, in a sentence."""
    if not names_detections(result):
        return "no tuples: these results do not say which detections form a person"
    known = "" if result.labels is None else ", and two cameras show nobody of the truth"
    return f"nothing was contested: nobody was predicted{known}"


def why_no_diffusion(result: FrameResult, competitors: Sequence[Competitor], method: str) -> str:
    """Why there is no mass to draw over time, in a sentence; empty where there is some."""
    if result.hypotheses is None:
        return f"no diffusion to show: {method} weighed no tuples, or they were not saved"
    if not competitors:
        return why_no_competitors(result)
    if all(one.row == ABSENT for one in competitors):
        return "no diffusion to show: none of these tuples is among the candidates that were kept"
    return ""


def competitors_of(
    result: FrameResult, match: IdentityMatch, members: Members, method: str, *, most: int = 7
) -> tuple[Competitor, ...]:
    """The tuples that compete for the detections of one: those that somebody decided for first, then the heaviest."""
    if result.frame is None or not members or not names_detections(result):
        return ()
    true = {int(match.identity[view, slot]) for view, slot in enumerate(members) if slot != ABSENT} - {ABSENT}
    decided = result.prediction.association.members.tolist()
    claims = [(method, tuple(one)) for one in decided]
    claims += [(f"{TRUTH} T{number}", match.true_members(number)) for number in sorted(true)]
    if result.reference is not None:
        claims += [(REFERENCE, tuple(one)) for one in result.reference.members.tolist()]
    sources: dict[Members, list[str]] = {}
    for source, one in claims:
        if any(a == b != ABSENT for a, b in zip(one, members, strict=True)):
            mine = sources.setdefault(one, [])
            mine += [source] * (source not in mine)
    for one in _heaviest(result, members):
        if len(sources) >= most:
            break
        sources.setdefault(one, [])
    tuples = list(sources)[:most]
    if not tuples:
        return ()
    single = reconstruct_frame(result.frame, Association(torch.tensor(tuples), torch.ones(len(tuples)).double()))
    distances = FrameFacts(FrameResult(single, result.frame)).reprojection_px
    assert distances is not None, "there are detections, and tuples of as many views"
    errors = distances.flatten(1).nanmean(1).tolist()
    owner = {tuple(one): int(number) for one, number in zip(decided, match.ids, strict=True)}
    return tuple(
        _competitor(result, one, tuple(sources[one]), owner.get(one, ABSENT), error)
        for one, error in zip(tuples, errors, strict=True)
    )


def _competitor(
    result: FrameResult, members: Members, sources: tuple[str, ...], person: int, error_px: float
) -> Competitor:
    row, hypotheses = _row_of(result, members), result.hypotheses
    if row == ABSENT or hypotheses is None:
        return Competitor(members, sources, person, ABSENT, error_px)
    cost, cue, before = (float(values[row]) for values in (hypotheses.cost, hypotheses.cue, hypotheses.marginal))
    after = float(hypotheses.mass[-1, row]) if len(hypotheses.time) else np.nan
    return Competitor(members, sources, person, row, error_px, cost, cue, before, after)


def _doubt(result: FrameResult, members: Members) -> float:
    """How much mass a tuple lacked before sampling, or whether the integer programme has another one."""
    if result.hypotheses is not None:
        row = _row_of(result, members)
        return 1.0 if row == ABSENT else 1.0 - float(result.hypotheses.marginal[row])
    return 0.0 if result.reference is None else float(list(members) not in result.reference.members.tolist())


def _row_of(result: FrameResult, members: Members) -> int:
    """The place of a tuple among the hypotheses, `ABSENT` where it is none."""
    if result.hypotheses is None or result.hypotheses.members.shape[1] != len(members):
        return ABSENT
    rows = (result.hypotheses.members == torch.tensor(members)).all(1).nonzero()
    return int(rows[0, 0]) if len(rows) else ABSENT


def _heaviest(result: FrameResult, members: Members) -> Iterator[Members]:
    """Candidate tuples that hold one of the detections, by the most mass they ever had."""
    if result.hypotheses is None:
        return
    candidates, mine = result.hypotheses.members, torch.tensor(members)
    rows = ((candidates == mine) & (mine != ABSENT)).any(1).nonzero()[:, 0]
    weight = torch.cat([result.hypotheses.marginal[None], result.hypotheses.mass])[:, rows].amax(0)
    for row in rows[torch.argsort(weight, descending=True, stable=True)].tolist():
        yield tuple(candidates[row].tolist())

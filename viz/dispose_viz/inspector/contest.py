"""What one frame was decided on: whose detections are with the wrong person, and which tuples competed for them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from scipy.optimize import linear_sum_assignment

from dispose.association.reconstruct import reconstruct
from dispose.metrics.one_to_one import best_pairs
from dispose.scene.detections import Detections
from dispose.scene.frame import Frame
from dispose.scene.poses import Poses
from dispose.scene.prediction import Association, Prediction
from dispose.scene.results import FrameResult
from dispose.tensors import ABSENT

TRUTH = "truth"
COMPETITOR = "integer programme"

Members = tuple[int, ...]


@dataclass(frozen=True)
class Person:
    """Somebody by the name and colour that every picture of the frame uses.

    Attributes:
        name: ``P2`` for the predicted person with id 2, ``T5`` for person 5 of the truth.
        color: the id whose colour it takes.
    """

    name: str
    color: int


@dataclass(frozen=True, eq=False)
class Verdict:
    """Every detection of a frame: who has it, and whose it is.

    Attributes:
        owner: the predicted person's id, `ABSENT` = nobody's.
        identity: the true person's number, `ABSENT` = nobody's or not known.
        truth_of: for every predicted person (row) the true number that most of it is, `ABSENT` where none.
        people: predicted people by id.
        truths: true people by number, in the predicted person's colour where there is one.
    """

    owner: Int[np.ndarray, "views slots"]
    identity: Int[np.ndarray, "views slots"]
    truth_of: Int[np.ndarray, " persons"]
    people: tuple[tuple[int, Person], ...]
    truths: tuple[tuple[int, Person], ...]

    def person(self, number: int) -> Person:
        """A predicted person."""
        return dict(self.people)[number]

    def true_person(self, number: int) -> Person:
        """A true person."""
        return dict(self.truths)[number]

    @property
    def pairs(self) -> tuple[tuple[Person, Person], ...]:
        """Predicted people and who they truly are."""
        rows = zip(self.people, self.truth_of.tolist(), strict=True)
        return tuple((person, self.true_person(true)) for (_, person), true in rows if true != ABSENT)

    @property
    def missed(self) -> tuple[Person, ...]:
        """True people for whom nobody was predicted."""
        return tuple(person for number, person in self.truths if number not in self.truth_of)

    @property
    def swapped(self) -> Bool[np.ndarray, "views slots"]:
        """Detections of a known person that were given to another."""
        truth = {number: int(true) for (number, _), true in zip(self.people, self.truth_of, strict=True)}
        meant = np.vectorize(lambda owner: truth.get(owner, ABSENT), otypes=[np.int64])(self.owner)
        return (self.owner != ABSENT) & (self.identity != ABSENT) & (meant != self.identity)

    @property
    def lost(self) -> Bool[np.ndarray, "views slots"]:
        """Detections of somebody seen in two or more views that nobody was given."""
        several = [n for n, _ in self.truths if ((self.identity == n).any(1)).sum() >= 2]
        return (self.owner == ABSENT) & np.isin(self.identity, several)


@dataclass(frozen=True)
class Contender:
    """A tuple that somebody holds to be one person.

    Attributes:
        members: slot of every view, `ABSENT` where it leaves a view out.
        said_by: the method, ``truth T3``, the integer programme; empty for a tuple that was only weighed.
        person: the predicted id whose tuple it is, `ABSENT` = none.
        error_px: mean distance of its keypoints from its own triangulated joints; NaN where none can be triangulated.
        cost: geometric cost; NaN where it was no candidate.
        cue: geometric score in [0, 1]; NaN where it was no candidate.
        before: mass before sampling; NaN where it was no candidate.
        after: mass when it was decided; NaN where it was no candidate.
        row: its place among the hypotheses, `ABSENT` where it was no candidate.
    """

    members: Members
    said_by: tuple[str, ...]
    person: int
    error_px: float
    cost: float
    cue: float
    before: float
    after: float
    row: int

    @property
    def right(self) -> bool:
        """Whether this is a person of the truth."""
        return any(word.startswith(TRUTH) for word in self.said_by)


def verdict_of(case: FrameResult) -> Verdict:
    """Match predicted people with true ones: by the detections they share, else by where they stand."""
    ids = [int(i) for i in case.prediction.poses.id]
    views, slots = (0, 0) if case.detections is None else case.detections.valid.shape
    owner, identity = np.full((views, slots), ABSENT), np.full((views, slots), ABSENT)
    if _speak_of(case.prediction.association, case.detections):
        for number, members in zip(ids, case.prediction.association.members.tolist(), strict=True):
            for view, slot in enumerate(members):
                if slot != ABSENT:
                    owner[view, slot] = number
    labels = case.labels
    if labels is not None and labels.identity.shape == identity.shape:
        identity = labels.identity.numpy().copy()
    truths = [] if labels is None else sorted({*labels.poses.id.tolist(), *identity[identity != ABSENT].tolist()})
    shared = np.array([[float(((owner == p) & (identity == t)).sum()) for t in truths] for p in ids])
    truth_of = _matched(shared.reshape(len(ids), len(truths)), truths)
    if labels is not None:
        _fill_by_place(truth_of, case.prediction.poses, labels.poses)
    people = tuple((number, Person(f"P{number}", number)) for number in ids)
    return Verdict(owner, identity, truth_of, people, tuple(_named(truths, ids, truth_of)))


def _speak_of(association: Association, detections: Detections | None) -> bool:
    """Whether members are slots of these detections: other programs name none, or others."""
    if detections is None or association.members.shape[1] != detections.valid.shape[0]:
        return False
    return not len(association) or 0 <= int(association.members.max()) < detections.valid.shape[1]


def _matched(shared: np.ndarray, truths: list[int]) -> Int[np.ndarray, " persons"]:
    """The true person of every row, one to one, with the most shared detections."""
    out = np.full(shared.shape[0], ABSENT)
    for row, column in zip(*linear_sum_assignment(-shared), strict=True):
        if shared[row, column] > 0:
            out[row] = truths[column]
    return out


def _fill_by_place(truth_of: Int[np.ndarray, " persons"], predicted: Poses, truth: Poses) -> None:
    """Give people without a common detection the true person who stands where they stand."""
    shared = [j for j in predicted.skeleton.joints if j in truth.skeleton.joints]
    if not shared:
        return
    mine, theirs = predicted.skeleton.indices(tuple(shared)), truth.skeleton.indices(tuple(shared))
    both = predicted.valid[:, None, mine] & truth.valid[None, :, theirs]
    gap = (predicted.xyz_world[:, None, mine].double() - truth.xyz_world[None, :, theirs].double()).norm(dim=-1)
    both &= torch.isfinite(gap)
    mean = torch.where(both, gap, 0.0).sum(-1) / both.sum(-1).clamp(min=1)
    error = torch.where(both.any(-1), mean, torch.inf)
    taken = set(truth_of.tolist())
    error[truth_of != ABSENT] = torch.inf
    error[:, [int(i) in taken for i in truth.id]] = torch.inf
    for row, column in zip(*best_pairs(error), strict=True):
        truth_of[int(row)] = int(truth.id[column])


def _named(truths: list[int], ids: list[int], truth_of: Int[np.ndarray, " persons"]) -> Iterator[tuple[int, Person]]:
    """True people in the colour of who was predicted for them; the others get a colour that nobody has."""
    known = {int(true): number for number, true in zip(ids, truth_of, strict=True) if true != ABSENT}
    free = max([*ids, ABSENT]) + 1
    for true in truths:
        if true in known:
            yield true, Person(f"T{true}", known[true])
        else:
            yield true, Person(f"T{true}", free)
            free += 1


def contests_of(case: FrameResult, verdict: Verdict) -> tuple[tuple[str, Members], ...]:
    """Who can be looked at closely, worst first: a name and a tuple, of every predicted and every missed person."""
    if case.detections is None or not _speak_of(case.prediction.association, case.detections):
        return ()
    swapped, lost = verdict.swapped, verdict.lost
    found = []
    for row, (_, person) in enumerate(verdict.people):
        members = tuple(case.prediction.association.members[row].tolist())
        if set(members) == {ABSENT}:
            continue
        wrong = sum(bool(swapped[v, s]) for v, s in enumerate(members) if s != ABSENT)
        mine = lost & (verdict.identity == verdict.truth_of[row]) if verdict.truth_of[row] != ABSENT else lost & False
        doubt = _doubt(case, members)
        missing = int(mine.sum())
        parts = [f"{wrong} wrong"] * bool(wrong) + [f"{missing} left out"] * bool(missing)
        what = f" ({', '.join(parts)})" if parts else ""
        found.append((wrong + missing, doubt, f"{person.name}{what}", members))
    for true, person in verdict.truths:
        seen = verdict.identity == true
        if true not in verdict.truth_of and seen.any(1).sum() >= 2:
            members = tuple(int(np.flatnonzero(row)[0]) if row.any() else ABSENT for row in seen)
            found.append((int(seen.sum()), 1.0, f"{person.name} (missed)", members))
    ordered = sorted(found, key=lambda f: (-f[0], -f[1]))
    return tuple((name, members) for _, _, name, members in ordered)


def nothing_contested(case: FrameResult) -> str:
    """Why a frame has no contest, in a sentence."""
    if case.detections is None or not _speak_of(case.prediction.association, case.detections):
        return "no tuples: these results do not say which detections form a person"
    known = "" if case.labels is None else ", and two cameras show nobody of the truth"
    return f"nothing was contested: nobody was predicted{known}"


def nothing_moved(case: FrameResult, contenders: Sequence[Contender], method: str) -> str:
    """Why there is no mass to draw over time, in a sentence; empty where there is some."""
    if case.hypotheses is None:
        return f"no diffusion to show: {method} weighed no tuples, or they were not saved"
    if not contenders:
        return nothing_contested(case)
    if all(one.row == ABSENT for one in contenders):
        return "no diffusion to show: none of these tuples is among the candidates that were kept"
    return ""


def _doubt(case: FrameResult, members: Members) -> float:
    """How much mass a tuple lacked before sampling, or whether the integer programme has another one."""
    row = _row_of(case, members)
    if case.hypotheses is not None:
        return 1.0 if row == ABSENT else 1.0 - float(case.hypotheses.marginal[row])
    if case.reference is not None:
        return float(list(members) not in case.reference.members.tolist())
    return 0.0


def contenders_of(
    case: FrameResult, verdict: Verdict, members: Members, method: str, *, most: int = 7
) -> tuple[Contender, ...]:
    """The tuples that compete for the detections of one: those that somebody decided for first, then the heaviest."""
    if case.frame is None or not _speak_of(case.prediction.association, case.detections):
        return ()
    said: dict[Members, list[str]] = {}
    true = {verdict.identity[v, s] for v, s in enumerate(members) if s != ABSENT} - {ABSENT}
    for name, tuples in (
        (method, [tuple(m) for m in case.prediction.association.members.tolist()]),
        *((f"{TRUTH} T{number}", [_true_tuple(verdict, int(number))]) for number in sorted(true)),
        (COMPETITOR, [] if case.reference is None else [tuple(m) for m in case.reference.members.tolist()]),
    ):
        for one in tuples:
            if _meet(one, members) and name not in said.setdefault(one, []):
                said[one].append(name)
    for one in _heaviest(case, members):
        if len(said) >= most:
            break
        said.setdefault(one, [])
    errors = _errors_px(case.frame, list(said))
    owner = {tuple(m): int(i) for m, i in zip(
        case.prediction.association.members.tolist(), case.prediction.poses.id, strict=True)}  # fmt: skip
    listed = list(said)[:most]
    return tuple(
        _contender(case, one, tuple(said[one]), owner.get(one, ABSENT), error)
        for one, error in zip(listed, errors, strict=False)
    )


def _true_tuple(verdict: Verdict, number: int) -> Members:
    """All detections of a true person; of two in one view the first."""
    seen = verdict.identity == number
    return tuple(int(np.flatnonzero(row)[0]) if row.any() else ABSENT for row in seen)


def _meet(a: Members, b: Members) -> bool:
    return any(x == y != ABSENT for x, y in zip(a, b, strict=True))


def _heaviest(case: FrameResult, members: Members) -> Iterator[Members]:
    """Candidate tuples that hold one of the detections, by the most mass they ever had."""
    if case.hypotheses is None:
        return
    mine = torch.tensor(members)
    meets = ((case.hypotheses.members == mine) & (mine != ABSENT)).any(1)
    weight = torch.maximum(case.hypotheses.marginal, case.hypotheses.mass.amax(0)) if len(meets) else meets.double()
    for row in torch.argsort(torch.where(meets, weight.double(), -1.0), descending=True, stable=True).tolist():
        if not meets[row]:
            return
        yield tuple(case.hypotheses.members[row].tolist())


def _row_of(case: FrameResult, members: Members) -> int:
    """The place of a tuple among the hypotheses, `ABSENT` where it is none."""
    if case.hypotheses is None or case.hypotheses.members.shape[1] != len(members):
        return ABSENT
    rows = (case.hypotheses.members == torch.tensor(members)).all(1).nonzero()
    return int(rows[0, 0]) if len(rows) else ABSENT


def _errors_px(frame: Frame, tuples: list[Members]) -> list[float]:
    """Mean reprojection error of every tuple by itself, pixels."""
    if not tuples:
        return []
    members = torch.tensor(tuples)
    alone = reconstruct(frame, Association(members, torch.ones(len(tuples), dtype=torch.float64)))
    return [reprojection_px(frame, alone, row) for row in range(len(tuples))]


def reprojection_px(frame: Frame, prediction: Prediction, row: int) -> float:
    """Mean distance of a person's keypoints from the person's joints in the pictures; NaN where there are none."""
    poses, found = prediction.poses, frame.detections
    shared = tuple(j for j in poses.skeleton.joints if j in found.skeleton.joints)
    ours, theirs = poses.skeleton.indices(shared), found.skeleton.indices(shared)
    views = [(v, s) for v, s in enumerate(prediction.association.members[row].tolist()) if s != ABSENT]
    if not views or not shared:
        return float("nan")
    view, slot = (torch.tensor(part) for part in zip(*views, strict=True))
    xy, front = frame.cameras.project(poses.xyz_world[row].double())
    both = found.visible[view, slot][:, theirs] & (poses.valid[row] & front)[view][:, ours]
    gap = (xy[view][:, ours] - found.xy_image[view, slot][:, theirs].double()).norm(dim=-1)
    both &= torch.isfinite(gap)
    return float(gap[both].mean())


def _contender(
    case: FrameResult, members: Members, said_by: tuple[str, ...], person: int, error_px: float
) -> Contender:
    row, weighed = _row_of(case, members), case.hypotheses
    if row == ABSENT or weighed is None:
        nan = float("nan")
        return Contender(members, said_by, person, error_px, nan, nan, nan, nan, ABSENT)
    return Contender(
        members,
        said_by,
        person,
        error_px,
        float(weighed.cost[row]),
        float(weighed.cue[row]),
        float(weighed.marginal[row]),
        float(weighed.mass[-1, row]) if len(weighed.time) else float("nan"),
        row,
    )

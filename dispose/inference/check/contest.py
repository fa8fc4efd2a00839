"""Hypotheses about what is wrong with a rig, compared by how well people then agree in frames not fitted on.

Stretches of frames take turns: on one half hypotheses get their numbers, on the other they are compared. The measure is
the mean of ``log(1 + (d/s)²)`` over all joints of people paired between two views (Cauchy: a few wrong pairs, or
joints, decide nothing), the mean over pairs of cameras.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from dispose.inference.check.agreement import CAP, Distances, Witness, agreement, pairs_of, witness_of
from dispose.inference.check.footage import FEWEST_JOINTS, Footage
from dispose.inference.check.recording import people_move
from dispose.scene.cameras import Cameras

LONGEST_STRETCH = 10
FEWEST_STRETCHES = 12
PAIRS_OF_FRAMES = 240
FEWEST_OF_A_HALF, MOST_OF_A_HALF = 24, 80
"""Frames of either half: so that about so many pairs of images are compared."""

MOST_FOR_TIME = 100
"""Frames of either half that lags are fitted on: people move in some of them only, so that it takes more."""

ALL_PAIRS = 7
"""Up to so many cameras every pair is looked at; of more, every camera's with those it shares most people with."""

PARTNERS = 4
SHARPEST, COARSEST = 0.005, 0.03
"""Bounds of the scale of distances, in people's sizes."""


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """What may be wrong, and the rig as it would then be right.

    Attributes:
        kind: key of the kind of fault.
        views: the cameras that are concerned; empty where it is all of them.
        cameras: repaired.
        lags: by how many frames every camera is late.
        freedom: how many numbers were fitted.
        value: the number that says how much: degrees, a factor, frames, row of a list of repairs.
        error: its standard error; 0 where it was chosen from a list.
    """

    kind: str
    views: tuple[int, ...]
    cameras: Cameras
    lags: tuple[float, ...]
    freedom: int = 0
    value: float = 0.0
    error: float = 0.0


@dataclass(frozen=True, eq=False)
class Court:
    """The frames that hypotheses are compared on.

    Attributes:
        footage: what every camera saw.
        learn: frames that numbers are fitted on.
        judge: frames that hypotheses are compared on.
        learn_time: of the same half as `learn`, more frames, that lags are fitted on.
        judge_time: of the same half as `judge`.
        stretch: frames in a row that count as one observation.
        pairs: the pairs of cameras that are looked at.
        rate_hz: frames per second.
        scale: of distances.
        moves: whether anybody moves; of people at rest every lag is as good.
    """

    footage: Footage
    learn: Int[np.ndarray, " learn"]
    judge: Int[np.ndarray, " judge"]
    learn_time: Int[np.ndarray, " learn_more"]
    judge_time: Int[np.ndarray, " judge_more"]
    stretch: int
    pairs: tuple[tuple[int, int], ...]
    rate_hz: float
    scale: float = COARSEST
    moves: bool = True

    @cached_property
    def most(self) -> float:
        """What two cameras lose that share nobody."""
        return float(np.log1p((CAP / self.scale) ** 2))

    def of(self, *views: int) -> tuple[tuple[int, int], ...]:
        """The pairs in which one of some views takes part; all where none is named."""
        return tuple(p for p in self.pairs if p[0] in views or p[1] in views) if views else self.pairs

    def loss(self, found: Distances) -> Float[np.ndarray, " joints"]:
        """Of every joint."""
        return np.log1p((found.away / self.scale) ** 2)


def court_of(footage: Footage, rate_hz: float) -> Court:
    """Frames in which two cameras at least see somebody, in stretches that take turns."""
    there = (footage.seen.sum(-1) >= FEWEST_JOINTS).any(2)
    rows = np.flatnonzero(there.sum(0) >= 2)
    stretch = int(np.clip(len(rows) // FEWEST_STRETCHES, 1, LONGEST_STRETCH))
    half = (np.arange(len(rows)) // stretch) % 2
    views = len(there)
    pairs = pairs_of(views)
    if views > ALL_PAIRS:
        shared = (there[:, None] & there[None]).sum(-1).astype(float)
        np.fill_diagonal(shared, -1.0)
        partners = {(min(v, w), max(v, w)) for v in range(views) for w in shared[v].argsort()[::-1][:PARTNERS].tolist()}
        pairs = tuple(sorted(partners))
    count = int(np.clip(PAIRS_OF_FRAMES // max(len(pairs), 1), FEWEST_OF_A_HALF, MOST_OF_A_HALF))
    learn, judge = (thinned(rows[half == k], count) for k in (0, 1))
    learn_time, judge_time = (thinned(rows[half == k], MOST_FOR_TIME) for k in (0, 1))
    return Court(footage, learn, judge, learn_time, judge_time, stretch, pairs, rate_hz)


def thinned(rows: Int[np.ndarray, " rows"], most: int) -> Int[np.ndarray, " some"]:
    """At most so many of them, spread evenly."""
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).round().astype(int)]


def rig_of(court: Court, cameras: Cameras, lags: Sequence[float]) -> tuple[Witness, ...]:
    """Every camera with what it saw."""
    return tuple(witness_of(court.footage, cameras, v, lags[v]) for v in range(len(cameras)))


def with_scale(court: Court, rig: Sequence[Witness]) -> Court:
    """The same court with the scale at which half the joints of well-matched pairs lie, and who moves beside it."""
    medians = [np.median(np.abs(f.away)) for f in (agreement(rig[a], rig[b], court.learn) for a, b in court.pairs)
               if len(f.away)]  # fmt: skip
    scale = float(np.quantile(medians, 0.25)) if medians else COARSEST
    scale = float(np.clip(scale, SHARPEST, COARSEST))
    return replace(court, scale=scale, moves=people_move(court.footage, court.rate_hz, scale))


@dataclass(frozen=True, eq=False)
class Losses:
    """What a rig loses on the judging frames: by pair of cameras and stretch of time; NaN where nobody is shared."""

    table: Float[np.ndarray, "pairs stretches"]
    most: float

    @property
    def of_pairs(self) -> Float[np.ndarray, " pairs"]:
        """The mean over the stretches of every pair; the most where a pair never shares anybody."""
        known = np.isfinite(self.table)
        total = np.where(known, self.table, 0.0).sum(1) / np.maximum(known.sum(1), 1)
        return np.where(known.any(1), total, self.most)

    @property
    def total(self) -> float:
        """The mean over the pairs."""
        return float(self.of_pairs.mean())

    def gain_over(self, other: "Losses", rows: Sequence[int]) -> tuple[float, float]:
        """By what share less is lost than by another in some pairs, and how many standard errors that is."""
        chosen = list(rows)
        before, after = other.of_pairs[chosen].mean(), self.of_pairs[chosen].mean()
        gap = (other.table - self.table)[chosen]
        known = np.isfinite(gap)
        count = known.sum(0)
        share = float((before - after) / before)
        if (count > 0).sum() < 2:
            return share, 0.0
        mean = np.where(known, gap, 0.0).sum(0)[count > 0] / count[count > 0]
        error = mean.std(ddof=1) / np.sqrt(len(mean))
        return share, float(mean.mean() / max(error, 1e-9))


def losses(court: Court, rig: Sequence[Witness], known: Losses | None = None, changed: Sequence[int] = ()) -> Losses:
    """What a rig loses; of `known` what does not concern the changed cameras (all, where none is named)."""
    row_of = court.judge // court.stretch
    stretches = np.unique(row_of)
    table = np.full((len(court.pairs), len(stretches)), np.nan) if known is None else known.table.copy()
    for row, (a, b) in enumerate(court.pairs):
        if known is not None and changed and a not in changed and b not in changed:
            continue
        found = agreement(rig[a], rig[b], court.judge)
        place = np.searchsorted(stretches, found.frame // court.stretch)
        count = np.bincount(place, minlength=len(stretches))
        total = np.bincount(place, court.loss(found), minlength=len(stretches))
        table[row] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return Losses(table, court.most)


def quick_loss(rig: Sequence[Witness], pairs: Sequence[tuple[int, int]], frames: Int[np.ndarray, " frames"]) -> float:
    """The mean capped distance over some pairs in some frames, people's sizes: to look for where to begin."""
    means = []
    for a, b in pairs:
        found = agreement(rig[a], rig[b], frames)
        means.append(float(np.abs(found.away).mean()) if len(found.away) else CAP)
    return float(np.mean(means)) if means else CAP

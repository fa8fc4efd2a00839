"""Error against shift: how well a camera agrees with the others when its frames are taken earlier or later."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linprog

from dispose.inference.check.agreement import Witness, late
from dispose.inference.check.contest import Court, quick_loss, thinned

SECONDS = 2.0
"""Lags are looked for up to so many seconds to either side,"""

FEWEST_FRAMES = 36
"""but at least up to so many frames,"""

OVERLAP = 0.4
"""while this share of the frames at least is still common to both cameras."""

FRAMES_LOOKED_AT = 24
STEPS_A_SECOND = 12.0
"""People's ways are smooth: between such steps nothing is missed."""

UNTOLD = 1e-4
"""How much every camera is held where it is, beside pairs that count up to 1: those who share nobody tell nothing."""


@dataclass(frozen=True, eq=False)
class LagCurve:
    """The mean distance of one camera's people from the others', in people's sizes, at every shift in frames."""

    lag: Int[np.ndarray, " shifts"]
    distance: Float[np.ndarray, " shifts"]

    @property
    def best(self) -> int:
        """Where it is least."""
        return int(self.lag[self.distance.argmin()])


def farthest_lag(frames: int, rate_hz: float) -> int:
    """By how many frames a camera is shifted at most."""
    wanted = max(round(SECONDS * rate_hz), FEWEST_FRAMES)
    return max(min(wanted, int((1 - OVERLAP) * frames), frames - 5), 0)


class DistancesAtLags:
    """How far people lie apart between two cameras at a lag between them; every such lag is looked at once."""

    def __init__(self, court: Court, rig: Sequence[Witness]) -> None:
        self.rig = rig
        self.rows = thinned(np.sort(np.concatenate([court.learn, court.judge])), 2 * FRAMES_LOOKED_AT)
        self.known: dict[tuple[int, int, int], float] = {}

    def __call__(self, a: int, b: int, between: int) -> float:
        """In people's sizes, where camera b is so many frames later beside camera a than it is now."""
        if (a, b, between) not in self.known:
            pair = (late(self.rig[a], 0.0), late(self.rig[b], self.rig[b].lag - self.rig[a].lag + between))
            self.known[a, b, between] = quick_loss(pair, [(0, 1)], self.rows)
        return self.known[a, b, between]


def searched(distance: Callable[[int], float], most: int, rate_hz: float, centres: Sequence[int] = ()) -> LagCurve:
    """A distance at coarse steps up to the farthest lag first, then at every frame around the best and some others."""
    stride = max(round(rate_hz / STEPS_A_SECOND), 1)
    shifts = set(range(-(most // stride) * stride, most + 1, stride)) | {0}
    value = {lag: distance(lag) for lag in sorted(shifts)}
    if stride > 1:
        for centre in (min(value, key=value.__getitem__), *centres):
            near = range(max(centre - stride + 1, -most), min(centre + stride, most + 1))
            value |= {lag: distance(lag) for lag in near}
    order = np.array(sorted(value))
    return LagCurve(order, np.array([value[lag] for lag in order.tolist()]))


def lag_curves(court: Court, distances: DistancesAtLags, rate_hz: float) -> tuple[LagCurve, ...]:
    """One curve per camera: what all its pairs lose in the mean, closely around the best and the shift as given."""
    most = farthest_lag(len(court.footage), rate_hz)

    def distance(view: int, lag: int) -> float:
        return float(np.mean([distances(a, b, lag if b == view else -lag) for a, b in court.of(view)]))

    curves = []
    for view in range(len(distances.rig)):
        if court.of(view):
            curves.append(searched(partial(distance, view), most, rate_hz, (0,)))
        else:
            curves.append(LagCurve(np.zeros(1, np.int64), np.ones(1)))
    return tuple(curves)


def joint_lags(court: Court, distances: DistancesAtLags, rate_hz: float) -> tuple[int, ...]:
    """By how many frames every camera is late if all may be: what the pairs say, with the least absolute differences.

    A pair counts by how much better it agrees at its best lag than at most others; cameras of which no pair tells stay
    as they are. Those are in time that most cameras are with; where no two are, the first one is.
    """
    most, views = farthest_lag(len(court.footage), rate_hz), len(distances.rig)
    curves = [searched(partial(distances, a, b), most, rate_hz) for a, b in court.pairs]
    usual = [float(np.median(curve.distance)) for curve in curves]
    told = [(one - curve.distance.min()) / max(one, 1e-12) for one, curve in zip(usual, curves, strict=True)]
    weight = np.array([*told, *[UNTOLD] * views])
    between = np.array([*(float(curve.best) for curve in curves), *[0.0] * views])
    ends = np.concatenate([np.zeros((len(curves), views)), np.eye(views)])
    for row, (a, b) in enumerate(court.pairs):
        ends[row, a], ends[row, b] = -1.0, 1.0
    slack = -np.eye(len(ends))
    found = linprog(
        np.concatenate([np.zeros(views), weight]),
        A_ub=np.block([[ends, slack], [-ends, slack]]),
        b_ub=np.concatenate([between, -between]),
        bounds=[(0, 0), *[(-most, most)] * (views - 1), *[(0, None)] * len(ends)],
    )
    lags = np.round(found.x[:views]).astype(int).tolist()
    common, count = Counter(lags).most_common(1)[0]
    return tuple(lag - (common if count > 1 else lags[0]) for lag in lags)

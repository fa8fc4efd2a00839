"""Error against shift: how well a camera agrees with the others when its frames are taken earlier or later."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

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


def lag_curves(court: Court, rig: Sequence[Witness], rate_hz: float) -> tuple[LagCurve, ...]:
    """One curve per camera; coarse steps first, then every frame around the best and around the shift as given.

    Pairs of cameras are compared once per shift between the two.
    """
    rows = thinned(np.sort(np.concatenate([court.learn, court.judge])), 2 * FRAMES_LOOKED_AT)
    most = farthest_lag(len(court.footage), rate_hz)
    stride = max(round(rate_hz / STEPS_A_SECOND), 1)
    known: dict[tuple[int, int, int], float] = {}

    def distance(view: int, lag: int) -> float:
        found = []
        for a, b in court.of(view):
            between = lag if b == view else -lag
            if (a, b, between) not in known:
                pair = (late(rig[a], 0.0), late(rig[b], rig[b].lag - rig[a].lag + between))
                known[a, b, between] = quick_loss(pair, [(0, 1)], rows)
            found.append(known[a, b, between])
        return float(np.mean(found))

    curves = []
    for view in range(len(rig)):
        shifts = set(range(-(most // stride) * stride, most + 1, stride)) | {0}
        if not court.of(view) or not most:
            here = distance(view, 0) if court.of(view) else 1.0
            curves.append(LagCurve(np.zeros(1, np.int64), np.array([here])))
            continue
        value = {lag: distance(view, lag) for lag in sorted(shifts)}
        if stride > 1:
            for centre in (min(value, key=value.__getitem__), 0):
                near = range(max(centre - stride + 1, -most), min(centre + stride, most + 1))
                value |= {lag: distance(view, lag) for lag in near}
        order = np.array(sorted(value))
        curves.append(LagCurve(order, np.array([value[lag] for lag in order.tolist()])))
    return tuple(curves)

"""What is wrong with a rig, fault after fault: the best hypothesis is carried out, then the rest is looked at again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dispose.inference.check.agreement import Witness, witness_of
from dispose.inference.check.contest import (
    Court,
    Hypothesis,
    Losses,
    court_of,
    losses,
    quick_loss,
    rig_of,
    with_scale,
)
from dispose.inference.check.footage import Footage
from dispose.inference.check.hypotheses import of_one_camera, of_the_whole_rig
from dispose.inference.check.lags import DistancesAtLags, LagCurve, joint_lags, lag_curves
from dispose.inference.check.one_camera import LAG, TURN, altered, fit_camera, fit_late_camera
from dispose.scene.cameras import Cameras

MOST_FAULTS = 4
LEAST_GAIN = 0.05
"""A fault that is worth naming takes this share of the loss of its pairs of cameras away,"""

LEAST_GAIN_OF_TIME = 0.015
"""(or this share, where a camera is late: who stands still at the time says nothing),"""

LEAST_SURENESS = 3.5
"""and that is this many standard errors, over stretches of frames that it was not fitted on. Of a lag it is the lag
itself that is so many standard errors long: where people stand still it takes nothing off, so that the gain varies."""

SAME_LAG = 0.5
"""A lag is believed that is the same to so many frames when it is fitted on the other stretches of time."""

ROUNDS_OF_LAGS = 2
"""So often the lags of several cameras are fitted, one after the other;"""

MOST_JOINT_ERROR = 0.6
"""they are believed up to this standard error in frames, and a fifth of the lag: to be off by a frame is better than by
ten."""

LEAST_CLEAR_TURN_DEG = 1.0
"""A turn from here on is believed like a lag: by its length in standard errors, where both halves of the time have it.
Where detectors are noisy it takes less off the loss than `LEAST_GAIN`."""

AS_GOOD = 0.92
"""Of two hypotheses the simpler one is believed that explains this share of what the better one does."""

GROSS = 0.02
"""Mistakes that concern all cameras are looked for where people lie farther apart than this, in their sizes."""

LEAST_RISE = 0.15
"""People stand still where the error rises by less than this share when a camera is shifted;"""

MOST_ERROR = 0.25
"""and a lag is not known whose standard error is more frames than this: it is to be right to half a frame."""

LEAST_ERROR = 0.12
"""Nothing is known better than that: between two frames people are carried on straight, joints are not points."""

LEAST_LATE = 0.4
LEAST_TURN_DEG = 0.6
LEAST_FACTOR = 0.04
SMALL_TURN_DEG = 2.2


@dataclass(frozen=True, eq=False)
class Fault:
    """A hypothesis that held.

    Attributes:
        hypothesis: what is wrong, with the rig as it is right.
        before: distance of people between the cameras that are concerned and the others, in people's sizes.
        after: the same with the repair.
        gain: share of the loss that the repair takes away.
        sureness: in standard errors.
        rivals: other cameras of which one, turned as little, explains about as much.
    """

    hypothesis: Hypothesis
    before: float
    after: float
    gain: float
    sureness: float
    rivals: tuple[int, ...] = ()


@dataclass(frozen=True)
class MeasuredLag:
    """By how many frames a camera is late, with its standard error; `told` is False where that cannot be told."""

    frames: float
    error: float
    told: bool


@dataclass(frozen=True, eq=False)
class RigTrial:
    """What was found about a rig, in the order of what it explains.

    Attributes:
        faults: that were found.
        cameras: repaired.
        lags: by how many frames every camera is late.
        curves: error against shift of every camera, before it was shifted.
        measured: the lag of every camera, beside the repaired others.
        court: the frames that were looked at.
        leaning: small turns of single cameras that each explained much by themselves, before anything was mended.
    """

    faults: tuple[Fault, ...]
    cameras: Cameras
    lags: tuple[float, ...]
    curves: tuple[LagCurve, ...]
    measured: tuple[MeasuredLag, ...]
    court: Court
    leaning: tuple[Fault, ...] = ()


def try_rig(footage: Footage, cameras: Cameras, rate_hz: float) -> RigTrial:
    """Find what is wrong, one fault after the other, and the cameras and lags with which people agree."""
    court = court_of(footage, rate_hz)
    lags = (0.0,) * len(cameras)
    faults: list[Fault] = []
    curves: tuple[LagCurve, ...] = ()
    first: tuple[LagCurve, ...] = ()
    leaning: tuple[Fault, ...] = ()
    suspects, gross = list(range(len(cameras))), False
    for _ in range(MOST_FAULTS):
        rig = rig_of(court, cameras, lags)
        court = with_scale(court, rig)
        known = losses(court, rig)
        whole = list[Hypothesis]()
        # What concerns all cameras is large: it is found first or not at all.
        # Cameras under each other's names may be several: three in a circle are two exchanges.
        again = bool(faults) and faults[-1].hypothesis.kind == "exchanged"
        if (not faults or again) and quick_loss(rig, court.pairs, court.learn) > GROSS:
            whole = list(of_the_whole_rig(court, cameras, lags))
        held = list(_held(court, rig, known, whole))
        fault, together = best_fault(held), list[Fault]()
        if fault is None or fault.after > GROSS:
            distances = DistancesAtLags(court, rig)
            if not curves or gross:
                curves = lag_curves(court, distances, rate_hz)
            single = [h for v in suspects for h in of_one_camera(court, cameras, lags, rig, v, curves[v])]
            held += _held(court, rig, known, single)
            fault = best_fault(held)
            leaning = tuple(one for _, one in held if small_turn(one)) if not faults else leaning
            first = first or curves
            # Who is right beside a wrong camera is right beside a right one too.
            suspects = sorted({h.views[0] for h in single})
            if court.moves and not any(one.hypothesis.kind == "late" for one in faults):
                together = unsynchronised(court, cameras, known, distances, rate_hz)
        found = together or ([fault] if fault else [])
        if not found:
            break
        faults += found
        gross = found[0].before > GROSS
        # What is shown is how late cameras are as they were given, once the rig as a whole is right.
        first = first if len(found[0].hypothesis.views) == 1 else ()
        cameras, lags = found[0].hypothesis.cameras, found[0].hypothesis.lags
        if together:
            # Each beside the others in time: as all were given, no curve would be lowest where its camera is late.
            curves, gross = lag_curves(court, DistancesAtLags(court, rig_of(court, cameras, lags)), rate_hz), False
            first = tuple(replace(one, lag=one.lag + round(lag)) for one, lag in zip(curves, lags, strict=True))
    rig = rig_of(court, cameras, lags)
    late = {fault.hypothesis.views[0] for fault in faults if fault.hypothesis.kind == "late"}
    measured = tuple(
        measured_lag(court, rig, view, still=not court.moves or not curves or flat(curves[view]))
        for view in range(len(rig))
    )
    # Who was found late has shown that people move.
    measured = tuple(replace(one, told=True) if view in late else one for view, one in enumerate(measured))
    lags = tuple(measured[v].frames if v in late else lag for v, lag in enumerate(lags))
    return RigTrial(tuple(faults), cameras, lags, first or curves, measured, court, leaning)


def unsynchronised(
    court: Court, cameras: Cameras, known: Losses, distances: DistancesAtLags, rate_hz: float
) -> list[Fault]:
    """Two or more cameras that are late at once, each as a fault; none where that does not explain enough.

    One after the other they are not found: beside cameras that are late themselves no single lag fits.
    """
    rig = distances.rig
    away = joint_lags(court, distances, rate_hz)
    late = [view for view, lag in enumerate(away) if lag]
    if len(late) < 2:
        return []
    other = [altered(one, np.array([0.0, 0.0, 0.0, 0.0, lag])) for one, lag in zip(rig, away, strict=True)]
    # Each beside the others as they are by then: those for which whole frames were too coarse spoil no other.
    for view in ROUNDS_OF_LAGS * late:
        fit = fit_late_camera(view, other, court.learn_time, court.scale, pairs=court.of(view))
        other[view] = replace(other[view], lag=fit.lag)
    lags = tuple(one.lag for one in other)
    gain, sureness = losses(court, other).gain_over(known, range(len(court.pairs)))
    if gain < LEAST_GAIN or sureness < LEAST_SURENESS:
        return []
    faults = []
    for view in late:
        lag, value = measured_lag(court, other, view, still=False), lags[view] - rig[view].lag
        if abs(lag.frames - lags[view]) > SAME_LAG or lag.error > min(MOST_JOINT_ERROR, abs(value) / 5):
            return []
        before, after = (quick_loss(some, court.of(view), court.judge) for some in (rig, other))
        faults.append(
            Fault(Hypothesis("late", (view,), cameras, lags, 1, value, lag.error), before, after, gain, sureness)
        )
    return faults


def flat(curve: LagCurve) -> bool:
    """Whether it matters little by how much a camera is shifted: people stand still."""
    return bool(np.quantile(curve.distance, 0.9) < (1 + LEAST_RISE) * curve.distance.min())


def measured_lag(court: Court, rig: Sequence[Witness], view: int, *, still: bool) -> MeasuredLag:
    """The lag of one camera, fitted beside a turn of it on either half of the time; nobody can tell of people at rest.

    The error is the largest of what the fits say, half of what the halves differ by, and what the other cameras differ
    by, each by itself. That is not divided by their number: they share this camera's calibration, whatever is wrong
    with it.
    """
    halves = [fit_late_camera(view, rig, rows, court.scale, pairs=court.of(view))
              for rows in (court.learn_time, court.judge_time)] if court.of(view) else []  # fmt: skip
    if not halves or not all(np.isfinite(fit.error[LAG[0]]) for fit in halves):
        return MeasuredLag(rig[view].lag, np.inf, told=False)
    lags, errors = np.array([fit.lag for fit in halves]), np.array([fit.error[LAG[0]] for fit in halves])
    weight = 1 / np.maximum(errors, 1e-3) ** 2
    lag = float((weight * lags).sum() / weight.sum())
    error = float(max(weight.sum() ** -0.5, abs(lags[0] - lags[1]) / 2))
    alone = [fit_late_camera(view, rig, court.learn_time, court.scale, pairs=(pair,))
             for pair in court.of(view)]  # fmt: skip
    known = [fit.lag for fit in alone if np.isfinite(fit.error[LAG[0]]) and fit.error[LAG[0]] < MOST_ERROR]
    if len(known) > 1:
        error = max(error, float(np.std(known, ddof=1)))
    error = float(np.hypot(error, LEAST_ERROR))
    settled = abs(lag - rig[view].lag) < SAME_LAG
    return MeasuredLag(lag, error, told=bool(settled and not still and error < MOST_ERROR))


def best_fault(held: Sequence[tuple[float, Fault]]) -> Fault | None:
    """The simplest fault that explains about as much as the best one does, by what each takes off; None of none."""
    most = max((total for total, _ in held), default=0.0)
    good = [(total, fault) for total, fault in held if total >= AS_GOOD * most]
    if not good:
        return None
    best = min(good, key=lambda item: (item[1].hypothesis.freedom, -item[0]))[1]
    others = {fault.hypothesis.views[0] for _, fault in good if small_turn(fault)} - {*best.hypothesis.views}
    return replace(best, rivals=tuple(sorted(others))) if small_turn(best) else best


def _held(
    court: Court, rig: Sequence[Witness], known: Losses, hypotheses: Sequence[Hypothesis]
) -> Iterator[tuple[float, Fault]]:
    """Hypotheses that are worth naming and sure, each with what it takes off the loss of the whole rig."""
    for one in hypotheses:
        if not matters(one) or (one.kind == "late" and not court.moves):
            continue
        views = one.views or tuple(range(len(rig)))
        other = list(rig)
        for view in views:
            other[view] = witness_of(court.footage, one.cameras, view, one.lags[view])
        found = losses(court, other, known, one.views)
        pairs = court.of(*one.views)
        gain, sureness = found.gain_over(known, [court.pairs.index(pair) for pair in pairs])
        small = one.kind == "late" or (one.kind == "turned" and gain < LEAST_GAIN and one.value >= LEAST_CLEAR_TURN_DEG)
        least = LEAST_GAIN_OF_TIME if small else LEAST_GAIN
        if small and gain >= least:
            sureness = (sureness_of_lag if one.kind == "late" else sureness_of_turn)(court, other, one)
        if gain >= least and sureness >= LEAST_SURENESS:
            before, after = (quick_loss(some, pairs, court.judge) for some in (rig, other))
            yield known.total - found.total, Fault(one, before, after, gain, sureness)


def sureness_of_lag(court: Court, rig: Sequence[Witness], one: Hypothesis) -> float:
    """How many standard errors a lag is long (`measured_lag`); 0 where it is another one on other frames."""
    (view,) = one.views
    lag = measured_lag(court, rig, view, still=False)
    gap = lag.frames - one.lags[view]
    return abs(one.value + gap) / lag.error if abs(gap) <= SAME_LAG else 0.0


def sureness_of_turn(court: Court, rig: Sequence[Witness], one: Hypothesis) -> float:
    """How many standard errors a turn is long when it is fitted anew on the other frames.

    Half of what the two fits differ by is an estimate of the error as well.
    """
    (view,) = one.views
    again = fit_camera(view, rig, TURN, court.judge_time, court.scale, pairs=court.of(view))
    error = max(float(np.degrees(np.linalg.norm(again.error[list(TURN)]))), one.error, again.degrees / 2)
    return one.value / max(error, 1e-9)


def matters(one: Hypothesis) -> bool:
    """Whether a hypothesis says that anything is wrong by more than what nobody would mend."""
    if one.kind == "late":
        return bool(abs(one.value) >= LEAST_LATE and one.error < min(abs(one.value) / 5, MOST_ERROR))
    if one.kind == "turned":
        return bool(one.value >= LEAST_TURN_DEG)
    return one.kind not in ("focal", "resized") or bool(abs(np.log(one.value)) >= LEAST_FACTOR)


def small_turn(fault: Fault) -> bool:
    """Whether a camera is turned by no more than calibrations often are off."""
    return fault.hypothesis.kind == "turned" and fault.hypothesis.value < SMALL_TURN_DEG

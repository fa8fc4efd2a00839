"""One camera against the others: by how much it is turned, its focal length wrong, or its frames late.

Robust Gauss-Newton on the Sampson distances of the people it shares with all others; who is who is decided again as it
goes. The standard errors are clustered by stretches of time, since neighbouring frames err alike, and by the other
camera, since a calibration's error is the same all the time; the larger is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from dispose.inference.check.agreement import CAP, Pairing, Witness, distances, pair_up

TURN = (0, 1, 2)
FOCAL = (3,)
LAG = (4,)
"""Parameters: rotation vector in the camera's axes (radians), logarithm of the focal length, lag in frames."""

STEPS = np.array([1e-4, 1e-4, 1e-4, 1e-4, 1e-2])
LONGEST = np.array([0.06, 0.06, 0.06, 0.08, 1.0])
ROUNDS = 8
STRETCH = 10
"""Frames that count as one observation."""

FEWEST = 40

MOST_FRAMES_ON = 6
"""So many whole frames a lag goes on from where its fit began, at most."""


@dataclass(frozen=True, eq=False)
class CameraFit:
    """One camera as it agrees best with the others.

    Attributes:
        turn: rotation vector that is applied to the camera, in its own axes, radians.
        focal: factor of its focal length.
        lag: in frames.
        error: standard errors of the five parameters (focal: of its logarithm); NaN where not free.
        witness: the camera so.
        loss: the mean of ``log(1 + (d/s)²)`` over the joints that were compared; infinite where they are too few.
    """

    turn: Float[np.ndarray, " 3"]
    focal: float
    lag: float
    error: Float[np.ndarray, " 5"]
    witness: Witness
    loss: float = np.inf

    @property
    def degrees(self) -> float:
        """How far it is turned."""
        return float(np.degrees(np.linalg.norm(self.turn)))


def altered(witness: Witness, values: Float[np.ndarray, " 5"]) -> Witness:
    """A camera turned, with another focal length (its points scaled about the principal point), and later."""
    turn = Rotation.from_rotvec(values[:3]).as_matrix()
    scale = float(np.exp(-values[3]))
    return replace(
        witness,
        rotation=turn @ witness.rotation,
        translation=turn @ witness.translation,
        sharpness=witness.sharpness / scale,
        rays=witness.rays if scale == 1 else witness.rays * scale,
        motion=witness.motion if scale == 1 else witness.motion * scale,
        lag=witness.lag + float(values[4]),
    )


def fit_camera(
    view: int,
    rig: Sequence[Witness],
    free: Sequence[int],
    frames: Int[np.ndarray, " frames"],
    scale: float,
    start: Float[np.ndarray, " 5"] | None = None,
    pairs: Sequence[tuple[int, int]] | None = None,
) -> CameraFit:
    """One camera of a rig as it agrees best with the others in some frames.

    Args:
        view: which camera.
        rig: all of them, as they are.
        free: which parameters may change (`TURN`, `FOCAL`, `LAG`).
        frames: that are looked at.
        scale: distances, in people's sizes, beyond which a joint counts less and less (Cauchy).
        start: where to begin; default at the camera as it is.
        pairs: of cameras that are compared; default it with all others.
    """
    values = np.zeros(5) if start is None else start.copy()
    chosen = list(free)
    others = [v for v in range(len(rig)) if v != view and (pairs is None or (min(v, view), max(v, view)) in pairs)]
    now, pairings = rig[view], list[Pairing]()
    for turn in range(ROUNDS if chosen else 0):
        before, now = now.frames_late, altered(rig[view], values)
        # Slots speak of frames: with another whole lag they are other people's.
        if turn % 2 == 0 or now.frames_late != before:
            pairings = [pair_up(rig[v], now, frames) for v in others]
        away, slope, _, _ = _linear(rig, view, others, pairings, values, chosen)
        if len(away) < FEWEST:
            break
        weight = 1 / (scale**2 + away**2)
        normal = slope.T @ (weight[:, None] * slope)
        normal += 1e-9 * (np.trace(normal) + 1e-30) * np.eye(len(chosen))
        step = -np.linalg.solve(normal, slope.T @ (weight * away))
        values[chosen] += step * min(1.0, float((LONGEST[chosen] / np.maximum(np.abs(step), 1e-12)).min()))
        most = len(rig[view].rays) - 2
        values[4] = np.clip(rig[view].lag + values[4], -most, most) - rig[view].lag
    now = altered(rig[view], values)
    error, loss = np.full(5, np.nan), np.inf
    if chosen:
        pairings = [pair_up(rig[v], now, frames) for v in others]
        away, slope, frame, other = _linear(rig, view, others, pairings, values, chosen)
        error[chosen] = np.maximum(*(_errors(away, slope, group, scale) for group in (frame // STRETCH, other)))
        loss = float(np.log1p((away / scale) ** 2).mean()) if len(away) >= FEWEST else np.inf
    return CameraFit(values[:3], float(np.exp(values[3])), now.lag, error, now, loss)


def fit_late_camera(
    view: int,
    rig: Sequence[Witness],
    frames: Int[np.ndarray, " frames"],
    scale: float,
    start: Float[np.ndarray, " 5"] | None = None,
    pairs: Sequence[tuple[int, int]] | None = None,
) -> CameraFit:
    """`fit_camera` of a turn and a lag, begun anew a whole frame on as long as people agree better there.

    Between two frames people are carried on from the nearer one, so that there is a best place beside every whole
    frame; and where a camera is turned as well the best lag without a turn is another frame's.
    """
    values = np.zeros(5) if start is None else start
    best = fit_camera(view, rig, (*TURN, *LAG), frames, scale, values, pairs)
    for way in (1.0, -1.0):
        for _ in range(MOST_FRAMES_ON):
            there = np.array([*best.turn, 0.0, round(best.lag) + way - rig[view].lag])
            other = fit_camera(view, rig, (*TURN, *LAG), frames, scale, there, pairs)
            if other.loss >= best.loss:
                break
            best = other
    return best


def _linear(
    rig: Sequence[Witness],
    view: int,
    others: Sequence[int],
    pairings: Sequence[Pairing],
    values: Float[np.ndarray, " 5"],
    free: Sequence[int],
) -> tuple[
    Float[np.ndarray, " joints"],
    Float[np.ndarray, "joints free"],
    Int[np.ndarray, " joints"],
    Int[np.ndarray, " joints"],
]:
    """Distances, their derivatives, their frames and their other views; who is capped pulls nowhere."""
    moving = LAG[0] in free
    now = altered(rig[view], values)
    found = [distances(rig[v], now, p, moving=moving) for v, p in zip(others, pairings, strict=True)]
    away = np.concatenate([one.away for one in found])
    slope = np.zeros((len(away), len(free)))
    for column, parameter in enumerate(free):
        nudged = values.copy()
        # A lag stays on the same side of the rounding to whole frames, so that the same frames are compared.
        part = now.lag - now.frames_late
        step = -STEPS[parameter] if parameter == LAG[0] and part > 0 else STEPS[parameter]
        nudged[parameter] += step
        other = altered(rig[view], nudged)
        there = [distances(rig[v], other, p, moving=moving).away for v, p in zip(others, pairings, strict=True)]
        slope[:, column] = (np.concatenate(there) - away) / step
    slope[np.abs(away) >= CAP] = 0.0
    other = np.repeat(np.asarray(others, dtype=np.int64), [len(one.away) for one in found])
    return away, slope, np.concatenate([one.frame for one in found]), other


def _errors(
    away: Float[np.ndarray, " joints"],
    slope: Float[np.ndarray, "joints free"],
    group: Int[np.ndarray, " joints"],
    scale: float,
) -> Float[np.ndarray, " free"]:
    """Standard errors by the sandwich of groups that err alike; infinite where nothing is known, 0 of one group."""
    if len(away) < FEWEST:
        return np.full(slope.shape[1], np.inf)
    weight = 1 / (scale**2 + away**2)
    normal = slope.T @ (weight[:, None] * slope)
    pull = (weight * away)[:, None] * slope
    rows = np.unique(group, return_inverse=True)[1]
    sums = np.zeros((rows.max() + 1, slope.shape[1]))
    np.add.at(sums, rows, pull)
    few = len(sums) / max(len(sums) - 1, 1)
    bread = np.linalg.pinv(normal)
    error = np.sqrt(np.maximum(np.diag(bread @ (few * sums.T @ sums) @ bread), 0.0))
    return np.where(np.diag(normal) > 0, error, np.inf)

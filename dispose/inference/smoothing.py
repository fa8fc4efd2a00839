"""Joints over time: what the frames before and after say of a joint, weighed by how sure each of them is.

A joint moves on as it moved, but for accelerations that are drawn anew all the time (white noise); how strong they are
is known from captured motion. Of that model the Kalman filter and the smoother of Rauch, Tung and Striebel (1965) give
the best places from all frames, and how uncertain they are. A frame that contradicts its neighbours by more than it
claims counts less (Student's t instead of Gauss).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.tensors import TensorStruct

RESTLESSNESS = (
    (("wrist", "ankle", "heel"), 1300.0),
    (("toe",), 1900.0),
    (("elbow", "knee"), 1100.0),
)
"""Root of the spectral density of a joint's acceleration, mm/s^1.5, by words of its name."""

TRUNK = 700.0
"""That of all other joints. Of CMU's motion at 20 Hz, whose second differences have the variance 2/3 q dt³
(`tools/smoothing.py`)."""

LASTING = 0.5
"""Share of a frame's claimed variance that the frames round it have in common (a calibration's error, a detector's idea
of a joint): no number of frames makes it smaller. On synthetic sequences, whose detector's luck lasts, intervals of 50
and 90 % then hold 50 and 88 %; with none in common 33 and 68 % (`tools/smoothing.py`)."""

DEGREES_OF_FREEDOM = 6.0
"""Of the Student's t by which a contradicting frame counts less."""

AT_FIRST_MM_PER_S = 3000.0
"""Standard deviation of the speed before the first frame."""

UNKNOWN_MM2 = 1e8
"""Variance of what a frame does not say."""


@dataclass(frozen=True, eq=False)
class SmoothedJoints(TensorStruct):
    """Joints of one person over frames: places, mm, and covariances, mm²."""

    xyz_world: Float[Tensor, "frames joints 3"]
    covariance: Float[Tensor, "frames joints 3 3"]


def sway(joints: tuple[str, ...]) -> Float[Tensor, " joints"]:
    """Spectral density of the accelerations of joints by their names, mm²/s³."""
    found = []
    for name in joints:
        mine = (value for words, value in RESTLESSNESS if any(word in name for word in words))
        found.append(next(mine, TRUNK))
    return torch.tensor(found, dtype=torch.float64).square()


def smooth_joints(
    xyz_world: Float[Tensor, "frames joints 3"],
    covariance: Float[Tensor, "frames joints 3 3"],
    known: Bool[Tensor, "frames joints"],
    seconds: Float[Tensor, " frames"],
    density: Float[Tensor, " joints"],
) -> SmoothedJoints:
    """The joints of one person by all frames, also where a frame says nothing.

    Args:
        xyz_world: places, mm.
        covariance: what is claimed of them, mm².
        known: which are said.
        seconds: time of every frame, rising.
        density: of the accelerations, from `sway`.
    """
    eye = torch.eye(3, dtype=torch.float64)
    place = torch.where(known[..., None], xyz_world.double(), 0.0)
    noise = torch.where(known[..., None, None], (1 - LASTING) * covariance.double(), UNKNOWN_MM2 * eye)
    state, spread = _before(place, known)
    steps = list[tuple[Tensor, Tensor, Tensor, Tensor, Tensor]]()
    for frame in range(len(known)):
        move, drift = _motion(float(seconds[frame] - seconds[max(frame - 1, 0)]), density)
        ahead, wide = state @ move.mT, move @ spread @ move.mT + drift
        state, spread = _update(ahead, wide, place[frame], noise[frame])
        steps.append((move, ahead, wide, state, spread))
    found, sure = [state], [spread]
    for before, after in zip(reversed(steps[:-1]), reversed(steps[1:]), strict=True):
        move, ahead, wide, _, _ = after
        _, _, _, own, narrow = before
        gain = torch.linalg.solve(wide, move @ narrow).mT
        found.append(own + (gain @ (found[-1] - ahead)[..., None])[..., 0])
        sure.append(narrow + gain @ (sure[-1] - wide) @ gain.mT)
    places, spreads = torch.stack(found[::-1]), torch.stack(sure[::-1])
    claimed = _lasting(covariance.double(), known)
    return SmoothedJoints(places[..., :3], spreads[..., :3, :3] + claimed)


def _before(place: Tensor, known: Tensor) -> tuple[Float[Tensor, "joints 6"], Float[Tensor, "joints 6 6"]]:
    """What is known before the first frame: hardly anything, round where the joint is first said."""
    first = known.int().argmax(0)
    start = place[first, torch.arange(place.shape[1])]
    spread = torch.diag(torch.tensor([1e3**2] * 3 + [AT_FIRST_MM_PER_S**2] * 3, dtype=torch.float64))
    return torch.cat([start, torch.zeros_like(start)], -1), spread.expand(place.shape[1], 6, 6)


def _motion(
    seconds: float, density: Float[Tensor, " joints"]
) -> tuple[Float[Tensor, "6 6"], Float[Tensor, "joints 6 6"]]:
    """How place and speed go on over a time, and the covariance that the accelerations add."""
    eye = torch.eye(3, dtype=torch.float64)
    move = torch.eye(6, dtype=torch.float64)
    move[:3, 3:] = seconds * eye
    rows = [
        torch.cat([seconds**3 / 3 * eye, seconds**2 / 2 * eye], 1),
        torch.cat([seconds**2 / 2 * eye, seconds * eye], 1),
    ]
    return move, density[:, None, None] * torch.cat(rows)


def _update(
    ahead: Float[Tensor, "joints 6"], wide: Float[Tensor, "joints 6 6"], place: Tensor, noise: Tensor
) -> tuple[Float[Tensor, "joints 6"], Float[Tensor, "joints 6 6"]]:
    """The state after what a frame says; by how much it contradicts, it is taken to be noisier."""
    off = place - ahead[:, :3]
    expected = wide[:, :3, :3] + noise
    distance = (off * torch.linalg.solve(expected, off)).sum(-1)
    doubt = ((DEGREES_OF_FREEDOM + distance) / (DEGREES_OF_FREEDOM + 3)).clamp(min=1.0)
    expected = wide[:, :3, :3] + doubt[:, None, None] * noise
    gain = torch.linalg.solve(expected, wide[:, :3, :]).mT
    return ahead + (gain @ off[..., None])[..., 0], wide - gain @ wide[:, :3, :]


def _lasting(covariance: Float[Tensor, "frames joints 3 3"], known: Bool[Tensor, "frames joints"]) -> Tensor:
    """What frames have in common: a share of what they claim, the median over those that say the joint."""
    trace = torch.diagonal(covariance, dim1=-2, dim2=-1).sum(-1)
    usual = torch.where(known, trace, torch.nan).nanmedian(0).values.nan_to_num(UNKNOWN_MM2)
    return LASTING / 3 * usual[:, None, None] * torch.eye(3, dtype=torch.float64)

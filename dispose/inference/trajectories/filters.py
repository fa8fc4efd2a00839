"""The filters that biomechanists know by name, for joints of evenly spaced frames: they look at nothing but the way.

Each takes runs of known places and gives as many back.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d, median_filter

from dispose.errors import InputError

Run = Float[np.ndarray, "frames axes"]
Filter = Callable[[Run, float], Run]
"""From a run of places and the frames per second to the filtered run."""


def butterworth(run: Run, rate_hz: float, *, cutoff_hz: float, order: int) -> Run:
    """A low-pass without lag: a Butterworth filter forwards and backwards.

    `order` is that of both passes together, and `cutoff_hz` is where both together let 1/√2 pass: each pass has a
    higher cut-off (Winter, Biomechanics and Motor Control of Human Movement, 2009). Runs that are too short for
    its start are left as they are.

    Raises:
        InputError: the rate is too low for the cut-off.
    """
    # Imported here: it takes longer than many commands run, and every command would pay for it.
    from scipy.signal import butter, sosfiltfilt

    if 2 * cutoff_hz >= rate_hz:
        raise InputError(
            f"--cutoff-hz is {cutoff_hz:g}; with {rate_hz:g} frames per second it must be below {rate_hz / 2:g}."
        )
    each = order // 2
    # In the frequencies of the bilinear transform, where the formula of one pass is exact.
    higher = math.tan(math.pi * cutoff_hz / rate_hz) / (math.sqrt(2) - 1) ** (0.5 / each)
    stages = np.asarray(butter(each, math.atan(higher) / math.pi * rate_hz, fs=rate_hz, output="sos"))
    start = 3 * (2 * len(stages) + 1)
    pad = min(start + int(rate_hz / cutoff_hz), len(run) - 1)
    return run if len(run) <= start else sosfiltfilt(stages, run, axis=0, padlen=pad)


def gaussian(run: Run, rate_hz: float, *, seconds: float) -> Run:
    """The mean weighed by a Gaussian of that standard deviation."""
    return gaussian_filter1d(run, seconds * rate_hz, axis=0, mode="nearest")


def median(run: Run, rate_hz: float, *, seconds: float) -> Run:
    """The median over a window of that width, an odd number of frames."""
    return median_filter(run, size=(odd_frames(seconds, rate_hz), 1), mode="nearest")


def loess(run: Run, rate_hz: float, *, seconds: float) -> Run:
    """The straight line through the neighbours within a window, weighed by the cube of one minus the cubed distance.

    (Cleveland 1979, without its iterations: what contradicts has been taken out before.) SciPy has none;
    statsmodels' takes one axis at a time and brings pandas along.
    """
    half, frames = odd_frames(seconds, rate_hz) // 2, len(run)
    if half == 0 or frames < 3:
        return run
    offset = np.arange(-half, half + 1)
    weight = (1 - (np.abs(offset) / (half + 1)) ** 3) ** 3
    at = np.arange(frames)[:, None] + offset
    inside = (at >= 0) & (at < frames)
    w, value = weight * inside, run[np.clip(at, 0, frames - 1)]
    total, first, second = w.sum(1), (w * offset).sum(1), (w * offset**2).sum(1)
    mean, slope = (w[..., None] * value).sum(1), ((w * offset)[..., None] * value).sum(1)
    # Of the weighed least squares the value at offset 0.
    return (second[:, None] * mean - first[:, None] * slope) / (total * second - first**2)[:, None]


def odd_frames(seconds: float, rate_hz: float) -> int:
    """The odd number of frames nearest to a width in seconds, at least 1."""
    return 2 * round((seconds * rate_hz - 1) / 2) + 1 if seconds * rate_hz > 1 else 1


@dataclass(frozen=True, eq=False)
class FilteredJoints:
    """Places of all frames, mm; `said`: those in runs of known places and gaps that were to be bridged."""

    xyz_world: Float[np.ndarray, "frames joints 3"]
    said: Bool[np.ndarray, "frames joints"]


def filter_joints(
    xyz_world: Float[np.ndarray, "frames joints 3"],
    known: Bool[np.ndarray, "frames joints"],
    bridge: Bool[np.ndarray, "frames joints"],
    rate_hz: float,
    by: Filter,
) -> FilteredJoints:
    """Every joint's runs, filtered; gaps to be bridged by a curve that does not overshoot (PCHIP).

    Args:
        xyz_world: mm, evenly spaced frames.
        known: which are said.
        bridge: which are to be filled between them; at an end nothing is.
        rate_hz: frames per second.
        by: the filter.
    """
    xyz, said = xyz_world.copy(), known.copy()
    for joint in range(xyz.shape[1]):
        where = np.flatnonzero(known[:, joint])
        if len(where) < 2:
            continue
        between = bridge[:, joint] & (np.arange(len(xyz)) > where[0]) & (np.arange(len(xyz)) < where[-1])
        curve = PchipInterpolator(where, xyz_world[where, joint], axis=0)
        xyz[between, joint] = curve(np.flatnonzero(between))
        said[:, joint] |= between
        edges = np.flatnonzero(np.diff(np.concatenate([[False], said[:, joint], [False]]).astype(int)))
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            xyz[start:stop, joint] = by(xyz[start:stop, joint], rate_hz)
    return FilteredJoints(xyz, said)

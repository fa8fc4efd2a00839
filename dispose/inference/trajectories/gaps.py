"""Gaps: where a person or a joint is away, how long, and which gaps are short enough to be filled."""

from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int


def parts_of(places: list[int], seconds: Float[np.ndarray, " frames"], limit: float) -> list[list[int]]:
    """Frames in which somebody was found, parted where they were away for longer than a limit, seconds.

    Args:
        places: of their frames, rising.
        seconds: of all frames.
        limit: how long a gap may be, from the frame before it to the frame after it, less one frame.
    """
    found: list[list[int]] = [[places[0]]]
    for before, after in pairwise(places):
        absent = seconds[after] - seconds[min(before + 1, after)]
        if absent > limit:
            found.append([])
        found[-1].append(after)
    return found


def bridged(known: Bool[np.ndarray, " frames"], seconds: Float[np.ndarray, " frames"], limit: float) -> Bool[
    np.ndarray, " frames"
]:  # fmt: skip
    """Frames without knowledge that lie in a gap no longer than a limit; at an end of the track half as far."""
    where = np.flatnonzero(known)
    if not len(where):
        return np.zeros_like(known)
    at = np.searchsorted(where, np.arange(len(known)))
    before, after = where[np.maximum(at - 1, 0)], where[np.minimum(at, len(where) - 1)]
    first, last = at == 0, at == len(where)
    step = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 0.0
    gap = seconds[after] - seconds[before] - step
    beyond = 2 * np.where(first, seconds[where[0]] - seconds, seconds - seconds[where[-1]])
    return ~known & (np.where(first | last, beyond, gap) <= limit + 1e-9)


def even_grid(numbers: Int[np.ndarray, " frames"]) -> tuple[Int[np.ndarray, " grid"], Int[np.ndarray, " frames"]]:
    """The evenly spaced numbers that hold all of some, and the place of each among them."""
    step = int(np.gcd.reduce(np.diff(numbers))) if len(numbers) > 1 else 1
    grid = np.arange(numbers[0], numbers[-1] + 1, step)
    return grid, (numbers - numbers[0]) // step

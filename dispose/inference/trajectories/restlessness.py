"""How restless a joint is at every moment, told from a smoothed way: smoothing hides by a known share what it hides.

A joint whose acceleration is white noise of density q, seen every h seconds with an error of variance R, has second
differences of the spectrum ``q h³ (2/3 + cos w / 3)``; the error's are ``R (2 - 2 cos w)²``. A smoother that assumes
``p = q h³ / R`` lets the share ``G = S / (S + 1)`` of every frequency pass. So the energy of the second differences of
what comes out says what went in; and so does which assumption lets exactly as much energy out as the motion has: it is
larger than the truth, or people would move more sluggishly in the files than before the cameras.
"""

from functools import cache

import numpy as np
from jaxtyping import Float


@cache
def _tables() -> tuple[Float[np.ndarray, " ratios"], ...]:
    """Ratios ``p``; what a smoother that assumes them lets out of a motion and of an error; and the best assumption.

    That is, for every true ratio, the one that lets as much energy out as the motion has.
    """
    angle = (np.arange(2000) + 0.5) / 2000 * np.pi
    motion, error = 2 / 3 + np.cos(angle) / 3, (2 - 2 * np.cos(angle)) ** 2
    ratio = np.geomspace(1e-6, 1e5, 221)
    passed = ratio[:, None] * motion / (ratio[:, None] * motion + error)
    of_motion, of_error = (passed**2 * motion).mean(1), (passed**2 * error).mean(1)
    out = ratio[:, None] * of_motion + of_error - ratio[:, None] * motion.mean()
    # The first assumption, from below, that lets enough pass; errors alone would do for the slowest.
    return ratio, of_motion, of_error, ratio[(out >= 0).argmax(1)]


def _at(ratio: Float[np.ndarray, "*batch"], table: Float[np.ndarray, " ratios"]) -> Float[np.ndarray, "*batch"]:
    return np.interp(np.log(ratio), np.log(_tables()[0]), table)


def told_by(
    energy: Float[np.ndarray, "*batch"], assumed: Float[np.ndarray, "*batch"], least: Float[np.ndarray, "*batch"]
) -> Float[np.ndarray, "*batch"]:
    """The ratio ``q h³ / R`` of a motion, told from what a smoother made of it.

    Args:
        energy: mean square of the second differences of the smoothed way, along an axis, in units of R.
        assumed: the ratio that the smoother took for granted.
        least: the answer where the error alone explains the energy.
    """
    _, of_motion, of_error, _ = _tables()
    return np.maximum((energy - _at(assumed, of_error)) / _at(assumed, of_motion), least)


def keeping(ratio: Float[np.ndarray, "*batch"]) -> Float[np.ndarray, "*batch"]:
    """What a smoother has to assume, for the way that comes out to be as restless as the motion."""
    return np.exp(_at(ratio, np.log(_tables()[3])))

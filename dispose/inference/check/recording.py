"""What recordings are worth before any geometry: cameras that see nobody, and cameras whose picture stands still."""

import numpy as np

from dispose.inference.check.footage import FEWEST_JOINTS, Footage
from dispose.tensors import ABSENT

FROZEN_SHARE = 0.9
"""A picture is frozen in which this share of the people do not move at all from frame to frame,"""

SECONDS = 1.0
MOST = 0.75
MOVES = 8.5
"""People move where in so many seconds this share of the joints stays nearer, and the others move farther, than this
many times the scale of distances between views: detectors drift too, but by no more than what they are wrong by."""

ENOUGH_JOINTS = 200
"""that are followed so long in a view; where they are fewer, a shorter time is looked at."""

FEWEST_STEPS = 5
"""of so many at least: a detector never puts a joint at exactly the same place twice."""


def silent_views(footage: Footage) -> tuple[int, ...]:
    """Views in which nobody is ever seen, where others see somebody."""
    there = (footage.seen.sum(-1) >= FEWEST_JOINTS).any((1, 2))
    return tuple(np.flatnonzero(~there).tolist()) if there.any() else ()


def frozen_views(footage: Footage) -> tuple[int, ...]:
    """Views in which almost everybody stays exactly where they are, where others move."""
    shares = np.array([_unmoved(footage, view) for view in range(len(footage.size_px))])
    return tuple(np.flatnonzero(shares >= FROZEN_SHARE).tolist()) if (shares < FROZEN_SHARE).any() else ()


def _unmoved(footage: Footage, view: int) -> float:
    """The share of steps from a frame to the next in which no joint moves."""
    row, slot = np.nonzero(footage.following[view] != ABSENT)
    if len(row) < FEWEST_STEPS:
        return 0.0
    after = footage.following[view][row, slot]
    same = (footage.xy_image[view][row, slot] == footage.xy_image[view][row + 1, after]).all((1, 2))
    return float(same.mean())


def people_move(footage: Footage, rate_hz: float, scale: float) -> bool:
    """Whether people move by more than their detector drifts; True where nobody can be followed.

    Args:
        footage: what the views saw.
        rate_hz: frames per second.
        scale: of the distances between what two views see of one person, in people's sizes.
    """
    views = range(len(footage.size_px))
    for steps in range(max(round(SECONDS * rate_hz), 1), 0, -1):
        travels = [_travel(footage, view, steps) for view in views]
        known = [travel for travel in travels if np.isfinite(travel)]
        if 2 * len(known) > len(travels):
            return bool(np.median(known) > MOVES * scale)
    return True


def _travel(footage: Footage, view: int, steps: int) -> float:
    """How far joints are after some frames, in people's sizes; NaN where too few people are followed so long."""
    row, slot = np.nonzero(footage.following[view] != ABSENT)
    first, now = slot, slot
    begin = row
    for step in range(steps):
        there = begin + step < len(footage) - 1
        begin, first, now = begin[there], first[there], now[there]
        after = footage.following[view][begin + step, now]
        begin, first, now = begin[after != ABSENT], first[after != ABSENT], after[after != ABSENT]
    both = footage.seen[view][begin, first] & footage.seen[view][begin + steps, now]
    gap = footage.xy_image[view][begin + steps, now] - footage.xy_image[view][begin, first]
    far = np.linalg.norm(gap, axis=-1)[both] / footage.size_px[view]
    return float(np.quantile(far, MOST)) if len(far) >= ENOUGH_JOINTS else np.nan

"""What recordings are worth before any geometry: cameras that see nobody, and cameras whose picture stands still."""

import numpy as np

from dispose.inference.check.footage import FEWEST_JOINTS, Footage
from dispose.tensors import ABSENT

FROZEN_SHARE = 0.9
"""A picture is frozen in which this share of the people do not move at all from frame to frame,"""

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

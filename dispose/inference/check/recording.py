"""What recordings are worth before any geometry: cameras that see nobody, and cameras whose picture stands still."""

import numpy as np

from dispose.inference.check.footage import FEWEST_JOINTS, Footage
from dispose.tensors import ABSENT

FROZEN_SHARE = 0.9
"""A picture is frozen in which this share of the people do not move at all from frame to frame,"""

APART = 6
MOVES = 1.2
"""People move where joints are this many times as far from where they were `APART` frames before as from where they
were one frame before: of a detector's noise, which is what is left of people at rest, both are equally large."""

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


def people_move(footage: Footage) -> bool:
    """Whether anybody in any view moves by more than the detector's noise; True where nobody can be followed."""
    ratios = [
        _travel(footage, view, APART) / max(_travel(footage, view, 1), 1e-9) for view in range(len(footage.size_px))
    ]
    known = [ratio for ratio in ratios if np.isfinite(ratio)]
    return not known or max(known) > MOVES


def _travel(footage: Footage, view: int, steps: int) -> float:
    """How far joints are after some frames, the median over everybody followed so long; NaN where nobody is."""
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
    return float(np.median(np.linalg.norm(gap, axis=-1)[both])) if both.sum() >= FEWEST_STEPS else np.nan

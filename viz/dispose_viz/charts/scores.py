"""Scores of several methods over something that makes the task harder."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from dispose_viz.style import PALETTE, dress_chart, theme_of

MARKERS = "osD^vP"


@dataclass(frozen=True)
class Score:
    """One method's score for every group of cases.

    Attributes:
        name: of the method.
        value: one per group, NaN where a group has no case.
    """

    name: str
    value: Float[np.ndarray, " groups"]


def draw_scores(axes: Axes, groups: Sequence[int], scores: Sequence[Score], *, xlabel: str, ylabel: str) -> Axes:
    """One line per method over the groups; the first method is drawn bold and on top."""
    for i, score in enumerate(scores):
        width, size, order = (3.2, 8, 3) if i == 0 else (1.6, 5, 2)
        axes.plot(groups, score.value, marker=MARKERS[i % len(MARKERS)], color=PALETTE[i % len(PALETTE)],
                  linewidth=width, markersize=size, zorder=order, label=score.name)  # fmt: skip
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.set_xticks(list(groups))
    axes.legend(frameon=False, labelcolor=theme_of(axes).ink, fontsize=11)
    return dress_chart(axes)

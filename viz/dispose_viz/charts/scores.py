"""Scores of several methods over something that makes the task harder."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from dispose_viz.style import LIGHT, PALETTE, Theme, dress

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


def draw_scores(
    axes: Axes,
    groups: Sequence[int],
    scores: Sequence[Score],
    *,
    xlabel: str,
    ylabel: str,
    theme: Theme = LIGHT,
) -> Axes:
    """One line per method over the groups; the first method is drawn bold and on top."""
    for i, score in enumerate(scores):
        first = i == 0
        axes.plot(
            groups,
            score.value,
            marker=MARKERS[i % len(MARKERS)],
            color=PALETTE[i % len(PALETTE)],
            linewidth=3.2 if first else 1.6,
            markersize=8 if first else 5,
            zorder=3 if first else 2,
            label=score.name,
        )
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.set_xticks(list(groups))
    axes.grid(color=theme.grid, linewidth=0.6)
    axes.legend(frameon=False, labelcolor=theme.ink, fontsize=11)
    return dress(axes, theme=theme)

"""Charts about many poses of one person: how far joints are spread in which direction, and whether that is honest."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from dispose.metrics.lifting import expected_calibration_error
from dispose_viz.charts.curves import MARKERS
from dispose_viz.style import PALETTE, add_legend, dress_chart, theme_of
from dispose_viz.words import name_columns

DIRECTIONS = ("right", "up", "away from the camera")
STEPS = 41


def draw_deviations(axes: Axes, joints: Sequence[str], xyz: Float[Tensor, "hypotheses joints 3"]) -> Axes:
    """Of every joint three bars: its standard deviation to the right, up, and away from the camera."""
    deviation, places = xyz.std(0).numpy(), np.arange(len(joints))
    for row, (name, values) in enumerate(zip(DIRECTIONS, deviation.T, strict=True)):
        axes.bar(places + 0.27 * (row - 1), values, 0.25, color=PALETTE[row], label=name)
    name_columns(axes, places.tolist(), joints)
    axes.set(ylabel="standard deviation (mm)", xlim=(-0.6, len(joints) - 0.4))
    return dress_chart(add_legend(axes))


@dataclass(frozen=True, eq=False)
class NamedQuantiles:
    """For every true joint the share of the poses that are nearer to their middle than it is (`radial_quantile`)."""

    name: str
    quantile: Float[Tensor, " samples"]


def draw_quantiles(axes: Axes, methods: Sequence[NamedQuantiles]) -> Axes:
    """How many of the truths lie within each share of the poses; on the diagonal the spread is honest.

    Below it poses are too sure of themselves, above it they are spread too widely. The legend has the mean distance
    from the diagonal.
    """
    levels = np.linspace(0, 1, STEPS)
    for place, method in enumerate(methods):
        ordered = np.sort(method.quantile.numpy())
        reached = np.searchsorted(ordered, levels, side="right") / len(ordered)
        error = float(expected_calibration_error(method.quantile))
        axes.plot(levels, reached, marker=MARKERS[place % len(MARKERS)], markevery=5, markersize=8, linewidth=2,
                  color=PALETTE[place % len(PALETTE)], label=f"{method.name}: {error:.3f}", zorder=3)  # fmt: skip
    axes.plot([0, 1], [0, 1], "--", color=theme_of(axes).ink, linewidth=1.4, zorder=2)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="share of the poses that are nearer to their middle")
    axes.set(ylabel="share of the truths within it")
    return dress_chart(add_legend(axes, location="lower right"))

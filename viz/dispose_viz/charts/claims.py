"""What is claimed of errors against what they are: calibration of several methods, and their answers side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from dispose_benchmarks.studies.trust import JudgedJoints
from dispose_viz.charts.curves import MARKERS
from dispose_viz.charts.triangulators import label_ratios
from dispose_viz.style import PALETTE, add_legend, dress_chart, panels, theme_of

GROUPS = 6
"""Joints are ordered by what is claimed of them, and averaged in so many groups of one size."""

FEWEST = 5
"""A group has at least so many joints."""


@dataclass(frozen=True, eq=False)
class NamedClaims:
    """What a method, by its name, claims of joints and what is true: expected and real errors, mm.

    NaN where nothing is claimed, or nothing said at all.
    """

    name: str
    claimed_mm: Float[np.ndarray, " joints"]
    real_mm: Float[np.ndarray, " joints"]


def claims_of(name: str, said: Sequence[JudgedJoints]) -> NamedClaims:
    """What a method said of several people, one joint after the other."""
    claimed, real = (
        np.concatenate([np.zeros(0), *(part.flatten().cpu().numpy() for part in parts)])
        for parts in ([one.claimed_mm for one in said], [one.real_mm for one in said])
    )
    return NamedClaims(name, claimed, real)


def grouped(
    claims: NamedClaims, groups: int = GROUPS
) -> tuple[Float[np.ndarray, " groups"], Float[np.ndarray, " groups"]]:
    """Mean claimed and mean real error of the joints in order of what is claimed, in groups of equal size."""
    both = np.isfinite(claims.claimed_mm) & np.isfinite(claims.real_mm)
    claimed, real = claims.claimed_mm[both], claims.real_mm[both]
    order = np.argsort(claimed, kind="stable")
    count = min(groups, len(order) // FEWEST)
    parts = np.array_split(order, count) if count else []
    return np.array([claimed[part].mean() for part in parts]), np.array([real[part].mean() for part in parts])


def draw_calibration(axes: Axes, methods: Sequence[NamedClaims]) -> Axes:
    """Real over claimed error, a line per method; on the diagonal claims are right, above it too bold."""
    theme, ends = theme_of(axes), list[float]()
    for place, method in enumerate(methods):
        claimed, real = grouped(method)
        if len(claimed):
            ends += [*claimed, *real]
            axes.plot(claimed, real, marker=MARKERS[place % len(MARKERS)], color=PALETTE[place % len(PALETTE)],
                      linewidth=2, markersize=8, label=method.name, zorder=3)  # fmt: skip
    low, high = (min(ends) / 1.3, max(ends) * 1.3) if ends else (1.0, 100.0)
    axes.plot([low, high], [low, high], "--", color=theme.ink, linewidth=1.4, label="as claimed", zorder=2)
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.set(xlabel="claimed error (mm)", ylabel="real error (mm)")
    label_ratios(axes.xaxis, (low, high))
    label_ratios(axes.yaxis, (low, high))
    return dress_chart(add_legend(axes))


@dataclass(frozen=True)
class MeanErrors:
    """What a method says in one case: the mean of the real and of the claimed errors, mm; NaN for none."""

    name: str
    real_mm: float
    claimed_mm: float


def answer_of(name: str, said: Sequence[JudgedJoints]) -> MeanErrors:
    """The means of what a method said of several people; NaN of nothing."""
    both = claims_of(name, said)
    real, claimed = (values[np.isfinite(values)] for values in (both.real_mm, both.claimed_mm))
    return MeanErrors(name, *(float(values.mean()) if len(values) else float("nan") for values in (real, claimed)))


def draw_answers(figure: Figure | SubFigure, cases: Sequence[tuple[str, Sequence[MeanErrors]]]) -> Figure | SubFigure:
    """One panel per case, one row per method: a dot at the real error, a bar at the claimed one, joined by a line.

    A bar left of its dot is a claim that is too bold; without a bar nothing is claimed.
    """
    theme = theme_of(figure)
    numbers = [n for _, answers in cases for a in answers for n in (a.real_mm, a.claimed_mm) if np.isfinite(n)]
    low, high = (min(numbers) / 1.5, max(numbers) * 1.5) if numbers else (1.0, 100.0)
    for place, ((case, answers), axes) in enumerate(zip(cases, panels(figure, len(cases), len(cases)), strict=True)):
        for row, answer in enumerate(answers):
            color = PALETTE[row % len(PALETTE)]
            axes.plot([answer.claimed_mm, answer.real_mm], [row, row], color=color, linewidth=2.5, alpha=0.6)
            axes.plot(answer.real_mm, row, "o", color=color, markersize=12, zorder=4)
            axes.plot(answer.claimed_mm, row, "|", color=theme.ink, markersize=20, markeredgewidth=3, zorder=5)
        axes.set(xscale="log", xlim=(low, high), ylim=(len(answers) - 0.4, -0.6), title=case)
        axes.set(xlabel="mean error of the joints (mm)")
        label_ratios(axes.xaxis, (low, high))
        axes.set_yticks(range(len(answers)), ["" if place else answer.name for answer in answers])
        dress_chart(axes)
    marks = [
        Line2D([], [], marker="o", color=theme.muted, markersize=12, linestyle="none", label="real error"),
        Line2D([], [], marker="|", color=theme.ink, markersize=20, markeredgewidth=3, linestyle="none",
               label="claimed error"),
    ]  # fmt: skip
    figure.legend(handles=marks, loc="outside lower center", ncols=2, frameon=False, labelcolor=theme.ink, fontsize=12)
    return figure

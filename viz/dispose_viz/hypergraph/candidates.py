"""Where candidate tuples come from: pairs that fit, stages that thin them out, and what a score separates."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from torch import Tensor

from dispose.scene.frame import Detections
from dispose.tensors import ABSENT
from dispose_benchmarks.studies.candidates import CandidateStages, Judged
from dispose_viz.hypergraph.candidate_graph import name_views
from dispose_viz.style import MAP, PALETTE, add_colorbar, add_legend, blend, dress, dress_chart, person_color, theme_of

RIGHT, WRONG = PALETTE[0], PALETTE[1]
LEAST_MISFIT = 0.3
"""Pairs that fit better than their noise share one colour."""


def draw_stages(axes: Axes, stages: CandidateStages) -> Axes:
    """How many tuples are left after every stage, on a logarithmic axis."""
    theme = theme_of(axes)
    names = ("possible", "every pair fits", "the whole fits", "best of each detection")
    counts = (stages.possible, stages.paired, stages.fitting, stages.kept)
    least = 10 if min(counts) > 10 else 0.8
    # Zero has no place on a logarithmic axis: its bar has no length, its number stands at the axis.
    shades = [blend(RIGHT, theme.paper, share) for share in (0.6, 0.4, 0.2, 0.0)]
    axes.barh(range(len(names)), np.maximum(counts, 1e-3), color=shades)
    for row, count in enumerate(counts):
        axes.annotate(f"{count:,}", (max(count, least), row), (6, 0), textcoords="offset points", va="center",
                      fontsize=13, color=theme.ink)  # fmt: skip
    axes.set_yticks(range(len(names)), names)
    axes.set(xscale="log", xlabel="tuples of two or more detections", xlim=(least, 4 * max(*counts, 10)),
             title="From all tuples to candidates")  # fmt: skip
    axes.invert_yaxis()
    return dress(axes)


def draw_pair_table(
    axes: Axes,
    misfit: Float[Tensor, "detections detections"],
    identity: Int[Tensor, " detections"],
    detections: Detections,
    cameras: Sequence[str],
    *,
    limit: float,
) -> Axes:
    """Misfit of every two detections; grey pairs are above the limit, a dot is a pair that is truly one person.

    Args:
        axes: gets the table.
        misfit: mean capped chi-square per joint, infinite within a view; detections view by view.
        identity: who every detection is, `ABSENT` = nobody.
        detections: the same detections in their slots, for their numbers.
        cameras: names of the views.
        limit: above which two detections cannot be one person.
    """
    theme = theme_of(axes)
    values = np.where(np.isfinite(misfit.numpy()), misfit.numpy(), np.nan)
    shown = np.ma.masked_where(~(values <= limit), values)
    apart = np.where(values > limit, 1.0, np.nan)
    axes.imshow(apart, cmap="Greys", vmin=0, vmax=3.5, interpolation="nearest")
    drawn = axes.imshow(shown, cmap=f"{MAP}_r", norm=LogNorm(LEAST_MISFIT, limit), interpolation="nearest")
    for row, one in enumerate(identity.tolist()):
        for column, other in enumerate(identity.tolist()):
            if one == other != ABSENT and np.isfinite(values[row, column]):
                axes.plot(column, row, "o", color=person_color(one), markersize=7, markeredgecolor="#FFFFFF")
    view, slot = np.nonzero(detections.valid.numpy())
    names = [f"#{n}" for n in detections.index.numpy()[view, slot].tolist()]
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    for last in name_views(axes, view, cameras):
        axes.axhline(last + 0.5, color=theme.ink, linewidth=1)
    add_colorbar(axes, drawn, "misfit: χ² per joint (grey: above the limit)")
    return dress(axes)


def draw_right_and_wrong(
    axes: Axes,
    score: Float[np.ndarray, " tuples"],
    right: Bool[np.ndarray, " tuples"],
    *,
    words: str,
    bins: Float[np.ndarray, " edges"],
) -> Axes:
    """How often right and wrong tuples have a score; tuples without the score are left out."""
    theme = theme_of(axes)
    known = np.isfinite(score)
    clipped = score.clip(bins[0], bins[-1])
    axes.hist(clipped[known & ~right], bins=bins.tolist(), color=WRONG, alpha=0.55, hatch="//", edgecolor=theme.paper,
              label=f"wrong ({int((known & ~right).sum()):,})")  # fmt: skip
    axes.hist(clipped[known & right], bins=bins.tolist(), color=RIGHT, alpha=0.75, edgecolor=theme.paper,
              label=f"right ({int((known & right).sum()):,})")  # fmt: skip
    axes.set(xlabel=words, ylabel="tuples")
    if known.any():
        axes.set_yscale("log")
    return dress_chart(add_legend(axes))


def draw_cut(
    figure: Figure, judged: Judged, score: Float[np.ndarray, " tuples"], least: float, *, words: str
) -> Figure:
    """What a least score keeps and loses: the scores with the cut, candidates left, people whose tuple is lost."""
    theme = theme_of(figure)
    grid = figure.add_gridspec(1, 2, width_ratios=(2.2, 1))
    axes = figure.add_subplot(grid[0])
    draw_right_and_wrong(axes, score, judged.pure, words=words, bins=np.linspace(0, 1, 41))
    axes.axvline(least, color=theme.alarm, linewidth=3)
    axes.axvspan(0, least, color=theme.alarm, alpha=0.12)
    axes.set(title=f"cut at {least:g}", xlim=(0, 1))
    kept = np.nan_to_num(score, nan=-1.0) >= least
    beside = figure.add_subplot(grid[1])
    bars = ((int(kept.sum()), len(kept), theme.muted),
            (int((judged.whole & ~kept).sum()), int(judged.whole.sum()), theme.alarm))  # fmt: skip
    for place, (count, total, color) in enumerate(bars):
        height = 100 * count / max(total, 1)
        beside.bar([place], [height], color=color)
        beside.annotate(f"{count:,}\nof {total:,}", (place, height), (0, 6), textcoords="offset points", ha="center",
                        fontsize=13, color=theme.ink)  # fmt: skip
    beside.set_xticks([0, 1], ["candidates\nkept", "people whose\nwhole tuple is lost"])
    beside.set(ylim=(0, 125), ylabel="%", xlim=(-0.7, 1.7))
    dress(beside)
    return figure

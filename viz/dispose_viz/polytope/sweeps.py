"""The projection by sweeps made visible: which marginals are off after every step, and how fast that ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from torch import Tensor

from dispose_kernels.sinkhorn import Marginals, carried_mass, marginal_residual, newton_projection, sweep_steps
from dispose_viz.style import add_colorbar, add_legend, dress, dress_chart, theme_of
from dispose_viz.words import name_rows

LOWEST = 1e-12
"""Violations and errors below this are drawn at this."""
LIMIT_TOLERANCE = 1e-12
"""Marginal residual of the converged solver that the sweeps are compared with."""


@dataclass(frozen=True, eq=False)
class SweepErrors:
    """What sweeps over the views do to one sample, after every view's step; row 0 is before the first.

    The violation is what every bin carries too much (+) or too little (-), the residual the largest of these, whatever
    its sign, the error the largest difference of a mass from the converged projection's.
    """

    views: int
    violation: Float[np.ndarray, "states bins"]
    residual: Float[np.ndarray, " states"]
    error: Float[np.ndarray, " states"]
    view_of_bin: tuple[int, ...]

    def after(self, sweeps: int) -> float:
        """The residual that so many whole sweeps leave."""
        return float(self.residual[sweeps * self.views])


def sweep_errors(logits: Float[Tensor, " tuples"], marginals: Marginals, sweeps: int) -> SweepErrors:
    """Take sweeps over one sample's views and measure every state against the converged projection."""
    converged = newton_projection(logits.double(), marginals, tolerance=LIMIT_TOLERANCE)
    states = list(sweep_steps(logits.double(), marginals, sweeps))
    view_of_bin = torch.zeros(len(marginals.target), dtype=torch.long)
    for view, bins in enumerate(marginals.bins.unbind(1)):
        view_of_bin[bins] = view
    return SweepErrors(
        views=marginals.bins.shape[1],
        violation=torch.stack([carried_mass(state, marginals) - marginals.target for state in states]).numpy(),
        residual=np.array([float(marginal_residual(state, marginals).max()) for state in states]),
        error=np.array([float((state - converged.mass).abs().max()) for state in states]),
        view_of_bin=tuple(view_of_bin.tolist()),
    )


def draw_violations(axes: Axes, run: SweepErrors, cameras: Sequence[str], *, sweeps: int = 4) -> Axes:
    """Every bin (row, grouped by view) over the first steps: blue carries too little, red too much, white is right.

    The view whose turn it was is framed: it is white, and the others have moved.
    """
    theme = theme_of(axes)
    shown = min(sweeps * run.views, len(run.residual) - 1)
    order = sorted(range(len(run.view_of_bin)), key=lambda b: run.view_of_bin[b])
    image = run.violation[1 : shown + 1][:, order].T
    drawn = axes.imshow(image, aspect="auto", cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
    views = [run.view_of_bin[b] for b in order]
    edges = [views.index(view) for view in range(run.views)] + [len(views)]
    for view in range(run.views):
        axes.axhline(edges[view] - 0.5, color=theme.muted, linewidth=0.8)
        for step in range(view, shown, run.views):
            corner, height = (step - 0.5, edges[view] - 0.5), edges[view + 1] - edges[view]
            axes.add_patch(Rectangle(corner, 1, height, fill=False, edgecolor=theme.ink, linewidth=1.4))
    middles = [(a + b - 1) / 2 for a, b in pairwise(edges)]
    name_rows(axes, middles, cameras)
    for sweep in range(1, shown // run.views):
        axes.axvline(sweep * run.views - 0.5, color=theme.ink, linewidth=1.2)
    turns = np.arange(0, shown, run.views)
    axes.set_xticks(turns + (run.views - 1) / 2, [f"sweep {k + 1}" for k in range(len(turns))])
    axes.set(ylabel="detections and dustbin of a view", title="What every detection carries too much or too little")
    add_colorbar(axes, drawn, "carried − wanted (mass)")
    return dress(axes)


def draw_convergence(axes: Axes, runs: Sequence[SweepErrors], labels: Sequence[str], *, colors: Sequence[str]) -> Axes:
    """Largest violation after every whole sweep, one line per problem; the legend says what two sweeps leave."""
    words = [f"{label}: {run.after(2):.2%} after two" for run, label in zip(runs, labels, strict=True)]
    axes.set(ylabel="largest violation (1 = one detection)", title="Feasibility residual")
    return _over_sweeps(axes, [run.residual[run.views :: run.views] for run in runs], words, colors)


def draw_errors(axes: Axes, runs: Sequence[SweepErrors], labels: Sequence[str], *, colors: Sequence[str]) -> Axes:
    """How far the mass is from the converged projection's after every whole sweep, one line per problem."""
    axes.set(ylabel="largest error of a mass", title="Error against the converged solver")
    return _over_sweeps(axes, [run.error[run.views :: run.views] for run in runs], labels, colors)


def _over_sweeps(axes: Axes, lines: Sequence[np.ndarray], labels: Sequence[str], colors: Sequence[str]) -> Axes:
    theme = theme_of(axes)
    for line, label, color in zip(lines, labels, colors, strict=True):
        axes.semilogy(range(1, len(line) + 1), line.clip(LOWEST), "o-", color=color, label=label, markersize=4)
    axes.axvline(2, color=theme.muted, linewidth=1.2, linestyle=(0, (4, 4)))
    axes.set_xlabel("sweeps over all views")
    return dress_chart(add_legend(axes))

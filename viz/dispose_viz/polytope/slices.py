"""Assignment tensors as tables, slices and voxels, and the sweeps that project them, view after view.

The last row, column or panel of a tensor with dustbins is the dustbin: tuples that skip that view.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import plotly.graph_objects as go
import torch
from jaxtyping import Float, Int
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from dispose.errors import ShapeError
from dispose.tensors import ABSENT
from dispose_kernels.sinkhorn import Marginals, carried_mass, marginal_residual, newton_projection, sweep_steps
from dispose_viz.scene.plotly_scene import scene_theme
from dispose_viz.style import MAP, PALETTE, Theme, add_colorbar, add_legend, dress, dress_chart, theme_of
from dispose_viz.words import LETTER, POINTS, TICK_SIZE, name_rows, size_of

VIEW_NAMES = ("A", "B", "C")
FAINTEST = 0.01
"""Voxels with less mass than this are not drawn."""
NUMBER_SIZE, LEAST_SIZE = 12.0, 6.5
"""Largest and smallest size of a number in a cell; where it would be smaller still, colours alone speak."""

NUMBER_LETTERS = 4
SUM_LETTERS = 7
PANEL_WIDTH = 110.0
"""Points that a slice with its title needs."""

CORNERS = 0.38 * np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
FACES = np.array([[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6],
                  [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]])  # fmt: skip
"""A voxel about the origin, and the triangles between its corners."""

MET = 5e-4
"""A sum this near to its target counts as met, which is what three digits can show."""

LOWEST = 1e-12
"""Violations and errors below this are drawn at this."""
LIMIT_TOLERANCE = 1e-12
"""Marginal residual of the converged solver that the sweeps are compared with."""


def dense_tensor(
    mass: Float[np.ndarray, " tuples"], members: Int[np.ndarray, "tuples views"], slots: Sequence[int]
) -> Float[np.ndarray, "..."]:
    """Mass over all combinations, the dustbin last on every axis; tuples that are no candidates carry 0.

    Members are slots, of which every view has so many, `ABSENT` for the dustbin.
    """
    if members.shape[1] != len(slots):
        raise ShapeError(f"tuples of {members.shape[1]} views, slots of {len(slots)}")
    tensor = np.zeros([count + 1 for count in slots])
    place = np.where(members == ABSENT, np.array(slots), members)
    np.add.at(tensor, tuple(place.T), mass)
    return tensor


def draw_matrix(
    axes: Axes,
    matrix: Float[np.ndarray, "rows columns"],
    row_targets: Float[np.ndarray, " rows"],
    column_targets: Float[np.ndarray, " columns"],
) -> Axes:
    """Mass of every pair, its sums beside rows and columns, those that miss their target in the alarm colour with a ✗.

    Rows are the first view's detections, columns the second's.
    """
    _name_ticks(draw_cells(axes, matrix), matrix.shape, dustbins=False)
    rows, columns = matrix.shape
    for row, (total, target) in enumerate(zip(matrix.sum(1).tolist(), row_targets.tolist(), strict=True)):
        _write_sum(axes, (columns - 0.4, row), matrix.shape, total, target, "left")
    for column, (total, target) in enumerate(zip(matrix.sum(0).tolist(), column_targets.tolist(), strict=True)):
        _write_sum(axes, (column, rows - 0.25), matrix.shape, total, target, "center")
    return dress(axes)


def draw_slices(
    figure: Figure,
    tensor: Float[np.ndarray, "a b c"],
    targets: Sequence[Float[np.ndarray, " bins"]],
    *,
    dustbins: bool = True,
) -> Figure:
    """A three-view tensor as one panel per choice in the third view, and the slice sums of all views beside.

    A panel is a slice: its sum must be the target of that detection. Slices of the first two views run through all
    panels, so their sums stand in the table on the right.
    Targets are what the slices of every view must sum to; with `dustbins` the last place of every view is its dustbin.
    """
    if tensor.ndim != 3 or len(targets) != 3:
        raise ShapeError(f"slices are drawn of three views, got {tensor.ndim} and targets of {len(targets)}")
    lines = _sum_lines(tensor, targets, dustbins, theme_of(figure))
    panels = tensor.shape[2]
    wide = float(figure.bbox.width) / figure.dpi * POINTS
    across = min(panels, max(1, int(0.8 * wide / PANEL_WIDTH)))
    grid = figure.add_gridspec(-(-panels // across), across + 1, width_ratios=[1.0] * across + [0.75])
    for panel, (name, words, color) in enumerate(lines[2]):
        axes = figure.add_subplot(grid[panel // across, panel % across])
        _name_ticks(draw_cells(axes, tensor[:, :, panel]), tensor.shape[:2], dustbins)
        if panel % across:
            axes.set_ylabel("")
        dress(axes).set_title(f"{name}\nsum {words}", fontsize=12, color=color)
    table = figure.add_subplot(grid[:, across])
    table.axis("off")
    table.set_title("slice sums", fontsize=12, color=theme_of(figure).ink)
    rows = len(lines) + sum(map(len, lines))
    size = min(NUMBER_SIZE, size_of(table)[1] / rows / 1.2)
    place = 0
    for view in lines:
        for name, words, color in view:
            table.text(0.05, 0.97 - place / rows, f"{name:<7} {words}", transform=table.transAxes, fontsize=size,
                       family="monospace", va="top", color=color)  # fmt: skip
            place += 1
        place += 1
    return figure


def draw_cube(figure: go.Figure, tensor: Float[np.ndarray, "a b c"], *, dustbins: bool = False) -> go.Figure:
    """A three-view tensor as voxels to turn: the more mass, the more opaque; the hover says how much.

    Every voxel has the colour of its place in the first view, which is written on that axis. The figure is an empty
    scene (`dispose_viz.scene.plotly_scene.new_scene`); with `dustbins` the last place of every view is its dustbin.
    """
    if tensor.ndim != 3:
        raise ShapeError(f"a cube is drawn of three views, got {tensor.ndim}")
    theme = scene_theme(figure)
    for place in zip(*np.nonzero(tensor >= FAINTEST), strict=True):
        mass = float(tensor[place])
        names = zip(VIEW_NAMES, place, tensor.shape, strict=True)
        words = ", ".join(f"{name} = {_place_name(int(p), n, dustbins)}" for name, p, n in names)
        nobody = dustbins and int(place[0]) == tensor.shape[0] - 1
        color = theme.muted if nobody else PALETTE[int(place[0]) % len(PALETTE)]
        words = f"{words}: mass {mass:.3f}"
        (x, y, z), (i, j, k) = (CORNERS + place).T, FACES.T
        opacity = mass if mass < 0.98 else 1.0  # nearly opaque bodies show their backs
        figure.add_mesh3d(x=x, y=y, z=z, i=i, j=j, k=k, color=color, opacity=opacity, flatshading=True, hovertext=words,
                          hoverinfo="text", name=words)  # fmt: skip
    axes = {
        f"{axis}axis": {
            "title": f"view {name}", "tickvals": list(range(count)), "range": [-0.6, count - 0.4],
            "ticktext": [_place_name(k, count, dustbins) for k in range(count)], "showgrid": True,
            "gridcolor": theme.grid, "tickfont": {"size": 13},
        }
        for axis, name, count in zip("xyz", VIEW_NAMES, tensor.shape, strict=True)
    }  # fmt: skip
    camera = {"eye": {"x": 1.5, "y": -1.6, "z": 0.9}, "center": {"z": 0}}
    return figure.update_layout(scene={**axes, "camera": camera}, height=520)


def draw_cells(axes: Axes, matrix: Float[np.ndarray, "rows columns"]) -> Axes:
    """A table of masses in [0, 1]: colours, and numbers as large as the cells allow."""
    axes.imshow(matrix, cmap=MAP, vmin=0, vmax=1)
    size = min(NUMBER_SIZE, 0.8 * _cell(axes, matrix.shape) / (LETTER * NUMBER_LETTERS))
    for (row, column), mass in np.ndenumerate(matrix):
        if mass >= FAINTEST and size >= LEAST_SIZE:
            dark = sum(colormaps[MAP](min(float(mass), 1.0))[:3]) < 1.5
            axes.text(column, row, f"{mass:.2f}".rstrip("0").rstrip("."), ha="center", va="center",
                      fontsize=size, color="#FFFFFF" if dark else "#1A1A1A")  # fmt: skip
    axes.set_xticks(np.arange(matrix.shape[1] + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(matrix.shape[0] + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=theme_of(axes).paper, linewidth=2)
    axes.tick_params(which="both", length=0)
    return axes


def _cell(axes: Axes, shape: Sequence[int]) -> float:
    """Points from cell to cell of a table of square cells."""
    wide, tall = size_of(axes)
    return min(wide / shape[1], tall / shape[0])


def _name_ticks(axes: Axes, shape: Sequence[int], dustbins: bool) -> None:
    cell = _cell(axes, shape)
    sides = ((shape[0], axes.set_yticks, 2), (shape[1], axes.set_xticks, 2 + len(str(shape[1]))))
    for count, set_ticks, letters in sides:
        shown = range(0, count, max(1, int(np.ceil(LETTER * TICK_SIZE * letters / cell))))
        set_ticks(shown, [_place_name(k, count, dustbins) for k in shown])
    axes.set(xlabel=f"view {VIEW_NAMES[1]}", ylabel=f"view {VIEW_NAMES[0]}")
    axes.xaxis.set_label_position("top")
    axes.xaxis.tick_top()


def _place_name(place: int, count: int, dustbins: bool) -> str:
    return "–" if dustbins and place == count - 1 else f"#{place}"


def _write_sum(
    axes: Axes, place: tuple[float, float], shape: Sequence[int], total: float, target: float, side: str
) -> None:
    theme = theme_of(axes)
    (x, y), good = place, abs(total - target) <= MET
    upright = side == "center" and _cell(axes, shape) < LETTER * NUMBER_SIZE * SUM_LETTERS
    size = max(LEAST_SIZE, min(NUMBER_SIZE, 0.8 * _cell(axes, shape)))
    words, below = f"{total:.3g}" if good else f"{total:.2f} ✗", "center" if side == "left" else "top"
    axes.text(x, y, words, ha=side, va=below, fontsize=size, rotation=90 if upright and not good else 0,
              color=theme.ink if good else theme.alarm, clip_on=False)  # fmt: skip


def _sum_lines(
    tensor: np.ndarray, targets: Sequence[np.ndarray], dustbins: bool, theme: Theme
) -> list[list[tuple[str, str, str]]]:
    """For every slice of every view its name, its sum in words, and their colour."""
    lines = []
    for view, name in enumerate(VIEW_NAMES):
        sums = tensor.sum(tuple(axis for axis in range(3) if axis != view)).tolist()
        names = [f"{name} = {_place_name(place, len(sums), dustbins)}" for place in range(len(sums))]
        right = [abs(total - target) <= MET for total, target in zip(sums, targets[view], strict=True)]
        words = [f"{target:.3g} ✓" if good else f"{total:.2f}, not {target:.3g} ✗"
                 for total, target, good in zip(sums, targets[view], right, strict=True)]  # fmt: skip
        colors = [theme.ink if good else theme.alarm for good in right]
        lines.append(list(zip(names, words, colors, strict=True)))
    return lines


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

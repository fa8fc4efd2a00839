"""Assignment tensors as tables: a matrix with its margins, and the three-view tensor slice by slice.

The last row, column or panel of a tensor with dustbins is the dustbin: tuples that skip that view.
"""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float, Int
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dispose.errors import ShapeError
from dispose.tensors import ABSENT
from dispose_viz.scene.plotly_scene import scene_theme
from dispose_viz.style import MAP, PALETTE, Theme, dress, theme_of
from dispose_viz.words import LETTER, POINTS, TICK_SIZE, size_of

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

"""Birkhoff's polytope, the doubly stochastic matrices: two views that see everybody (`complete.everybody_once`).

That of 3 x 3 is drawn truly: all four dimensions as two triangles, and a section in space. Its six corners are the
permutations. The three even ones span a triangle, the three odd ones another, in planes that meet at right angles in
the centre (all thirds): the feet of a matrix on both planes say everything about it.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.patches import Polygon
from scipy.spatial import ConvexHull

from dispose_viz.hypergraph.trajectory import DOTTED_STEPS
from dispose_viz.polytope.sections import Flat, flat_through, section
from dispose_viz.scene.plotly_scene import scene_theme
from dispose_viz.style import PALETTE, Theme, blend, dress, theme_of, write
from dispose_viz.words import escape_markup

Canvas = TypeVar("Canvas", bound=FigureBase)
Matrices = Float[np.ndarray, "steps 3 3"]
ROUND = 1e-4
"""Sums of rows or columns may miss one by this much."""

EVEN = ((0, 1, 2), (1, 2, 0), (2, 0, 1))
"""The permutations of three that take an even number of exchanges: staying, and the two rotations."""
ODD = ((1, 0, 2), (2, 1, 0), (0, 2, 1))
"""The three exchanges of two."""


def draw_birkhoff(figure: Canvas, path: Matrices | None = None, *, step: int | None = None) -> Canvas:
    """Both triangles with all their corners named, and a trajectory of doubly stochastic matrices in them.

    A matrix is one dot in each triangle. What one triangle takes is lost to the other: the dashed triangle is the room
    that the last drawn state leaves.

    Args:
        figure: a figure, or a part of one.
        path: the trajectory; None draws the empty polytope.
        step: draw the path up to this step only (for films and sliders).

    Raises:
        ValueError: a matrix is not doubly stochastic.
    """
    both, flats = figure.subplots(1, 2), even_and_odd_planes()
    corners = [
        flat.place(np.stack([permutation_matrix(p).ravel() for p in group]))
        for flat, group in zip(flats, (EVEN, ODD), strict=True)
    ]
    for axes, mine, group in zip(both, corners, (EVEN, ODD), strict=True):
        _draw_triangle(axes, mine, group)
    both[0].set_title("even permutations: nobody, or all three change")
    both[1].set_title("odd permutations: two change places")
    if path is None:
        return figure
    check_doubly_stochastic(path)
    drawn = path if step is None else path[: step + 1]
    taken = [float(reach(flat.place(drawn[-1].ravel()), mine)) for flat, mine in zip(flats, corners, strict=True)]
    for axes, flat, mine, other in zip(both, flats, corners, taken[::-1], strict=True):
        theme, color, places = theme_of(axes), PALETTE[0], flat.place(drawn.reshape(-1, 9))
        # What the other triangle has left of this one.
        axes.add_patch(Polygon((1 - other) * mine, facecolor="none", edgecolor=theme.muted, linestyle=(0, (4, 4))))
        axes.text(0, -1.02, f"dashed: the {1 - other:.0%} that the other triangle leaves", ha="center", va="center",
                  fontsize=11, color=theme.muted)  # fmt: skip
        axes.plot(*places.T, "o-", color=color, linewidth=1.8, markersize=5 if len(drawn) <= DOTTED_STEPS else 0)
        axes.plot(*places[-1], "o", color=color, markersize=12, markeredgecolor=theme.paper, zorder=5)
        write(axes, "start", tuple(places[0]), (0, 7), color, align="center")
    return figure


def check_doubly_stochastic(path: Matrices) -> None:
    """Raise a `ValueError` that names the first step and line whose sum is not one."""
    for axis, line in ((2, "row"), (1, "column")):
        off = np.abs(path.sum(axis) - 1)
        if not off.size or (off.max() <= ROUND and path.min() >= -ROUND):
            continue
        step, number = np.unravel_index(int(off.argmax()), off.shape)
        total = float(path.sum(axis)[step, number])
        raise ValueError(f"step {step}: {line} {number + 1} sums to {total:.6g}, not 1; smallest mass {path.min():.2g}")


def draw_symmetric_section(figure: go.Figure, path: Matrices, label: str) -> go.Figure:
    """The symmetric matrices of the polytope as a solid to turn: a double pyramid with all its corners named.

    Four corners are permutations (the identity and the exchanges), the fifth is the mean of both rotations. Other
    matrices X are drawn at ``(X + X')/2``, which never leaves the solid; the hover says how far X is from there.
    The figure is an empty scene (`dispose_viz.scene.plotly_scene.new_scene`).
    """
    check_doubly_stochastic(path)
    flat, theme = symmetric_space(), scene_theme(figure)
    corners = section(flat)
    _add_solid(figure, corners, theme)
    names = [_symmetric_name(flat.point(corner).reshape(3, 3)) for corner in corners]
    sides = ["top center" if corner[2] > corners[:, 2].min() + 0.01 else "bottom center" for corner in corners]
    figure.add_trace(go.Scatter3d(x=corners[:, 0], y=corners[:, 1], z=corners[:, 2], mode="markers+text", text=names,
                                  textposition=sides, textfont={"size": 14, "color": theme.ink},
                                  marker={"size": 6, "color": theme.ink}, hoverinfo="text", showlegend=False,
                                  name="corners"))  # fmt: skip
    centre = flat.place(np.full(9, 1 / 3))
    figure.add_trace(go.Scatter3d(x=centre[:1], y=centre[1:2], z=centre[2:], mode="markers", hovertext="all thirds",
                                  marker={"size": 5, "color": theme.muted, "symbol": "diamond"}, hoverinfo="text",
                                  name="centre: all thirds"))  # fmt: skip
    states, name = path.reshape(-1, 9), escape_markup(label)
    (x, y, z), away = flat.place(states).T, flat.distance(states)
    words = [f"{name}, step {step}: {distance:.2g} off the section" for step, distance in enumerate(away.tolist())]
    figure.add_trace(go.Scatter3d(x=x, y=y, z=z, mode="lines+markers", hovertext=words, hoverinfo="text",
                                  name=f"{name} (up to {away.max():.2g} off the section)",
                                  line={"color": PALETTE[0], "width": 6},
                                  marker={"size": 4, "color": PALETTE[0]}))  # fmt: skip
    hidden = {"visible": False}
    camera = {"eye": {"x": 0.5, "y": -1.7, "z": 0.45}, "center": {"z": 0}}
    return figure.update_layout(scene={"xaxis": hidden, "yaxis": hidden, "zaxis": hidden, "camera": camera}, height=520)


def _draw_triangle(axes: Axes, corners: np.ndarray, group: Sequence[tuple[int, ...]]) -> None:
    theme = theme_of(axes)
    fill = blend(theme.ink, theme.paper, 0.92)
    axes.add_patch(Polygon(corners, facecolor=fill, edgecolor=theme.ink, linewidth=1.6))
    axes.plot(*corners.T, "o", color=theme.ink, markersize=8)
    axes.plot(0, 0, "+", color=theme.muted, markersize=12)
    for corner, permutation in zip(corners, group, strict=True):
        side = "center" if abs(corner[0]) < 0.5 else "left" if corner[0] > 0 else "right"
        offset = {"center": (0, 10), "left": (10, 0), "right": (-10, 0)}[side]
        name = f"{permutation_name(permutation)}\n{permutation_word(permutation)}"
        axes.annotate(name, tuple(corner), offset, textcoords="offset points", fontsize=13, color=theme.ink, ha=side,
                      va="bottom" if side == "center" else "center")  # fmt: skip
    axes.set(xlim=(-2.1, 2.1), ylim=(-1.2, 2.0), aspect="equal", xlabel="distance from the centre (1 = one match)")
    dress(axes)


def _symmetric_name(matrix: Float[np.ndarray, "3 3"]) -> str:
    for permutation in ((0, 1, 2), *ODD):
        if np.abs(matrix - permutation_matrix(permutation)).max() < 1e-6:
            return f"{permutation_name(permutation)} · {permutation_word(permutation)}"
    return "half (1 2 3), half (1 3 2)"


def _add_solid(figure: go.Figure, corners: np.ndarray, theme: Theme) -> None:
    hull = ConvexHull(corners)
    i, j, k = hull.simplices.T
    x, y, z = corners.T
    figure.add_trace(go.Mesh3d(x=x, y=y, z=z, i=i, j=j, k=k, color=theme.muted, opacity=0.16, hoverinfo="skip",
                               flatshading=True, name="section"))  # fmt: skip
    lift = np.full((1, 3), np.nan)
    gaps = np.concatenate([part for face in hull.simplices for part in (corners[[*face, face[0]]], lift)])
    figure.add_trace(go.Scatter3d(x=gaps[:, 0], y=gaps[:, 1], z=gaps[:, 2], mode="lines", hoverinfo="skip",
                                  line={"color": theme.ink, "width": 3}, showlegend=False, name="edges"))  # fmt: skip


def permutation_matrix(permutation: tuple[int, ...]) -> Float[np.ndarray, "people people"]:
    """Row i has its one in column ``permutation[i]``."""
    return np.eye(len(permutation))[list(permutation)]


def permutation_name(permutation: tuple[int, ...]) -> str:
    """Cycles of people counted from 1, those who stay left out: ``(1 2 3)``, ``(1 2)(3 4)``, ``identity``."""
    cycles, left = [], set(range(len(permutation)))
    while left:
        start = min(left)
        cycle = [start]
        while permutation[cycle[-1]] != start:
            cycle.append(permutation[cycle[-1]])
        left -= set(cycle)
        if len(cycle) > 1:
            cycles.append("(" + " ".join(str(i + 1) for i in cycle) + ")")
    return "".join(cycles) or "identity"


def permutation_word(permutation: tuple[int, ...]) -> str:
    """Whom 1, 2, 3 … are matched with: ``213``."""
    return "".join(str(i + 1) for i in permutation)


def even_and_odd_planes() -> tuple[Flat, Flat]:
    """The planes of the three even and of the three odd permutations of three people.

    Both contain the centre (all thirds) as their origin and are orthogonal: ``<P, Q>`` is 1 for an even P and an odd
    Q. Doubly stochastic 3 x 3 matrices have four degrees of freedom, so their feet on both planes say everything.
    """
    even, odd = (np.stack([permutation_matrix(p).ravel() for p in group]) for group in (EVEN, ODD))
    return flat_through(even), flat_through(odd)


def reach(places: Float[np.ndarray, "*batch 2"], corners: Float[np.ndarray, "3 2"]) -> Float[np.ndarray, "*batch"]:
    """How far out a place lies in a triangle about the origin: 0 in the middle, 1 on its boundary.

    The polytope of 3 x 3 is the direct sum of its two triangles: two places belong to a doubly stochastic matrix
    exactly where ``reach(even) + reach(odd) <= 1``.
    """
    edge = np.roll(corners, -1, 0) - corners
    normal = np.stack([edge[:, 1], -edge[:, 0]], 1)
    offset = (normal * corners).sum(1)
    return np.asarray(((places @ normal.T) / offset).max(-1))


def symmetric_space() -> Flat:
    """The space of the symmetric matrices among the doubly stochastic 3 x 3 ones.

    The foot of a matrix X on it is ``(X + X')/2``, which is doubly stochastic too: the shadow is the section. The
    third axis points to the identity; the exchanges lie level below it.
    """
    symmetric = [*ODD, (0, 1, 2)]
    return flat_through(np.stack([permutation_matrix(p).ravel() for p in symmetric]))

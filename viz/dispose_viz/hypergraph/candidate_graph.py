"""The candidate graph as a hypergraph: detections are its nodes, a tuple is an edge that joins one of every view.

Two drawings of the same thing: paths through columns of detections, for a few tuples and with a hover that says what
speaks for each; and the incidence matrix, a row per tuple and a column per detection, for many.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from dispose.scene.frame import Detections
from dispose.scene.results import Hypotheses
from dispose.tensors import ABSENT
from dispose_viz.hypergraph.trajectory import color_rows
from dispose_viz.style import LIGHT, Theme, blend, color_of, dress, label_of, person_color, theme_of
from dispose_viz.words import LETTER, escape_markup, plain, shorten, size_of

SHOWN = 24
"""So many tuples are drawn."""

EASE_POINTS = 13
"""Points of a path between two columns: enough to look smooth, and each is a place to hover."""

LANES = (-0.24, 0.24, -0.16, 0.16, -0.2, 0.2, -0.12, 0.12)
"""Where paths of nobody run beside the middle of their level."""

LEVEL_LETTERS = 75
"""Letters of the names of all cameras, each as long as the longest, that stand level side by side."""

LONGEST_NAME = 18
"""Letters of a camera's name above its column."""

LABELLED_ROWS = 40
"""A matrix of more rows has no room for names."""


@dataclass(frozen=True, eq=False)
class Hyperedges:
    """Candidate tuples and what speaks for them.

    Members are slots, `ABSENT` where a tuple leaves a view out; the cost is geometric (chi-square summed over the
    joints), the cue a score in [0, 1], the mass how much of each of its detections a tuple has, 1 = all.
    """

    members: Int[np.ndarray, "tuples views"]
    cost: Float[np.ndarray, " tuples"]
    cue: Float[np.ndarray, " tuples"]
    mass: Float[np.ndarray, " tuples"]

    def __len__(self) -> int:
        return len(self.members)

    def take(self, rows: Int[np.ndarray, " chosen"]) -> "Hyperedges":
        """Some of the tuples, in the order given."""
        return Hyperedges(self.members[rows], self.cost[rows], self.cue[rows], self.mass[rows])


def hyperedges_of(hypotheses: Hypotheses, *, step: int = -1) -> Hyperedges:
    """The tuples of a frame at one step of the reverse diffusion; the one that is absent everywhere is left out."""
    members = hypotheses.members.numpy()
    people = (members != ABSENT).any(1)
    values = (hypotheses.cost, hypotheses.cue, hypotheses.mass[step])
    cost, cue, mass = (value.detach().double().numpy()[people] for value in values)
    return Hyperedges(members[people], cost, cue, mass)


def heaviest(edges: Hyperedges, owners: Sequence[int], count: int) -> Int[np.ndarray, " shown"]:
    """The tuples that became people and the heaviest others, `count` in all, by mass.

    Masses below a hundredth are all the same, there the cue decides, and of equal cues the tuple with more members.
    """
    owner = np.asarray(owners, dtype=int)
    owned = owner != ABSENT
    size = (edges.members != ABSENT).sum(1)
    mass = edges.mass.round(2)
    order = np.lexsort((-size, -edges.cue.round(2), -mass, ~owned))[:count]
    return order[np.lexsort((owner[order], ~owned[order], -edges.mass[order].round(1)))]


def draw_paths(
    figure: go.Figure,
    edges: Hyperedges,
    detections: Detections,
    cameras: Sequence[str],
    *,
    owners: Sequence[int],
    theme: Theme = LIGHT,
) -> go.Figure:
    """Tuples as paths through columns of detections, the wider the more mass they have.

    A person's detections stand on one level, so that who became somebody is a straight line in that colour, and a tuple
    that mixes people goes up and down. A path is dotted where it leaves a view out; a ring is a detection that is
    alone in its tuple.
    The `heaviest` tuples are drawn; owners are the persons that all tuples became, `ABSENT` = nobody.
    """
    shown = heaviest(edges, owners, SHOWN)
    owned = [owners[row] for row in shown]
    level = levels_of(edges.take(shown), owned, detections)
    # The lightest first: what matters lies on top.
    for place, (row, owner) in reversed(list(enumerate(zip(shown.tolist(), owned, strict=True)))):
        text = hover_text(edges, row, owner, detections, cameras)
        # Beside the person's line, not below it: a tuple that leaves one of their detections out is on the same level.
        lane = 0.0 if owner != ABSENT else LANES[place % len(LANES)]
        _add_path(figure, edges.take(np.array([row])), owner, level + lane, text, theme)
    _add_dots(figure, detections, level, cameras, theme)
    note = f"{len(shown)} of {len(edges)} tuples shown: people and the heaviest others"
    _dress_paths(figure, cameras, note, float(np.nanmax(level, initial=0.0)), theme)
    return figure


def levels_of(edges: Hyperedges, owners: Sequence[int], detections: Detections) -> Float[np.ndarray, "views slots"]:
    """The level of every detection: its person's, or one below all of them; NaN on empty slots."""
    valid = detections.valid.numpy()
    level = np.full(valid.shape, np.nan)
    people = sorted({owner for owner in owners if owner != ABSENT})
    for members, owner in zip(edges.members, owners, strict=True):
        if owner != ABSENT:
            views = np.flatnonzero(members != ABSENT)
            level[views, members[views]] = people.index(owner)
    for view in range(len(valid)):
        left = np.flatnonzero(valid[view] & np.isnan(level[view]))
        level[view, left] = len(people) + np.arange(len(left))
    return level


def hover_text(edges: Hyperedges, row: int, owner: int, detections: Detections, cameras: Sequence[str]) -> str:
    """What is known of a tuple: who it became, its mass, cue and cost, and its detections."""
    slots = edges.members[row].tolist()
    members = [
        f"{escape_markup(name)} {'not seen' if slot == ABSENT else f'#{int(detections.index[view, slot])}'}"
        for view, (name, slot) in enumerate(zip(cameras, slots, strict=True))
    ]
    numbers = f"mass {edges.mass[row]:.3f} · cue {edges.cue[row]:.2f} · cost (χ²) {edges.cost[row]:.0f}"
    return "<br>".join([f"<b>{label_of(owner)}</b>", numbers, *members])


def _add_path(
    figure: go.Figure, edge: Hyperedges, owner: int, level: Float[np.ndarray, "views slots"], text: str, theme: Theme
) -> None:
    members = edge.members[0]
    views = np.flatnonzero(members != ABSENT)
    places = [(int(view), float(level[view, members[view]])) for view in views]
    mass = float(np.clip(edge.mass[0], 0, 1))
    color = theme.ink if owner == ABSENT else person_color(owner)
    look = {"opacity": 1.0 if owner != ABSENT else 0.25 + 0.6 * mass, "hoverinfo": "text", "hovertext": text,
            "name": f"P{owner}, mass {mass:.2f}" if owner != ABSENT else "nobody", "legendrank": 1000 + owner,
            "showlegend": owner != ABSENT,
            "legendgroup": text}  # fmt: skip
    width = 1.2 + 7 * mass
    if len(places) == 1:
        level_here = round(places[0][1])
        marker = {"symbol": "circle-open", "size": 36, "color": color, "line": {"width": width}}
        figure.add_trace(go.Scatter(x=[places[0][0]], y=[level_here], mode="markers", marker=marker, **look))
        return
    for number, (start, end) in enumerate(itertools.pairwise(places)):
        x, y = ease(start, end)
        dash = "solid" if end[0] == start[0] + 1 else "dot"
        look["showlegend"] = owner != ABSENT and number == 0
        figure.add_trace(
            go.Scatter(x=x, y=y, mode="lines", line={"color": color, "width": width, "dash": dash}, **look)
        )


def ease(
    start: tuple[float, float], end: tuple[float, float]
) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"]]:
    """A path that leaves and reaches its ends level, so that it can be followed through a dot."""
    share = np.linspace(0, 1, EASE_POINTS)
    smooth = share * share * (3 - 2 * share)
    return start[0] + share * (end[0] - start[0]), start[1] + smooth * (end[1] - start[1])


def _add_dots(
    figure: go.Figure,
    detections: Detections,
    level: Float[np.ndarray, "views slots"],
    cameras: Sequence[str],
    theme: Theme,
) -> None:
    view, slot = np.nonzero(detections.valid.numpy())
    number = detections.index.numpy()[view, slot]
    score = detections.score.numpy()[view, slot]
    places = zip(view.tolist(), number, score, strict=True)
    hover = [f"<b>{escape_markup(cameras[v])} #{n}</b><br>score {s:.2f}" for v, n, s in places]
    figure.add_trace(go.Scatter(
        x=view, y=level[view, slot], mode="markers+text", text=[f"#{n}" for n in number], showlegend=False,
        hoverinfo="text", hovertext=hover, textfont={"color": theme.ink, "size": 15},
        marker={"color": theme.paper, "size": 32, "line": {"color": theme.ink, "width": 1.5}}))  # fmt: skip


def _dress_paths(figure: go.Figure, cameras: Sequence[str], note: str, lowest: float, theme: Theme) -> None:
    names = [escape_markup(shorten(name, LONGEST_NAME)) for name in cameras]
    # Slanted to the right: plotly leaves out a name that would begin left of the figure.
    slant = -30 if max(map(len, cameras), default=0) * len(cameras) > LEVEL_LETTERS else 0
    bare = {"showgrid": False, "zeroline": False, "color": theme.ink}
    figure.update_layout(
        xaxis={**bare, "tickvals": list(range(len(cameras))), "ticktext": names, "side": "top",
               "tickangle": slant,
               "title": {"text": "view", "font": {"size": 16}}, "range": [-0.4, len(cameras) - 0.6],
               "tickfont": {"size": 16}},
        yaxis={**bare, "range": [lowest + 0.9, -0.6], "showticklabels": False,
               "title": {"text": "its detections, #number in the file", "font": {"size": 16}}},
        paper_bgcolor=theme.paper, plot_bgcolor=theme.paper, font={"color": theme.ink, "size": 15},
        height=560, margin={"l": 50, "r": 20, "t": 70, "b": 60}, hoverlabel={"align": "left"},
        annotations=[{"text": note, "xref": "paper", "yref": "paper", "x": 0, "y": -0.02, "yanchor": "top",
                      "showarrow": False, "font": {"size": 15, "color": theme.ink}}],
    )  # fmt: skip


def draw_incidence(
    figure: Figure,
    edges: Hyperedges,
    detections: Detections,
    cameras: Sequence[str],
    *,
    owners: Sequence[int],
    count: int = SHOWN,
) -> Figure:
    """Tuples as rows and detections as columns: a filled cell says that this detection belongs to that tuple.

    Bars to the right are cue and mass of every tuple; below, how much mass of every detection the rows above hold: all
    tuples together hold exactly 1 of each.
    """
    theme = theme_of(figure)
    shown = heaviest(edges, owners, count)
    rows, owned = edges.take(shown), [owners[row] for row in shown]
    view, slot = np.nonzero(detections.valid.numpy())
    grid = figure.add_gridspec(2, 3, width_ratios=(3.6, 1, 1), height_ratios=(np.clip(0.4 * len(rows), 3, 7), 1))
    cells = figure.add_subplot(grid[0, 0])
    if len(rows):
        cells.imshow(_cells(rows, owned, view, slot, theme), aspect="auto", interpolation="nearest")
    cells.set_ylabel(f"{len(rows)} of {len(edges)} tuples: people and the heaviest others")
    _name_rows(cells, owned)
    name_views(cells, view, cameras)
    cells.tick_params(axis="x", labelbottom=False)
    for column, (name, values) in enumerate((("cue", rows.cue), ("mass", rows.mass)), start=1):
        axes = figure.add_subplot(grid[0, column], sharey=cells)
        axes.barh(range(len(rows)), values, height=0.7, color=[color_of(person, theme) for person in owned])
        axes.set(xlim=(0, 1.05), xlabel=f"{name} (0 to 1)")
        axes.tick_params(which="both", labelleft=False, left=False)
        dress(axes)
    total = figure.add_subplot(grid[1, 0], sharex=cells)
    inside = (rows.members[:, view] == slot) * rows.mass[:, None]
    total.bar(range(len(view)), inside.sum(0), color=theme.muted)
    total.axhline(1.0, color=theme.ink, linewidth=1)
    total.set(ylim=(0, 1.15), ylabel="mass\nshown", xlabel="detection, #number in its view's file")
    numbers = [f"#{n}" for n in detections.index.numpy()[view, slot].tolist()]
    if sum(len(n) + 1 for n in numbers) * LETTER * 11 < size_of(total)[0]:
        total.set_xticks(range(len(view)), numbers)
    else:
        total.tick_params(labelbottom=False, bottom=False)
        total.set_xlabel("detection, in the order of its view's file")
    dress(total)
    return figure


def _cells(
    rows: Hyperedges,
    owned: Sequence[int],
    view: Int[np.ndarray, " detections"],
    slot: Int[np.ndarray, " detections"],
    theme: Theme,
) -> Float[np.ndarray, "tuples detections 3"]:
    """The matrix as an image: a person's colour, grey for nobody's tuple, paper where there is no incidence."""
    # Every second view a shade darker: columns of one view belong together.
    bare = [to_rgb(theme.paper if v % 2 else blend(theme.paper, theme.muted, 0.12)) for v in view.tolist()]
    image = np.tile(np.array(bare).reshape(1, -1, 3), (len(rows), 1, 1))
    nobody = blend(theme.ink, theme.paper, 0.45)
    member = rows.members[:, view] == slot
    for row, owner in enumerate(owned):
        image[row, member[row]] = to_rgb(nobody if owner == ABSENT else person_color(owner))
    return image


def _name_rows(axes: Axes, owned: Sequence[int]) -> None:
    theme = theme_of(axes)
    if len(owned) > LABELLED_ROWS:
        axes.set_yticks([])
        return
    axes.set_yticks(np.arange(-0.5, len(owned)), minor=True)
    axes.set_yticks(range(len(owned)), ["" if p == ABSENT else f"P{p}" for p in owned])
    axes.grid(axis="y", which="minor", color=theme.grid, linewidth=0.6)
    axes.tick_params(which="minor", length=0)
    color_rows(dress(axes), owned)


def name_views(axes: Axes, view: Int[np.ndarray, " detections"], cameras: Sequence[str]) -> list[int]:
    """Cameras above the columns of their detections, with a line behind the last of each; these last columns."""
    theme = theme_of(axes)
    lasts = []
    for number, name in enumerate(cameras):
        columns = np.flatnonzero(view == number)
        if not len(columns):
            continue
        axes.axvline(columns[-1] + 0.5, color=theme.ink, linewidth=1)
        room = size_of(axes)[0] / len(view) * len(columns) / (LETTER * 12)
        axes.annotate(plain(shorten(name, max(int(room), 3))), (columns.mean(), 1.0), (0, 5), ha="center",
                      xycoords=("data", "axes fraction"), textcoords="offset points", fontsize=12,
                      color=theme.ink)  # fmt: skip
        lasts.append(int(columns[-1]))
    return lasts

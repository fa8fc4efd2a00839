"""The teaching toy drawn: the floor with its sightings, mass as links and as a table, the way into the polytope."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.patches import Ellipse, Rectangle

from dispose.association.polytope import every_tuple
from dispose.errors import InputError
from dispose.models.dispose.sampling import Problem
from dispose_viz.charts.curves import running_mean
from dispose_viz.hypergraph.trajectory import Trajectory, ranked_answers, runner_up
from dispose_viz.polytope.sections import Landmark, PlaneCut, cut_through, draw_plane_cut, nearest_assignment
from dispose_viz.polytope.slices import draw_cells
from dispose_viz.style import LIGHT, PALETTE, add_legend, blend, dress, person_color, theme_of, write
from dispose_workbench.toy import METRE_MM, ToyConfig, ToyScene, true_mass

VIEWS = "ABCDEFGH"
"""What the observers are called."""
MARKERS = "os^DvP*X"
FAINT = 0.05
"""Links that carry less mass are left out."""


def cut_between(problem: Problem, truth: np.ndarray, competitor: np.ndarray, name: str) -> PlaneCut:
    """The plane through truth, competitor (called `name`) and the middle, where everybody is shared out evenly."""
    tuples, views = problem.members.shape
    middle = np.full(tuples, len(problem.graph.marginals.target) / views / tuples)
    return cut_through(
        Landmark("middle", middle, LIGHT.muted),
        Landmark("truth", truth, PALETTE[2]),
        Landmark(name, competitor, PALETTE[1]),
        problem.graph.marginals,
        np.arange(tuples),
    )


def draw_sightings(axes: Axes, scene: ToyScene, config: ToyConfig) -> Axes:
    """What every view reports: a named mark, an ellipse of one standard deviation, and whence the view looks."""
    theme = theme_of(axes)
    seen, sight = scene.xy_mm.numpy() / METRE_MM, scene.sight.numpy()
    middle = seen.reshape(-1, 2).mean(0)
    reach = float(np.linalg.norm(seen - middle, axis=-1).max()) + 0.4
    stands = middle - reach * sight
    for view, places in enumerate(seen):
        angle = float(np.degrees(np.arctan2(sight[view, 1], sight[view, 0])))
        for slot, place in enumerate(places):
            size = 2 * config.along_mm / METRE_MM, 2 * config.across_mm / METRE_MM
            axes.add_patch(Ellipse(tuple(place), *size, angle=angle, facecolor="none",
                                 edgecolor=blend(theme.muted, theme.paper, 0.45)))  # fmt: skip
            axes.plot(*place, MARKERS[view], color=theme.paper, markeredgecolor=theme.ink, markersize=8, zorder=4)
            write(axes, f"{VIEWS[view]}{slot + 1}", tuple(place), (7, 4))
        axes.annotate("", tuple(stands[view]), tuple(stands[view] - 0.6 * sight[view]),
                      arrowprops={"arrowstyle": "-|>", "color": theme.muted, "linewidth": 2})  # fmt: skip
        axes.annotate(f"{VIEWS[view]} looks", tuple(stands[view] - 0.6 * sight[view]), (0, -4), color=theme.muted,
                      textcoords="offset points", fontsize=11, ha="center", va="top")  # fmt: skip
    spread = config.along_mm / METRE_MM * sight[:, None]
    around = np.concatenate([(seen - spread).reshape(-1, 2), (seen + spread).reshape(-1, 2), stands - 1.2 * sight])
    half = float(np.ptp(around, 0).max()) / 2 + 0.2
    centre = (around.min(0) + around.max(0)) / 2
    axes.set(xlabel="x (m)", ylabel="y (m)", aspect="equal")
    axes.set(xlim=(centre[0] - half, centre[0] + half), ylim=(centre[1] - half, centre[1] + half))
    return dress(axes)


def draw_people(axes: Axes, scene: ToyScene) -> Axes:
    """Where everybody really is: a star in the person's colour, named."""
    theme = theme_of(axes)
    for person, place in enumerate(scene.person_mm.numpy() / METRE_MM):
        axes.plot(*place, "*", color=person_color(person), markersize=17, markeredgecolor=theme.paper, zorder=5)
        write(axes, f"P{person}", tuple(place), (-8, -16), person_color(person), bold=True)
    return axes


def draw_links(axes: Axes, scene: ToyScene, mass: Float[np.ndarray, " tuples"]) -> Axes:
    """Mass as links between a combination's sightings: as wide as it is heavy; wrong ones red and dashed."""
    theme = theme_of(axes)
    views, people = scene.identity.shape
    truth = true_mass(scene).numpy()
    seen = scene.xy_mm.numpy() / METRE_MM
    for slots, weight, right in zip(every_tuple(people, views).numpy(), mass, truth, strict=True):
        if weight < FAINT:
            continue
        places = seen[np.arange(views), slots]
        color = person_color(int(scene.identity[0, slots[0]])) if right else theme.alarm
        for place in places if views > 2 else places[:1]:
            other = places.mean(0) if views > 2 else places[1]
            axes.plot(*np.stack([place, other]).T, linestyle="-" if right else (0, (3, 2)), color=color, zorder=3,
                      linewidth=0.6 + 4 * float(weight), alpha=float(np.clip(weight, 0.12, 1)))  # fmt: skip
    return axes


def draw_puzzle(figure: Figure, scene: ToyScene, config: ToyConfig, nearest: Float[np.ndarray, " tuples"]) -> Figure:
    """Three times the same floor: what is seen, who is who, and what measuring distances makes of it."""
    seen, true, near = figure.subplots(1, 3)
    for axes in (seen, true, near):
        draw_sightings(axes, scene, config)
    draw_links(draw_people(true, scene), scene, true_mass(scene).numpy())
    draw_links(near, scene, nearest)
    wrong = int(nearest.sum() - (nearest * true_mass(scene).numpy()).sum())
    titles = ("What is seen", "Who is who", f"The nearest together: {wrong} of {len(scene.person_mm)} wrong (dashed)")
    for axes, title in zip((seen, true, near), titles, strict=True):
        axes.set_title(title)
    return figure


def draw_losses(axes: Axes, losses: Sequence[float], steps: int, chance: float) -> Axes:
    """The loss of every step so far, its running mean, and the loss of guessing evenly."""
    theme = theme_of(axes)
    number = np.arange(1, len(losses) + 1)
    axes.plot(number, losses, ".", color=theme.muted, markersize=4, label="one step")
    axes.plot(number, running_mean(np.array(losses), 15), color=PALETTE[0], linewidth=2.2, label="mean of 15")
    axes.axhline(chance, color=theme.alarm, linestyle="--", linewidth=1.4, label="guessing evenly")
    axes.set(xlim=(0, steps), ylim=(0, 1.15 * chance), xlabel="step", ylabel="divergence (nats per detection)")
    return dress(add_legend(axes))


def draw_table(
    axes: Axes, mass: Float[np.ndarray, "rows columns"], truth: Float[np.ndarray, "rows columns"], views: str
) -> Axes:
    """Mass of two views' sightings with one another; what is true is framed.

    Args:
        views: the letters of the view in the rows and of the view in the columns.
    """
    draw_cells(axes, mass)
    rows, columns = mass.shape
    for row, column in np.argwhere(truth > 0.5).tolist():
        frame = Rectangle((column - 0.46, row - 0.46), 0.92, 0.92, fill=False, edgecolor=PALETTE[1], linewidth=2.6)
        axes.add_patch(frame)
    axes.set_xticks(range(columns), [f"{views[1]}{c + 1}" for c in range(columns)])
    axes.set_yticks(range(rows), [f"{views[0]}{r + 1}" for r in range(rows)])
    return dress(axes)


def draw_tensor(
    figure: Figure, scene: ToyScene, mass: Float[np.ndarray, " tuples"], box: tuple[float, float, float, float]
) -> Figure:
    """The state as a table; of three views, one table for every sighting of the first.

    Args:
        box: where in the figure: left, lower, right and upper edge.

    Raises:
        InputError: more than three views, which have no tables that one can look at.
    """
    views, people = scene.identity.shape
    if views > 3:
        raise InputError(f"{views} views have no tables to look at; two or three views do")
    state, truth = (part.reshape(-1, people, people) for part in (mass, true_mass(scene).numpy()))
    across = int(np.ceil(len(state) ** 0.5))
    grid = GridSpec(-(-len(state) // across), across, figure, *box, wspace=0.14, hspace=0.3)
    for slot, (masses, true) in enumerate(zip(state, truth, strict=True)):
        axes = figure.add_subplot(grid[slot // across, slot % across])
        draw_table(axes, masses, true, VIEWS[views - 2 : views])
        title = "Mass: rows and columns sum to 1" if views == 2 else f"{VIEWS[0]}{slot + 1}: sums to 1"
        axes.set_title(title, fontsize=12 if views == 2 else 11)
    return figure


def draw_cut(axes: Axes, cut: PlaneCut, path: Float[np.ndarray, "steps tuples"]) -> Axes:
    """A path up to its last given state, which is the large dot, in the plane of the cut."""
    theme = theme_of(axes)
    draw_plane_cut(axes, cut, [path], [PALETTE[0]])
    place = cut.flat.place(path[-1])
    axes.plot(*place, "o", color=PALETTE[0], markersize=14, markeredgecolor=theme.paper, markeredgewidth=2, zorder=7)
    return axes


def draw_state(
    figure: Figure, scene: ToyScene, config: ToyConfig, path: Trajectory, cut: PlaneCut, step: int
) -> Figure:
    """One state of the reverse diffusion three times: on the floor, as a table, and inside the polytope."""
    figure.set_layout_engine("none")  # everything stays in its place from image to image
    floor = draw_sightings(figure.add_axes((0.04, 0.11, 0.28, 0.8)), scene, config)
    draw_links(floor, scene, path.mass[step])
    floor.set_title("Who with whom: wide = heavy, dashed = wrong")
    draw_tensor(figure, scene, path.mass[step], (0.36, 0.14, 0.61, 0.89))
    inside = draw_cut(figure.add_axes((0.7, 0.13, 0.25, 0.76)), cut, path.mass[: step + 1])
    away = float(cut.flat.distance(path.mass[step]))
    inside.set_title(f"Inside the polytope ({away:.2f} off this plane)")
    return figure


def draw_starts(axes: Axes, cut: PlaneCut, paths: Sequence[Trajectory]) -> Axes:
    """Paths from several random starts, coloured by the corner where they end: truth, competitor, or another (X)."""
    alarm, ends = theme_of(axes).alarm, [corner_of(path, cut) for path in paths]
    draw_plane_cut(axes, cut, [path.mass for path in paths], [alarm if end is None else end.color for end in ends])
    for path in (path for path, end in zip(paths, ends, strict=True) if end is None):
        axes.plot(*cut.flat.place(path.mass[-1]), "X", color=alarm, markersize=12, zorder=7)
    count = sum(end is cut.landmarks[0] for end in ends)
    axes.set_title(f"{count} of {len(paths)} random starts end at the truth (X: elsewhere)")
    return axes


def draw_answers(
    figure: Figure, scene: ToyScene, config: ToyConfig, cut: PlaneCut, paths: Sequence[Trajectory]
) -> Figure:
    """What several random starts say together, on the floor, and how each came to say it, in the polytope."""
    floor, plane = figure.subplots(1, 2)
    mean = np.mean([path.mass[-1] for path in paths], 0)
    draw_links(draw_sightings(floor, scene, config), scene, mean)
    floor.set_title("Share of the starts (wide = many, dashed = wrong)")
    draw_starts(plane, cut, paths)
    return figure


def path_to_truth(paths: Sequence[Trajectory], cut: PlaneCut) -> Trajectory:
    """The first path that ends at the truth, or the first of all where none does."""
    return next((path for path in paths if corner_of(path, cut) is cut.landmarks[0]), paths[0])


def corner_of(path: Trajectory, cut: PlaneCut) -> Landmark | None:
    """The truth or the competitor, if that is the assignment nearest to where a path ends."""
    end = nearest_assignment(path.mass[-1], path.members)
    return next((mark for mark in cut.landmarks if bool((np.abs(mark.mass - end) < 0.5).all())), None)


def competitor_of(paths: Sequence[Trajectory], truth: Float[np.ndarray, " tuples"]) -> Float[np.ndarray, " tuples"]:
    """The wrong assignment that most paths end at; where none does, the one they were drawn to most."""
    ends = np.stack([nearest_assignment(path.mass[-1], path.members) for path in paths])
    wrong = [end for end in ranked_answers(ends) if np.abs(end - truth).max() > 0.5]
    return wrong[0] if wrong else runner_up(paths[0], truth)

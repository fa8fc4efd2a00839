"""The teaching toy drawn: the floor with its sightings, mass as links and as a table, the way into the polytope."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, Rectangle
from matplotlib.patheffects import withStroke

from dispose.association.section import Flat, nearest_assignment, shadow
from dispose.diffusion.samplers import Step
from dispose.errors import InputError
from dispose.models.dispose.sampling import Problem
from dispose_kernels.sinkhorn import marginal_residual
from dispose_viz.charts.curves import running_mean
from dispose_viz.hypergraph.trajectory import Trajectory
from dispose_viz.polytope.sections import Landmark, draw_landmarks, draw_path, draw_section, plane_of_answers
from dispose_viz.polytope.starts import ranked_answers, runner_up
from dispose_viz.style import LIGHT, MAP, PALETTE, Theme, blend, dress, person_color
from dispose_workbench.toy.network import true_mass
from dispose_workbench.toy.scenes import ToyConfig, ToyScene

METRE_MM = 1000.0
VIEWS = "ABCDEFGH"
"""What the observers are called."""
MARKERS = "os^DvP*X"
FAINT = 0.05
"""Links that carry less mass are left out."""


@dataclass(frozen=True, eq=False)
class Cut:
    """The plane through the middle of the polytope, the truth and one competitor.

    Attributes:
        flat: the plane.
        outline: shadow of the whole polytope on it.
        landmarks: truth, competitor and the middle.
    """

    flat: Flat
    outline: Float[np.ndarray, "corners 2"]
    landmarks: tuple[Landmark, ...]


def toy_paths(steps: Sequence[Step], problem: Problem) -> tuple[Trajectory, ...]:
    """Arrays of a run, one trajectory per start that was packed into it, the last clean answer as the state at 0."""
    states = torch.stack([*(step.mass for step in steps), steps[-1].clean]).double()
    time = np.array([*(step.time for step in steps), 0.0])
    members, marginals = problem.members.numpy(), problem.graph.marginals
    paths = []
    for masses in states.split(len(problem.members), dim=1):
        residual = np.array([float(marginal_residual(mass, marginals).max()) for mass in masses])
        paths.append(Trajectory(time, masses.numpy(), members, residual))
    return tuple(paths)


def cut_between(problem: Problem, truth: np.ndarray, competitor: np.ndarray, name: str) -> Cut:
    """The plane through truth, competitor (called `name`) and the middle, where everybody is shared out evenly."""
    tuples, views = problem.members.shape
    middle = np.full(tuples, len(problem.graph.marginals.target) / views / tuples)
    flat = plane_of_answers(middle, truth, competitor)
    marks = (
        Landmark("truth", truth, PALETTE[2]),
        Landmark(name, competitor, PALETTE[1]),
        Landmark("middle", middle, LIGHT.muted),
    )
    return Cut(flat, shadow(flat, problem.graph.marginals, np.arange(tuples)), marks)


def draw_sightings(axes: Axes, scene: ToyScene, config: ToyConfig, *, theme: Theme = LIGHT) -> Axes:
    """What every view reports: a named mark, an ellipse of one standard deviation, and whence the view looks."""
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
            axes.annotate(f"{VIEWS[view]}{slot + 1}", tuple(place), (7, 4), textcoords="offset points", fontsize=11,
                          color=theme.ink, path_effects=_halo(theme), zorder=6)  # fmt: skip
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
    return dress(axes, theme=theme)


def draw_people(axes: Axes, scene: ToyScene, *, theme: Theme = LIGHT) -> Axes:
    """Where everybody really is: a star in the person's colour, named."""
    for person, place in enumerate(scene.person_mm.numpy() / METRE_MM):
        axes.plot(*place, "*", color=person_color(person), markersize=17, markeredgecolor=theme.paper, zorder=5)
        axes.annotate(f"P{person}", tuple(place), (-8, -16), textcoords="offset points", fontsize=12, zorder=6,
                      color=person_color(person), fontweight="bold", path_effects=_halo(theme))  # fmt: skip
    return axes


def draw_links(axes: Axes, scene: ToyScene, mass: Float[np.ndarray, " tuples"], *, theme: Theme = LIGHT) -> Axes:
    """Mass as links between a combination's sightings: as wide as it is heavy; wrong ones red and dashed."""
    views, people = scene.identity.shape
    truth = true_mass(scene).numpy()
    members = np.stack(np.unravel_index(np.arange(people**views), (people,) * views), 1)
    seen = scene.xy_mm.numpy() / METRE_MM
    for slots, weight, right in zip(members, mass, truth, strict=True):
        if weight < FAINT:
            continue
        places = seen[np.arange(views), slots]
        color = person_color(int(scene.identity[0, slots[0]])) if right else theme.alarm
        for place in places if views > 2 else places[:1]:
            other = places.mean(0) if views > 2 else places[1]
            axes.plot(*np.stack([place, other]).T, linestyle="-" if right else (0, (3, 2)), color=color, zorder=3,
                      linewidth=0.6 + 4 * float(weight), alpha=float(np.clip(weight, 0.12, 1)))  # fmt: skip
    return axes


def draw_puzzle(
    figure: Figure, scene: ToyScene, config: ToyConfig, nearest: Float[np.ndarray, " tuples"], *, theme: Theme = LIGHT
) -> Figure:
    """Three times the same floor: what is seen, who is who, and what measuring distances makes of it."""
    seen, true, near = figure.subplots(1, 3)
    for axes in (seen, true, near):
        draw_sightings(axes, scene, config, theme=theme)
    draw_links(draw_people(true, scene, theme=theme), scene, true_mass(scene).numpy(), theme=theme)
    draw_links(near, scene, nearest, theme=theme)
    wrong = int(nearest.sum() - (nearest * true_mass(scene).numpy()).sum())
    titles = ("What is seen", "Who is who", f"The nearest together: {wrong} of {len(scene.person_mm)} wrong (dashed)")
    for axes, title in zip((seen, true, near), titles, strict=True):
        axes.set_title(title, fontsize=12, color=theme.ink)
    return figure


def draw_losses(axes: Axes, losses: Sequence[float], steps: int, chance: float, *, theme: Theme = LIGHT) -> Axes:
    """The loss of every step so far, its running mean, and the loss of guessing evenly."""
    number = np.arange(1, len(losses) + 1)
    axes.plot(number, losses, ".", color=theme.muted, markersize=4, label="one step")
    axes.plot(number, running_mean(np.array(losses), 15), color=PALETTE[0], linewidth=2.2, label="mean of 15")
    axes.axhline(chance, color=theme.alarm, linestyle="--", linewidth=1.4, label="guessing evenly")
    axes.set(xlim=(0, steps), ylim=(0, 1.15 * chance), xlabel="step", ylabel="divergence (nats per detection)")
    axes.legend(fontsize=11, loc="upper right", labelcolor=theme.ink, facecolor=theme.paper, edgecolor=theme.grid)
    return dress(axes, theme=theme)


def draw_table(
    axes: Axes, mass: Float[np.ndarray, "rows columns"], truth: Float[np.ndarray, "rows columns"], views: str,
    *, theme: Theme = LIGHT,
) -> Axes:  # fmt: skip
    """Mass of two views' sightings with one another; what is true is framed.

    Args:
        views: the letters of the view in the rows and of the view in the columns.
    """
    axes.imshow(mass, cmap=MAP, vmin=0, vmax=1)
    rows, columns = mass.shape
    for row, column in np.ndindex(rows, columns):
        value = float(mass[row, column])
        axes.text(column, row, f"{value:.2f}".removeprefix("0"), ha="center", va="center", fontsize=11,
                  color="#1A1A1A" if value > 0.55 else "#FFFFFF")  # fmt: skip
        if truth[row, column] > 0.5:
            axes.add_patch(Rectangle((column - 0.46, row - 0.46), 0.92, 0.92, fill=False, edgecolor=PALETTE[1],
                                     linewidth=2.6))  # fmt: skip
    axes.set_xticks(range(columns), [f"{views[1]}{c + 1}" for c in range(columns)])
    axes.set_yticks(range(rows), [f"{views[0]}{r + 1}" for r in range(rows)])
    return dress(axes, theme=theme)


def draw_tensor(
    grid: Sequence[Axes], scene: ToyScene, mass: Float[np.ndarray, " tuples"], *, theme: Theme = LIGHT
) -> Sequence[Axes]:
    """The state as a table; of three views, one table for every sighting of the first.

    Args:
        grid: as many axes as `tables_of` says; spare ones stay empty.
    """
    views, people = scene.identity.shape
    shape = (people,) * views
    state, truth = mass.reshape(shape), true_mass(scene).numpy().reshape(shape)
    if views == 2:
        axes = draw_table(grid[0], state, truth, VIEWS[:2], theme=theme)
        axes.set_title("Mass: rows and columns sum to 1", fontsize=12, color=theme.ink)
        return grid
    for slot, axes in enumerate(grid[:people]):
        draw_table(axes, state[slot], truth[slot], VIEWS[1:3], theme=theme)
        axes.set_title(f"{VIEWS[0]}{slot + 1}: sums to 1", fontsize=11, color=theme.ink)
    for axes in grid[people:]:
        axes.set_axis_off()
    return grid


def tables_of(scene: ToyScene) -> int:
    """How many tables show the state of a scene.

    Raises:
        InputError: more than three views, which have no tables that one can look at.
    """
    views, people = scene.identity.shape
    if views > 3:
        raise InputError(f"{views} views have no tables to look at; two or three views do")
    return 1 if views == 2 else people


def draw_cut(axes: Axes, cut: Cut, path: Float[np.ndarray, "steps tuples"], *, theme: Theme = LIGHT) -> Axes:
    """A path up to its last given state, which is the large dot, in the plane of the cut."""
    draw_section(axes, cut.flat, shadow=cut.outline, theme=theme)
    draw_path(axes, cut.flat, path, color=PALETTE[0], theme=theme)
    draw_landmarks(axes, cut.flat, cut.landmarks, theme=theme)
    place = cut.flat.place(path[-1])
    axes.plot(*place, "o", color=PALETTE[0], markersize=14, markeredgecolor=theme.paper, markeredgewidth=2, zorder=7)
    return axes


def draw_state(
    figure: Figure, scene: ToyScene, config: ToyConfig, path: Trajectory, cut: Cut, step: int, *, theme: Theme = LIGHT
) -> Figure:
    """One state of the reverse diffusion three times: on the floor, as a table, and inside the polytope."""
    figure.set_layout_engine("none")  # everything stays in its place from picture to picture
    floor = draw_sightings(figure.add_axes((0.04, 0.11, 0.28, 0.8)), scene, config, theme=theme)
    draw_links(floor, scene, path.mass[step], theme=theme)
    floor.set_title("Who with whom: wide = heavy, dashed = wrong", fontsize=12, color=theme.ink)
    count = tables_of(scene)
    across = int(np.ceil(count**0.5))
    wide, tall = 0.27 / across, 0.82 / -(-count // across)
    spots = [(0.36 + wide * (n % across), 0.93 - tall * (n // across + 1)) for n in range(count)]
    tables = [figure.add_axes((x, y + 0.06, 0.88 * wide, tall - 0.1)) for x, y in spots]
    draw_tensor(tables, scene, path.mass[step], theme=theme)
    inside = draw_cut(figure.add_axes((0.7, 0.13, 0.25, 0.76)), cut, path.mass[: step + 1], theme=theme)
    away = float(cut.flat.distance(path.mass[step]))
    inside.set_title(f"Inside the polytope ({away:.2f} off this plane)", fontsize=12, color=theme.ink)
    return figure


def draw_starts(axes: Axes, cut: Cut, paths: Sequence[Trajectory], *, theme: Theme = LIGHT) -> Axes:
    """Paths from several random starts, coloured by the corner where they end: truth, competitor, or another (X)."""
    draw_section(axes, cut.flat, shadow=cut.outline, theme=theme)
    ends = [corner_of(path, cut) for path in paths]
    for path, end in zip(paths, ends, strict=True):
        color = theme.alarm if end is None else end.color
        draw_path(axes, cut.flat, path.mass, color=color, theme=theme)
        if end is None:
            axes.plot(*cut.flat.place(path.mass[-1]), "X", color=color, markersize=12, zorder=7)
    draw_landmarks(axes, cut.flat, cut.landmarks, theme=theme)
    count = sum(end is cut.landmarks[0] for end in ends)
    axes.set_title(
        f"{count} of {len(paths)} random starts end at the truth (X: elsewhere)", fontsize=12, color=theme.ink
    )
    return axes


def draw_answers(
    figure: Figure, scene: ToyScene, config: ToyConfig, cut: Cut, paths: Sequence[Trajectory], *, theme: Theme = LIGHT
) -> Figure:
    """What several random starts say together, on the floor, and how each came to say it, in the polytope."""
    floor, plane = figure.subplots(1, 2)
    mean = np.mean([path.mass[-1] for path in paths], 0)
    draw_links(draw_sightings(floor, scene, config, theme=theme), scene, mean, theme=theme)
    floor.set_title("Share of the starts (wide = many, dashed = wrong)", fontsize=12, color=theme.ink)
    draw_starts(plane, cut, paths, theme=theme)
    return figure


def path_to_truth(paths: Sequence[Trajectory], cut: Cut) -> Trajectory:
    """The first path that ends at the truth, or the first of all where none does."""
    return next((path for path in paths if corner_of(path, cut) is cut.landmarks[0]), paths[0])


def corner_of(path: Trajectory, cut: Cut) -> Landmark | None:
    """The truth or the competitor, if that is the assignment nearest to where a path ends."""
    end = nearest_assignment(path.mass[-1], path.members)
    return next((mark for mark in cut.landmarks if bool((np.abs(mark.mass - end) < 0.5).all())), None)


def rival_of(paths: Sequence[Trajectory], truth: Float[np.ndarray, " tuples"]) -> Float[np.ndarray, " tuples"]:
    """The wrong assignment that most paths end at; where none does, the one they were drawn to most."""
    ends = np.stack([nearest_assignment(path.mass[-1], path.members) for path in paths])
    wrong = [end for end in ranked_answers(ends) if np.abs(end - truth).max() > 0.5]
    return wrong[0] if wrong else runner_up(paths[0], truth)


def _halo(theme: Theme) -> list[withStroke]:
    return [withStroke(linewidth=3, foreground=theme.paper)]

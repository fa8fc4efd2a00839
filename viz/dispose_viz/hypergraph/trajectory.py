"""The reverse diffusion made visible: how mass moves between tuples until it is clear who is who."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from dispose.association.polytope import is_fallback
from dispose.diffusion.samplers import Step
from dispose.errors import ShapeError
from dispose.tensors import ABSENT
from dispose_kernels.sinkhorn.problem import Marginals, marginal_residual
from dispose_viz.polytope.sections import (
    Landmark,
    PlaneCut,
    cut_through,
    distance_to_assignment,
    draw_key,
    draw_plane_cut,
    nearest_assignment,
)
from dispose_viz.style import MAP, PALETTE, add_colorbar, color_of, dress, dress_chart, label_of, person_color, theme_of
from dispose_viz.words import name_columns

DOTTED_STEPS = 40
"""A longer trajectory is a line without dots."""

FAINTEST_MASS = 1e-3
"""Masses below a thousandth share the darkest colour: they will not become a person any more."""


@dataclass(frozen=True)
class Trajectory:
    """The states of a sampler, step by step, as arrays.

    Time is diffusion time, 1 = noise, 0 = decided; the mass of every candidate tuple is feasible but for the residual,
    the largest violation of a marginal; members are slots, `ABSENT` where a tuple is not seen.
    """

    time: Float[np.ndarray, " steps"]
    mass: Float[np.ndarray, "steps tuples"]
    members: Int[np.ndarray, "tuples views"]
    residual: Float[np.ndarray, " steps"]

    @property
    def entropy(self) -> Float[np.ndarray, " steps"]:
        """How undecided every step is."""
        return entropy_bits(self.mass)


def entropy_bits(mass: Float[np.ndarray, "steps tuples"]) -> Float[np.ndarray, " steps"]:
    """The entropy of the masses of tuples shared out to one."""
    mass = mass.clip(min=0)
    share = mass / mass.sum(-1, keepdims=True).clip(min=1e-300)
    return -(share * np.log2(share.clip(min=1e-300))).sum(-1)


def trajectories_of(
    steps: Sequence[Step], members: Int[Tensor, "tuples views"], marginals: Marginals
) -> tuple[Trajectory, ...]:
    """Arrays of one sample's recorded steps, the last clean prediction as the state at time 0.

    There is one trajectory per random start (`dispose.models.dispose.sampling.trajectory` packs them in a row). The
    fallback tuple, absent everywhere, is left out: it holds what nobody claims.

    Raises:
        ShapeError: the states are not a whole number of copies of the sample's tuples.
    """
    states = torch.stack([*(step.mass for step in steps), steps[-1].clean]).double()
    tuples = len(members)
    if states.shape[1] % tuples:
        raise ShapeError(f"states of {states.shape[1]} masses are no whole number of starts of {tuples} tuples")
    claimed = (members != ABSENT).any(1)
    time = np.array([*(step.time for step in steps), 0.0])
    return tuple(
        Trajectory(
            time,
            mass[:, claimed].numpy(),
            members[claimed].numpy(),
            np.array([float(marginal_residual(state, marginals).max()) for state in mass]),
        )
        for mass in states.split(tuples, dim=1)
    )


def trajectory_of(steps: Sequence[Step], members: Int[Tensor, "tuples views"], marginals: Marginals) -> Trajectory:
    """The only trajectory of a sample with one start."""
    (only,) = trajectories_of(steps, members, marginals)
    return only


def owners_of_tuples(
    members: Int[np.ndarray, "tuples views"], chosen: Int[np.ndarray, "persons views"], ids: Sequence[int]
) -> list[int]:
    """The id of the person that each tuple became, `ABSENT` where it became nobody."""
    person = {tuple(row): number for row, number in zip(chosen.tolist(), ids, strict=True)}
    return [person.get(tuple(row), ABSENT) for row in members.tolist()]


def tuple_name(members: Sequence[int]) -> str:
    """A tuple in one word: the detection of every view, · where it is absent (``0·21``, ``0,10,·,3``)."""
    words = ["·" if slot == ABSENT else str(slot) for slot in members]
    return ("" if all(len(w) == 1 for w in words) else ",").join(words)


def name_tuples(axes: Axes, members: Int[np.ndarray, "rows views"], owners: Sequence[int]) -> Axes:
    """Tuples beside the rows of a table, with the person that each became."""
    words = [tuple_name(row) for row in members.tolist()]
    names = [word if owner == ABSENT else f"P{owner} = {word}" for word, owner in zip(words, owners, strict=True)]
    axes.set_yticks(range(len(names)), names, family="monospace")
    axes.set_ylabel("tuple: its detection in every view")
    return axes


def color_rows(axes: Axes, owners: Sequence[int]) -> Axes:
    """The names of rows that became people, strong and in the people's colours."""
    for label, owner in zip(axes.get_yticklabels(), owners, strict=True):
        if owner != ABSENT:
            label.set(color=person_color(owner), fontweight="bold")
    return axes


def draw_mass(axes: Axes, trajectory: Trajectory, *, owners: Sequence[int] | None = None, rows: int = 18) -> Axes:
    """Mass of the heaviest tuples (rows) over the steps (columns), as a heat map with a logarithmic colour.

    Args:
        owners: the person id that each tuple became, `ABSENT` = nobody: their names take the person's colour.
        rows: how many tuples to draw; those that ever became heaviest come first, by mass at the end.
    """
    last = trajectory.mass[-1]
    order = np.lexsort((-trajectory.mass.max(0), -last))[:rows]
    image = trajectory.mass[:, order].T.clip(min=FAINTEST_MASS)
    if not len(order):
        # An image of no rows has no height: one row of nothing, with words, instead.
        image = np.full((1, len(trajectory.time)), FAINTEST_MASS)
        axes.text(0.5, 0.5, "there is no tuple", transform=axes.transAxes, ha="center", va="center", fontsize=13,
                  color="#FFFFFF")  # fmt: skip
    drawn = axes.imshow(image, aspect="auto", cmap=MAP, norm=LogNorm(FAINTEST_MASS, 1.0), interpolation="nearest")
    owned = [ABSENT if owners is None else owners[t] for t in order]
    name_tuples(axes, trajectory.members[order], owned)
    step_axis(axes, trajectory.time).set_title(f"Mass of {len(order)} of {len(last)} tuples")
    add_colorbar(axes, drawn, "mass")
    return color_rows(dress(axes), owned)


def draw_feasibility(axes: Axes, paths: Sequence[Trajectory], *, colors: Sequence[str] | None = None) -> Axes:
    """The largest violation of a marginal at every step, one line per trajectory, on a logarithmic axis."""
    axes.set(yscale="log", ylabel="largest violation", title="Feasibility residual")
    return draw_curves(axes, paths, lambda path: path.residual.clip(min=1e-17), colors=colors)


def draw_entropies(axes: Axes, paths: Sequence[Trajectory], *, colors: Sequence[str] | None = None) -> Axes:
    """How undecided the association is at every step, one line per trajectory."""
    axes.set(ylabel="entropy (bits)", title="Indecision")
    draw_curves(axes, paths, lambda path: path.entropy, colors=colors).set_ylim(bottom=0)
    return axes


def draw_curves(
    axes: Axes,
    paths: Sequence[Trajectory],
    value: Callable[[Trajectory], Float[np.ndarray, " steps"]],
    *,
    colors: Sequence[str] | None = None,
) -> Axes:
    """One number of every step over diffusion time, one line per trajectory, in ink where no colours are given."""
    theme = theme_of(axes)
    for path, color in zip(paths, colors or [theme.ink] * len(paths), strict=True):
        stroke = "o-" if len(path.time) <= DOTTED_STEPS else "-"
        axes.plot(range(len(path.time)), value(path), stroke, color=color, linewidth=1.6, markersize=4)
    return dress_chart(step_axis(axes, paths[0].time))


def draw_members(
    axes: Axes,
    members: Int[np.ndarray, "persons views"],
    confidence: Float[np.ndarray, " persons"],
    ids: Sequence[int],
    cameras: Sequence[str],
) -> Axes:
    """Which detection of which view forms each person, by id: a coloured box with the detection's number."""
    theme = theme_of(axes)
    order = np.argsort(ids, kind="stable")
    members, confidence, ids = members[order], confidence[order], [ids[i] for i in order]
    for row, (slots, person) in enumerate(zip(members.tolist(), ids, strict=True)):
        for view, slot in enumerate(slots):
            seen = slot != ABSENT
            axes.text(view, row, f"#{slot}" if seen else "unseen", ha="center", va="center", fontsize=13,
                      color=theme.paper if seen else theme.muted, fontweight="bold" if seen else "normal",
                      bbox={"boxstyle": "round,pad=0.45", "linewidth": 0,
                            "facecolor": color_of(person, theme) if seen else theme.paper})  # fmt: skip
    rows, views = members.shape
    axes.set(xlim=(-0.6, views - 0.4), ylim=(max(rows, 1) - 0.4, -0.6), title="Who is who")
    if not rows:
        axes.text((views - 1) / 2, 0, "nobody was found", ha="center", va="center", fontsize=13, color=theme.ink)
    name_columns(axes, range(views), cameras)
    axes.set_yticks(range(rows), [f"{label_of(i)}  ({c:.0%} sure)" for i, c in zip(ids, confidence, strict=True)])
    axes.set(xlabel="view", ylabel="person")
    return dress(axes)


def draw_trajectory(figure: Figure, trajectory: Trajectory, *, owners: Sequence[int] | None = None) -> Figure:
    """Mass on the left, feasibility and indecision on the right."""
    grid = figure.add_gridspec(2, 2, width_ratios=(2.2, 1))
    draw_mass(figure.add_subplot(grid[:, 0]), trajectory, owners=owners)
    draw_entropies(figure.add_subplot(grid[0, 1]), [trajectory])
    draw_feasibility(figure.add_subplot(grid[1, 1]), [trajectory])
    return figure


def step_axis(axes: Axes, time: Float[np.ndarray, " steps"]) -> Axes:
    """Diffusion times below the steps, never more than fit; returns the axes."""
    ticks = sorted({round(i) for i in np.linspace(0, len(time) - 1, 5 if len(time) > 7 else len(time))})
    axes.set_xticks(ticks, [f"{time[i]:.2g}" for i in ticks])
    axes.set_xlabel("diffusion time (1 = noise)")
    return axes


def answers_of(starts: Sequence[Trajectory]) -> Float[np.ndarray, "starts tuples"]:
    """The integral assignment nearest to where every start ended."""
    return np.stack([nearest_assignment(start.mass[-1], start.members) for start in starts])


def draw_distances(axes: Axes, starts: Sequence[Trajectory], *, colors: Sequence[str] | None = None) -> Axes:
    """Distance of every state from the integral assignment nearest to it, one line per start."""
    axes.set(ylabel="distance (1 = one detection)", title="Distance to the nearest assignment")
    return draw_curves(axes, starts, lambda start: distance_to_assignment(start.mass, start.members), colors=colors)


def answer_colors(answers: Float[np.ndarray, "starts tuples"]) -> list[str]:
    """One colour per start: those that end in the same answer share it, the commonest first."""
    place = {answer.tobytes(): rank for rank, answer in enumerate(ranked_answers(answers))}
    return [PALETTE[place[answer.tobytes()] % len(PALETTE)] for answer in answers]


def ranked_answers(answers: Float[np.ndarray, "starts tuples"]) -> Float[np.ndarray, "answers tuples"]:
    """The different answers, the commonest first."""
    kinds, first, count = np.unique(answers, axis=0, return_index=True, return_counts=True)
    return kinds[np.lexsort((first, -count))]


def draw_votes(axes: Axes, starts: Sequence[Trajectory], *, owners: Sequence[int] | None = None) -> Axes:
    """Which tuple every start took: rows that all starts agree on below, the disputed ones on top.

    Args:
        owners: the person id that each tuple became, `ABSENT` = nobody.
    """
    theme = theme_of(axes)
    answers = answers_of(starts)
    several = (starts[0].members != ABSENT).sum(1) > 1
    votes = np.where(several, answers.sum(0), 0)
    rows = [int(t) for t in np.argsort(votes, kind="stable") if votes[t] > 0]
    colors = answer_colors(answers)
    for y, row in enumerate(rows):
        for x, answer in enumerate(answers):
            taken = answer[row] > 0
            axes.plot(x, y, "s", markersize=17, color=colors[x] if taken else theme.paper,
                      markeredgecolor=colors[x] if taken else theme.grid)  # fmt: skip
            axes.text(x, y, "✓" if taken else "", ha="center", va="center", color=theme.paper, fontsize=12)
        axes.text(len(starts) - 0.3, y, f"{int(votes[row])} of {len(starts)}", va="center", fontsize=11,
                  color=theme.alarm if votes[row] < len(starts) else theme.ink)  # fmt: skip
    name_tuples(axes, starts[0].members[rows], [ABSENT if owners is None else owners[row] for row in rows])
    axes.set_xticks(range(len(starts)), [str(x + 1) for x in range(len(starts))])
    disputes = sum(votes[row] < len(starts) for row in rows)
    title = "All starts agree" if not disputes else f"{disputes} tuples are disputed"
    axes.set(xlabel="random start", title=title, xlim=(-0.7, len(starts) + 0.9), ylim=(max(len(rows), 1) - 0.4, -0.6))
    return dress(axes)


def draw_starts_in_plane(axes: Axes, starts: Sequence[Trajectory], middle: Trajectory, marginals: Marginals) -> Axes:
    """All paths in the plane through the middle (the run from the zero latent) and the two commonest answers.

    Where all starts agree the second answer is the one that differs in what the middle run was least sure of
    (`runner_up`).
    """
    theme = theme_of(axes)
    answers = answers_of([*starts, middle])
    ranked = ranked_answers(answers)
    first, second = ranked[0], ranked[1] if len(ranked) > 1 else runner_up(middle, ranked[0])
    words = difference_words(starts[0].members, first, second)
    one, other = Landmark(words[0], first, PALETTE[0]), Landmark(words[1], second, PALETTE[1])
    people = np.nonzero(~is_fallback(marginals).numpy())[0]
    cut = cut_through(Landmark("the middle", middle.mass[0], theme.muted), one, other, marginals, people)
    colors = answer_colors(answers)
    order, shades, labels = [], [], []
    for color in dict.fromkeys(colors[:-1]):
        same = [start for start, own in zip(starts, colors, strict=False) if own == color]
        name = f"{len(same)} random start{'s' if len(same) > 1 else ''}"
        order += [start.mass for start in same]
        shades += [color] * len(same)
        labels += [f"{name}: {_reach(cut, same)}"] + [""] * (len(same) - 1)
    labels.append(f"from the middle: {_reach(cut, [middle])}")
    draw_plane_cut(axes, cut, [*order, middle.mass], [*shades, theme.ink], labels)
    return draw_key(axes)


def _reach(cut: PlaneCut, paths: Sequence[Trajectory]) -> str:
    return f"up to {max(float(cut.flat.distance(path.mass).max()) for path in paths):.2g} off the plane"


def difference_words(
    members: Int[np.ndarray, "tuples views"], one: Float[np.ndarray, " tuples"], other: Float[np.ndarray, " tuples"]
) -> tuple[str, str]:
    """The tuples that only one of two assignments has, for both: what they disagree about."""
    apart = [(a > 0) & ~(b > 0) for a, b in ((one, other), (other, one))]
    first, second = ("\n".join(_words(row.tolist()) for row in members[rows]) for rows in apart)
    return first, second


def _words(slots: Sequence[int]) -> str:
    single = sum(slot != ABSENT for slot in slots) == 1
    return f"{tuple_name(slots)} alone" if single else tuple_name(slots)


def ids_like(groups: Int[np.ndarray, "groups views"], known: Int[np.ndarray, "persons views"]) -> list[int]:
    """An id for every group: the number of the known person it shares most detections with, each used once."""
    if not len(groups):
        return []
    shared = ((groups[:, None] == known) & (known != ABSENT)).sum(-1)
    rows, columns = linear_sum_assignment(-shared)
    ids = {int(row): int(column) for row, column in zip(rows, columns, strict=True) if shared[row, column]}
    free = iter(range(len(known), len(known) + len(groups)))
    return [ids[row] if row in ids else next(free) for row in range(len(groups))]


def runner_up(path: Trajectory, answer: Float[np.ndarray, " tuples"]) -> Float[np.ndarray, " tuples"]:
    """The best assignment other than an answer, by the path's mean mass: one of the answer's groups is forbidden."""
    mean = path.mass.mean(0)
    others = []
    for group in np.nonzero((answer > 0) & ((path.members != ABSENT).sum(1) > 1))[0]:
        without = mean.copy()
        without[group] -= len(mean)
        other = nearest_assignment(without, path.members)
        if other[group] == 0:
            others.append(other)
    if not others:
        raise ShapeError("nobody was put together: there is no other answer to compare with")
    return max(others, key=lambda other: float((other * (2 * mean - 1)).sum()))

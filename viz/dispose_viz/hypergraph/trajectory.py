"""The reverse diffusion made visible: how mass moves between candidate tuples until it is clear who is who."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from torch import Tensor

from dispose.association.polytope import Marginals, marginal_residual
from dispose.diffusion.samplers import Step
from dispose.errors import ShapeError
from dispose.tensors import ABSENT
from dispose_viz.style import MAP, add_colorbar, color_of, dress, dress_chart, label_of, person_color, theme_of
from dispose_viz.words import name_columns

DOTTED_STEPS = 40
"""A longer trajectory is a line without dots."""

FAINTEST_MASS = 1e-3
"""Masses below a thousandth share the darkest colour: they will not become a person any more."""


@dataclass(frozen=True)
class Trajectory:
    """The states of a sampler, step by step, as arrays.

    Attributes:
        time: diffusion time of every step, 1 = noise, 0 = decided.
        mass: mass of every candidate tuple at every step, feasible.
        members: the slot of every tuple in every view, `ABSENT` where it is not seen.
        residual: largest violation of a marginal at every step.
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

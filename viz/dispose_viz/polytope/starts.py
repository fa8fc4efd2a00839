"""Several random starts of one reverse diffusion: the same curves overlaid, and where their answers differ."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from dispose.association.polytope import Marginals, is_fallback, marginal_residual
from dispose.association.section import Flat, distance_to_assignment, nearest_assignment, shadow
from dispose.diffusion.samplers import Step
from dispose.errors import ShapeError
from dispose.tensors import ABSENT
from dispose_viz.hypergraph.trajectory import Trajectory, line_of, step_axis, tuple_name
from dispose_viz.polytope.sections import Landmark, draw_key, draw_landmarks, draw_path, draw_section, plane_of_answers
from dispose_viz.style import LIGHT, PALETTE, Theme, dress


def trajectories_of(
    steps: Sequence[Step], members: Int[Tensor, "tuples views"], marginals: Marginals
) -> tuple[Trajectory, ...]:
    """One trajectory per random start of one frame (`dispose.models.dispose.sampling.trajectory` packs them in a row).

    As `dispose_viz.hypergraph.trajectory.trajectory_of`, the all-absent tuple is left out.

    Raises:
        ShapeError: the states are not a whole number of copies of the frame's tuples.
    """
    states = torch.stack([*(step.mass for step in steps), steps[-1].clean]).double()
    tuples = len(members)
    if states.shape[1] % tuples:
        raise ShapeError(f"states of {states.shape[1]} masses are no whole number of starts of {tuples} tuples")
    people = ~is_fallback(marginals)
    time = np.array([*(step.time for step in steps), 0.0])
    return tuple(
        Trajectory(
            time,
            mass[:, people].numpy(),
            members[people].numpy(),
            np.array([float(marginal_residual(state, marginals).max()) for state in mass]),
        )
        for mass in states.split(tuples, dim=1)
    )


def answers_of(starts: Sequence[Trajectory]) -> Float[np.ndarray, "starts tuples"]:
    """The integral assignment nearest to where every start ended."""
    return np.stack([nearest_assignment(start.mass[-1], start.members) for start in starts])


def draw_distances(
    axes: Axes, starts: Sequence[Trajectory], *, colors: Sequence[str] | None = None, theme: Theme = LIGHT
) -> Axes:
    """Distance of every state from the integral assignment nearest to it, one line per start."""
    for line, start in zip(_colors(starts, colors), starts, strict=True):
        away = distance_to_assignment(start.mass, start.members)
        axes.plot(range(len(away)), away, line_of(start.time), color=line, linewidth=1.6, markersize=4)
    return _over_steps(axes, starts, "distance (1 = one detection)", "Distance to the nearest assignment", theme)


def draw_entropies(
    axes: Axes, starts: Sequence[Trajectory], *, colors: Sequence[str] | None = None, theme: Theme = LIGHT
) -> Axes:
    """Entropy of the mass, one line per start."""
    for line, start in zip(_colors(starts, colors), starts, strict=True):
        axes.plot(range(len(start.time)), start.entropy, line_of(start.time), color=line, linewidth=1.6, markersize=4)
    return _over_steps(axes, starts, "entropy (bits)", "Indecision", theme)


def draw_residuals(
    axes: Axes, starts: Sequence[Trajectory], *, colors: Sequence[str] | None = None, theme: Theme = LIGHT
) -> Axes:
    """Largest violation of a marginal, one line per start, on a logarithmic axis."""
    for line, start in zip(_colors(starts, colors), starts, strict=True):
        axes.semilogy(range(len(start.time)), start.residual.clip(min=1e-17), line_of(start.time), color=line,
                      linewidth=1.6, markersize=4)  # fmt: skip
    return _over_steps(axes, starts, "largest violation", "Feasibility residual", theme)


def answer_colors(answers: Float[np.ndarray, "starts tuples"]) -> list[str]:
    """One colour per start: those that end in the same answer share it, the commonest first."""
    ranked = ranked_answers(answers)
    place = {answer.tobytes(): rank for rank, answer in enumerate(ranked)}
    return [PALETTE[place[answer.tobytes()] % len(PALETTE)] for answer in answers]


def ranked_answers(answers: Float[np.ndarray, "starts tuples"]) -> Float[np.ndarray, "answers tuples"]:
    """The different answers, the commonest first."""
    kinds, first, count = np.unique(answers, axis=0, return_index=True, return_counts=True)
    return kinds[np.lexsort((first, -count))]


def draw_votes(
    axes: Axes,
    starts: Sequence[Trajectory],
    *,
    owners: Sequence[int] | None = None,
    theme: Theme = LIGHT,
) -> Axes:
    """Which tuple every start took: rows that all starts agree on below, the disputed ones on top.

    Args:
        owners: the person id that each tuple became, `ABSENT` = nobody.
    """
    answers = answers_of(starts)
    several = (starts[0].members != ABSENT).sum(1) > 1
    votes = np.where(several, answers.sum(0), 0)
    rows = [int(t) for t in np.argsort(votes, kind="stable") if votes[t] > 0]
    colors = answer_colors(answers)
    for y, row in enumerate(rows):
        disputed = votes[row] < len(starts)
        for x, answer in enumerate(answers):
            taken = answer[row] > 0
            axes.plot(x, y, "s", markersize=17, color=colors[x] if taken else theme.paper,
                      markeredgecolor=colors[x] if taken else theme.grid)  # fmt: skip
            axes.text(x, y, "✓" if taken else "", ha="center", va="center", color=theme.paper, fontsize=12)
        axes.text(len(starts) - 0.3, y, f"{int(votes[row])} of {len(starts)}", va="center", fontsize=11,
                  color=theme.alarm if disputed else theme.ink)  # fmt: skip
    words = [tuple_name(starts[0].members[row].tolist()) for row in rows]
    owned = [ABSENT if owners is None else owners[row] for row in rows]
    names = [w if p == ABSENT else f"P{p} = {w}" for w, p in zip(words, owned, strict=True)]
    axes.set_yticks(range(len(rows)), names, family="monospace")
    axes.set_xticks(range(len(starts)), [str(x + 1) for x in range(len(starts))])
    disputes = sum(votes[row] < len(starts) for row in rows)
    title = "All starts agree" if not disputes else f"{disputes} tuples are disputed"
    axes.set(xlabel="random start", ylabel="tuple: its detection in every view", title=title,
             xlim=(-0.7, len(starts) + 0.9), ylim=(max(len(rows), 1) - 0.4, -0.6))  # fmt: skip
    return dress(axes, theme=theme)


def draw_starts_in_plane(
    axes: Axes, starts: Sequence[Trajectory], middle: Trajectory, marginals: Marginals, *, theme: Theme = LIGHT
) -> Axes:
    """All paths in the plane through the middle (the run from the zero latent) and the two commonest answers.

    Where all starts agree the second answer is the one that differs in what the middle run was least sure of
    (`runner_up`).
    """
    answers = answers_of([*starts, middle])
    ranked = ranked_answers(answers)
    second = ranked[1] if len(ranked) > 1 else runner_up(middle, ranked[0])
    flat = plane_of_answers(middle.mass[0], ranked[0], second)
    people = np.nonzero(~is_fallback(marginals).numpy())[0]
    draw_section(axes, flat, shadow=shadow(flat, marginals, people), theme=theme)
    colors = answer_colors(answers)
    for color in dict.fromkeys(colors[:-1]):
        same = [start for start, own in zip(starts, colors, strict=False) if own == color]
        away = max(float(flat.distance(start.mass).max()) for start in same)
        for number, start in enumerate(same):
            words = f"{len(same)} random starts" if len(same) > 1 else "1 random start"
            draw_path(axes, flat, start.mass, color=color, theme=theme,
                      label=f"{words}: up to {away:.2g} off the plane" if number == 0 else "")  # fmt: skip
    draw_path(axes, flat, middle.mass, color=theme.ink, theme=theme,
              label=f"from the middle: up to {_farthest(flat, middle):.2g} off the plane")  # fmt: skip
    one, other = difference_words(starts[0].members, ranked[0], second)
    marks = [Landmark(one, ranked[0], PALETTE[0]), Landmark(other, second, PALETTE[1])]
    draw_landmarks(axes, flat, [*marks, Landmark("the middle", middle.mass[0], theme.muted)], theme=theme)
    return draw_key(axes, theme=theme)


def difference_words(
    members: Int[np.ndarray, "tuples views"], one: Float[np.ndarray, " tuples"], other: Float[np.ndarray, " tuples"]
) -> tuple[str, str]:
    """The tuples that only one of two assignments has, for both: what they disagree about."""
    apart = [(a > 0) & ~(b > 0) for a, b in ((one, other), (other, one))]
    first, second = ("\n".join(_words(row.tolist()) for row in members[rows]) for rows in apart)
    return first, second


def _words(slots: Sequence[int]) -> str:
    alone = sum(slot != ABSENT for slot in slots) == 1
    return f"{tuple_name(slots)} alone" if alone else tuple_name(slots)


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
    groups = np.nonzero((answer > 0) & ((path.members != ABSENT).sum(1) > 1))[0]
    best, found = -np.inf, None
    for group in groups:
        without = mean.copy()
        without[group] -= len(mean)
        rival = nearest_assignment(without, path.members)
        if rival[group] == 0 and (worth := float((rival * (2 * mean - 1)).sum())) > best:
            best, found = worth, rival
    if found is None:
        raise ShapeError("nobody was put together: there is no other answer to compare with")
    return found


def _farthest(flat: Flat, path: Trajectory) -> float:
    return float(flat.distance(path.mass).max())


def _colors(starts: Sequence[Trajectory], colors: Sequence[str] | None) -> list[str]:
    return answer_colors(answers_of(starts)) if colors is None else list(colors)


def _over_steps(axes: Axes, starts: Sequence[Trajectory], ylabel: str, title: str, theme: Theme) -> Axes:
    step_axis(axes, starts[0].time).set(ylabel=ylabel, title=title)
    axes.grid(color=theme.grid, linewidth=0.6)
    return dress(axes, theme=theme)

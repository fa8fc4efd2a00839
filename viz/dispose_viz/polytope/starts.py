"""Several random starts of one reverse diffusion: the same curves overlaid, and where their answers differ."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from scipy.optimize import linear_sum_assignment

from dispose.association.polytope import Marginals, is_fallback
from dispose.errors import ShapeError
from dispose.tensors import ABSENT
from dispose_viz.hypergraph.trajectory import Trajectory, draw_curves, name_tuples, tuple_name
from dispose_viz.polytope.geometry import distance_to_assignment, nearest_assignment
from dispose_viz.polytope.sections import Landmark, PlaneCut, cut_through, draw_key, draw_plane_cut
from dispose_viz.style import PALETTE, dress, theme_of


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

"""Pictures of polytopes: what is drawn lies where the mathematics says, and is named."""

from itertools import pairwise
from typing import Any, cast

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from matplotlib.text import Annotation

from dispose.association.polytope import every_tuple, everybody_once, feasible_marginals
from dispose.diffusion.samplers import Step
from dispose.errors import ShapeError
from dispose.tensors import ABSENT
from dispose_kernels.sinkhorn.newton import newton_projection
from dispose_kernels.sinkhorn.problem import Marginals
from dispose_viz.hypergraph import trajectory
from dispose_viz.hypergraph.trajectory import (
    Trajectory,
    draw_entropies,
    draw_feasibility,
    draw_trajectory,
    trajectories_of,
)
from dispose_viz.polytope import birkhoff, sections, slices
from dispose_viz.polytope.birkhoff import EVEN, ODD, permutation_matrix
from dispose_viz.polytope.sections import Flat, nearest_assignment, shadow
from dispose_viz.scene.plotly_scene import new_scene
from dispose_viz.style import DARK, LIGHT, PALETTE, lay_out, new_figure

MEMBERS = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1], [0, -1], [1, -1], [-1, 0], [-1, 1], [-1, -1]])
"""Two views of two detections with dustbins; the last tuple is the fallback."""


def problem() -> Marginals:
    return feasible_marginals(MEMBERS[:-1], torch.ones(2, 2, dtype=torch.bool))


def run(seed: int, favoured: tuple[int, ...], copies: int = 1) -> list[Step]:
    """A sampler that goes from noise to the favoured tuples, every copy on its own."""
    marginals = problem()
    random = torch.Generator().manual_seed(seed)
    goal = torch.full((len(MEMBERS),), -4.0).double()
    goal[list(favoured)] = 4.0
    noise = torch.randn(copies, len(MEMBERS), generator=random, dtype=torch.float64)
    states = [
        torch.cat([newton_projection(s * goal * 2 + (1 - s) * row, marginals).mass for row in noise])
        for s in np.linspace(0, 1, 5)
    ]
    return [Step(1 - 0.25 * k, states[k], states[k + 1]) for k in range(4)]


def inside(places: np.ndarray, corners: np.ndarray) -> bool:
    """Whether all places lie in a convex polygon given counter-clockwise."""
    edge, to = np.roll(corners, -1, 0) - corners, places[:, None] - corners
    return bool((edge[:, 0] * to[..., 1] - edge[:, 1] * to[..., 0]).min() > -1e-6)


def polygon(axes) -> np.ndarray:
    return np.asarray(next(p for p in axes.patches if isinstance(p, Polygon)).get_xy())[:-1]


def doubly_stochastic(steps: int) -> np.ndarray:
    shares = np.linspace(0, 0.9, steps)[:, None, None]
    return (1 - shares) / 3 + shares * permutation_matrix((1, 0, 2))


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_all_six_permutations_are_named_once(theme) -> None:
    figure = birkhoff.draw_birkhoff(new_figure(10.0, 4.0, theme=theme))
    words = [t.get_text() for axes in figure.axes for t in axes.texts]
    assert len(words) == 6
    for name in ("identity\n123", "(1 2)\n213", "(1 2 3)\n231", "(2 3)\n132"):
        assert words.count(name) == 1
    assert all(axes.get_xlabel() for axes in figure.axes)


def test_a_path_lies_in_both_triangles_and_ends_near_its_permutation() -> None:
    path = doubly_stochastic(5)
    figure = birkhoff.draw_birkhoff(new_figure(10.0, 4.0), path)
    for axes in figure.axes:
        line = next(line for line in axes.lines if len(np.asarray(line.get_xdata())) == 5)
        assert inside(np.asarray(line.get_xydata()), polygon(axes))
    even, odd = figure.axes
    drawn = [np.asarray(axes.lines[2].get_xydata())[-1] for axes in (even, odd)]
    corner = next(cast(Annotation, t).xy for t in odd.texts if t.get_text().startswith("(1 2)"))
    np.testing.assert_allclose(drawn[0], 0, atol=1e-9)
    np.testing.assert_allclose(drawn[1], 0.9 * np.array(corner), atol=1e-9)


def test_a_step_cuts_the_path() -> None:
    figure = birkhoff.draw_birkhoff(new_figure(10.0, 4.0), doubly_stochastic(5), step=1)
    assert len(np.asarray(figure.axes[0].lines[2].get_xdata())) == 2


def test_matrices_that_are_not_doubly_stochastic_are_refused() -> None:
    path = doubly_stochastic(3)
    path[1, 2] += 0.1
    with pytest.raises(ValueError, match=r"step 1: row 3 sums to 1\.3"):
        birkhoff.draw_birkhoff(new_figure(5.0, 4.0), path)
    with pytest.raises(ValueError, match="step 0"):
        birkhoff.check_doubly_stochastic(np.array([[[2.0, -1, 0], [-1, 2, 0], [0, 0, 1]]]))


def test_the_symmetric_solid_names_its_five_corners_and_says_how_far_a_path_is_off() -> None:
    figure = birkhoff.draw_symmetric_section(new_scene(), doubly_stochastic(4), "a")
    traces = {t.name: t for t in cast(Any, figure).data}
    assert len(traces["corners"].text) == 5 and "half (1 2 3), half (1 3 2)" in traces["corners"].text
    assert sum(birkhoff.permutation_name(p) in " ".join(traces["corners"].text) for p in ODD) == 3
    assert any(name.startswith("a (up to") for name in traces)
    rotation = permutation_matrix((1, 2, 0))[None]
    traces = {t.name for t in cast(Any, birkhoff.draw_symmetric_section(new_scene(), rotation, "b")).data}
    assert "b (up to 1.2 off the section)" in traces


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_a_section_is_drawn_with_its_corners_full_where_they_are_matches(theme) -> None:
    members = every_tuple(2, 3).numpy()
    even = np.array([0.5 if sum(t) % 2 == 0 else 0.0 for t in members])
    together = np.array([1.0 if len(set(t)) == 1 else 0.0 for t in members.tolist()])
    flat = sections.plane_of_answers(np.full(8, 0.25), together, even)
    axes = sections.draw_section(new_figure(5.0, 5.0, theme=theme).add_subplot(), flat)
    full, hollow = (np.asarray(line.get_xydata()) for line in axes.lines[:2])
    assert len(full) == 1 and len(hollow) == 3
    np.testing.assert_allclose(flat.point(full)[0], together, atol=1e-9)
    assert any(np.allclose(flat.point(corner), even) for corner in hollow)
    mark = sections.Landmark("even halves", even, PALETTE[1])
    sections.draw_landmarks(axes, flat, [mark, sections.Landmark("match", together, PALETTE[0])])
    assert {t.get_text() for t in axes.texts} == {"even halves", "match"}


@pytest.mark.parametrize("size", [(8.0, 6.0), (5.0, 5.0), (4.0, 7.0)])
def test_names_of_landmarks_lie_inside_the_frame_on_every_side(size) -> None:
    members = every_tuple(2, 3).numpy()
    even = np.array([0.5 if sum(t) % 2 == 0 else 0.0 for t in members])
    together = np.array([1.0 if len(set(t)) == 1 else 0.0 for t in members.tolist()])
    flat = sections.plane_of_answers(np.full(8, 0.25), together, even)
    for turned in (flat, Flat(flat.origin, np.array([[0.0, -1], [1, 0]]) @ flat.axes)):
        axes = sections.draw_section(new_figure(*size).add_subplot(), turned)
        named = (("000 + 111", together), ("even\nhalves", even), ("odd", 0.5 - even))
        marks = [sections.Landmark(name, mass, PALETTE[0]) for name, mass in named]
        marks.append(sections.Landmark("mean of the\nother three", (1 - together) / 3, PALETTE[1]))
        sections.draw_landmarks(axes, turned, marks)
        sections.draw_key(axes)
        lay_out(cast(Figure, axes.figure)).draw_without_rendering()
        frame = axes.get_window_extent()
        for text in axes.texts:
            box = text.get_window_extent()
            assert frame.x0 < box.x0 and box.x1 < frame.x1 and frame.y0 < box.y0 and box.y1 < frame.y1, text


def test_a_landmark_off_the_plane_says_so() -> None:
    flat = sections.plane_of_answers(np.full(4, 0.5), np.array([1.0, 0, 0, 1]), np.array([0.9, 0.1, 0.2, 0.8]))
    axes = sections.draw_landmarks(
        new_figure(4.0, 4.0).add_subplot(), flat, [sections.Landmark("x", np.array([1.0, 1, 1, 1]), "#000000")]
    )
    assert "1 off the plane" in axes.texts[0].get_text()


def test_paths_grow_paler_with_their_distance_from_the_plane() -> None:
    flat = sections.plane_of_answers(np.zeros(3), np.array([1.0, 1, 0]), np.array([1.0, -1, 0]))
    axes = new_figure(4.0, 4.0).add_subplot()
    sections.draw_path(axes, flat, np.array([[0.2, 0, 1.5], [0.5, 0, 0.5], [1, 0, 0]]), color="#000000")
    shades = np.asarray(axes.collections[0].get_facecolor())[:, 0]
    assert shades[0] > shades[1] > shades[2] == 0


def test_packed_starts_come_apart_and_each_stays_feasible() -> None:
    packed = run(0, (0, 3), copies=3)
    runs = trajectories_of(packed, MEMBERS, problem())
    assert len(runs) == 3 and all(r.mass.shape == (5, 8) and r.residual.max() < 1e-6 for r in runs)
    np.testing.assert_allclose(runs[1].mass[0], packed[0].mass.view(3, -1)[1, :-1].numpy())
    with pytest.raises(ShapeError, match="no whole number of starts"):
        trajectories_of([Step(1.0, torch.ones(10), torch.ones(10))], MEMBERS, problem())


def two_minds() -> tuple[Trajectory, ...]:
    return tuple(
        trajectories_of(run(seed, favoured), MEMBERS, problem())[0]
        for seed, favoured in ((0, (0, 3)), (1, (0, 3)), (2, (1, 2)))
    )


def test_answers_are_ranked_and_coloured_by_how_many_starts_share_them() -> None:
    answers = trajectory.answers_of(two_minds())
    ranked = trajectory.ranked_answers(answers)
    assert len(ranked) == 2 and (ranked[0] == answers[0]).all()
    assert trajectory.answer_colors(answers) == [PALETTE[0], PALETTE[0], PALETTE[1]]


def test_votes_put_the_disputed_tuples_on_top_and_count_them() -> None:
    axes = trajectory.draw_votes(new_figure(6.0, 4.0).add_subplot(), two_minds())
    assert axes.get_title() == "4 tuples are disputed"
    counts = [t.get_text() for t in axes.texts if "of" in t.get_text()]
    assert counts == ["1 of 3", "1 of 3", "2 of 3", "2 of 3"]
    same = two_minds()[:2]
    assert trajectory.draw_votes(new_figure(6.0, 4.0).add_subplot(), same).get_title() == "All starts agree"


def test_every_curve_of_the_starts_ends_decided() -> None:
    axes = trajectory.draw_distances(new_figure(4.0, 3.0).add_subplot(), two_minds())
    ends = [float(np.asarray(line.get_ydata())[-1]) for line in axes.lines]
    assert len(ends) == 3 and max(ends) < 0.1 and axes.get_ylabel() and axes.get_xlabel()
    for draw in (draw_entropies, draw_feasibility):
        assert len(draw(new_figure(4.0, 3.0).add_subplot(), two_minds()).lines) == 3


@pytest.mark.parametrize("count", [3, 2])
def test_starts_are_drawn_inside_the_shadow_whether_they_agree_or_not(count) -> None:
    runs, middle = two_minds()[:count], two_minds()[0]
    axes = trajectory.draw_starts_in_plane(new_figure(8.0, 5.0).add_subplot(), runs, middle, problem())
    around = np.asarray(axes.lines[0].get_xydata())[:-1]
    spots = [np.asarray(collection.get_offsets()) for collection in axes.collections]
    assert len(spots) == count + 1 and all(inside(places, around) for places in spots)


def test_the_runner_up_is_the_best_answer_but_one() -> None:
    path = two_minds()[0]
    answer = nearest_assignment(path.mass[-1], path.members)
    other = trajectory.runner_up(path, answer)
    assert (other != answer).any() and ((path.members.T[0] == 0) @ other) == 1
    first, second = trajectory.difference_words(path.members, answer, other)
    assert first and second and not set(first.split("\n")) & set(second.split("\n"))


def test_groups_keep_the_ids_of_the_people_they_share_most_with() -> None:
    known = np.array([[0, 0, 0], [1, 1, 1]])
    assert trajectory.ids_like(np.array([[1, 1, ABSENT], [0, 0, 0], [2, 2, 2]]), known) == [1, 0, 2]
    assert trajectory.ids_like(np.zeros((0, 3), dtype=int), known) == []


def test_sweeps_are_measured_after_every_view_and_get_better() -> None:
    logits = torch.randn(len(MEMBERS), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    measured = slices.sweep_errors(logits, problem(), 12)
    assert measured.residual.shape == (25,) and measured.violation.shape == (25, 6)
    np.testing.assert_allclose(np.abs(measured.violation).max(1), measured.residual)
    assert measured.after(12) < 0.1 * measured.after(2) and measured.error[-1] < 1e-2
    own = [b for b, view in enumerate(measured.view_of_bin) if view == 0]
    np.testing.assert_allclose(measured.violation[1][own], 0, atol=1e-12)
    axes = slices.draw_violations(new_figure(8.0, 4.0).add_subplot(), measured, ["a", "b"], sweeps=3)
    assert np.asarray(axes.images[0].get_array()).shape == (6, 6)
    for draw in (slices.draw_convergence, slices.draw_errors):
        drawn = draw(new_figure(5.0, 4.0).add_subplot(), [measured], ["x"], colors=["#000000"])
        assert len(np.asarray(drawn.lines[0].get_xdata())) == 12 and drawn.get_ylabel()


def test_the_complete_problem_of_two_views_has_a_shadow_that_is_a_polygon() -> None:
    three = np.stack([permutation_matrix(p).ravel() for p in ODD])
    flat = sections.plane_of_answers(*three)
    corners = shadow(flat, everybody_once(3, 2), np.arange(9))
    assert len(corners) == 3  # the even permutations all fall on the centre


@pytest.mark.filterwarnings("error")
def test_two_hundred_steps_and_a_single_one_have_readable_axes() -> None:
    for steps in (1, 200):
        time = np.linspace(1, 0, steps) if steps > 1 else np.ones(1)
        mass = doubly_stochastic(steps).reshape(steps, 9)
        members = np.array([[row, column] for row in range(3) for column in range(3)])
        path = Trajectory(time, mass, members, np.full(steps, 1e-9))
        figure = new_figure(12.0, 4.0)
        both = figure.subplots(1, 3)
        draw_entropies(both[0], [path, path])
        draw_feasibility(both[1], [path])
        trajectory.draw_distances(both[2], [path])
        lay_out(figure).draw_without_rendering()
        for axes in both:
            boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
            assert all(a.x1 < b.x0 for a, b in pairwise(boxes)) and len(boxes) >= min(steps, 5)
        assert (both[0].lines[0].get_marker() == "o") == (steps == 1)


@pytest.mark.filterwarnings("error")
def test_a_frame_without_anybody_has_pictures_too() -> None:
    nobody = Trajectory(np.array([1.0, 0.0]), np.zeros((2, 0)), np.zeros((0, 3), dtype=int), np.zeros(2))
    figure = new_figure(12.0, 6.0)
    draw_trajectory(figure, nobody, owners=[])
    assert "there is no tuple" in [text.get_text() for text in figure.axes[0].texts]
    lay_out(figure).draw_without_rendering()
    votes = trajectory.draw_votes(new_figure(5, 4).add_subplot(), [nobody] * 3, owners=[])
    assert votes.get_title() == "All starts agree"
    line = trajectory.draw_distances(new_figure(5, 4).add_subplot(), [nobody] * 2).lines[0]
    assert np.asarray(line.get_ydata()).tolist() == [0.0, 0.0]


def test_feet_in_the_triangles_are_the_shares_of_the_permutations_they_are_mixed_from() -> None:
    random = np.random.default_rng(3)
    share = random.dirichlet(np.full(6, 0.4))
    matrix = sum(s * permutation_matrix(p) for s, p in zip(share, (*EVEN, *ODD), strict=True))
    figure = birkhoff.draw_birkhoff(new_figure(9, 4), np.asarray(matrix)[None])
    for axes, mine in zip(figure.axes, (share[:3], share[3:]), strict=True):
        corners = polygon(axes)
        assert np.abs(mine @ corners - np.asarray(axes.lines[-1].get_xydata())[0]).max() < 1e-9
    step = np.asarray(matrix)[None] + np.array([[3e-4, 0, 0], [0, 0, 0], [0, 0, 0]])
    with pytest.raises(ValueError, match=r"sums to 1\.0003, not 1"):
        birkhoff.draw_birkhoff(new_figure(9, 4), step)

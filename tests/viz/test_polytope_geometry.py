"""Laws of cuts and shadows of polytopes, and of the permutations that are their corners."""

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment, linprog
from scipy.spatial import ConvexHull

from dispose.association.polytope import every_tuple, everybody_once, feasible_marginals
from dispose.errors import ConvergenceError, ShapeError
from dispose_kernels.sinkhorn.newton import newton_projection
from dispose_kernels.sinkhorn.problem import Marginals, marginal_residual
from dispose_viz.polytope import birkhoff as b
from dispose_viz.polytope.sections import (
    Flat,
    distance_to_assignment,
    flat_through,
    nearest_assignment,
    section,
    shadow,
)


def feasible(people: int, views: int, count: int, seed: int) -> tuple[np.ndarray, torch.Tensor, Marginals]:
    members, marginals = every_tuple(people, views), everybody_once(people, views)
    random = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(count, len(members), generator=random, dtype=torch.float64)
    mass = torch.stack([newton_projection(row, marginals).mass for row in logits])
    return mass.numpy(), members, marginals


def inside(places: np.ndarray, corners: np.ndarray) -> np.ndarray:
    edge = np.roll(corners, -1, 0) - corners
    to = places[..., None, :] - corners
    return (edge[:, 0] * to[..., 1] - edge[:, 1] * to[..., 0]).min(-1) >= -1e-7


@pytest.mark.parametrize(("people", "views"), [(3, 2), (4, 2), (2, 3), (3, 3)])
def test_a_section_holds_its_points_and_its_corners_are_feasible_and_on_the_boundary(people, views) -> None:
    points, _, marginals = feasible(people, views, 3, seed=people)
    flat = flat_through(points)
    corners = section(flat)
    tensors = flat.point(corners)
    assert inside(flat.place(points), corners).all()
    assert tensors.min() > -1e-9
    assert all(float(marginal_residual(torch.from_numpy(t), marginals)) < 1e-7 for t in tensors)
    assert ((tensors < 1e-9).sum(1) >= 2).all()  # a corner is where two tuples have run dry
    np.testing.assert_allclose(flat.distance(points), 0, atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_a_section_is_what_a_linear_programme_finds(seed) -> None:
    points, _, _ = feasible(3, 3, 3, seed)
    flat = flat_through(points)
    corners = section(flat)
    for angle in np.linspace(0, 6, 9):
        way = np.array([np.cos(angle), np.sin(angle)])
        found = linprog(-way, A_ub=-flat.axes.T, b_ub=flat.origin, bounds=(None, None))
        assert (corners @ way).max() == pytest.approx(-found.fun, abs=1e-7)


def test_a_solid_section_holds_its_points_and_is_every_plane_cut_of_it() -> None:
    points, _, _ = feasible(4, 2, 4, seed=1)
    flat = flat_through(points)
    corners = section(flat)
    hull = ConvexHull(corners)
    assert flat.point(corners).min() > -1e-9
    assert (hull.equations[:, :3] @ flat.place(points).T + hull.equations[:, 3:] < 1e-9).all()
    slice_ = section(Flat(flat.origin, flat.axes[:2]))
    assert (hull.equations[:, :2] @ slice_.T + hull.equations[:, 3:]).max() < 1e-7


def test_the_shadow_is_the_hull_of_the_corners_of_birkhoffs_polytope() -> None:
    points, _, marginals = feasible(4, 2, 3, seed=2)
    flat = flat_through(points)
    everybody = np.arange(16)
    found = shadow(flat, marginals, everybody)
    feet = flat.place(np.stack([b.permutation_matrix(p).ravel() for p in itertools.permutations(range(4))]))
    hull = ConvexHull(feet)
    assert ConvexHull(found).volume == pytest.approx(hull.volume, abs=1e-6)
    assert inside(feet, found).all() and inside(section(flat), found).all()


def test_every_feasible_tensor_has_its_foot_in_the_shadow_of_our_polytope() -> None:
    members = torch.tensor([m for m in itertools.product([-1, 0, 1], repeat=3) if set(m) != {-1}])
    marginals = feasible_marginals(members, torch.ones(3, 2, dtype=torch.bool))
    random = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(12, len(members) + 1, generator=random, dtype=torch.float64)
    mass = torch.stack([newton_projection(row, marginals).mass for row in logits]).numpy()[:, :-1]
    flat = flat_through(mass[:3])
    corners = shadow(flat, marginals, np.arange(len(members)))
    assert inside(flat.place(mass), corners).all()
    assert inside(section(flat), corners).all()


def test_points_on_a_line_span_no_plane() -> None:
    with pytest.raises(ShapeError, match="1 dimensions"):
        flat_through(np.array([[0.0, 0], [1, 1], [2, 2]]))
    with pytest.raises(ShapeError, match="unbounded"):
        section(Flat(np.ones(3), np.eye(3)[:2]))


def test_the_nearest_assignment_is_the_nearest_of_all() -> None:
    members = np.array([m for m in itertools.product([-1, 0, 1], repeat=3) if set(m) != {-1}])
    marginals = feasible_marginals(torch.from_numpy(members), torch.ones(3, 2, dtype=torch.bool))
    corners = []
    for size in range(2, 7):
        for rows in itertools.combinations(range(len(members)), size):
            used = sorted((v, s) for e in rows for v, s in enumerate(members[e].tolist()) if s >= 0)
            if used == [(v, s) for v in range(3) for s in range(2)]:
                corners.append(np.isin(np.arange(len(members)), rows).astype(float))
    random = torch.Generator().manual_seed(1)
    for _ in range(10):
        logits = 2 * torch.randn(len(members) + 1, generator=random, dtype=torch.float64)
        mass = newton_projection(logits, marginals).mass.numpy()[:-1]
        best = min(np.linalg.norm(mass - corner) for corner in corners)
        assert np.linalg.norm(mass - nearest_assignment(mass, members)) == pytest.approx(best)


def test_the_nearest_assignment_of_two_views_is_the_linear_one() -> None:
    mass, members, _ = feasible(4, 2, 5, seed=5)
    for x in mass:
        row, column = linear_sum_assignment(-x.reshape(4, 4))
        wanted = np.zeros((4, 4))
        wanted[row, column] = 1
        np.testing.assert_array_equal(nearest_assignment(x, members.numpy()).reshape(4, 4), wanted)
    corners = np.eye(4).reshape(1, 16)
    np.testing.assert_allclose(distance_to_assignment(corners, members.numpy()), 0)


def test_tuples_that_cannot_cover_everybody_have_no_assignment() -> None:
    with pytest.raises(ConvergenceError, match="2 tuples"):
        nearest_assignment(np.ones(2), np.array([[0, 0], [0, 1]]))


@pytest.mark.parametrize("views", [0, 2, 3])
def test_no_tuples_have_one_assignment_the_empty_one(views) -> None:
    nobody = np.zeros((0, views), dtype=int)
    assert nearest_assignment(np.zeros(0), nobody).shape == (0,)
    assert distance_to_assignment(np.zeros((4, 0)), nobody).tolist() == [0.0] * 4


def test_a_tuple_of_nobody_is_taken_where_it_has_most_of_the_mass() -> None:
    members = np.full((1, 3), -1)
    assert [nearest_assignment(np.array([x]), members).tolist() for x in (0.2, 0.8)] == [[0.0], [1.0]]


def test_permutations_have_names_that_tell_them_apart() -> None:
    names = [b.permutation_name(p) for p in itertools.permutations(range(4))]
    assert len(set(names)) == 24 and names[0] == "identity" and "(1 2)(3 4)" in names
    assert b.permutation_word((1, 0, 2)) == "213"
    assert {b.permutation_name(p) for p in b.EVEN} == {"identity", "(1 2 3)", "(1 3 2)"}


def test_two_orthogonal_planes_show_birkhoffs_polytope_of_three_without_loss() -> None:
    even, odd = b.even_and_odd_planes()
    np.testing.assert_allclose(even.origin, 1 / 3)
    np.testing.assert_allclose(odd.origin, 1 / 3)
    np.testing.assert_allclose(even.axes @ odd.axes.T, 0, atol=1e-12)
    mass, _, _ = feasible(3, 2, 20, seed=3)
    rebuilt = even.point(even.place(mass)) + odd.point(odd.place(mass)) - 1 / 3
    np.testing.assert_allclose(rebuilt, mass, atol=1e-9)


def test_what_one_triangle_takes_is_lost_to_the_other() -> None:
    """A pair of places is a doubly stochastic matrix exactly where the reaches add up to at most one."""
    flats = b.even_and_odd_planes()
    corners = [f.place(np.stack([b.permutation_matrix(p).ravel() for p in g])) for f, g in zip(flats, (b.EVEN, b.ODD))]
    random = np.random.default_rng(0)
    places = [random.uniform(-0.8, 0.8, (200, 2)) for _ in range(2)]
    tensors = flats[0].point(places[0]) + flats[1].point(places[1]) - 1 / 3
    total = b.reach(places[0], corners[0]) + b.reach(places[1], corners[1])
    away = np.abs(total - 1) > 1e-6
    np.testing.assert_array_equal((tensors.min(1) >= 0)[away], (total <= 1)[away])
    np.testing.assert_allclose(np.concatenate([b.reach(c, c) for c in corners]), 1)


def test_the_symmetric_section_is_a_bipyramid_and_its_own_shadow() -> None:
    flat = b.symmetric_space()
    corners = flat.point(section(flat)).reshape(-1, 3, 3)
    wanted = [b.permutation_matrix(p) for p in ((0, 1, 2), *b.ODD)]
    wanted.append((b.permutation_matrix((1, 2, 0)) + b.permutation_matrix((2, 0, 1))) / 2)
    assert len(corners) == 5
    assert all(min(np.abs(c - w).max() for c in corners) < 1e-9 for w in wanted)
    mass, _, _ = feasible(3, 2, 5, seed=4)
    feet = flat.point(flat.place(mass)).reshape(-1, 3, 3)
    turned = mass.reshape(-1, 3, 3).transpose(0, 2, 1)
    np.testing.assert_allclose(feet, (mass.reshape(-1, 3, 3) + turned) / 2, atol=1e-9)


def test_three_views_have_corners_that_are_no_assignment() -> None:
    members, marginals = every_tuple(2, 3), everybody_once(2, 3)
    half = torch.tensor([0.5 if sum(m) % 2 == 0 else 0.0 for m in members.tolist()], dtype=torch.float64)
    assert float(marginal_residual(half, marginals)) == 0.0
    support = marginals.bins[half > 0]
    columns = torch.zeros(4, 6).scatter_(1, support, 1.0)
    assert int(torch.linalg.matrix_rank(columns)) == 4  # independent columns: no other tensor lives on this support

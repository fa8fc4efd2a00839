"""Triangulation recovers points, ignores what is unseen, survives outliers and near-parallel rays."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch.testing import assert_close

from dispose.geometry.pinhole import normalize_points
from dispose.geometry.rigid import look_at
from dispose.geometry.triangulation import (
    RobustPoints,
    robust_of_sights,
    solve_symmetric,
    triangulate_algebraic,
    triangulate_dlt,
    triangulate_midpoint,
    triangulate_points,
    triangulate_ransac,
    triangulate_robust,
)
from dispose.geometry.triangulation.sights import pair_midpoints, refine, sights_of
from dispose.scene.cameras import Cameras
from dispose.tensors import cat

UP = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)


def rig(views: int, radius_mm: float = 4000.0) -> Cameras:
    angle = torch.arange(views, dtype=torch.float64) * 6.2 / views
    centre = torch.stack([radius_mm * angle.cos(), radius_mm * angle.sin(), 2000 + 100 * angle], -1)
    target = torch.tensor([0.0, 0.0, 900.0], dtype=torch.float64).expand(views, 3)
    rotation, translation = look_at(centre, target, UP)
    matrix = torch.tensor([[1100.0, 0, 960], [0, 1080, 540], [0, 0, 1]], dtype=torch.float64).repeat(views, 1, 1)
    lens = torch.tensor([-0.2, 0.05, 1e-3, -1e-3, 0, 0, 0, 0], dtype=torch.float64).repeat(views, 1)
    size = torch.tensor([1920.0, 1080.0], dtype=torch.float64).repeat(views, 1)
    return Cameras(tuple(f"c{v}" for v in range(views)), size, matrix, lens, rotation, translation)


def people(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(6, 9, 3, dtype=torch.float64, generator=generator) * 400 + torch.tensor([0.0, 0.0, 900.0])


def images(cameras: Cameras, xyz: torch.Tensor) -> torch.Tensor:
    return cameras.project(xyz)[0].movedim(0, -2)


def normalized(cameras: Cameras, xy: torch.Tensor) -> torch.Tensor:
    return normalize_points(xy, cameras.matrix, cameras.distortion)


def robust(cameras: Cameras, xy: torch.Tensor, weights: torch.Tensor, steps: int = 6) -> RobustPoints:
    pose = (cameras.rotation, cameras.translation)
    by = partial(robust_of_sights, steps=steps)
    return triangulate_points(xy, weights, cameras.matrix, cameras.distortion, *pose, threshold_px=15.0, by=by)


def rays(cameras: Cameras, xy: torch.Tensor) -> torch.Tensor:
    return cameras.directions(xy.movedim(-2, 0)).movedim(0, -2)


@pytest.mark.parametrize("views", [2, 3, 5, 10])
def test_every_method_recovers_exact_points(views: int) -> None:
    cameras, xyz = rig(views), people()
    xy = images(cameras, xyz)
    ones = torch.ones(xy.shape[:-1], dtype=torch.float64)
    flat = normalized(cameras, xy)
    assert_close(triangulate_algebraic(flat, cameras.rotation, cameras.translation, ones), xyz, atol=1e-6, rtol=0)
    assert_close(triangulate_algebraic(flat, cameras.rotation, cameras.translation, ones * 0.3), xyz, atol=1e-6, rtol=0)
    assert_close(triangulate_midpoint(cameras.centres, rays(cameras, xy), ones), xyz, atol=1e-6, rtol=0)
    found = robust(cameras, xy, ones)
    assert_close(found.xyz_world, xyz, atol=1e-6, rtol=0)
    assert found.inlier.all()
    assert found.error_px.max() < 1e-6


def test_units_do_not_matter() -> None:
    cameras, xyz = rig(4), people()
    flat = normalized(cameras, images(cameras, xyz)) + 1e-3 * torch.sin(torch.arange(4.0).double())[:, None]
    seen = torch.ones(flat.shape[:-1], dtype=torch.bool)
    mm = triangulate_algebraic(flat, cameras.rotation, cameras.translation, seen.double())
    metres = triangulate_algebraic(flat, cameras.rotation, cameras.translation / 1000, seen.double())
    assert_close(metres * 1000, mm)


def test_unseen_views_are_ignored_whatever_they_contain() -> None:
    cameras, xyz = rig(5), people()
    xy = images(cameras, xyz)
    weights = torch.ones(xy.shape[:-1], dtype=torch.float64)
    weights[..., 1] = 0
    weights[0, :, 3] = 0
    clean = robust(cameras, xy, weights).xyz_world
    spoiled = torch.where(weights[..., None] > 0, xy, torch.nan)
    assert_close(robust(cameras, spoiled, weights).xyz_world, clean)
    xy[..., 1, :] = 77.0
    direct = triangulate_algebraic(normalized(cameras, xy), cameras.rotation, cameras.translation, weights)
    assert_close(direct, xyz, atol=1e-6, rtol=0)
    assert_close(triangulate_midpoint(cameras.centres, rays(cameras, xy), weights), xyz, atol=1e-6, rtol=0)


def test_fewer_than_two_views_have_no_position_and_spoil_nobody() -> None:
    cameras, xyz = rig(4), people()
    xy = images(cameras, xyz).requires_grad_()
    weights = torch.ones(xy.shape[:-1], dtype=torch.float64)
    weights[0, 0, 1:] = 0
    weights[0, 1] = 0
    flat = normalized(cameras, xy)
    for found in (
        triangulate_algebraic(flat, cameras.rotation, cameras.translation, weights),
        triangulate_midpoint(cameras.centres, rays(cameras, xy), weights),
        robust(cameras, xy, weights).xyz_world,
    ):
        assert found[0, :2].isnan().all()
        rest = torch.cat([found[0, 2:], found[1:].flatten(0, 1)])
        assert torch.isfinite(rest).all()
        assert torch.isfinite(torch.autograd.grad(rest.sum(), xy, retain_graph=True)[0]).all()


def test_a_single_camera_places_nothing() -> None:
    cameras, xyz = rig(3).select(views=[1]), people()
    xy = images(cameras, xyz)
    weights, lens = torch.ones(xy.shape[:-1], dtype=torch.float64), (cameras.matrix, cameras.distortion)
    pose = (cameras.rotation, cameras.translation)
    assert triangulate_algebraic(normalized(cameras, xy), *pose, weights).isnan().all()
    for method in (triangulate_dlt, triangulate_ransac, triangulate_robust):
        found = method(xy, weights, *lens, *pose)
        assert found.xyz_world.shape == xyz.shape and found.xyz_world.isnan().all() and not found.inlier.any()


def test_order_of_views_and_batch_do_not_matter() -> None:
    cameras, xyz = rig(6), people()
    generator = torch.Generator().manual_seed(3)
    xy = images(cameras, xyz)
    xy = xy + 4 * torch.randn(xy.shape, dtype=torch.float64, generator=generator)
    xy[:, ::2, 2] += 300
    weights = torch.rand(xy.shape[:-1], dtype=torch.float64, generator=generator)
    found = robust(cameras, xy, weights)
    order = [3, 0, 5, 2, 4, 1]
    permuted = robust(cameras.select(views=order), xy[..., order, :], weights[..., order])
    assert_close(permuted.xyz_world, found.xyz_world, atol=1e-4, rtol=0)
    assert torch.equal(permuted.inlier, found.inlier[..., order])
    alone = robust(cameras, xy[2, 3], weights[2, 3])
    assert_close(alone.xyz_world, found.xyz_world[2, 3])


def test_one_wild_view_in_four_is_found_and_does_no_harm() -> None:
    cameras, xyz = rig(4), people(5)
    generator = torch.Generator().manual_seed(4)
    xy = images(cameras, xyz)
    noise = 2 * torch.randn(xy.shape, dtype=torch.float64, generator=generator)
    bad = torch.randint(0, 4, xy.shape[:2], generator=generator)
    wild = torch.nn.functional.one_hot(bad, 4).bool()
    xy = xy + noise + torch.where(wild[..., None], 250.0, 0.0)
    found = robust(cameras, xy, torch.ones(xy.shape[:-1], dtype=torch.float64))
    assert (found.xyz_world - xyz).norm(dim=-1).median() < 12
    assert (found.xyz_world - xyz).norm(dim=-1).max() < 60
    assert ((found.inlier == ~wild).double().mean()) > 0.98
    plain = triangulate_algebraic(
        normalized(cameras, xy), cameras.rotation, cameras.translation, torch.ones(wild.shape).double()
    )
    assert (plain - xyz).norm(dim=-1).median() > 100


def test_refinement_minimises_the_reprojection_error() -> None:
    cameras, xyz = rig(5), people(6)
    xy = images(cameras, xyz)
    xy = xy + 3 * torch.randn(xy.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(9))
    ones = torch.ones(xy.shape[:-1], dtype=torch.float64)
    rig_of = (cameras.matrix, cameras.distortion, cameras.rotation, cameras.translation)
    found = triangulate_points(xy, ones, *rig_of, threshold_px=1e4, by=partial(robust_of_sights, steps=15))

    def squares(point: torch.Tensor) -> torch.Tensor:
        return (images(cameras, point) - xy).square().sum((-1, -2))

    best = squares(found.xyz_world)
    for axis in torch.eye(3, dtype=torch.float64):
        for step in (-4.0, 4.0):
            assert (squares(found.xyz_world + step * axis) > best).all()


def test_refinement_ends_where_the_robust_cost_is_least() -> None:
    """``Σ w e² / (τ² + e²)`` with τ = 15 pixels, errors of the order of τ: 0.2 mm aside is worse."""
    cameras, xyz = replace(rig(5), distortion=torch.zeros(5, 8, dtype=torch.float64)), people(13)
    generator = torch.Generator().manual_seed(14)
    xy = images(cameras, xyz)
    xy = xy + 6 * torch.randn(xy.shape, dtype=torch.float64, generator=generator)
    weights = 0.5 + torch.rand(xy.shape[:-1], dtype=torch.float64, generator=generator)
    found = robust(cameras, xy, weights, steps=60).xyz_world
    pixel = torch.tensor([1090 / 1100, 1090 / 1080], dtype=torch.float64)

    def cost(point: torch.Tensor) -> torch.Tensor:
        square = ((images(cameras, point) - xy) * pixel).square().sum(-1)
        return (weights * square / (15.0**2 + square)).sum(-1)

    for axis in torch.eye(3, dtype=torch.float64):
        for step in (-0.2, 0.2):
            assert (cost(found + step * axis) > cost(found)).all()


def test_a_view_that_looks_away_neither_helps_nor_pulls() -> None:
    """The last camera has everybody behind it: what it claims to see is lost, and the others are as without it."""
    four, xyz = rig(4), people(15)
    rotation, translation = look_at(four.centres[:1], 2 * four.centres[:1], UP)
    away = Cameras(("away",), four.size[:1], four.matrix[:1], four.distortion[:1], rotation, translation)
    five = cat([four, away], "views")
    noise = torch.randn(6, 9, 4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(16))
    xy = images(four, xyz) + 3 * noise
    claimed = torch.cat([xy, xy[..., :1, :]], -2)
    found = robust(five, claimed, torch.ones(6, 9, 5, dtype=torch.float64), steps=40)
    assert_close(found.xyz_world, refined(four, xy, torch.ones(6, 9, 4, dtype=torch.float64)), atol=1e-3, rtol=0)
    assert found.error_px[..., 4].isposinf().all() and not found.inlier[..., 4].any()


def test_near_parallel_rays() -> None:
    ahead = torch.tensor([0.0, 0.0, 5000.0], dtype=torch.float64)
    for baseline in (100.0, 1.0, 0.05):
        origins = torch.tensor([[0.0, 0, 0], [baseline, 0, 0]], dtype=torch.float64)
        directions = torch.nn.functional.normalize(ahead - origins, dim=-1)
        found = triangulate_midpoint(origins, directions, torch.ones(2, dtype=torch.float64))
        # Depth error grows as the square of depth over baseline times machine precision.
        assert_close(found, ahead, atol=1e-14 * 5000 * (5000 / baseline) ** 2 + 1e-6, rtol=0)
    same = torch.tensor([[0.0, 0, 1], [0.0, 0, 1]], dtype=torch.float64)
    parallel = triangulate_midpoint(
        torch.tensor([[-50.0, 0, 0], [50.0, 0, 0]], dtype=torch.float64), same, torch.ones(2, dtype=torch.float64)
    )
    assert_close(parallel[:2], torch.zeros(2, dtype=torch.float64), atol=1e-9, rtol=0)
    assert torch.isfinite(parallel).all()


def test_the_middle_of_a_pair_is_that_of_its_lines() -> None:
    """Lines that cross, miss each other and nearly parallel ones; between parallel ones the middle of the origins."""
    generator = torch.Generator().manual_seed(21)
    origins = 3000 * torch.randn(200, 2, 3, dtype=torch.float64, generator=generator)
    directions = torch.randn(200, 2, 3, dtype=torch.float64, generator=generator)
    directions[:50, 1] = directions[:50, 0] + 0.02 * directions[:50, 1]
    directions[50:60, 1] = -2 * directions[50:60, 0]
    directions = torch.nn.functional.normalize(directions, dim=-1)
    one, other = ((origins[:, k], directions[:, k]) for k in range(2))
    both = torch.ones(200, dtype=torch.bool)
    both[::7] = False
    found = pair_midpoints(one, other, both)
    ones = torch.ones(200, 2, dtype=torch.float64)
    expected = torch.where(both[:, None], triangulate_midpoint(origins, directions, ones), torch.nan)
    expected[50:60] = torch.where(both[50:60, None], origins[50:60].mean(1), torch.nan)
    assert_close(found, expected, atol=1e-6, rtol=1e-8, equal_nan=True)


def test_errors_of_proposals_are_those_of_points() -> None:
    cameras, generator = rig(4), torch.Generator().manual_seed(22)
    proposals = people()[..., None, :] + 500 * torch.randn(6, 9, 5, 3, dtype=torch.float64, generator=generator)
    proposals[0, 0, 0] = 10 * cameras.centres[2]
    pose = (cameras.matrix, cameras.distortion, cameras.rotation, cameras.translation)
    sights = sights_of(images(cameras, people()), torch.ones(6, 9, 4, dtype=torch.float64), *pose, 15.0)
    one_by_one = torch.stack([sights.error(proposals[..., k, :]) for k in range(5)], dim=-2)
    assert_close(sights.errors(proposals), one_by_one, rtol=1e-9, atol=1e-9)
    assert one_by_one.isinf().any() and one_by_one.isfinite().any()


def test_gradients() -> None:
    cameras, xyz = rig(3), people(7)[:1, :2]
    xy = images(cameras, xyz)
    xy = (xy + torch.randn(xy.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))).requires_grad_()
    weights = torch.tensor([0.9, 0.4, 0.7], dtype=torch.float64).expand(1, 2, 3).clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda p, w: triangulate_algebraic(normalized(cameras, p), cameras.rotation, cameras.translation, w),
        (xy, weights), rtol=2e-3, atol=1e-4,
    )  # fmt: skip
    assert torch.autograd.gradcheck(
        lambda p, w: triangulate_midpoint(cameras.centres, rays(cameras, p), w), (xy, weights), rtol=1e-3, atol=1e-4
    )
    fixed = weights.detach()
    assert torch.autograd.gradcheck(lambda p: robust(cameras, p, fixed, 20).xyz_world, (xy,), rtol=1e-3, atol=1e-3)


def test_small_solver_is_the_general_one() -> None:
    generator = torch.Generator().manual_seed(2)
    factor = torch.randn(50, 3, 3, dtype=torch.float64, generator=generator)
    matrix, vector = factor @ factor.mT, torch.randn(50, 3, dtype=torch.float64, generator=generator)
    assert_close(solve_symmetric(matrix, vector), torch.linalg.solve(matrix, vector), rtol=1e-6, atol=1e-8)


def test_no_people_is_legal() -> None:
    cameras = rig(3)
    found = robust(cameras, torch.zeros(0, 17, 3, 2).double(), torch.zeros(0, 17, 3).double())
    assert found.xyz_world.shape == (0, 17, 3)


def linear(cameras: Cameras, xy: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return triangulate_algebraic(normalized(cameras, xy), cameras.rotation, cameras.translation, weights)


def middle(cameras: Cameras, xy: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return triangulate_midpoint(cameras.centres, rays(cameras, xy), weights)


def refined(cameras: Cameras, xy: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return robust(cameras, xy, weights, steps=60).xyz_world


@pytest.mark.parametrize(
    ("method", "twice"), [(linear, 2**0.5), (middle, 2.0), (refined, 2.0)], ids=["linear", "middle", "refined"]
)
def test_a_view_of_twice_the_weight_is_two_views(method: Callable[..., torch.Tensor], twice: float) -> None:
    """Squares of weighted equations in the linear method, weighted squares in the others."""
    cameras, xyz = rig(4).select(views=[0, 0, 1, 2, 3]), people(11)
    xy = images(cameras, xyz)
    xy = xy + 3 * torch.randn(xy.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(12))
    xy[..., 1, :] = xy[..., 0, :]
    once = torch.ones(xy.shape[:-1], dtype=torch.float64)
    heavy = once.clone()
    heavy[..., 0], heavy[..., 1] = twice, 0.0
    found = method(cameras, xy, heavy)
    assert_close(found, method(cameras, xy, once), atol=1e-3, rtol=0)
    assert (found - method(cameras, xy, heavy.clamp(max=1))).norm(dim=-1).median() > 0.5


def test_weights_of_lines_along_the_axes() -> None:
    """Two lines along x at y = 0 and y = 3, the second twice as heavy, and one along y at x = 5: they meet at y = 2."""
    origins = torch.tensor([[0.0, 0, 0], [0, 3, 0], [5, 0, 0]], dtype=torch.float64)
    directions = torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 1, 0]], dtype=torch.float64)
    found = triangulate_midpoint(origins, directions, torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64))
    assert_close(found, torch.tensor([5.0, 2, 0], dtype=torch.float64), atol=1e-9, rtol=0)


def test_the_heavier_pair_of_views_decides() -> None:
    """Two views see one point and two another; whoever weighs more is believed, wherever they stand."""
    cameras = rig(4)
    one, other = torch.tensor([[200.0, 100, 900], [-500, 300, 1200]], dtype=torch.float64)
    xy = torch.where(torch.tensor([True, False, True, False])[:, None], images(cameras, one), images(cameras, other))
    for heavy, point, inlier in (
        ([1.0, 0.4, 1.0, 0.4], one, [True, False, True, False]),
        ([0.4, 1.0, 0.4, 1.0], other, [False, True, False, True]),
    ):
        found = robust(cameras, xy, torch.tensor(heavy, dtype=torch.float64))
        # Half a centimetre: the others' pull fades with distance and never ends.
        assert_close(found.xyz_world, point, atol=5.0, rtol=0)
        assert found.inlier.tolist() == inlier


def test_the_inlier_bound_is_in_pixels_of_the_mean_focal_length() -> None:
    """15.1 pixels along x, where the focal length is 1100, are 14.96 of 1090 and within 15; 15.2 pixels are not."""
    cameras = replace(rig(6), distortion=torch.zeros(6, 8, dtype=torch.float64))
    point = torch.tensor([150.0, -80, 1000], dtype=torch.float64)
    weights = torch.tensor([1e-6, 1, 1, 1, 1, 1], dtype=torch.float64)
    for off, inside in ((15.1, True), (15.2, False)):
        xy = images(cameras, point)
        xy[0, 0] += off
        found = robust(cameras, xy, weights)
        assert_close(found.error_px[0], torch.tensor(off * 1090 / 1100, dtype=torch.float64), atol=1e-3, rtol=0)
        assert found.inlier.tolist() == [inside, *[True] * 5]


def test_refinement_never_makes_the_cost_larger() -> None:
    """Far from the minimum Gauss-Newton's steps overshoot: those are not taken."""
    cameras, xyz = rig(4), people(3)
    noise = torch.randn(xyz.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    pose = (cameras.matrix, cameras.distortion, cameras.rotation, cameras.translation)
    sights = sights_of(images(cameras, xyz), torch.ones(*xyz.shape[:-1], 4, dtype=torch.float64), *pose, 15.0)
    start = xyz + 2500 * noise
    cost = sights.cost(start)
    for steps in (1, 2, 6):
        assert bool((sights.cost(refine(start, sights, steps)) <= cost * (1 + 1e-8)).all())
    assert bool((sights.cost(refine(start, sights, 6)) < 0.9 * cost).any())

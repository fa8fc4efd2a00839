"""Consensus of views: who wins, who refines, and that nothing is left to chance."""

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from dispose.geometry.triangulation import (
    RobustPoints,
    ransac_of_sights,
    triangulate_algebraic,
    triangulate_dlt,
    triangulate_points,
    triangulate_ransac,
    triangulate_robust,
)
from dispose.geometry.triangulation.robust import MOST_PAIRS, _pairs
from dispose.scene.cameras import Cameras
from dispose_benchmarks.studies.triangulation import ring_of

POINT = torch.tensor([150.0, -80.0, 200.0], dtype=torch.float64)
OTHER = torch.tensor([-300.0, 200.0, 0.0], dtype=torch.float64)


def consensus(cameras: Cameras, xy: Tensor, weights: Tensor | None = None, threshold_px: float = 12.0) -> RobustPoints:
    weights = torch.ones(xy.shape[:-1], dtype=torch.float64) if weights is None else weights
    rig = (cameras.matrix, cameras.distortion, cameras.rotation, cameras.translation)
    return triangulate_ransac(xy, weights, *rig, threshold_px=threshold_px)


def seen(cameras: Cameras, *points: Tensor) -> Tensor:
    """Every view's image of its own point."""
    return torch.stack([cameras.project(point)[0][view] for view, point in enumerate(points)])


def test_most_views_win_however_little_they_weigh() -> None:
    """Three views of one point against two of another, five times as heavy: the robust cost decides otherwise."""
    cameras = ring_of(5)
    xy = seen(cameras, POINT, OTHER, POINT, OTHER, POINT)
    weights = torch.tensor([0.2, 1.0, 0.2, 1.0, 0.2], dtype=torch.float64)
    found = consensus(cameras, xy, weights)
    assert_close(found.xyz_world, POINT, atol=1e-6, rtol=0)
    assert found.inlier.tolist() == [True, False, True, False, True]
    rig = (cameras.matrix, cameras.distortion, cameras.rotation, cameras.translation)
    assert (triangulate_robust(xy, weights, *rig, threshold_px=12.0).xyz_world - OTHER).norm() < 20


def test_of_equal_numbers_the_smaller_sum_of_errors_wins() -> None:
    """Two pairs agree among themselves, one exactly and one within five pixels."""
    cameras = ring_of(4)
    for exact, rough in (((0, 1), (2, 3)), ((2, 3), (0, 1))):
        xy = torch.zeros(4, 2, dtype=torch.float64)
        for view in exact:
            xy[view] = cameras.project(POINT)[0][view]
        for view, off in zip(rough, (-5.0, 5.0), strict=True):
            xy[view] = cameras.project(OTHER)[0][view]
            xy[view, 1] += off
        found = consensus(cameras, xy)
        assert found.inlier[list(exact)].all() and not found.inlier[list(rough)].any()
        assert_close(found.xyz_world, POINT, atol=1e-6, rtol=0)


def test_a_view_beyond_the_bound_does_not_refine() -> None:
    """Thirty pixels off: refined by all views the robust point moves, by those that agree it does not."""
    cameras = ring_of(5)
    xy = cameras.project(POINT)[0]
    xy[3] += 30.0
    found = consensus(cameras, xy)
    assert_close(found.xyz_world, POINT, atol=1e-6, rtol=0)
    assert found.inlier.tolist() == [True, True, True, False, True]
    assert consensus(cameras, xy, threshold_px=60.0).inlier.all()


def test_refinement_makes_it_better_than_the_best_pair() -> None:
    cameras, generator = ring_of(6), torch.Generator().manual_seed(0)
    xy = cameras.project(POINT)[0] + 3 * torch.randn(300, 6, 2, dtype=torch.float64, generator=generator)
    rig = (cameras.matrix, cameras.distortion, cameras.rotation, cameras.translation)
    ones, by = torch.ones(300, 6, dtype=torch.float64), partial(ransac_of_sights, steps=0)
    pair = triangulate_points(xy, ones, *rig, threshold_px=12.0, by=by)
    error = [(points.xyz_world - POINT).norm(dim=-1).mean() for points in (consensus(cameras, xy), pair)]
    assert error[0] < 0.8 * error[1]


def test_up_to_eight_views_every_pair_and_beyond_always_the_same_sample() -> None:
    eight = torch.ones(12, dtype=torch.bool)
    eight[[1, 4, 5, 9]] = False
    tried = {tuple(pair) for pair in pairs_of(eight)}
    assert len(tried) == MOST_PAIRS and all(bool(eight[[*pair]].all()) for pair in tried), "whichever eight of twelve"
    many = torch.ones(12, dtype=torch.bool)
    assert len({tuple(pair) for pair in pairs_of(many)}) == MOST_PAIRS
    together = _pairs(torch.stack([eight, many]))
    assert [pair[1].tolist() for pair in together] == [pair.tolist() for pair in _pairs(many)], "whatever else is there"
    few = torch.zeros(12, dtype=torch.bool)
    few[[2, 7]] = True
    assert pairs_of(few) == [[2, 7]]


def pairs_of(seen: Tensor) -> list[list[int]]:
    """The pairs of which both see the point."""
    pairs, both = _pairs(seen)
    return pairs[both].tolist()


def test_ten_views_of_which_three_lie() -> None:
    cameras, generator = ring_of(10), torch.Generator().manual_seed(1)
    xy = cameras.project(POINT)[0] + 2 * torch.randn(200, 10, 2, dtype=torch.float64, generator=generator)
    xy[:, [0, 4, 7]] += 60.0
    found = consensus(cameras, xy)
    assert (found.xyz_world - POINT).norm(dim=-1).max() < 20
    assert (found.inlier == torch.tensor([v not in (0, 4, 7) for v in range(10)])).double().mean() > 0.97


@pytest.mark.parametrize("views", [3, 5, 8])
def test_the_order_of_views_does_not_matter(views: int) -> None:
    cameras, generator = ring_of(views), torch.Generator().manual_seed(2)
    xy = cameras.project(POINT)[0] + 4 * torch.randn(100, views, 2, dtype=torch.float64, generator=generator)
    xy[:, 0] += 80
    weights = torch.rand(100, views, dtype=torch.float64, generator=generator)
    weights[:50, 1] = 0
    order = torch.randperm(views, generator=generator).tolist()
    found = consensus(cameras, xy, weights)
    turned = consensus(cameras.select(views=order), xy[:, order], weights[:, order])
    assert_close(turned.xyz_world, found.xyz_world, atol=1e-3, rtol=0, equal_nan=True)
    assert torch.equal(turned.inlier, found.inlier[:, order])


def test_one_view_or_none_is_no_place() -> None:
    cameras = ring_of(4)
    xy = cameras.project(POINT)[0].expand(2, 4, 2)
    weights = torch.zeros(2, 4, dtype=torch.float64)
    weights[0, 2] = 1.0
    found = consensus(cameras, torch.where(weights[..., None] > 0, xy, torch.nan), weights)
    assert found.xyz_world.isnan().all() and not found.inlier.any()
    assert consensus(cameras, torch.zeros(0, 4, 2).double(), torch.zeros(0, 4).double()).xyz_world.shape == (0, 3)


def test_dlt_listens_to_every_view_in_pixels() -> None:
    """All views alike whatever their weight; of a lens of twice the focal length a pixel is half the angle."""
    cameras = ring_of(4)
    xy = cameras.project(POINT)[0]
    xy[0] += 40.0
    rig = (cameras.matrix, cameras.distortion, cameras.rotation, cameras.translation)
    weights = torch.tensor([0.1, 1.0, 1.0, 1.0], dtype=torch.float64)
    found = triangulate_dlt(xy, weights, *rig, threshold_px=1.0)
    assert_close(found.xyz_world, triangulate_dlt(xy, torch.ones(4).double(), *rig).xyz_world)
    assert 20 < (found.xyz_world - POINT).norm() < 200, "one view of four is off by 40 pixels"
    assert found.inlier.all()
    longer = cameras.matrix.clone()
    longer[0, :2, :2] *= 2
    middle, focal = cameras.matrix[:, :2, 2], cameras.matrix[:, 0, :1]
    zoomed = torch.cat([2 * xy[:1] - middle[:1], xy[1:]])
    expected = triangulate_algebraic((xy - middle) / focal, *rig[2:], torch.tensor([2.0, 1, 1, 1], dtype=torch.float64))
    assert_close(triangulate_dlt(zoomed, weights, longer, *rig[1:]).xyz_world, expected)

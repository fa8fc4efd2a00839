"""What pictures of rays, points and their spread contain; what one camera does, from the side and through its lens."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection
from matplotlib.patches import Ellipse

from dispose.errors import InputError
from dispose_benchmarks.studies.triangulation import (
    METHODS,
    Study,
    all_seen,
    covariance_at,
    ray_gaps,
    ring_of,
    spread_of,
)
from dispose_viz.image.calibration import draw_lens, draw_section, through_lens
from dispose_viz.scene.stage import ray_through
from dispose_viz.scene.triangulation import (
    CHI_95,
    NamedPoint,
    draw_close_up,
    draw_cloud,
    draw_ellipses_from_above,
    draw_marks,
    draw_shares,
    draw_study,
)
from dispose_viz.style import DARK, PALETTE, new_figure

ORIGIN = torch.zeros(3, dtype=torch.float64)


def test_rays_of_true_pixels_cross_in_the_middle_of_the_close_up(toy) -> None:
    cameras, point = toy.frame.cameras, toy.prediction.poses.xyz_world[1, 4]
    xy = cameras.project(point)[0]
    for plane in ((0, 1), (0, 2)):
        axes = draw_close_up(new_figure(5, 5).add_subplot(), cameras, xy, point, plane=plane)
        for line in axes.lines:
            a, b = np.asarray(line.get_xydata())
            away = abs(a[0] * (b - a)[1] - a[1] * (b - a)[0]) / np.linalg.norm(b - a)
            assert away < 1e-6
        assert "mm" in axes.get_xlabel() and [t.get_text() for t in axes.texts] == list(cameras.names)
    assert float(ray_gaps(cameras, xy, all_seen(xy)).max()) < 1e-6
    unseen = xy.clone()
    unseen[2] = torch.nan
    assert len(draw_close_up(new_figure(5, 5).add_subplot(), cameras, unseen, point).lines) == 3


def test_marks_stand_where_the_points_are_and_say_how_far(toy) -> None:
    axes = new_figure(5, 5, theme=DARK).add_subplot()
    marks = [NamedPoint("a", ORIGIN + 3.0), NamedPoint("b", torch.tensor([3.0, 4.0, 0.0], dtype=torch.float64))]
    draw_marks(axes, marks, ORIGIN, plane=(0, 2))
    assert [line.get_label() for line in axes.lines] == ["a: 5 mm", "b: 5 mm", "truth"]
    assert [tuple(np.asarray(line.get_xydata())[0]) for line in axes.lines] == [(3, 3), (3, 0), (0, 0)]


def test_the_ray_of_a_pixel_starts_at_its_camera_and_passes_the_point(toy) -> None:
    cameras, point = toy.frame.cameras, toy.prediction.poses.xyz_world[0, 0]
    ray = ray_through(cameras, 2, cameras.project(point)[0][2], 0, reach_mm=9000.0)
    along = (ray.end - ray.start) / 9000.0
    offset = point.numpy() - ray.start
    np.testing.assert_allclose(ray.start, cameras.centres[2].numpy())
    assert np.linalg.norm(offset - (offset @ along) * along) < 1e-6 and np.linalg.norm(along) == pytest.approx(1.0)


def test_the_ellipse_of_a_cloud_has_the_axes_of_its_covariance() -> None:
    cameras = ring_of(3)
    covariance = covariance_at(cameras, ORIGIN, 2.0)
    cloud = spread_of(cameras, ORIGIN, 2.0, 3000, torch.Generator().manual_seed(1))
    axes = draw_cloud(new_figure(5, 5).add_subplot(), cloud, covariance, ORIGIN, plane=(0, 2))
    (ellipse,) = [patch for patch in axes.patches if isinstance(patch, Ellipse)]
    lengths = 2 * (CHI_95 * torch.linalg.eigvalsh(covariance[[0, 2]][:, [0, 2]])).sqrt()
    assert sorted((ellipse.width, ellipse.height)) == pytest.approx(lengths.tolist())
    said = float(axes.get_title().removeprefix("the ellipse holds ").removesuffix(" %"))
    assert 93.5 < said < 96.5


def test_places_are_drawn_enlarged_and_unseen_ones_crossed() -> None:
    places = torch.tensor([[0.0, 0, 1000], [1000.0, 0, 1000], [0.0, 500, 1000]], dtype=torch.float64)
    covariance = covariance_at(ring_of(4), places, 1.0)
    covariance[2] = torch.nan
    axes = draw_ellipses_from_above(new_figure(5, 5).add_subplot(), places, covariance)
    ellipses = [patch for patch in axes.patches if isinstance(patch, Ellipse)]
    assert [patch.get_center() for patch in ellipses] == [(0.0, 0.0), (1.0, 0.0)]
    reach = 2 * 10 / 1000 * float((CHI_95 * torch.linalg.eigvalsh(covariance[0, :2, :2])[-1]).sqrt())
    assert ellipses[0].width == pytest.approx(reach)
    assert [line.get_marker() for line in axes.lines] == ["x"] and len(axes.texts) == 2
    nothing = draw_ellipses_from_above(new_figure(5, 5).add_subplot(), places[2:], covariance[2:])
    assert not nothing.texts


def test_studies_draw_a_curve_per_method_and_the_bound_where_there_is_one() -> None:
    at, table = torch.tensor([1.0, 2.0]).double(), torch.ones(4, 2).double()
    names = tuple(method.name for method in METHODS)
    axes = draw_study(new_figure(5, 4).add_subplot(), Study(names, at, table, at), "noise (px)")
    assert [line.get_label() for line in axes.lines] == [*names, "best possible"]
    assert [line.get_color() for line in axes.lines[:4]] == list(PALETTE[:4]) and "mm" in axes.get_ylabel()
    axes = draw_study(new_figure(5, 4).add_subplot(), Study(names, at, table, at * torch.nan), "shift (px)")
    assert len(axes.lines) == 4
    errors = torch.tensor([[3.0, 1.0, torch.nan, 2.0], [torch.nan] * 4]).double()
    (line,) = draw_shares(new_figure(5, 4).add_subplot(), ("a", "b"), errors).lines
    np.testing.assert_allclose(np.asarray(line.get_xydata()), [[1, 100 / 3], [2, 200 / 3], [3, 100]])
    assert line.get_label() == "a: median 2 mm"


def test_the_section_shows_the_rows_that_the_camera_sees(toy) -> None:
    cameras, poses = toy.frame.cameras, toy.prediction.poses
    axes = draw_section(new_figure(9, 4).add_subplot(), cameras, 1, poses, 0)
    rows = cameras.project(poses.xyz_world[0])[0][1, :, 1]
    said = [t.get_text() for t in axes.texts if t.get_text().startswith("row ")]
    depth = cameras.to_camera(poses.xyz_world[0])[1]
    ends = [rows[depth[:, 1].argmin()], rows[depth[:, 1].argmax()]]
    assert said == [f"row {float(row):.0f}" for row in ends]
    assert "(m)" in axes.get_xlabel() and "(m)" in axes.get_ylabel()
    nobody = replace(poses, valid=torch.zeros_like(poses.valid))
    with pytest.raises(InputError, match="cam02 has no two joints of person 0"):
        draw_section(axes, cameras, 1, nobody, 0)


def test_the_lens_grid_is_bent_as_the_camera_bends_points(toy) -> None:
    lens = torch.tensor([-0.2, 0.05, 0.001, -0.001, 0, 0, 0, 0], dtype=torch.float64)
    cameras = replace(toy.frame.cameras, distortion=lens.expand(4, 8))
    pinhole = toy.frame.cameras.project(toy.prediction.poses.xyz_world[0])[0][2]
    bent = cameras.project(toy.prediction.poses.xyz_world[0])[0][2]
    torch.testing.assert_close(through_lens(cameras.select(views=[2]), pinhole), bent)
    axes = draw_lens(new_figure(6, 4).add_subplot(), cameras, 2)
    straight, curved = (c.get_segments() for c in axes.collections if isinstance(c, LineCollection))
    shift = np.linalg.norm(np.concatenate(curved) - np.concatenate(straight), axis=1).max()
    assert axes.get_title() == f"cam03: the lens moves pixels by up to {shift:.0f} px" and shift > 5


def test_more_methods_than_colours_are_drawn_and_named() -> None:
    names = [f"method {number}" for number in range(11)]
    axes = draw_shares(new_figure(6, 4).add_subplot(), names, torch.rand(11, 40) * 90 + 5)
    assert [line.get_label().split(":")[0] for line in axes.lines] == names  # pyright: ignore
    assert min(line.get_linewidth() for line in axes.lines) >= 1

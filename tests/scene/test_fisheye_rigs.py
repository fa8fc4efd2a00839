"""Rigs with fisheye lenses: everything that uses a camera knows them."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from dispose.errors import InputError
from dispose.geometry.rigid import look_at
from dispose.geometry.triangulation.robust import robust_of_sights
from dispose.geometry.triangulation.sights import sights_of, triangulate_points
from dispose.inference.expected import imagined_camera
from dispose.models.lifting.sight import one_view_each
from dispose.scene.cameras import Cameras, perspective_only, telling_fisheyes
from dispose.scene.frame import stack_rigs
from dispose.tensors import cat


def mixed_rig() -> Cameras:
    """Four cameras around the origin, the second and the last with fisheyes that see 130 degrees."""
    angle = torch.tensor([0.3, 1.9, 3.1, 4.8], dtype=torch.float64)
    centre = torch.stack([4000 * angle.cos(), 3500 * angle.sin(), 1800 + 300 * angle], -1)
    target = torch.tensor([200.0, -100, 900], dtype=torch.float64).expand(4, 3)
    rotation, translation = look_at(centre, target, torch.tensor([0.0, 0, 1], dtype=torch.float64))
    focal = torch.tensor([1100.0, 560, 1000, 520], dtype=torch.float64)
    matrix = torch.zeros(4, 3, 3, dtype=torch.float64)
    matrix[:, 0, 0], matrix[:, 1, 1], matrix[:, 2, 2] = focal, focal + 3, 1
    matrix[:, :2, 2] = torch.tensor([640.0, 480], dtype=torch.float64)
    lens = torch.zeros(4, 8, dtype=torch.float64)
    lens[0, :5] = torch.tensor([-0.2, 0.05, 1e-3, -2e-3, 0.01])
    lens[1, :4] = torch.tensor([0.05, -0.02, 0.01, -0.003])
    lens[3, :4] = torch.tensor([-0.03, 0.006, -0.002, 0.0003])
    size = torch.tensor([[1280.0, 960]], dtype=torch.float64).expand(4, 2).clone()
    fisheye = torch.tensor([False, True, False, True])
    return Cameras(("a", "b", "c", "d"), size, matrix, lens, rotation, translation, fisheye=fisheye)


def points() -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    far, around, height = torch.rand(3, 40, dtype=torch.float64, generator=generator)
    around = 6.3 * around
    return torch.stack([2800 * far.sqrt() * around.cos(), 2800 * far.sqrt() * around.sin(), 1800 * height], -1)


def test_rays_go_back_through_the_points_they_are_of() -> None:
    cameras, xyz = mixed_rig(), points()
    xy, front = cameras.project(xyz)
    assert front.all()
    away = xyz - cameras.centres[:, None]
    assert_close(cameras.directions(xy), away / away.norm(dim=-1, keepdim=True), atol=1e-9, rtol=0)
    without = replace(cameras, fisheye=None)
    assert float((without.project(xyz)[0] - xy)[[1, 3]].norm(dim=-1).quantile(0.75)) > 10
    assert_close(without.project(xyz)[0][[0, 2]], xy[[0, 2]], atol=0, rtol=0)


def test_points_are_triangulated_and_errors_are_pixels_of_the_image() -> None:
    cameras, xyz = mixed_rig(), points()
    xy = cameras.project(xyz)[0].movedim(0, -2)
    shifted = xy.clone()
    shifted[:, 3] += torch.tensor([3.0, 4.0], dtype=torch.float64)
    rig = (cameras.matrix, cameras.lens, cameras.rotation, cameras.translation)
    found = triangulate_points(shifted, torch.ones(40, 4).double(), *rig, threshold_px=1.5, by=robust_of_sights)
    assert_close(found.xyz_world, xyz, atol=5.0, rtol=0)
    exact = triangulate_points(xy, torch.ones(40, 4).double(), *rig, threshold_px=1.5, by=robust_of_sights)
    assert_close(exact.xyz_world, xyz, atol=1e-3, rtol=0)
    assert_close(found.error_px[:, 3], torch.full((40,), 5.0, dtype=torch.float64), atol=2.5, rtol=0)


def test_a_pixel_at_the_border_of_a_fisheye_counts_as_one() -> None:
    cameras = mixed_rig()
    around = torch.linspace(0, 6, 7, dtype=torch.float64)
    border = torch.stack([640 + 600 * around.cos(), 480 + 450 * around.sin()], -1)
    xyz = cameras.centres[3] + 2000 * cameras.select(views=[3]).directions(border[None])[0]
    seen = cameras.project(xyz)[0].movedim(0, -2)
    seen[:, 3] += 5 * torch.stack([around.cos(), around.sin()], -1)
    weights = torch.tensor([0, 0, 0, 1.0], dtype=torch.float64).expand(7, 4)
    rig = (cameras.matrix, cameras.lens, cameras.rotation, cameras.translation)
    error = sights_of(seen, weights, *rig, 1.5).error(xyz)[:, 3]
    # The mean over directions: outwards a pixel is more than one across. In focal lengths it would be up to 42.
    assert float(error.min()) > 5 and float(error.max()) < 11


def test_rigs_are_selected_stacked_and_joined() -> None:
    cameras = mixed_rig()
    assert torch.equal(cameras.select(views=[3, 0]).lens[:, 8], torch.tensor([1.0, 0.0], dtype=torch.float64))
    assert cameras.to(torch.float32).lens.dtype == torch.float32
    plain = replace(cameras.select(views=[0, 2]), fisheye=None)
    assert plain.lens is plain.distortion
    both = stack_rigs([plain, cameras])
    assert both.fisheye is not None and both.fisheye.tolist() == [[False] * 4, [False, True, False, True]]
    assert stack_rigs([plain, plain]).fisheye is None
    each = one_view_each(cameras, torch.tensor([1, 0, 3]))
    assert each.lens[:, 0, 8].tolist() == [1, 0, 1]
    imagined = imagined_camera(cameras, torch.zeros(3, dtype=torch.float64))
    joined = cat([replace(cameras, names=()), telling_fisheyes(imagined)], "views")
    assert joined.lens[:, 8].tolist() == [0, 1, 0, 1, 0]


def test_released_weights_refuse_fisheyes() -> None:
    cameras = mixed_rig()
    with pytest.raises(InputError, match="fisheye lens, which released weights do not know"):
        perspective_only(cameras)
    assert perspective_only(replace(cameras, fisheye=None)).fisheye is None

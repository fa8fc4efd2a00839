"""Cubes of voxels: where they stand, what views show of them, against plain loops and by laws, values and gradients."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from dispose.errors import InputError
from dispose.geometry.image_affine import apply, crop, map_from_input
from dispose.models.triangulation.crops import STRIDE
from dispose.models.triangulation.cube import (
    AGGREGATIONS,
    Cubes,
    aggregation_named,
    log_sum,
    require_seen,
    softmax_over_views,
    unproject,
    weighted_sum,
)
from dispose.scene.cameras import Cameras
from dispose.scene.frame import stack_rigs
from dispose_synthetic.human36m_rig import human36m_rig
from dispose_synthetic.joint_maps import JointMapConfig, draw_joint_maps, looked_at


def scene(size: tuple[int, int], views: int = 3) -> tuple[Cameras, Tensor, Tensor]:
    """Two rigs with lenses, the affines of cuts around a person, and where the person stands."""
    rigs = [human36m_rig("S9").select(views=list(range(views))), human36m_rig("S11").select(views=list(range(views)))]
    cameras = stack_rigs(rigs)
    centre = torch.cat([looked_at(cameras), torch.full((2, 1), 900.0, dtype=torch.float64)], 1)
    xy, _ = cameras.project(centre)
    box = torch.tensor([360.0, 420.0], dtype=torch.float64).expand(2, views, 2)
    return cameras, crop(xy, box, (STRIDE * size[0], STRIDE * size[1])), centre


def plain_sample(image: np.ndarray, x: float, y: float) -> np.ndarray:
    """Bilinear value of ``image[chans, y, x]`` between pixel centres; what lies outside is 0."""
    _, height, width = image.shape
    left, top, total = math.floor(x), math.floor(y), np.zeros(len(image))
    for column, share_x in ((left, 1 - (x - left)), (left + 1, x - left)):
        for row, share_y in ((top, 1 - (y - top)), (top + 1, y - top)):
            if 0 <= column < width and 0 <= row < height:
                total += image[:, row, column] * share_x * share_y
    return total


@pytest.mark.parametrize("size", [(12, 16), (15, 9)])
def test_unprojection_is_a_bilinear_look_at_where_the_voxel_appears(size, generator):
    cameras, affine, centre = scene(size)
    cubes = Cubes(3, 1400.0, centre, torch.tensor([0.3, -1.1], dtype=torch.float64))
    maps = torch.randn(2, 3, 2, size[1], size[0], generator=generator, dtype=torch.float64)
    values = unproject(maps, cubes, cameras, affine)
    for sample in range(2):
        turn = float(cubes.yaw[sample])
        for index in np.ndindex(3, 3, 3):
            x, y, z = (1400.0 * (i / 2 - 0.5) for i in index)
            turned = [math.cos(turn) * x - math.sin(turn) * y, math.sin(turn) * x + math.cos(turn) * y, z]
            place = centre[sample] + torch.tensor(turned, dtype=torch.float64)
            xy, _ = cameras[sample].project(place)
            for view in range(3):
                at = map_from_input(apply(affine[sample, view], xy[view]), STRIDE)
                expected = plain_sample(maps[sample, view].numpy(), float(at[0]), float(at[1]))
                np.testing.assert_allclose(values[(sample, view, slice(None), *index)].numpy(), expected, atol=1e-9)


def test_gradients_of_unprojection_are_those_of_finite_differences(generator):
    cameras, affine, centre = scene((5, 6))
    cubes = Cubes(2, 900.0, centre, torch.zeros(2, dtype=torch.float64))
    maps = torch.randn(2, 3, 1, 6, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda values: unproject(values, cubes, cameras, affine), (maps,), fast_mode=True)


def test_voxels_behind_a_camera_show_nothing(generator):
    cameras, affine, _ = scene((12, 12))
    # Around the camera itself: half of the cube lies behind it.
    cubes = Cubes(4, 2000.0, cameras.centres[:, 0], torch.zeros(2, dtype=torch.float64))
    values = unproject(torch.ones(2, 3, 1, 12, 12, dtype=torch.float64), cubes, cameras, affine)[:, 0, 0]
    depth = cameras.to_camera(cubes.xyz_world)[:, 0, ..., 2]
    assert bool((values[depth <= 0] == 0).all())
    assert bool((depth <= 0).any()) and bool((values > 0).any())


@pytest.mark.parametrize("views", [2, 3, 4])
@pytest.mark.parametrize(("cells", "size", "bound"), [(64, (96, 96), 4.0), (32, (48, 48), 8.0), (64, (72, 96), 4.0)])
def test_ideal_maps_lead_to_the_joints(views, cells, size, bound):
    """Log-sum and soft-argmax alone, no network: 64³ of 96² and 32³ of 48², and maps that are not square."""
    generator = torch.Generator().manual_seed(3)
    config = JointMapConfig(size, noise_px=0.0, height=(1.0, 1.0), sharp=(2.0, 2.0), clutter=0.0)
    people = 4 if cells == 32 else 1
    rigs = [human36m_rig("S9"), human36m_rig("S11")] * 2
    drawn = draw_joint_maps(generator, rigs[:people], torch.zeros(people, dtype=torch.long), config)
    drawn = drawn.select(views=slice(0, views), joints=[0, 3, 10, 13, 16])
    cubes = Cubes(cells, 2500.0, drawn.xyz_world[:, 0].float(), torch.linspace(0.7, 2.0, people))
    values = unproject(drawn.maps, cubes, drawn.cameras, drawn.input_from_image)
    logits = log_sum(values, torch.ones(people, views, 5))
    found = cubes.expected(logits.flatten(2).softmax(-1).view_as(logits))
    error = float((found - drawn.xyz_world).norm(dim=-1).mean())
    assert error <= bound, f"{error:.1f} mm"


def test_the_nearest_voxel_is_the_nearest(generator):
    cubes = Cubes(5, 1000.0, torch.tensor([[100.0, -50.0, 900.0]]), torch.tensor([0.8]))
    points = cubes.centre + 450 * (2 * torch.rand(1, 40, 3, generator=generator) - 1)
    inside = ((points - cubes.centre) @ cubes.rotation).abs().amax(-1)[0] <= 500
    distance = (cubes.xyz_world.reshape(1, 1, -1, 3) - points[:, :, None]).norm(dim=-1)
    assert torch.equal(cubes.nearest(points)[0, inside], distance.argmin(-1)[0, inside])


def test_a_certain_voxel_is_where_the_joint_is(generator):
    cubes = Cubes(4, 900.0, torch.tensor([[10.0, 20.0, 30.0]]), torch.tensor([0.4]))
    probability = torch.zeros(1, 2, 4, 4, 4)
    probability[0, 0, 1, 2, 3] = probability[0, 1, 3, 0, 0] = 1.0
    found = cubes.expected(probability)
    torch.testing.assert_close(found[0, 0], cubes.xyz_world[0, 1, 2, 3])
    torch.testing.assert_close(found[0, 1], cubes.xyz_world[0, 3, 0, 0])


def test_aggregations_do_what_their_names_say():
    values = torch.tensor([1.0, 3.0, 100.0]).view(1, 3, 1, 1, 1, 1)
    shares = torch.tensor([0.5, 0.25, 0.0]).view(1, 3, 1)
    present = (shares > 0).float()
    weight = math.exp(1) / (math.exp(1) + math.exp(3))
    expected = {
        "sum": 4.0, "conf": 1.25, "conf_norm": 1.25, "softmax": weight + 3 * (1 - weight), "max": 3.0,
        "log_sum": math.log(3.0),
    }  # fmt: skip
    for one in AGGREGATIONS:
        found = one.join(values, shares if one.learned else present)
        assert float(found) == pytest.approx(expected[one.name], rel=1e-6)
    assert [one.name for one in AGGREGATIONS if one.normalized] == ["conf_norm"]
    with pytest.raises(InputError, match="no aggregation of views named 'mean'; known: sum, conf, conf_norm, softmax"):
        aggregation_named("mean")


@pytest.mark.parametrize("join", [weighted_sum, softmax_over_views, log_sum])
def test_a_view_that_is_not_there_changes_nothing(join, generator):
    values = torch.rand(1, 3, 2, 2, 2, 2, generator=generator, requires_grad=True)
    shares = torch.tensor([1.0, 1.0, 0.0]).view(1, 3, 1).expand(1, 3, 2)
    joined = join(values, shares)
    torch.testing.assert_close(joined, join(values[:, :2], shares[:, :2]))
    (gradient,) = torch.autograd.grad(joined.sum(), values)
    assert bool((gradient[:, 2] == 0).all()) and bool(gradient.isfinite().all())


def test_a_cube_that_nobody_sees_is_refused():
    cameras, affine, centre = scene((12, 12))
    present = torch.ones(2, 3, dtype=torch.bool)
    cubes = Cubes(4, 2000.0, centre, torch.zeros(2, dtype=torch.float64))
    require_seen(cubes, cameras, affine, present, (12, 12))
    away = replace(cubes, centre=centre + torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 50_000.0]]))
    with pytest.raises(InputError, match=r"the cube around \(.* 50900\) mm of sample 1 lies outside every camera"):
        require_seen(away, cameras, affine, present, (12, 12))

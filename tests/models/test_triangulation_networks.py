"""Algebraic and volumetric triangulation: sizes, laws of the forward way, what is refused, gradients that last."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dispose.errors import InputError
from dispose.geometry.image_affine import crop, input_from_map
from dispose.models.triangulation.algebraic import (
    LEAST_SHARE,
    Algebraic,
    AlgebraicConfig,
    shares_of_views,
    solve_cholesky,
)
from dispose.models.triangulation.crops import STRIDE, project_into_maps, view_points
from dispose.models.triangulation.v2v import LITE, V2V, V2VConfig
from dispose.models.triangulation.volumetric import CubeConfig, CubeReader, Volumetric, VolumetricConfig
from dispose.nn.backbones import Backbone, BackboneConfig
from dispose.nn.heatmaps import soft_argmax
from dispose.scene.frame import ImageBatch, Images, stack_rigs
from dispose_synthetic.human36m_rig import human36m_rig
from dispose_synthetic.joint_maps import JointMaps, draw_joint_maps, looked_at

SMALL = BackboneConfig(depth=18, width=8, deconv_chans=8, joints=17)
SMALL_CUBE = CubeConfig(side_mm=2000.0, cells=8, network=V2VConfig(3, 8, 1, (8, 8), 1))


def algebraic(**changes: object) -> Algebraic:
    torch.manual_seed(5)
    return Algebraic(replace(AlgebraicConfig(backbone=SMALL, head_chans=(8, 8)), **changes)).eval()


def volumetric(aggregation: str = "softmax", *, shortcut: bool = False) -> Volumetric:
    torch.manual_seed(5)
    cube = replace(SMALL_CUBE, aggregation=aggregation, shortcut=shortcut)
    network = Volumetric(VolumetricConfig(backbone=SMALL, head_chans=(8, 8), chans=6, cube=cube)).eval()
    # The published initialisation of the transposed convolutions is nearly 0: here something is to be seen.
    with torch.no_grad():
        for parameter in network.backbone.upsampling.parameters():
            if parameter.ndim == 4:
                parameter.normal_(std=0.2)
    return network


def batch_of(generator: torch.Generator, views: int = 4, size: tuple[int, int] = (128, 160)) -> ImageBatch:
    """Noise for pictures, cut out around a person by the rigs of two subjects."""
    rigs = stack_rigs([human36m_rig(subject).select(views=list(range(views))) for subject in ("S9", "S11")])
    middle = torch.cat([looked_at(rigs), torch.full((2, 1), 900.0, dtype=torch.float64)], 1)
    xy, _ = rigs.project(middle)
    affine = crop(xy, torch.tensor([400.0, 500.0], dtype=torch.float64).expand(2, views, 2), size)
    pixels = torch.randn(2, views, 3, size[1], size[0], generator=generator)
    return ImageBatch(rigs, Images(pixels, affine, torch.ones(2, views, dtype=torch.bool)))


def roots_of(batch: ImageBatch) -> Tensor:
    return torch.cat([looked_at(batch.cameras), torch.full((2, 1), 900.0, dtype=torch.float64)], 1).float()


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_numbers_of_weights_are_the_published_ones():
    network = Algebraic(AlgebraicConfig())
    assert (count(network), count(network.backbone), count(network.confidence)) == (79_521_890, 68_635_473, 10_886_417)
    network = Volumetric(VolumetricConfig())
    assert (count(network), count(network.cube), count(network.narrowing)) == (80_588_050, 11_944_353, 8_224)
    assert count(Backbone(BackboneConfig(depth=50, joints=17))) == 33_999_697
    assert 0.15e6 < count(V2V(17, 17, LITE)) < 0.2e6


def test_soft_argmax_of_one_hot_pixel_is_that_pixel_and_of_two_their_middle(generator):
    maps = torch.zeros(2, 1, 5, 7)
    maps[0, 0, 3, 6] = maps[1, 0, 1, 2] = maps[1, 0, 3, 4] = 1.0
    xy, probability = soft_argmax(maps, 100.0)
    torch.testing.assert_close(xy[:, 0], torch.tensor([[6.0, 3.0], [3.0, 2.0]]))
    torch.testing.assert_close(probability.sum((-2, -1)), torch.ones(2, 1))
    # Beside an even map of 0 a peak of height h draws by exp(gain h).
    xy, _ = soft_argmax(maps[:1] * 0.01, 100.0)
    share = torch.tensor(1.0).exp() / (torch.tensor(1.0).exp() + 34)
    expected = share * torch.tensor([6.0, 3.0]) + (1 - share) * torch.tensor([(35 * 3.0 - 6) / 34, (35 * 2.0 - 3) / 34])
    torch.testing.assert_close(xy[0, 0], expected)


def test_points_come_back_from_any_cut_and_lens(generator):
    drawn = draw_joint_maps(generator, [human36m_rig("S9")] * 2, torch.zeros(2, dtype=torch.long))
    xy_map, front = project_into_maps(drawn.xyz_world, drawn.cameras, drawn.input_from_image)
    assert bool(front.all())
    shares = torch.rand(2, 4, 17, generator=generator, dtype=torch.float64) + 0.1
    points = view_points(input_from_map(xy_map, STRIDE), shares, drawn.cameras, drawn.input_from_image)
    torch.testing.assert_close(solve_cholesky(points), drawn.xyz_world, rtol=0, atol=0.01)


def test_a_narrow_lens_counts_more():
    """Equations are in pixels: a view whose pixels are finer is worth more, as much as its focal length says."""
    generator = torch.Generator().manual_seed(1)
    drawn = draw_joint_maps(generator, [human36m_rig("S9")], torch.zeros(1, dtype=torch.long))
    xy_map, _ = project_into_maps(drawn.xyz_world, drawn.cameras, drawn.input_from_image)
    xy = input_from_map(xy_map, STRIDE) + torch.randn(xy_map.shape, generator=generator, dtype=torch.float64)
    ones = torch.ones(1, 4, 17, dtype=torch.float64)
    points = view_points(xy, ones, drawn.cameras, drawn.input_from_image)
    narrow = replace(points, focal=points.focal * torch.tensor([2.0, 1, 1, 1])[None, :, None])
    weighted = replace(points, weights=points.weights * torch.tensor([2.0, 1, 1, 1]))
    torch.testing.assert_close(solve_cholesky(narrow), solve_cholesky(weighted))
    assert float((solve_cholesky(narrow) - solve_cholesky(points)).norm(dim=-1).max()) > 0.1


def test_shares_of_views_are_those_of_the_formula_and_finite_at_any_logit():
    logits = torch.tensor([[[2.0], [-1.0], [0.5]]])
    present = torch.tensor([[True, True, False]])
    trust = logits.sigmoid()[0, :2, 0]
    torch.testing.assert_close(shares_of_views(logits, present)[0, :2, 0], trust / trust.sum())
    assert float(shares_of_views(logits, present)[0, 2, 0]) == 0
    nobody = torch.full((1, 3, 2), -500.0, requires_grad=True)
    shares = shares_of_views(nobody, torch.ones(1, 3, dtype=torch.bool))
    torch.testing.assert_close(shares, torch.full((1, 3, 2), 1 / 3))
    shares.square().sum().backward()
    assert nobody.grad is not None and bool(nobody.grad.isfinite().all())


@pytest.mark.parametrize("case", ["one place", "no trust", "infinity"])
def test_gradients_stay_finite(case, generator):
    drawn = draw_joint_maps(generator, [human36m_rig("S9")], torch.zeros(1, dtype=torch.long))
    if case == "one place":
        drawn = drawn.select(views=[1, 1])
    xy_map, _ = project_into_maps(drawn.xyz_world.float(), drawn.cameras, drawn.input_from_image)
    if case == "infinity":
        # Parallel rays.
        drawn = drawn.select(views=[1, 1])
        shifted = drawn.cameras.translation + torch.tensor([[[0.0, 0, 0], [500.0, 0, 0]]], dtype=torch.float64)
        drawn = replace(drawn, cameras=replace(drawn.cameras, translation=shifted))
        xy_map = xy_map[:, [1, 1]]
    xy = input_from_map(xy_map, STRIDE).requires_grad_()
    logits = torch.zeros(*xy.shape[:3])
    logits[:, 1:] = -200.0 if case == "no trust" else 0.0
    logits.requires_grad_()
    shares = shares_of_views(logits, torch.ones(logits.shape[:2], dtype=torch.bool)) + LEAST_SHARE
    found = solve_cholesky(view_points(xy, shares, drawn.cameras, drawn.input_from_image))
    (found - drawn.xyz_world).square().mean().backward()
    assert bool(found.isfinite().all())
    for leaf in (xy, logits):
        assert leaf.grad is not None and bool(leaf.grad.isfinite().all()) and float(leaf.grad.abs().max()) < 1e9


def test_the_whole_algebraic_way_learns(generator):
    """One person in non-square cuts: every weight gets a finite gradient."""
    network = algebraic().train()
    batch = batch_of(generator)
    found = network(batch)
    assert found.xyz_world.shape == (2, 17, 3) and found.probability.shape == (2, 4, 17, 40, 32)
    torch.testing.assert_close(found.weights.sum(1), torch.full((2, 17), 1 + 4 * LEAST_SHARE))
    found.xyz_world.square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.isfinite().all()), name


@pytest.mark.parametrize("shortcut", [False, True])
@pytest.mark.parametrize("aggregation", ["softmax", "sum", "conf", "conf_norm", "max", "log_sum"])
def test_the_whole_volumetric_way_learns(aggregation, shortcut, generator):
    network = volumetric(aggregation, shortcut=shortcut).train()
    batch = batch_of(generator)
    found = network(batch, network.cubes_around(roots_of(batch), torch.tensor([0.5, 4.0])))
    assert found.log_probability.shape == (2, 17, 8, 8, 8)
    torch.testing.assert_close(found.log_probability.exp().sum((2, 3, 4)), torch.ones(2, 17))
    (found.xyz_world - roots_of(batch)[:, None]).square().mean().backward()
    unused = {"backbone.heatmaps"} if not shortcut else set()
    for name, parameter in network.named_parameters():
        if name.rpartition(".")[0] not in unused:
            assert parameter.grad is not None and bool(parameter.grad.isfinite().all()), name


def permuted(batch: ImageBatch, order: list[int]) -> ImageBatch:
    return batch.select(views=order)


@pytest.mark.parametrize("shortcut", [False, True])
def test_the_order_of_the_views_does_not_matter(shortcut, generator):
    batch, order = batch_of(generator), [2, 0, 3, 1]
    one = algebraic()
    with torch.no_grad():
        torch.testing.assert_close(one(batch).xyz_world, one(permuted(batch, order)).xyz_world, rtol=0, atol=1e-3)
        two = volumetric(shortcut=shortcut)
        cubes = two.cubes_around(roots_of(batch))
        torch.testing.assert_close(
            two(batch, cubes).xyz_world, two(permuted(batch, order), cubes).xyz_world, rtol=0, atol=1e-3
        )


@pytest.mark.parametrize("aggregation", ["softmax", "conf", "conf_norm", "max"])
def test_a_missing_picture_is_as_if_the_camera_were_not_there(aggregation, generator):
    batch = batch_of(generator)
    lost = torch.tensor([[True, True, False, True]] * 2)
    without = replace(batch, images=replace(batch.images, present=lost))
    fewer = batch.select(views=[0, 1, 3])
    one, two = algebraic(), volumetric(aggregation)
    cubes = two.cubes_around(roots_of(batch))
    with torch.no_grad():
        torch.testing.assert_close(one(without).xyz_world, one(fewer).xyz_world, rtol=0, atol=0.05)
        torch.testing.assert_close(two(without, cubes).xyz_world, two(fewer, cubes).xyz_world, rtol=0, atol=1e-2)


def test_turning_the_world_about_the_vertical_turns_the_joints(generator):
    """The cube's axes are the only thing that speaks of the world: turned with it, nothing else changes."""
    batch = batch_of(generator)
    network = volumetric(shortcut=True)
    roots, angle = roots_of(batch), torch.tensor(0.7, dtype=torch.float64)
    turn = torch.tensor([[angle.cos(), -angle.sin(), 0], [angle.sin(), angle.cos(), 0], [0, 0, 1]], dtype=torch.float64)
    turned = replace(batch, cameras=replace(batch.cameras, rotation=batch.cameras.rotation @ turn.mT))
    with torch.no_grad():
        plain = network(batch, network.cubes_around(roots)).xyz_world
        other = network(turned, network.cubes_around(roots @ turn.mT.float(), torch.full((2,), 0.7))).xyz_world
    torch.testing.assert_close(plain @ turn.mT.float(), other, rtol=0, atol=0.05)


def test_a_new_cube_reader_with_a_shortcut_is_the_product_of_the_views(generator):
    """The network's last layer starts at 0: what remains is exp of the gain times the log-sum."""
    torch.manual_seed(0)
    drawn: JointMaps = draw_joint_maps(generator, [human36m_rig("S9")], torch.zeros(1, dtype=torch.long))
    reader = CubeReader(17, 17, replace(SMALL_CUBE, shortcut=True)).eval()
    volumetric_cubes = volumetric().cubes_around(drawn.xyz_world[:, 0].float())
    with torch.no_grad():
        found = reader(drawn.maps, None, torch.ones(1, 4, 17), volumetric_cubes, drawn.cameras, drawn.input_from_image)
    assert reader.gain is not None and reader.gain.item() == 1.0
    assert float((found.xyz_world - drawn.xyz_world).norm(dim=-1).mean()) < 100


def test_what_cannot_be_is_refused_in_one_sentence(generator):
    batch = batch_of(generator)
    alone = replace(
        batch, images=replace(batch.images, present=torch.tensor([[True] * 4, [True, False, False, False]]))
    )
    with pytest.raises(InputError, match="algebraic triangulation needs 2 views at least; sample 1 has 1"):
        algebraic()(alone)
    nobody = replace(batch, images=replace(batch.images, present=torch.zeros(2, 4, dtype=torch.bool)))
    network = volumetric()
    with pytest.raises(InputError, match="volumetric triangulation needs 1 view at least; sample 0 has 0"):
        network(nobody, network.cubes_around(roots_of(batch)))
    with pytest.raises(
        InputError,
        match="cubes of 24 voxels a side: this network halves them 5 times, the side must be a multiple of 32",
    ):
        CubeConfig(cells=24)
    with pytest.raises(InputError, match="coco_17 has 17 joints, the backbone makes 15 heat maps"):
        Algebraic(AlgebraicConfig(skeleton="coco_17", backbone=replace(SMALL, joints=15)))
    with pytest.raises(InputError, match="lies outside every camera's image"):
        network(batch, network.cubes_around(roots_of(batch) + 1e5))


def test_one_view_says_what_the_volumetric_network_makes_of_it(generator):
    batch = batch_of(generator)
    network = volumetric()
    with torch.no_grad():
        found = network(batch.select(views=[2]), network.cubes_around(roots_of(batch)))
    assert bool(found.xyz_world.isfinite().all())

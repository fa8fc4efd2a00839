"""Laws of the decoder: independence, symmetry, gradients, and that it finds joints that heat maps show."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from dispose.geometry.image_affine import apply, letterbox, map_from_input
from dispose.models.dispose.decoder import Decoder, Refined
from dispose.models.dispose.decoder_geometry import (
    PIXEL_CENTRES,
    PersonInputs,
    nearest_to_rays,
    smallest_singular_vector,
)
from dispose.models.dispose.decoder_layer import DecoderConfig
from dispose.nn.heatmaps import Features
from dispose.scene.cameras import Cameras
from dispose.scene.frame import stack_rigs
from dispose.skeletons.catalog import PANOPTIC_15_REST

INPUT = (128, 96)
SMALL = DecoderConfig(chans=16, feature_chans=8, layers=2, heads=2, points=2, confidence=8, dropout=0.0)
ROOTS = torch.tensor([[300.0, -200.0, 900.0], [-600.0, 500.0, 950.0], [0.0, 900.0, 850.0]], dtype=torch.float64)
SAMPLE = torch.tensor([0, 1, 1])


def ring(views: int, turn: float = 0.0) -> Cameras:
    """Cameras around a room, looking at its middle."""
    angle = turn + torch.arange(views, dtype=torch.float64) / views * 2 * torch.pi
    centre = torch.stack([4500 * angle.cos(), 4500 * angle.sin(), torch.full_like(angle, 2400.0)], -1)
    forward = torch.nn.functional.normalize(torch.tensor([0.0, 0, 900], dtype=torch.float64) - centre, dim=-1)
    up = torch.tensor([0.0, 0, 1], dtype=torch.float64).expand_as(forward)
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, up), dim=-1)
    rotation = torch.stack([right, torch.linalg.cross(forward, right), forward], 1)
    matrix = torch.tensor([[520.0, 0, 319], [0, 520, 239], [0, 0, 1]], dtype=torch.float64).expand(views, 3, 3)
    distortion = torch.tensor([-0.08, 0.01, 1e-3, -5e-4, 0, 0, 0, 0], dtype=torch.float64).expand(views, 8)
    size = torch.tensor([640.0, 480.0], dtype=torch.float64).expand(views, 2)
    names = tuple(f"view {v}" for v in range(views))
    return Cameras(names, size, matrix, distortion, rotation, -(rotation @ centre[..., None])[..., 0])


def noise(maps: int, seed: int = 0, chans: int = 8) -> Features:
    random = torch.Generator().manual_seed(seed)
    width, height = INPUT[0] // 4, INPUT[1] // 4
    shapes = [(15, height, width), *((chans, height // k, width // k) for k in (1, 2, 4))]
    return Features(*(torch.randn(maps, *shape, generator=random) for shape in shapes))


def views_of(features: Features, rows: Tensor) -> Features:
    return Features(*(part[rows] for part in (features.heatmaps, *features.pyramid)))


def decoder(config: DecoderConfig = SMALL) -> Decoder:
    """With every parameter away from the zeros that it starts at."""
    torch.manual_seed(1)
    module = Decoder(config).eval()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.15) if parameter.ndim > 1 else parameter.data.add_(
            0.1 * torch.randn_like(parameter)
        )
    return module


def run(module: Decoder, features: Features, rigs: Cameras, roots=ROOTS, sample=SAMPLE, **options) -> Refined:
    return module(features, rigs, letterbox(rigs.size, INPUT), INPUT, roots, sample, **options)


def same(one: Refined, other: Refined, rtol: float = 1e-5) -> None:
    assert_close(one.xyz_world, other.xyz_world, rtol=rtol, atol=1e-2)
    assert_close(one.joint_confidence, other.joint_confidence, rtol=1e-4, atol=1e-5)
    assert_close(one.person_confidence, other.person_confidence, rtol=1e-4, atol=1e-5)


def of(refined: Refined, people: Tensor) -> Refined:
    names = ("xyz_world", "xy_image", "visible", "residual", "triangulated")
    changed = {name: vars(refined)[name][:, people] for name in names}
    first = {name: vars(refined)[name][people] for name in ("prior", "joint_confidence", "person_confidence")}
    return replace(refined, **changed, **first, errors=None)


def test_a_sample_alone_equals_the_same_sample_in_a_batch_with_a_larger_rig():
    module = decoder()
    features = noise(2 * 5)
    rigs = stack_rigs([ring(3), ring(5, 0.3)])
    both = run(module, features, rigs)
    alone = run(module, views_of(features, torch.arange(3)), stack_rigs([ring(3)]), ROOTS[:1], SAMPLE[:1])
    same(of(both, SAMPLE == 0), replace(of(alone, torch.tensor([True])), xy_image=alone.xy_image))


def test_people_do_not_know_each_other():
    module, features, rigs = decoder(), noise(10), stack_rigs([ring(5), ring(5, 0.3)])
    everybody = run(module, features, rigs)
    for person in range(3):
        only = torch.arange(3) == person
        same(of(everybody, only), of(run(module, features, rigs, ROOTS[only], SAMPLE[only]), torch.tensor([True])))


def test_the_order_of_views_and_of_people_does_not_matter():
    module, features, rigs = decoder(), noise(10), stack_rigs([ring(5), ring(5, 0.3)])
    order = torch.tensor([3, 1, 4, 0, 2])
    turned = rigs.select(views=order)
    rows = (torch.arange(2)[:, None] * 5 + order).flatten()
    straight = run(module, features, rigs)
    same(straight, run(module, views_of(features, rows), turned))
    people = torch.tensor([2, 0, 1])
    same(of(straight, people), of(run(module, features, rigs, ROOTS[people], SAMPLE[people]), torch.arange(3)))


def test_a_view_without_picture_is_a_view_that_is_not_there():
    module, features, rigs = decoder(), noise(10), stack_rigs([ring(5), ring(5, 0.3)])
    has_image = torch.ones(2, 5, dtype=torch.bool)
    has_image[:, 2] = False
    blind = run(module, features, rigs, has_image=has_image)
    kept = torch.tensor([0, 1, 3, 4])
    fewer = rigs.select(views=kept)
    same(blind, run(module, views_of(features, (torch.arange(2)[:, None] * 5 + kept).flatten()), fewer))
    assert not blind.visible[:, :, 2].any()


def test_with_one_view_everybody_stays_where_he_was():
    refined = run(decoder(), noise(1), stack_rigs([ring(1)]), ROOTS[:1], SAMPLE[:1])
    assert not refined.triangulated.any()
    assert_close(refined.xyz_world, refined.prior.expand_as(refined.xyz_world))


def test_nobody_and_a_crowd():
    module, features, rigs = decoder(), noise(10), stack_rigs([ring(5), ring(5, 0.3)])
    nobody = run(module, features, rigs, ROOTS[:0], SAMPLE[:0])
    assert nobody.xyz_world.shape == (2, 0, 15, 3) and nobody.person_confidence.shape == (0,)
    crowd = ROOTS[:1] + 400 * torch.randn(23, 3, generator=torch.Generator().manual_seed(0)).double()
    refined = run(module, features, rigs, crowd, torch.arange(23) % 2)
    assert torch.isfinite(refined.xyz_world).all()
    assert ((refined.joint_confidence > 0) & (refined.joint_confidence < 1)).all()


@pytest.mark.parametrize("place", [[0.0, 0.0, 1e5], [3e4, 0.0, 0.0], [4500.0, 0.0, 2400.0], [1e12, 0.0, 0.0]])
def test_a_root_outside_every_picture_or_in_a_camera_stays_finite(place):
    module, features, rigs = decoder(), noise(5), stack_rigs([ring(5)])
    roots = torch.tensor([place], dtype=torch.float64, requires_grad=True)
    refined = run(module, features, rigs, roots, SAMPLE[:1])
    assert torch.isfinite(refined.xyz_world).all() and torch.isfinite(refined.person_confidence).all()
    refined.xyz_world.sum().backward()
    assert roots.grad is not None and torch.isfinite(roots.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in module.parameters() if p.grad is not None)


def test_gradients_reach_the_roots_through_the_places_looked_at_and_every_parameter():
    module, rigs = decoder(), stack_rigs([ring(5), ring(5, 0.3)])
    features = noise(10)
    for maps in (features.fine, features.heatmaps):
        maps.requires_grad_()
    roots = ROOTS.clone().requires_grad_()
    refined = run(module, features, rigs, roots)
    errors = refined.errors
    assert errors is not None
    # The last layer's poses know the roots by what was seen there only: poses are handed on detached.
    goal = refined.xyz_world[-1][refined.triangulated[-1]].square().sum() * 1e-6
    direct = torch.autograd.grad(goal, roots, retain_graph=True)[0]
    assert (direct.abs().sum(1) > 0).all()
    (goal + refined.xyz_world[0].sum() * 1e-3 + errors.joint_log_scale.sum() + errors.person_log_shape.sum()).backward()
    silent = [n for n, p in module.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # A soft-max does not feel what is added to all of its logits.
    assert [name for name in silent if not name.endswith("view_weight.logit.bias")] == []
    for maps in (features.fine, features.heatmaps):
        assert maps.grad is not None and torch.isfinite(maps.grad).all() and maps.grad.abs().sum() > 0


def test_an_untrained_decoder_already_follows_clean_heat_maps():
    """The direct look at heat maps is why training is fast: the rest pose moves to the peaks at once."""
    torch.manual_seed(0)
    rigs = stack_rigs([ring(5)])
    truth = ROOTS[:1, None] + torch.tensor(PANOPTIC_15_REST.xyz, dtype=torch.float64)
    truth = truth + 60 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(2)).double()
    xy, _ = rigs[SAMPLE[:1]].project(truth)
    peaks = map_from_input(apply(letterbox(rigs.size, INPUT)[:, :, None], xy), 4.0)[0]
    width, height = INPUT[0] // 4, INPUT[1] // 4
    x, y = torch.arange(width, dtype=peaks.dtype), torch.arange(height, dtype=peaks.dtype)[:, None]
    heat = torch.exp(-0.5 * ((x - peaks[..., :1, None]) ** 2 + (y - peaks[..., 1:, None]) ** 2) / 1.5**2)
    blank = noise(5)
    features = Features(heat.float(), *(0 * level for level in blank.pyramid))
    module = Decoder(replace(SMALL, layers=4)).eval()
    refined = run(module, features, rigs, ROOTS[:1], SAMPLE[:1])
    error = (refined.last.detach() - truth).norm(dim=-1).mean()
    before = (refined.prior - truth).norm(dim=-1).mean()
    assert float(error) < 0.5 * float(before)


def people_in(rigs: Cameras) -> PersonInputs:
    present = torch.ones(rigs.size.shape[:-1], dtype=torch.bool)
    return PersonInputs.of(rigs, SAMPLE, present, letterbox(rigs.size, INPUT), INPUT, PIXEL_CENTRES)


@pytest.mark.parametrize("triangulate", [nearest_to_rays, smallest_singular_vector])
def test_rays_that_meet_give_back_their_point(triangulate):
    views = people_in(stack_rigs([ring(5), ring(4, 0.3)]))
    xyz = ROOTS[:, None] + torch.tensor(PANOPTIC_15_REST.xyz, dtype=torch.float64)
    xy, _ = views.project(xyz)
    weights = torch.rand(3, 15, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.1
    weights = weights * views.usable[:, None]
    found, residual = triangulate(views, views.to_image(xy), weights / weights.sum(-1, keepdim=True), xyz + 50)
    assert_close(found, xyz, rtol=0, atol=1e-3)
    assert float(residual.max()) < 2e-3


@pytest.mark.parametrize("triangulate", [nearest_to_rays, smallest_singular_vector])
def test_triangulation_has_the_right_slope(triangulate):
    views = people_in(stack_rigs([ring(5), ring(5, 0.3)]))
    xyz = ROOTS[:, None] + torch.tensor(PANOPTIC_15_REST.xyz[:2], dtype=torch.float64)
    random = torch.Generator().manual_seed(3)
    xy = views.to_image(views.project(xyz)[0]) + 3 * torch.randn(3, 5, 2, 2, generator=random).double()
    weights = torch.rand(3, 2, 5, dtype=torch.float64, generator=random) + 0.2
    xy, weights = xy.requires_grad_(), weights.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda xy, weights: triangulate(views, xy, weights, xyz), (xy, weights), eps=1e-4, atol=1e-3, rtol=1e-3
    )

"""Stage II of an imported checkpoint computes what the released code computes, array by array.

Every layer is compared with the released poses of the layer before as its input, since a run of all four from the
roots cannot be repeated other than bit by bit. Deviations as fractions of the scale of the poses, after each layer:

    released float32 program against itself, roots one unit in the last place larger: 1.8e-4  2.8e-3  2.7e-2  2.1e-1
    the same, weights of the triangulation one such unit larger:                      1.8e-4  2.8e-3  1.9e-2  7.8e-2
    released float32 order of operations, repeated, against the fixture:              2.8e-4  1.9e-3  1.5e-2  1.2e-1
    ours (float64 geometry) against the fixture:                                      1.9e-4  1.9e-3  1.8e-2  1.7e-1
    ours layer by layer against the fixture:                                          1.9e-4  2.0e-4  3.6e-4  3.8e-4

The single precision decomposition, of rows in millimetres, turns the last bit of its input into some tenths of a
millimetre; the rule's random weights, reading white noise, make that tenfold with every layer. From the same bits it
gives the same bits (the released roots of Stage I come out exactly), but the bits of the decoder's weights are those
of matrix products and convolutions, which already differ between one thread and two.
"""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dispose.models.dispose.decoder import Decoder, Refined
from dispose.models.dispose.decoder_geometry import plucker_rows, smallest_singular_vector
from dispose.models.dispose.decoder_layer import DecoderRules
from dispose.nn.heatmaps import Features
from dispose.released.key_maps import LEGACY_RULES, RELEASED_RULES, released_decoder_config
from dispose.scene.frame import stack_rigs

TOLERANCE = 1e-3
"""What the fixture asks for, as a fraction of an array's scale."""
IMAGE_TOLERANCE = 2e-5
"""Points of the pictures come before the triangulation: 0.01 px, rounding of the released affine, are 5e-6 of them."""
FREE = (TOLERANCE, 6e-3, 6e-2)
"""Bounds of the first layers of a free run: the tolerance, then twice what the last bit of the roots makes of them."""


def decoder_of(imported, rules: DecoderRules) -> Decoder:
    config = imported.config
    decoder = Decoder(released_decoder_config(config.room_centre, config.room_size), rules=rules)
    decoder.load_state_dict(imported.decoder.state_dict(), strict=True)
    return decoder.eval()


def people(reference, samples: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Roots, sample (within the run) and slot of the filled slots."""
    roots = reference["stage2_roots"][samples].double()
    sample, slot = (roots[..., 3] > 0).nonzero(as_tuple=True)
    return roots[sample, slot, :3], sample, slot


def run(decoder: Decoder, reference, samples: list[int], roots: Tensor, sample: Tensor) -> Refined:
    parts = [reference.features(s) for s in samples]
    features = Features(
        *(torch.cat([vars(part)[name] for part in parts]) for name in ("heatmaps", "fine", "middle", "coarse"))
    )
    affine = torch.stack([reference.input_from_image(s) for s in samples])
    rigs = stack_rigs([reference.cameras(s) for s in samples])
    with torch.no_grad():
        return decoder(features, rigs, affine, tuple(reference.notes["input_size_wh"]), roots, sample)


def layer_by_layer(decoder: Decoder, reference, samples: list[int], released: Tensor) -> tuple[Refined, Tensor]:
    """A run in which every layer starts from the released poses, and the poses that the layers found themselves."""
    found = []

    def instead(number: int):
        def triangulate(views, xy_image, weights, before):
            xyz, residual = smallest_singular_vector(views, xy_image, weights, before)
            found.append(torch.where(((weights > 0).sum(-1) >= 2)[..., None], xyz, before))
            return released[number], residual

        return triangulate

    for number, layer in enumerate(decoder.layers):
        layer.rules = replace(layer.rules, triangulate=instead(number))  # pyright: ignore[reportArgumentType]
    roots, sample, _ = people(reference, samples)
    return run(decoder, reference, samples, roots, sample), torch.stack(found)


def deviation(found: Tensor, expected: Tensor) -> float:
    """Largest absolute difference over the largest value."""
    assert found.shape == expected.shape
    return float((found.double() - expected.double()).abs().max() / expected.double().abs().max())


def of_people(array: Tensor, sample: Tensor, slot: Tensor) -> Tensor:
    """Rows ``layers persons …`` of an array ``samples 1 1 layers slots …``."""
    return array[:, 0, 0][sample, :, slot].transpose(0, 1)


def test_one_sample_alone_gives_the_released_arrays(reference, imported):
    _, sample, slot = people(reference, [0])
    released = of_people(reference["stage2_b1_refined_poses_xyz"], sample, slot).double()
    refined, found = layer_by_layer(decoder_of(imported, RELEASED_RULES), reference, [0], released)
    assert deviation(refined.prior, reference["stage2_b1_prior_poses_xyz"][0, 0, 0, slot]) < 1e-6
    assert deviation(found, released) < TOLERANCE
    residual = of_people(reference["stage2_b1_triangulation_residuals"], sample, slot)[..., 0]
    assert deviation(refined.residual, residual) < TOLERANCE
    xy = reference["stage2_b1_refined_poses_xy"][0, 0, 0][:, :, slot].transpose(1, 2)
    assert deviation(refined.xy_image, xy) < IMAGE_TOLERANCE


def test_two_samples_give_the_released_arrays_with_the_legacy_layout_only(reference, imported):
    _, sample, slot = people(reference, [0, 1])
    released = of_people(reference["stage2_b2_refined_poses_xyz"], sample, slot).double()
    _, found = layer_by_layer(decoder_of(imported, LEGACY_RULES), reference, [0, 1], released)
    assert deviation(found, released) < TOLERANCE
    _, other = layer_by_layer(decoder_of(imported, RELEASED_RULES), reference, [0, 1], released)
    assert deviation(other, released) > 20 * TOLERANCE


def test_the_legacy_layout_of_one_sample_is_the_right_one(reference, imported):
    roots, sample, _ = people(reference, [1])
    legacy = run(decoder_of(imported, LEGACY_RULES), reference, [1], roots, sample)
    right = run(decoder_of(imported, RELEASED_RULES), reference, [1], roots, sample)
    assert torch.equal(legacy.xyz_world, right.xyz_world)


def test_without_the_legacy_layout_a_sample_does_not_know_the_batch(reference, imported):
    decoder = decoder_of(imported, RELEASED_RULES)
    decoder.layers = decoder.layers[:2]
    roots, sample, _ = people(reference, [0, 1])
    both = run(decoder, reference, [0, 1], roots, sample)
    alone = run(decoder, reference, [1], roots[sample == 1], sample[sample == 1] - 1)
    assert deviation(both.xyz_world[:, sample == 1], alone.xyz_world) < 1e-5


@pytest.mark.parametrize(("samples", "rules"), [([0], RELEASED_RULES), ([0, 1], LEGACY_RULES)])
def test_a_free_run_follows_the_released_arrays_until_rounding_has_grown(reference, imported, samples, rules):
    decoder = decoder_of(imported, rules)
    decoder.layers = decoder.layers[: len(FREE)]
    roots, sample, slot = people(reference, samples)
    released = of_people(reference[f"stage2_b{len(samples)}_refined_poses_xyz"], sample, slot)
    free = run(decoder, reference, samples, roots, sample)
    for found, expected, bound in zip(free.xyz_world, released, FREE, strict=False):
        assert deviation(found, expected) < bound


def test_the_last_bit_of_a_weight_moves_the_released_triangulation(reference, imported):
    """Why a free run cannot be repeated: single precision makes tenths of a millimetre of it."""
    moved = []

    def twice(views, xy_image, weights, before):
        direction, origin = (part.float() for part in views.rays(xy_image))
        rows = plucker_rows(direction, origin.expand_as(direction))
        enough = (weights > 0).sum(-1) >= 2
        places = []
        for each in (weights, torch.nextafter(weights, torch.ones_like(weights))):
            system = (rows * each[..., None, None])[enough].flatten(-3, -2)
            null = torch.linalg.svd(system, full_matrices=False).Vh[:, -1]
            places.append(null[:, :3] / null[:, 3:])
        moved.append(deviation(places[1], places[0]))
        return smallest_singular_vector(views, xy_image, weights, before)

    decoder = decoder_of(imported, RELEASED_RULES)
    decoder.layers = decoder.layers[:1]
    decoder.layers[0].rules = replace(RELEASED_RULES, triangulate=twice)  # pyright: ignore[reportArgumentType]
    roots, sample, _ = people(reference, [0])
    run(decoder, reference, [0], roots, sample)
    assert TOLERANCE / 20 < moved[0] < TOLERANCE


def test_rounding_alone_moves_the_last_layer_by_more_than_the_tolerance(reference, imported):
    """Why the layers are compared one by one: a thousandth of a millimetre at the roots is lost in the last layer."""
    decoder = decoder_of(imported, RELEASED_RULES)
    roots, sample, slot = people(reference, [0])
    free = run(decoder, reference, [0], roots, sample)
    nudged = run(decoder, reference, [0], roots + 1e-3, sample)
    released = of_people(reference["stage2_b1_refined_poses_xyz"], sample, slot)
    assert deviation(free.xyz_world[0], released[0]) < TOLERANCE
    assert deviation(nudged.xyz_world[0], free.xyz_world[0]) < TOLERANCE
    assert deviation(nudged.xyz_world[3], free.xyz_world[3]) > TOLERANCE


@pytest.mark.parametrize("count", [0, 13])
def test_nobody_and_more_people_than_slots(reference, imported, count):
    roots = torch.randn(count, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 500
    for rules in (RELEASED_RULES, LEGACY_RULES):
        refined = run(decoder_of(imported, rules), reference, [0], roots, torch.zeros(count, dtype=torch.long))
        assert refined.xyz_world.shape == (4, count, 15, 3)
        assert torch.isfinite(refined.xyz_world).all()

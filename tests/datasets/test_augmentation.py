"""Augmented images and labels agree, nobody is lost by accident, and nothing leans to one side."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from dispose.datasets.augmentation import images as aug
from dispose.formats.images.series import normalize_pixels, warp_image
from dispose.geometry.image_affine import apply, letterbox, rotation_about
from dispose.tensors import ABSENT

INPUT = (256, 192)
CONFIG = aug.AugmentationConfig()


def spotted(size: tuple[int, int], xy: torch.Tensor, spread: float) -> np.ndarray:
    """A black image with a soft white spot at a place."""
    across, down = (np.exp(-((np.arange(n) - float(c)) ** 2) / (2 * spread**2)) for n, c in zip(size, xy, strict=True))
    spot = np.rint(250 * down[:, None] * across).astype(np.uint8)
    return np.repeat(spot[..., None], 3, -1)


def middle(picture: np.ndarray) -> torch.Tensor:
    """The centre of mass of what is bright."""
    weight = picture[..., 0].astype(float)
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    return torch.tensor([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


@pytest.mark.parametrize("size", [(256, 192), (641, 479), (1920, 1080), (360, 288), (1001, 2003)])
def test_pixels_move_as_the_affine_says(size: tuple[int, int], generator: torch.Generator):
    base = letterbox(torch.tensor(size, dtype=torch.float64), INPUT)
    for _ in range(3):
        u = torch.rand(4, generator=generator, dtype=torch.float64)
        affine = rotation_about(base, INPUT, (u[0] - 0.5) * math.pi / 2, 0.75 + 0.4 * u[1])
        xy = torch.tensor(size, dtype=torch.float64) * (0.4 + 0.2 * u[2:])
        scale = float(torch.linalg.det(affine[:, :2]).sqrt())
        found = middle(warp_image(spotted(size, xy, 3.0 / scale), affine, INPUT))
        assert float((found - apply(affine, xy)).norm()) < 0.1


def test_shrinking_averages_what_it_shrinks():
    checks = np.indices((768, 1024)).sum(0) % 2
    picture = np.repeat((255 * checks).astype(np.uint8)[..., None], 3, -1)
    affine = letterbox(torch.tensor([1024.0, 768.0], dtype=torch.float64), INPUT)
    inner = warp_image(picture, affine, INPUT)[2:-2, 2:-2].astype(float)
    assert np.abs(inner - 127.5).max() < 2


def test_the_first_slot_is_the_frame_as_it_is_and_labels_are_shared(generator: torch.Generator):
    size = torch.tensor([[640.0, 480.0], [500.0, 400.0], [640.0, 480.0]], dtype=torch.float64)
    base = letterbox(size, INPUT)
    xy = torch.rand(3, 2, 15, 2, generator=generator, dtype=torch.float64) * 0.5 * size[:, None, None] + 100
    seen = torch.ones(3, 2, 15, dtype=torch.bool)
    pictures = [spotted((640, 480), xy[0, 0, 0], 6), None, spotted((640, 480), xy[2, 0, 0], 6)]
    config = replace(CONFIG, copies=3, turn_rate=1.0, scale_rate=1.0, colour_rate=0.0)
    slots = aug.augment(pictures, base, INPUT, (xy, seen), config, generator)
    assert len(slots) == 4
    assert torch.equal(slots[0].input_from_image, base)
    assert torch.equal(slots[0].pixels[2], normalize_pixels(warp_image(pictures[2], base[2], INPUT)))
    for slot in slots:
        assert slot.present.tolist() == [True, False, True] and not slot.pixels[1].any()
        for v in (0, 2):
            where = apply(slot.input_from_image[v], xy[v, 0, 0])
            x, y = (round(float(c)) for c in where)
            if 2 < x < INPUT[0] - 3 and 2 < y < INPUT[1] - 3:
                assert slot.pixels[v, 0, y, x] > 1.5
    for before, after in pairwise(slots):
        assert not torch.equal(before.input_from_image, after.input_from_image)


def test_rates_and_ranges_are_those_of_the_config(generator: torch.Generator):
    views = 4000
    base = letterbox(torch.tensor([[640.0, 480.0]], dtype=torch.float64), INPUT).expand(views, 2, 3)
    nobody = (torch.zeros(views, 0, 15, 2, dtype=torch.float64), torch.zeros(views, 0, 15, dtype=torch.bool))
    drawn = aug.draw_affines(base, INPUT, nobody, CONFIG, generator)
    scale = torch.linalg.det(drawn[..., :2]).sqrt() / torch.linalg.det(base[..., :2]).sqrt()
    angle = torch.atan2(drawn[:, 1, 0], drawn[:, 0, 0]).rad2deg()
    assert abs(float((angle.abs() > 1e-9).double().mean()) - 0.5) < 0.03
    assert float(angle.abs().max()) <= 45 and abs(float(angle.mean())) < 1.5
    smaller, larger = scale[scale < 1 - 1e-9], scale[scale > 1 + 1e-9]
    assert abs(len(smaller) / views - 0.25) < 0.03 and abs(len(larger) / views - 0.25) < 0.03
    assert float(smaller.min()) >= 1 / 1.35 and float(smaller.max()) <= 1 / 1.1
    assert float(larger.min()) >= 1 / 0.95 and float(larger.max()) <= 1 / 0.825
    centre = (torch.tensor(INPUT, dtype=torch.float64) - 1) / 2
    image_centre = torch.tensor([319.5, 239.5], dtype=torch.float64).expand(views, 2)
    torch.testing.assert_close(apply(drawn, image_centre), centre.expand(views, 2))


def test_somebody_stays_in_sight(generator: torch.Generator):
    size = torch.tensor([[640.0, 480.0]], dtype=torch.float64).expand(500, 2)
    base = letterbox(size, INPUT)
    corner = torch.full((500, 1, 1, 2), 3.0, dtype=torch.float64)
    joints = (corner, torch.ones(500, 1, 1, dtype=torch.bool))
    wild = replace(CONFIG, turn_rate=0.95, scale_rate=0.95)
    once = aug.draw_affines(base, INPUT, joints, replace(wild, redraws=1), generator)
    assert aug.in_sight(once, INPUT, joints).all(), "what is not found stays as it was"
    drawn = aug.draw_affines(base, INPUT, joints, wild, generator)
    assert aug.in_sight(drawn, INPUT, joints).all()
    assert (drawn != base).flatten(1).any(1).double().mean() > 0.8
    far = (corner - 100, joints[1])
    assert (aug.draw_affines(base, INPUT, far, wild, generator) != base).any(), "nobody was in sight to begin with"


def picture(generator: torch.Generator) -> np.ndarray:
    """A random image of moderate contrast, smooth but for some noise."""
    coarse = torch.rand(1, 3, 6, 8, generator=generator) * 140 + 50
    fine = torch.nn.functional.interpolate(coarse, (192, 256), mode="bicubic")
    fine = (fine + 12 * torch.randn(fine.shape, generator=generator)).clamp(1, 254)
    return np.ascontiguousarray(fine[0].permute(1, 2, 0).to(torch.uint8).numpy())


@pytest.mark.parametrize("operation", aug.COLOUR_OPERATIONS, ids=lambda f: f.__name__)
def test_colour_operations_change_the_picture_and_not_their_argument(
    operation: aug.ColourOperation, generator: torch.Generator
):
    given = picture(generator)
    before = given.copy()
    found = operation(given, generator)
    assert found.shape == given.shape and found.dtype == np.uint8 and not np.shares_memory(found, given)
    assert (found != given).any() and (given == before).all()
    flat = np.full((20, 30, 3), 77, np.uint8)
    assert operation(flat, generator).shape == flat.shape


def test_colour_operations_do_what_their_names_say(generator: torch.Generator):
    given = picture(generator)
    spread = {f.__name__: f(given, generator).astype(float) for f in aug.COLOUR_OPERATIONS}
    assert {int(v) for v in np.unique(spread["posterize"])} <= set(range(0, 256, 4))
    assert (spread["auto_contrast"].min((0, 1)) == 0).all() and (spread["auto_contrast"].max((0, 1)) == 255).all()
    shares = np.histogram(spread["equalize"][..., 0], 4, (0, 256))[0] / given[..., 0].size
    assert np.abs(shares - 0.25).max() < 0.05
    assert 16 <= (spread["cutout"] != given).any(-1).sum() <= 256
    assert float(normalize_pixels(np.full((1, 1, 3), aug.HOLE_COLOUR, np.uint8)).abs().max()) < 0.02
    ratios = {round(float(aug.brightness(given, generator).mean() / given.mean()), 1) for _ in range(20)}
    assert ratios <= {0.5, 1.4, 1.5} and len(ratios) == 2
    grey = aug.GREY
    assert np.abs(spread["colour"] @ grey - given @ grey).mean() < 4, "saturation keeps the brightness"
    contrasts = {round(float(aug.contrast(given, generator).std() / given.std()), 1) for _ in range(20)}
    assert min(contrasts) == 0.4 and max(contrasts) > 1.4
    edges = {round(float(np.diff(aug.sharpness(given, generator).astype(float), axis=1).std()), 2) for _ in range(20)}
    plain = float(np.diff(given.astype(float), axis=1).std())
    assert min(edges) < plain < max(edges)


def test_two_operations_are_drawn_and_half_of_them_applied(generator: torch.Generator):
    given = np.zeros((2, 2, 3), np.uint8)

    def brighter(picture: np.ndarray, generator: torch.Generator) -> np.ndarray:
        return picture + np.uint8(1)

    counts = [int(aug.recolour(given, CONFIG, generator, operations=(brighter,))[0, 0, 0]) for _ in range(800)]
    shares = np.bincount(counts, minlength=3) / 800
    assert np.abs(shares - (0.25, 0.5, 0.25)).max() < 0.06


def test_a_person_is_lost_in_one_view_of_three_or_more(generator: torch.Generator):
    identity = torch.tensor([[0, 1, 2, ABSENT], [2, 0, 1, ABSENT], [0, 2, ABSENT, ABSENT], [2, ABSENT, ABSENT, ABSENT]])
    total = torch.zeros_like(identity, dtype=torch.float64)
    for _ in range(2000):
        kept = aug.drop_views(identity, 0.2, generator)
        gone = ~kept
        assert gone[identity == 0].sum() <= 1 and gone[identity == 2].sum() <= 1
        total += gone
    assert total[identity == 1].sum() == 0 and total[identity == ABSENT].sum() == 0
    share = total / 2000
    torch.testing.assert_close(share[identity == 0], torch.full((3,), 0.2 / 3, dtype=torch.float64), rtol=0, atol=0.02)
    torch.testing.assert_close(share[identity == 2], torch.full((4,), 0.05, dtype=torch.float64), rtol=0, atol=0.02)
    assert aug.drop_views(identity, 1.0, generator)[identity == 2].sum() == 3
    assert aug.drop_views(torch.zeros(0, 0, dtype=torch.long), 1.0, generator).shape == (0, 0)
    assert aug.drop_views(torch.full((3, 2), ABSENT), 1.0, generator).all()


def test_root_jitter_has_the_released_width_and_no_side(generator: torch.Generator):
    xy = torch.full((20000, 2), 50.0, dtype=torch.float64)
    moved = aug.jitter_roots(xy, 240, CONFIG.jitter_share, generator) - xy
    assert float(moved.abs().max()) <= 4 and float(moved.max() - moved.min()) > 7.9
    assert moved.mean(0).abs().max() < 5 * (8 / math.sqrt(12)) / math.sqrt(20000)
    assert abs(float(torch.corrcoef(moved.T)[0, 1])) < 0.03


def test_the_same_generator_gives_the_same_frame():
    given = picture(torch.Generator().manual_seed(1))
    base = letterbox(torch.tensor([[256.0, 192.0]], dtype=torch.float64), INPUT)
    joints = (torch.full((1, 1, 1, 2), 100.0, dtype=torch.float64), torch.ones(1, 1, 1, dtype=torch.bool))
    runs = [
        aug.augment([given], base, INPUT, joints, CONFIG, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)
    ]
    assert torch.equal(runs[0][1].pixels, runs[1][1].pixels)
    assert not torch.equal(runs[0][1].pixels, runs[2][1].pixels)

"""Laws of Context-Aware PoseFormer: sizes, what is frozen, what it reads, mirrors, boxes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from dispose.errors import InputError
from dispose.geometry.image_affine import apply, crop
from dispose.models.context.crops import (
    PersonCrops,
    crop_people,
    cut_out_people,
    keypoint_boxes,
    root_boxes,
)
from dispose.models.context.lifter import ContextLifter, LifterConfig
from dispose.models.context.network import (
    TOLD,
    ContextConfig,
    ContextLift,
    ContextNetwork,
    PyramidConfig,
    grid_of_crop,
    lift_crops,
    told_of_joints,
)
from dispose.models.lifting.sight import PeopleInView, PeopleLifter, lift_people
from dispose.models.lifting.view import view_people
from dispose.nn.backbones import BackboneConfig
from dispose.nn.hrnet import HRNetConfig
from dispose.released.context import RELEASED_CONTEXT, grid_released, tell_released
from dispose.scene.cameras import Cameras
from dispose.skeletons.catalog import COCO_17

TINY = LifterConfig(coordinates=TOLD, chans=16, context=2, within=1, between=2, heads=4, context_heads=2, points=3)
CONFIG = ContextConfig(
    "coco_17", (64, 96), PyramidConfig(BackboneConfig(depth=18, width=8, deconv_chans=8, joints=17)), TINY
)


def network(rules=None) -> ContextNetwork:
    torch.manual_seed(0)
    made = ContextNetwork(CONFIG) if rules is None else ContextNetwork(CONFIG, rules)
    for parameter in made.lifter.parameters():
        nn.init.normal_(parameter, std=0.3)
    return made.eval()


def camera(people: int) -> Cameras:
    one = torch.eye(3, dtype=torch.float64).expand(people, 1, 3, 3)
    matrix = torch.tensor([[400.0, 0, 159.5], [0, 420.0, 119.5], [0, 0, 1]], dtype=torch.float64)
    size = torch.tensor([320.0, 240.0], dtype=torch.float64).expand(people, 1, 2)
    none = torch.zeros(people, 1, 8, dtype=torch.float64)
    return Cameras((), size, matrix.expand(people, 1, 3, 3), none, one, torch.zeros(people, 1, 3, dtype=torch.float64))


def keypoints(people: int = 3, missing: float = 0.2):
    random = torch.Generator().manual_seed(5)
    xy = torch.rand(people, 17, 2, generator=random, dtype=torch.float64) * torch.tensor([120.0, 180.0]) + 40
    seen = torch.rand(people, 17, generator=random) >= missing
    one = torch.ones(people, 17)
    cameras = camera(people)
    told = view_people(COCO_17.joints, cameras, xy, 0.8 * one, seen, 2 * one)
    return PeopleInView(cameras, torch.where(seen[..., None], xy, 0.0), told)


def crops(people: int = 3, missing: float = 0.2) -> PersonCrops:
    random = np.random.default_rng(3)
    images = [random.integers(0, 255, (240, 320, 3), dtype=np.uint8) for _ in range(people)]
    return cut_out_people(images, keypoints(people, missing), CONFIG.input_size)


@pytest.mark.parametrize(
    ("chans", "count"),
    [((32, 64, 128, 256), 14_094_147), ((48, 96, 192, 384), 14_155_587), ((256,) * 4, 14_233_411)],
)
def test_the_lifter_has_the_published_number_of_weights(chans, count):
    assert sum(p.numel() for p in ContextLifter(chans, LifterConfig()).parameters()) == count


def test_a_pyramid_is_one_of_three():
    with pytest.raises(InputError, match="one of resnet, hrnet, cpn"):
        PyramidConfig()
    with pytest.raises(InputError, match="one of resnet, hrnet, cpn"):
        PyramidConfig(BackboneConfig(), HRNetConfig())


def test_training_leaves_the_pyramid_as_it_is_and_moves_every_weight_of_the_lifter():
    made = network().train()
    before = {name: value.clone() for name, value in made.state_dict().items()}
    optimizer = torch.optim.SGD(made.parameters(), lr=1.0)
    made(crops()).square().sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in made.pyramid.parameters())
    optimizer.step()
    for name, value in made.state_dict().items():
        same = torch.equal(value, before[name])
        assert same == name.startswith("pyramid."), name  # statistics of the normalisation among them


def test_the_answer_to_a_mirrored_person_is_the_mirrored_answer():
    made, some = network(), crops()
    flip, swap = torch.tensor([-1.0, 1.0, 1.0]), COCO_17.mirror
    plain = lift_crops(made, some)
    assert_close(lift_crops(made, some.mirror(swap)), plain[:, swap] * flip, atol=1e-4, rtol=1e-4)
    # It is the average that makes it so.
    assert not torch.allclose(made(some.mirror(swap)), made(some)[:, swap] * flip, atol=1e-2)
    hips = plain[:, COCO_17.indices(COCO_17.root_of)].mean(1)
    assert_close(hips, torch.zeros_like(hips), atol=1e-5, rtol=0)


def test_mirroring_twice_changes_nothing_and_moves_keypoints_with_their_pixels():
    some = crops()
    other = some.mirror(COCO_17.mirror)
    back = other.mirror(COCO_17.mirror)
    for one, same in ((back.pixels, some.pixels), (back.xy_crop, some.xy_crop), (back.people.uv, some.people.uv)):
        assert_close(one, same, atol=1e-4, rtol=1e-5)
    person, joint = some.people.seen.nonzero()[0].tolist()
    x, y = some.xy_crop[person, joint].round().long().tolist()
    there = COCO_17.mirror.index(joint)
    other_x, other_y = other.xy_crop[person, there].round().long().tolist()
    assert_close(other.pixels[person, :, other_y, other_x], some.pixels[person, :, y, x])


def test_joints_that_are_not_seen_are_read_nowhere():
    made, some = network(), crops()
    noise = torch.randn_like(some.xy_crop)
    moved = replace(some, xy_crop=torch.where(some.people.seen[..., None], some.xy_crop, noise))
    assert_close(made(moved), made(some))


def test_pixels_of_a_crop_lie_between_minus_one_and_one():
    corners = torch.tensor([[[0.0, 0.0], [191.0, 255.0], [95.5, 127.5]]])
    expected = torch.tensor([[[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0]]])
    assert_close(grid_of_crop(corners, (192, 256)), expected)
    released = torch.stack([corners[..., 0] / 96 - 1, corners[..., 1] / 128 - 1], -1)
    assert_close(grid_released(corners, (192, 256)), released)


def test_a_joint_reads_the_map_where_it_lies():
    """A map that is the place itself, on both axes, tells the tokens where a joint is."""
    torch.manual_seed(0)
    lifter = ContextLifter((2,), LifterConfig(joints=3, chans=16, context=0, within=0, between=0))
    with torch.no_grad():
        lifter.features[0].weight.zero_()  # pyright: ignore[reportCallIssue]
        lifter.features[0].weight[:2] = torch.eye(2)  # pyright: ignore[reportIndexIssue]
        lifter.features[0].bias.zero_()  # pyright: ignore[reportCallIssue]
    y, x = torch.meshgrid(torch.linspace(-1, 1, 7), torch.linspace(-1, 1, 5), indexing="ij")
    grid = torch.tensor([[[0.3, -0.6], [-1.0, 1.0], [0.9, 0.1]]])
    seen = torch.tensor([[True, True, False]])
    _, features = lifter.tokens([torch.stack([x, y])[None]], grid, torch.zeros(1, 3, 2), seen)
    assert_close(features[0, 0, :, :2], grid[0] * seen[0, :, None])


def test_with_eyes_closed_the_answer_is_that_of_maps_of_nothing():
    made, some = network(), crops()
    maps = made.look(some.pixels)
    nothing = tuple(torch.zeros_like(level) for level in maps)
    blind = made.answer(nothing, some)
    assert not torch.allclose(made.answer(maps, some), blind)
    made.lifter.close_eyes()
    assert_close(made.answer(maps, some), blind)


def test_places_around_a_joint_start_a_little_apart_and_stay_within_the_crop():
    torch.manual_seed(0)
    lifter = ContextLifter((4,), LifterConfig(chans=16, context=1, within=0, between=0))
    block, tokens = lifter.context[0], torch.randn(2, 1, 17, 16)
    grid = torch.zeros(2, 17, 2)
    place, weight = block.gaze(tokens, torch.randn(2, 17, 16), grid)  # pyright: ignore[reportCallIssue]
    far = place.detach().norm(dim=-1)
    assert 0.005 < float(far.min()) < float(far.max()) < 0.06
    # Four directions, and a step farther for every point.
    assert_close(place[0, 0, 0, 0], torch.tensor([[0.01, 0.0], [0.02, 0.0], [0.03, 0.0], [0.04, 0.0]]).tanh())
    assert_close(weight.sum(-1), torch.ones_like(weight[..., 0]))
    nn.init.normal_(block.offset.weight, std=100.0)  # pyright: ignore[reportArgumentType, reportAttributeAccessIssue]
    assert float(block.gaze(tokens, torch.randn(2, 17, 16), grid)[0].detach().abs().max()) <= 1  # pyright: ignore[reportCallIssue]


def test_what_is_told_is_what_the_rules_say():
    some = crops()
    assert told_of_joints(some).shape == (3, 17, TOLD)
    assert_close(told_of_joints(some)[..., :2], some.people.uv)
    assert_close(tell_released(some), some.xy_screen)
    corner = replace(keypoints(1, 0.0), xy_image=torch.tensor([[[319.0, 0.0]] * 17], dtype=torch.float64))
    screen = crop_people(some.pixels[:1], crop(*keypoint_boxes(corner.xy_image, corner.people.seen), (64, 96)), corner)
    assert_close(screen.xy_screen[0, 0], torch.tensor([2 * 319 / 320 - 1, -240 / 320]))


def test_boxes_hold_the_keypoints_that_are_seen():
    xy = torch.tensor([[[10.0, 20.0], [50.0, 120.0], [900.0, 900.0]]])
    centre, size = keypoint_boxes(xy, torch.tensor([[True, True, False]]), margin=1.5)
    assert_close(centre, torch.tensor([[30.0, 70.0]]))
    assert_close(size, torch.tensor([[60.0, 150.0]]))
    with pytest.raises(InputError, match="person 0 has no keypoint"):
        keypoint_boxes(xy, torch.zeros(1, 3) > 0)


def test_the_released_box_is_two_metres_around_the_true_root():
    centre, size = root_boxes(torch.tensor([[500.0, -100.0, 4000.0]], dtype=torch.float64), camera(1))
    left, top = 400 * (-500 / 4000) + 159.5, 420 * (-1000 / 4000) + 119.5
    right, bottom = 400 * (1500 / 4000) + 159.5, 420 * (1000 / 4000) + 119.5
    assert_close(size, torch.tensor([[right - left, bottom - top]], dtype=torch.float64))
    assert_close(centre, torch.tensor([[(left + right) / 2, (top + bottom) / 2]], dtype=torch.float64))


def test_keypoints_lie_in_the_crop_where_the_affine_says():
    found = keypoints(missing=0.0)
    image = np.zeros((240, 320, 3), dtype=np.uint8)
    centre, size = keypoint_boxes(found.xy_image, found.people.seen)
    some = cut_out_people([image] * 3, found, (64, 96))
    affine = crop(centre, size, (64, 96))
    assert_close(some.xy_crop, apply(affine[:, None], found.xy_image).float())
    low, high = some.xy_crop.amin((0, 1)), some.xy_crop.amax((0, 1))
    assert (low > 0).all() and (high < torch.tensor([63.0, 95.0])).all()


def test_a_person_outside_the_image_is_refused_in_one_sentence():
    found = keypoints(1, 0.0)
    away = replace(found, xy_image=found.xy_image + 1000)
    with pytest.raises(InputError, match="person 0: no keypoint lies inside the image of 320 x 240 pixels"):
        ContextLift(network())(away, np.zeros((240, 320, 3), dtype=np.uint8), torch.Generator())
    with pytest.raises(InputError, match="looks at the image beside the keypoints, and there is none"):
        ContextLift(network())(found, None, torch.Generator())


@pytest.mark.parametrize("rules", [None, RELEASED_CONTEXT])
def test_poses_come_back_in_the_axes_of_the_camera(rules):
    made = network() if rules is None else None
    if made is None:
        torch.manual_seed(0)
        config = replace(CONFIG, lifter=replace(TINY, coordinates=2))
        made = ContextNetwork(config, RELEASED_CONTEXT).eval()
    image = np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    found = keypoints(2)
    placed = lift_people(PeopleLifter(COCO_17, ContextLift(made)), found, image, torch.Generator())
    crops = cut_out_people([image] * 2, found, made.config.input_size)
    flip, swap = torch.tensor([-1.0, 1.0, 1.0]), COCO_17.mirror
    said = (made(crops) + made(crops.mirror(swap))[:, swap] * flip) / 2
    said = said - said[:, COCO_17.indices(COCO_17.root_of)].mean(1, keepdim=True)
    turned = found.people.to_camera(said) if rules is None else said
    assert_close(placed.lifted.xyz_camera[:, 0], 1000 * turned.detach().double(), atol=1e-2, rtol=1e-4)


def test_a_lifter_of_another_skeleton_is_refused():
    with pytest.raises(InputError, match="a lifter of 17 joints is not for the 15 of panoptic_15"):
        ContextNetwork(replace(CONFIG, skeleton="panoptic_15"))

"""MoveNet's networks and decoding, against laws of their own and plain second ways to say the same."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dispose.errors import ShapeError
from dispose.models.movenet.decode import MOST_PEOPLE, decode_people, decode_person
from dispose.models.movenet.find import crop_squares, find_joints, find_people, letterbox
from dispose.models.movenet.network import (
    MULTIPOSE,
    THUNDER,
    MoveNet,
    MoveNetConfig,
    MoveNetHeads,
    SamePadded,
    TracedMoveNet,
)

SIZES = {"multipose": 4_723_346, "thunder": 6_226_046}
TINY = MoveNetConfig("tiny", 64, 8, (8,) * 17, boxes=True)


def drawn_heads(generator: torch.Generator, images: int = 2, height: int = 12, width: int = 20) -> MoveNetHeads:
    """Heads as wild as those of untrained networks."""

    def draw(chans: int, scale: float) -> Tensor:
        return scale * torch.randn(images, chans, height, width, generator=generator)

    return MoveNetHeads(draw(1, 2), draw(17, 2), draw(34, 4), draw(34, 0.5), 3 + draw(2, 6), draw(2, 6))


@pytest.mark.parametrize("config", [MULTIPOSE, THUNDER], ids=lambda config: config.name)
def test_networks_have_as_many_numbers_as_the_published_ones(config: MoveNetConfig):
    with torch.device("meta"):
        network = MoveNet(config)
    assert sum(value.numel() for value in network.state_dict().values()) == SIZES[config.name]


def test_stride_two_pads_at_the_bottom_and_the_right_only(generator: torch.Generator):
    for groups in (1, 6):
        layer = SamePadded(6, 6, stride=2, groups=groups)
        x = torch.randn(2, 6, 8, 12, generator=generator)
        wanted = F.conv2d(F.pad(x, (0, 1, 0, 1)), layer.weight, layer.bias, 2, groups=groups)
        torch.testing.assert_close(layer(x), wanted)


def test_recorded_steps_say_the_same_for_images_of_any_size(generator: torch.Generator):
    network = MoveNet(TINY).eval()
    traced = TracedMoveNet(network)
    for images, height, width in ((1, 64, 96), (2, 32, 64)):
        rgb = 255 * torch.rand(images, 3, height, width, generator=generator)
        with torch.inference_mode():
            wanted, first, second = network(rgb), traced(rgb), traced(rgb)
        for name, value in vars(first).items():
            torch.testing.assert_close(value, vars(wanted)[name])
            assert torch.equal(value, vars(second)[name])


def test_sides_that_no_lateral_meets_are_refused():
    with pytest.raises(ShapeError, match="64x48 px; sides must be multiples of 32"):
        MoveNet(TINY)(torch.zeros(1, 3, 48, 64))
    with pytest.raises(ShapeError, match="96x80 px"):
        TracedMoveNet(MoveNet(TINY))(torch.zeros(1, 3, 80, 96))


def test_an_image_is_answered_the_same_alone_and_beside_another(generator: torch.Generator):
    network = MoveNet(TINY).eval()
    images = 255 * torch.rand(2, 3, 64, 96, generator=generator)
    with torch.inference_mode():
        together, alone = network(images), network(images[1:])
    for name, value in vars(together).items():
        torch.testing.assert_close(value[1:], vars(alone)[name])
        assert value.shape[-2:] == (16, 24)


def test_people_are_found_where_the_network_is():
    """On a device without numbers all works until what was found is asked for; one tensor elsewhere would not do."""
    network, image = MoveNet(TINY).eval().to("meta"), np.zeros((48, 64, 3), np.uint8)
    square = np.array([[20.0, 20.0, 30.0]])
    assert network.device.type == "meta"
    for find in (lambda: find_people(network, image, 64), lambda: find_joints(network, image, square)):
        with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
            find()
    traced = TracedMoveNet(MoveNet(TINY))
    assert traced.device.type == "cpu" and len(find_joints(traced, image, square)) == 1


def plain_heads(network: MoveNet, rgb: Float[Tensor, "1 3 height width"]) -> dict[str, Tensor]:
    """The published graph, step after step, with padded copies and OpenCV's enlarging (half-pixel centres)."""
    weights = network.state_dict()

    def conv(name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight, bias = weights[f"{name}.weight"], weights.get(f"{name}.bias")
        if weight.shape[-1] == 3:
            x = F.pad(x, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))
        return F.conv2d(x, weight, bias, stride, groups=x.shape[1] // weight.shape[1])

    def twice(x: Tensor) -> Tensor:
        maps = x[0].permute(1, 2, 0).numpy()
        return torch.from_numpy(cv2.resize(maps, (2 * maps.shape[1], 2 * maps.shape[0]))).permute(2, 0, 1)[None]

    x, seen = conv("stem", rgb * 0.007843017578125 - 1, 2).clamp(0, 6), {}
    for k in range(17):
        before, stride = x, 2 if k in (1, 3, 6, 13) else 1
        if k:
            x = conv(f"blocks.{k}.expand", x).clamp(0, 6)
        x = conv(f"blocks.{k}.project", conv(f"blocks.{k}.depthwise", x, stride).clamp(0, 6))
        x = seen[k] = x + before if x.shape == before.shape else x
    y = conv("laterals.0", conv("last", x).clamp(0, 6))
    for k, block in enumerate((9, 5, 2)):
        y = twice(y) + conv(f"laterals.{k + 1}", seen[block])
        y = conv(f"merges.{k}.pointwise", conv(f"merges.{k}.depthwise", y)).relu()
    hidden = {name: conv(f"heads.{name}.hidden", conv(f"heads.{name}.depthwise", y)).relu() for name in network.heads}
    return {name: conv(f"heads.{name}.answer", value) for name, value in hidden.items()}


def test_the_network_is_the_published_graph(generator: torch.Generator):
    network = MoveNet(replace(TINY, outs=(4, 6, 6, *(8,) * 3, *(10,) * 4, *(12,) * 3, *(14,) * 3, 16))).eval().double()
    for name, value in network.named_parameters():
        spread = 3 if name.endswith("bias") else 1.5 / value[0].numel() ** 0.5
        value.data = spread * torch.randn(value.shape, generator=generator, dtype=torch.float64)
    rgb = 255 * torch.rand(1, 3, 64, 96, generator=generator, dtype=torch.float64)
    with torch.inference_mode():
        found = network(rgb)
        for name, wanted in plain_heads(network, rgb).items():
            torch.testing.assert_close(vars(found)[name], wanted, rtol=0, atol=1e-6 * float(wanted.std()))


def people_by_loops(heads: MoveNetHeads, image: int) -> Float[Tensor, "persons 57"]:
    """What `decode_people` must say of an image, keypoint after keypoint: keypoints, box, score, peak."""
    center, heat = heads.center[image, 0].sigmoid(), heads.kpt_heatmap[image].sigmoid()
    assert heads.box_scale is not None and heads.box_offset is not None
    height, width = center.shape
    grown = F.max_pool2d(center[None, None], 5, 1, 2)[0, 0]
    peaks = torch.where((center - grown).abs() < 1.0132789611816406e-06, center, 0.0)
    order = torch.sort(peaks.flatten(), stable=True, descending=True).indices[:MOST_PEOPLE]
    gy, gx = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    maps, boxes = torch.zeros(MOST_PEOPLE, 17, height, width), []
    for p, index in enumerate(order.tolist()):
        y, x = divmod(index, width)
        (cy, cx), (h, w) = heads.box_offset[image, :, y, x], heads.box_scale[image, :, y, x].clamp(min=0)
        cy, cx = cy + y, cx + x
        y0, y1 = (cy - h / 2).clamp(0, height), (cy + h / 2).clamp(0, height)
        x0, x1 = (cx - w / 2).clamp(0, width), (cx + w / 2).clamp(0, width)
        inside = (gy >= y0) & (gy < y1) & (gx >= x0) & (gx < x1)
        boxes.append(torch.stack((y0 / height, x0 / width, y1 / height, x1 / width)))
        for k in range(17):
            ry, rx = y + heads.kpt_regress[image, 2 * k, y, x], x + heads.kpt_regress[image, 2 * k + 1, y, x]
            far = (gy - ry) ** 2 + (gx - rx) ** 2
            maps[p, k] = heat[k] * torch.exp(-far / (0.300048828125 * min(height, width))) * inside
    rows = []
    for p, index in enumerate(order.tolist()):
        keypoints = torch.zeros(17, 3)
        for k in range(17):
            ky, kx = divmod(int(maps[p, k].flatten().numpy().argmax()), width)
            keypoints[k, 0] = (ky + heads.kpt_offset[image, 2 * k, ky, kx]) / height
            keypoints[k, 1] = (kx + heads.kpt_offset[image, 2 * k + 1, ky, kx]) / width
            keypoints[k, 2] = maps[:, k, ky, kx].max()
        peak = peaks.flatten()[index]
        seen = keypoints[keypoints[:, 2] > 0.126953125, 2]
        score = peak * seen.mean() if len(seen) else peak * 0
        rows.append(torch.cat((keypoints.flatten(), boxes[p], score[None], peak[None])))
    return torch.stack(rows)


@pytest.mark.parametrize("height, width, bias", [(12, 20, 0.0), (20, 12, 0.0), (12, 12, -40.0)])
def test_people_are_those_that_plain_loops_find(height: int, width: int, bias: float, generator: torch.Generator):
    heads = drawn_heads(generator, height=height, width=width)
    # Far below, all middles are equally unlikely, and fewer than six are peaks.
    heads = replace(heads, center=heads.center + bias)
    found = decode_people(heads)
    for image in range(2):
        rows = (found.keypoints[image].flatten(1), found.boxes[image], found.scores[image, :, None])
        said = torch.cat((*rows, found.peaks[image, :, None]), -1)
        if bias == 0:
            torch.testing.assert_close(said, people_by_loops(heads, image), atol=1e-6, rtol=0)
        else:
            assert bool((found.scores[image] < 1e-12).all())


def test_the_score_of_a_keypoint_is_the_highest_that_anybody_gives_to_its_place():
    heads = MoveNetHeads(*(torch.zeros(1, chans, 24, 24) for chans in (1, 17, 34, 34, 2, 2)))
    assert heads.box_scale is not None
    heads.center[:] = -9
    heads.box_scale[:] = 20
    heads.kpt_heatmap[:] = -9
    heads.kpt_heatmap[0, :, 12, 16] = 9
    for x in (8, 15):
        heads.center[0, 0, 12, x] = 5 - x / 10
    heads.kpt_regress[0, 1::2, 12, 15] = 1  # the second person expects it just there, the first 8 cells away
    people = decode_people(heads)
    first, second = people.keypoints[0, :2]
    torch.testing.assert_close(first, second)
    assert float(first[0, 2]) == pytest.approx(torch.tensor(9.0).sigmoid().item())


def test_a_box_holds_its_first_edge_and_not_its_last():
    heads = MoveNetHeads(*(torch.zeros(1, chans, 24, 24) for chans in (1, 17, 34, 34, 2, 2)))
    assert heads.box_scale is not None
    heads.center[:] = -9
    heads.center[0, 0, 12, 12] = 5
    heads.box_scale[0, :, 12, 12] = 8
    for away, cell in ((-4, 8), (4, 15)):
        heads.kpt_regress[:, :, 12, 12] = away
        torch.testing.assert_close(decode_people(heads).keypoints[0, 0, :, :2], torch.full((17, 2), cell / 24))


def test_rows_of_nobody_have_no_peak_and_the_first_cells():
    heads = MoveNetHeads(*(torch.zeros(1, chans, 8, 8) for chans in (1, 17, 34, 34, 2, 2)))
    heads.center[0, 0] = -torch.arange(64.0).view(8, 8) / 64
    assert heads.box_offset is not None and heads.box_scale is not None
    heads.box_offset[:, 1] = 0.25
    people = decode_people(heads)
    assert people.peaks[0].gt(0).tolist() == [True, False, False, False, False, False]
    assert people.boxes[0, :, 1].tolist() == [(x + 0.25) / 8 for x in (0, 1, 2, 3, 4, 5)]


def test_a_network_for_one_person_says_no_boxes(generator: torch.Generator):
    with pytest.raises(ShapeError, match="for one person"):
        decode_people(replace(drawn_heads(generator), box_scale=None, box_offset=None))


def test_one_person_is_the_one_that_plain_loops_find(generator: torch.Generator):
    heads = drawn_heads(generator, images=3)
    height, width = heads.center.shape[-2:]
    gy, gx = np.mgrid[:height, :width].astype(np.float32)
    for image, found in enumerate(decode_person(heads)):
        near = heads.center[image, 0].sigmoid().numpy() / (np.hypot(gy - height / 2, gx - width / 2) + 1.7998046875)
        y, x = divmod(int(near.argmax()), width)
        for k in range(17):
            heat = heads.kpt_heatmap[image, k].sigmoid().numpy()
            ry, rx = (v + float(heads.kpt_regress[image, 2 * k + a, y, x]) for a, v in enumerate((y, x)))
            ky, kx = divmod(int((heat / (np.hypot(gy - ry, gx - rx) + 1.7998046875)).argmax()), width)
            place = np.array((ky, kx)) + heads.kpt_offset[image, 2 * k : 2 * k + 2, ky, kx].numpy()
            np.testing.assert_allclose(found[k, :2], place / (height, width), atol=1e-6)
            assert float(found[k, 2]) == pytest.approx(float(heat[ky, kx]))


def test_a_letterbox_goes_back_to_the_corners_of_the_image():
    sizes = ((1080, 1920, 512, (288, 512)), (1920, 1088, 512, (512, 320)), (9, 50, 64, (32, 64)))
    for height, width, side, shape in sizes:
        shown = letterbox(np.full((height, width, 3), 200, np.uint8), side)
        assert shown.image.shape[:2] == shape
        filled = shown.image[..., 0] == 200
        small = np.array([filled[0].sum(), filled[:, 0].sum()])
        assert filled.sum() == small.prod(), "what is added is at the bottom and the right"
        np.testing.assert_allclose(small * shown.source_scale, (width, height))


def test_what_is_enlarged_has_no_repeated_pixels():
    image = np.tile(10 * np.arange(16, dtype=np.uint8)[:, None], (16, 1, 3))
    assert len(np.unique(letterbox(image, 64).image[..., 0])) > 16


def test_a_crop_shows_its_middle_in_the_middle_and_black_outside():
    image = np.zeros((60, 80, 3), np.uint8)
    image[20:41, 30:51] = 255
    (crop,) = crop_squares(image, np.array([[40.0, 30.0, 40.0]]), 64)
    y, x = np.nonzero(crop[..., 0] > 127)
    assert (y.mean(), x.mean()) == pytest.approx((32, 32), abs=0.6)
    assert (np.ptp(y), np.ptp(x)) == pytest.approx((33, 33), abs=1)
    (crop,) = crop_squares(np.full((60, 80, 3), 255, np.uint8), np.array([[0.0, 0.0, 60.0]]), 64)
    assert crop[40, 40].tolist() == [255] * 3 and crop[20, 40].tolist() == [0] * 3 and crop[40, 20].tolist() == [0] * 3
    assert crop_squares(image, np.zeros((0, 3)), 64).shape == (0, 64, 64, 3)


class OneBrightCell(MoveNet):
    """Whoever it is shown stands where the image is brightest, all keypoints there."""

    def forward(self, rgb: Float[Tensor, "images 3 height width"]) -> MoveNetHeads:
        seen = F.avg_pool2d(rgb.mean(1, keepdim=True), 4) / 16 - 8
        images, _, height, width = seen.shape
        zero = seen.new_zeros(images, 34, height, width)
        return MoveNetHeads(seen, seen.expand(-1, 17, -1, -1), zero, zero + 0.5, zero[:, :2] + 8, zero[:, :2])


def test_people_come_back_in_pixels_of_the_image():
    y, x = np.mgrid[:270, :480]
    light = 255 * np.exp(-((x - 400) ** 2 + (y - 200) ** 2) / 900)
    image = np.repeat(light[..., None], 3, 2).astype(np.uint8)
    people = find_people(OneBrightCell(TINY), image, 512)
    np.testing.assert_allclose(people.keypoints[0, :, :2], np.tile((400, 200), (17, 1)), atol=4)
    assert people.boxes[0, [0, 2]].mean() == pytest.approx(400, abs=4)
    assert people.boxes[0, [1, 3]].mean() == pytest.approx(200, abs=4)
    assert np.ptp(people.boxes[0, [0, 2]]) == pytest.approx(8 * 4 * 480 / 512)
    assert list(people.scores) == sorted(people.scores, reverse=True)
    squares = np.array([[392.0, 206.0, 128.0], [405.0, 197.0, 64.0]])
    joints = find_joints(OneBrightCell(TINY), image, squares)
    np.testing.assert_allclose(joints[..., :2], np.tile((400, 200), (2, 17, 1)), atol=12)


class UpAndRight(MoveNet):
    """Whoever it is shown has all keypoints 3 cells above the middle and 5 to the right, in the middle of the cell."""

    def forward(self, rgb: Float[Tensor, "images 3 height width"]) -> MoveNetHeads:
        images, _, height, width = rgb.shape
        zero = rgb.new_zeros(images, 34, height // 4, width // 4)
        away = torch.tensor([-3.0, 5.0]).repeat(17)[:, None, None] + zero
        return MoveNetHeads(zero[:, :1], zero[:, :17], away, zero + 0.5)


def test_joints_come_back_by_middle_and_side_of_their_square():
    squares = np.array([[40.0, 30.0, 32.0], [-8.0, 90.0, 160.0]])
    joints = find_joints(UpAndRight(TINY), np.zeros((60, 80, 3), np.uint8), squares)
    wanted = squares[:, :2] + squares[:, 2:] * np.array([5.5, -2.5]) / 16
    np.testing.assert_allclose(joints[..., :2], wanted[:, None].repeat(17, 1))
    assert joints[..., 2] == pytest.approx(0.5)


def test_rows_of_nobody_are_left_out_and_boxes_end_with_the_image():
    y, x = np.mgrid[:275, :500]
    image = np.repeat((255 - 0.5 * np.hypot(x - 250, y - 270))[..., None], 3, 2).astype(np.uint8)
    assert letterbox(image, 512).image.shape[0] == 288, "6 rows of padding"
    people = find_people(OneBrightCell(TINY), image, 512)
    assert len(people.scores) == len(people.boxes) == len(people.keypoints) == 1
    assert people.boxes[0, 3] == 275 and people.boxes[0, 1] == pytest.approx(270 - 16, abs=4)


def test_an_image_without_pixels_is_refused():
    with pytest.raises(ShapeError, match="no pixels"):
        find_people(MoveNet(TINY), np.zeros((0, 8, 3), np.uint8), 64)

"""The released model as a whole on frames of images: nobody, more than ten, missing views, batches."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from dispose.nn.backbones import BackboneConfig
from dispose.nn.heatmaps import Features
from dispose.released.denoiser import ReleasedDenoiser, ReleasedDenoiserConfig, RootGraph
from dispose.released.model import (
    CAPACITY,
    RELEASED,
    ReleasedDisPose,
    input_from_map,
    map_from_input,
)
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Frame, Images
from dispose.tensors import ABSENT

INPUT = (256, 128)
VIEWS = 4
SMALL = BackboneConfig(depth=18, width=8, deconv_chans=256)


def released_letterbox(size: Tensor, input_size: tuple[int, int]) -> Tensor:
    """Input from image as the release prepares it: half the size goes to half the size, not centre to centre."""
    target = torch.tensor(input_size, dtype=size.dtype, device=size.device)
    scale = (target / size).amin(-1)
    linear = scale[..., None, None] * torch.eye(2, dtype=size.dtype, device=size.device)
    return torch.cat([linear, (target / 2 - scale[..., None] * size / 2)[..., None]], dim=-1)


class Heat(nn.Module):
    """A backbone that knows where the roots are seen, and has features of noise."""

    def __init__(self, roots: Tensor, cameras: Cameras, affine: Tensor) -> None:
        super().__init__()
        xy, front = cameras.project(roots)
        assert bool(front.all())
        at = map_from_input((affine[:, None, :, :2] @ xy[..., None])[..., 0] + affine[:, None, :, 2])
        width, height = INPUT[0] // 4, INPUT[1] // 4
        x, y = torch.arange(width, dtype=at.dtype), torch.arange(height, dtype=at.dtype)[:, None]
        bells = torch.exp(-0.5 * ((x - at[..., :1, None]) ** 2 + (y - at[..., 1:, None]) ** 2) / 1.0**2)
        root = bells.amax(1) if len(roots) else torch.zeros(len(cameras), height, width)
        random = torch.Generator().manual_seed(0)
        levels = [torch.randn(len(root), 256, height // k, width // k, generator=random) for k in (1, 2, 4)]
        self.seen = Features(root[:, None].float().expand(-1, 15, -1, -1).contiguous(), *levels)

    def forward(self, pixels: Tensor) -> Features:
        copies = len(pixels) // VIEWS
        return Features(*(torch.cat([m] * copies) for m in (self.seen.heatmaps, *self.seen.pyramid)))


class Geometer(ReleasedDenoiser):
    """A denoiser that wants large tuples of little error."""

    def forward(self, graph: RootGraph, mass: Tensor, step: Tensor, noise_level: Tensor) -> Tensor:
        size = torch.bincount(graph.tuple_of, minlength=len(graph.cue))
        return 6.0 * (size - 1) * (graph.cue > 0.8) - 6.0


def rig() -> Cameras:
    """Four cameras high around a room, looking at its middle."""
    angle = torch.arange(VIEWS, dtype=torch.float64) / VIEWS * 2 * torch.pi + 0.3
    centre = torch.stack([4500 * angle.cos(), 4500 * angle.sin(), torch.full_like(angle, 2600.0)], -1)
    forward = nn.functional.normalize(torch.tensor([0.0, 0.0, 900.0], dtype=torch.float64) - centre, dim=-1)
    right = nn.functional.normalize(
        torch.linalg.cross(forward, torch.tensor([[0.0, 0, 1]]).double().expand(4, 3)), dim=-1
    )
    rotation = torch.stack([right, torch.linalg.cross(forward, right), forward], 1)
    matrix = torch.tensor([[700.0, 0, 512], [0, 700, 256], [0, 0, 1]], dtype=torch.float64).expand(VIEWS, 3, 3)
    size = torch.tensor([[1024.0, 512.0]], dtype=torch.float64).expand(VIEWS, 2)
    shift = -(rotation @ centre[..., None])[..., 0]
    return Cameras(tuple("abcd"), size, matrix, torch.zeros(VIEWS, 8, dtype=torch.float64), rotation, shift)


def people(count: int) -> Tensor:
    """Roots on a spiral, mm."""
    turn = torch.arange(count, dtype=torch.float64) * 2.4
    radius = 350 + 150 * torch.arange(count, dtype=torch.float64)
    return torch.stack([radius * turn.cos(), radius * turn.sin(), torch.full_like(turn, 900.0)], -1)


def frame_of(number: int, present: tuple[int, ...] = tuple(range(VIEWS))) -> Frame:
    cameras = rig()
    there = torch.zeros(VIEWS, dtype=torch.bool)
    there[list(present)] = True
    pixels = torch.zeros(VIEWS, 3, INPUT[1], INPUT[0])
    return Frame.of_images(number, cameras, Images(pixels, released_letterbox(cameras.size, INPUT), there))


def model(count: int) -> ReleasedDisPose:
    torch.manual_seed(0)
    network = ReleasedDisPose(replace(RELEASED[0], backbone=SMALL))
    network.add_module("backbone", Heat(people(count), rig(), released_letterbox(rig().size, INPUT)))
    network.denoiser = Geometer(ReleasedDenoiserConfig())
    return network.eval()


def test_people_are_found_where_they_stand():
    prediction = model(3)(frame_of(7))
    assert prediction.number == 7
    assert prediction.poses.skeleton == ReleasedDisPose.skeleton
    assert len(prediction.association) == 3
    distance = torch.cdist(prediction.root, people(3)).amin(0)
    assert float(distance.max()) < 150.0  # a pixel of this heat map is 120 mm there
    assert torch.equal(prediction.association.confidence, prediction.poses.confidence[:, 0])
    assert bool((prediction.association.confidence.diff() <= 1e-9).all() or len(prediction.association) < 2)


def test_nobody_is_an_answer():
    prediction = model(0)(frame_of(0))
    assert prediction.association.members.shape == (0, VIEWS)
    assert prediction.poses.xyz_world.shape == (0, 15, 3)


@pytest.mark.parametrize("count", [12, 20])
def test_more_than_ten_are_ten(count):
    prediction = model(count)(frame_of(0))
    members = prediction.association.members
    assert len(members) <= CAPACITY
    assert int(members.max()) < CAPACITY
    for column in members.T:
        taken = column[column != ABSENT]
        assert len(taken.unique()) == len(taken)  # a peak is one person's
    assert bool(torch.isfinite(prediction.poses.xyz_world).all())


def test_a_view_without_a_picture_says_nothing():
    prediction = model(3)(frame_of(0, present=(0, 2, 3)))
    assert bool((prediction.association.members[:, 1] == ABSENT).all())
    assert len(prediction.association) == 3
    assert len(model(3)(frame_of(0, present=(1,))).association) == 0
    assert len(model(3)(frame_of(0, present=())).association) == 0


def test_stage_one_does_not_depend_on_the_batch_and_one_frame_is_itself():
    network = model(3)
    alone = network(frame_of(4))
    both = network.predict([frame_of(4), frame_of(5)])
    assert [prediction.number for prediction in both] == [4, 5]
    for prediction in both:
        assert torch.equal(prediction.association.members, alone.association.members)
        torch.testing.assert_close(prediction.root, alone.root, rtol=0, atol=1e-6)


def test_map_and_input_pixels_are_inverse():
    xy = torch.tensor([[0.0, 0.0], [13.0, 7.5]])
    torch.testing.assert_close(map_from_input(input_from_map(xy)), xy)

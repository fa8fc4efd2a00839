"""Camera rigs: archetypes after rooms that people really film in, and how wrong their calibration is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.geometry.rigid import cross_matrix, look_at
from dispose.scene.cameras import Cameras
from dispose.tensors import TensorStruct
from dispose_synthetic.randomness import Noise, between

Range = tuple[int | float, int | float]


@dataclass(frozen=True)
class RigArchetype:
    """Ranges from which one kind of rig is drawn; every pair is (low, high).

    Attributes:
        views: numbers of cameras this kind has.
        sizes: image sizes in pixels, width and height.
        focal: focal length in widths of the image (portrait: in its widths too).
        radius: horizontal distance of the cameras from the middle of the room, mm.
        height: of the cameras above the floor, mm.
        target_height: height of the point they look at, mm.
        target_spread: how far that point lies from the middle of the room, mm.
        span_deg: how much of the circle the cameras cover.
        jitter: deviation from even spacing, in spacings.
        room: radius of the floor where people are, mm.
        distortion: share of the rigs with lens distortion.
        furniture: share of the scenes with furniture that hides people.
        crowding: 0 = people anywhere in the room, 1 = all of them round the table in its middle.
    """

    name: str
    views: tuple[int, int]
    sizes: tuple[tuple[int, int], ...]
    focal: Range
    radius: Range
    height: Range
    target_height: Range = (700.0, 1200.0)
    target_spread: Range = (0.0, 500.0)
    span_deg: Range = (360.0, 360.0)
    jitter: float = 0.25
    room: Range = (1500.0, 3000.0)
    distortion: float = 0.5
    furniture: float = 0.3
    crowding: Range = (0.0, 0.3)


COMMON_SIZES = ((640, 480), (1032, 776), (1280, 720), (1920, 1080), (2048, 1536), (1000, 1000), (848, 480))

RING = RigArchetype("ring", (2, 10), COMMON_SIZES, (0.6, 1.3), (2500, 6000), (1000, 2600))
CORNERS = RigArchetype(
    "corners", (2, 8), COMMON_SIZES, (0.5, 0.95), (2200, 5500), (2000, 3200), jitter=0.15, furniture=0.5
)
HALF_CIRCLE = RigArchetype(
    "half circle", (2, 8), COMMON_SIZES, (0.6, 1.4), (2500, 6500), (900, 2600), span_deg=(60, 200)
)
CEILING = RigArchetype(
    "ceiling", (3, 10), COMMON_SIZES, (0.45, 0.8), (800, 3500), (2500, 4200), target_spread=(0, 1200), jitter=0.4
)
SHELF_LIKE = RigArchetype(
    "shelf-like", (3, 5), ((1032, 776),), (1.0, 1.1), (3000, 4000), (950, 2750), (600, 1000), (0, 300),
    jitter=0.2, room=(700, 1400), distortion=0.1, furniture=0.15,
)  # fmt: skip
OPERATING_ROOM = RigArchetype(
    "operating room", (3, 4), ((640, 480), (640, 480), (1280, 720)), (0.8, 0.9), (1700, 2700), (2400, 2850),
    (750, 1150), (0, 300), span_deg=(200, 360), jitter=0.2, room=(900, 1700), distortion=0.25, furniture=1.0,
    crowding=(0.2, 0.9),
)  # fmt: skip
DOME = RigArchetype(
    "dome", (3, 10), ((1920, 1080),), (0.72, 0.86), (2000, 2900), (500, 3200), (800, 1200), (0, 200),
    jitter=0.45, room=(800, 2000), distortion=1.0, furniture=0.05,
)  # fmt: skip
PORTRAIT = RigArchetype(
    "portrait", (3, 5), ((1088, 1920),), (1.45, 1.65), (2400, 4300), (1500, 2200), (800, 1100), (0, 300),
    jitter=0.4, room=(600, 1500), distortion=0.9, furniture=0.05,
)  # fmt: skip
YARD = RigArchetype(
    "yard", (3, 4), ((360, 288),), (1.15, 1.95), (5000, 11000), (1800, 3000), (700, 1200), (0, 800),
    span_deg=(200, 360), room=(2000, 4500), distortion=0.1, furniture=0.1,
)  # fmt: skip
STUDIO = RigArchetype(
    "studio", (4, 4), ((1000, 1000),), (1.1, 1.2), (4200, 5500), (1450, 1700), (800, 1100), (0, 200),
    jitter=0.1, room=(1000, 2000), distortion=1.0, furniture=0.1,
)  # fmt: skip
ARCHETYPES = (RING, CORNERS, HALF_CIRCLE, CEILING, SHELF_LIKE, OPERATING_ROOM, DOME, PORTRAIT, YARD, STUDIO)

HUDDLES = tuple(replace(kind, name=f"huddle, {kind.name}", room=(500, 900)) for kind in (RING, CORNERS, DOME))
"""Everybody within an arm's length or two: for training and stress tests, not among the `ARCHETYPES`."""

CROWDED = tuple(replace(kind, room=(500, 900), crowding=(0.0, 0.0)) for kind in ARCHETYPES)
"""Every kind of rig round people who stand so close: for stress tests alone."""


@dataclass(frozen=True)
class CalibrationError:
    """Standard deviations, per camera, of the difference between a true rig and the calibration handed out.

    The whole set is scaled per rig by a factor drawn between `scale` bounds (squared uniform: mostly small).
    """

    rotation_rad: float = 0.004
    translation_mm: float = 12.0
    principal_point: float = 0.003  # in image widths
    focal: float = 0.004  # relative
    scale: tuple[float, float] = (0.0, 3.0)
    forgotten_distortion: float = 0.15  # share of distorted rigs whose calibration says that they are not


PERFECT_CALIBRATION = CalibrationError(0.0, 0.0, 0.0, 0.0, (0.0, 0.0), 0.0)


@dataclass(frozen=True, eq=False)
class FilmedRooms(TensorStruct):
    """True rigs with the same number of views, one per frame, and the rooms they film.

    A room has a floor of some radius (mm), furniture that hides people with some probability, and a share of the
    people round the table in its middle.
    """

    cameras: Cameras
    room: Float[Tensor, " frames"]
    furniture: Float[Tensor, " frames"]
    crowding: Float[Tensor, " frames"]


def _gather(pairs: Sequence[Range], row: Tensor) -> Tensor:
    """Bounds of every archetype, gathered by the archetype of every frame."""
    return torch.tensor(pairs, dtype=torch.float64)[row]


def _placement(source: Noise, views: int, row: Tensor, kinds: Sequence[RigArchetype]) -> tuple[Tensor, Tensor]:
    """Camera centres and the points that they look at."""
    frames = row.shape[0]
    radius, height, aim, spread, span = (
        _gather(pairs, row)[:, None]
        for pairs in (
            [kind.radius for kind in kinds], [kind.height for kind in kinds],
            [kind.target_height for kind in kinds], [kind.target_spread for kind in kinds],
            [kind.span_deg for kind in kinds],
        )
    )  # fmt: skip
    shape = (frames, views)
    angle = torch.deg2rad(between(source, (frames, 1), span[..., 0], span[..., 1]).double())
    jitter = torch.tensor([kind.jitter for kind in kinds], dtype=torch.float64)[row][:, None]
    step = angle / torch.where(angle > 2 * math.pi - 1e-6, float(views), max(views - 1, 1))
    start = between(source, (frames, 1), 0.0, 2 * math.pi)
    azimuth = start + step * (torch.arange(views) + jitter * source.normal(shape))
    # Cameras of one rig are alike in distance and height: half of the range is the rig's, half the camera's.
    share = (source.uniform((frames, 1)) + source.uniform(shape)) / 2
    level = (source.uniform((frames, 1)) + source.uniform(shape)) / 2
    distance = radius[..., 0] + (radius[..., 1] - radius[..., 0]) * share
    z = height[..., 0] + (height[..., 1] - height[..., 0]) * level
    centre = torch.stack([distance * azimuth.cos(), distance * azimuth.sin(), z], dim=-1)
    away, turn = between(source, shape, spread[..., 0], spread[..., 1]), between(source, shape, 0.0, 2 * math.pi)
    tall = between(source, shape, aim[..., 0], aim[..., 1])
    return centre, torch.stack([away * turn.cos(), away * turn.sin(), tall], dim=-1).double()


def _intrinsics(source: Noise, views: int, row: Tensor, kinds: Sequence[RigArchetype]) -> tuple[Tensor, Tensor, Tensor]:
    """Image size, camera matrix and distortion; most rigs use one kind of camera throughout."""
    frames, most = row.shape[0], max(len(kind.sizes) for kind in kinds)
    sizes = torch.tensor([[kind.sizes[i % len(kind.sizes)] for i in range(most)] for kind in kinds])
    count = torch.tensor([len(kind.sizes) for kind in kinds])[row]
    pick = (source.uniform((frames, 1)) * count[:, None]).long().expand(frames, views)
    other = (source.uniform((frames, views)) * count[:, None]).long()
    mixed = (source.uniform((frames, 1)) < 0.1).expand(frames, views)
    size = sizes[row[:, None], torch.where(mixed, other, pick)].double()
    focal = _gather([kind.focal for kind in kinds], row)[:, None]
    share = 0.8 * source.uniform((frames, 1)) + 0.2 * source.uniform((frames, views))
    f = (focal[..., 0] + (focal[..., 1] - focal[..., 0]) * share) * size[..., 0]
    matrix = torch.zeros(frames, views, 3, 3, dtype=torch.float64)
    matrix[..., 0, 0] = f
    matrix[..., 1, 1] = f * (1 + 0.005 * source.normal((frames, views)))
    matrix[..., :2, 2] = (size - 1) / 2 + 0.012 * size * source.normal((frames, views, 2))
    matrix[..., 2, 2] = 1.0
    lens = torch.tensor([kind.distortion for kind in kinds])[row]
    bent = (source.uniform((frames,)) < lens)[:, None]
    k1 = between(source, (frames, 1), -0.28, 0.05) * torch.ones(1, views)
    k2 = (-0.7 * k1).clamp(min=0.0) * between(source, (frames, 1), 0.6, 1.2)
    small = 0.0005 * source.normal((2, frames, views)) if frames else torch.zeros(2, 0, views)
    distortion = torch.zeros(frames, views, 8, dtype=torch.float64)
    # Barrel distortion of wide lenses only: beyond one half of the radius a long lens shows none.
    wide = (size[..., 0] / f).clamp(max=1.4) / 1.4
    distortion[..., :4] = torch.stack([k1 * wide, k2 * wide, small[0], small[1]], dim=-1) * bent[..., None]
    return size, matrix, distortion


def sample_rooms(source: Noise, frames: int, views: int, kinds: Sequence[RigArchetype] = ARCHETYPES) -> FilmedRooms:
    """True rigs with a given number of cameras, of the archetypes that can have that many (else of all)."""
    fitting = [kind for kind in kinds if kind.views[0] <= views <= kind.views[1]] or list(kinds)
    row = (source.uniform((frames,)) * len(fitting)).long()
    size, matrix, distortion = _intrinsics(source, views, row, fitting)
    centre, target = _placement(source, views, row, fitting)
    right, down, forward = look_at(centre, target, centre.new_tensor([0.0, 0.0, 1.0]))[0].unbind(-2)
    roll = 0.02 * source.normal((frames, views)).double()
    cos, sin = roll.cos()[..., None], roll.sin()[..., None]
    rotation = torch.stack([cos * right + sin * down, cos * down - sin * right, forward], dim=-2)
    names = tuple(f"cam{view + 1:02d}" for view in range(views))
    cameras = Cameras(names, size, matrix, distortion, rotation, -(rotation @ centre[..., None])[..., 0])
    room, crowding = _gather([kind.room for kind in fitting], row), _gather([kind.crowding for kind in fitting], row)
    return FilmedRooms(
        cameras,
        between(source, (frames,), room[:, 0], room[:, 1]).float(),
        torch.tensor([kind.furniture for kind in fitting])[row],
        between(source, (frames,), crowding[:, 0], crowding[:, 1]).float(),
    )


def miscalibrate(source: Noise, cameras: Cameras, error: CalibrationError) -> Cameras:
    """What users' calibration files say about true rigs."""
    frames, views = cameras.size.shape[:2]
    low, high = error.scale
    scale = (low + (high - low) * source.uniform((frames, 1)) ** 2).double()[..., None]
    turn = torch.linalg.matrix_exp(cross_matrix(error.rotation_rad * scale * source.normal((frames, views, 3))))
    matrix = cameras.matrix.clone()
    matrix[..., :2, 2] += error.principal_point * scale * source.normal((frames, views, 2)) * cameras.size[..., :1]
    zoom = 1 + error.focal * scale * source.normal((frames, views, 1))
    matrix[..., 0, 0] *= zoom[..., 0]
    matrix[..., 1, 1] *= zoom[..., 0]
    centre = cameras.centres + error.translation_mm * scale * source.normal((frames, views, 3))
    rotation = turn @ cameras.rotation
    keep = (source.uniform((frames,)) >= error.forgotten_distortion).double()[:, None, None]
    translation = -(rotation @ centre[..., None])[..., 0]
    return replace(
        cameras, matrix=matrix, distortion=cameras.distortion * keep, rotation=rotation, translation=translation
    )


def sample_rigs(
    generator: torch.Generator, count: int, views: int, kinds: Sequence[RigArchetype] = ARCHETYPES
) -> list[Cameras]:
    """True cameras of `count` rigs with `views` cameras each."""
    rigs = sample_rooms(Noise(generator), count, views, kinds).cameras
    return [rigs[number] for number in range(count)]

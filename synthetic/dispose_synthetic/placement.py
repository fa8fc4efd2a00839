"""Where people and furniture stand in a room."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.tensors import TensorStruct
from dispose_synthetic.randomness import Noise, between

CLOSEST_MM = 330.0
"""Two people's mid-hips come no closer on the floor than this (a hug; in depth of one body)."""
NEAREST_TO_CAMERA_MM = 1300.0
PUSHES = 12
"""Rounds in which overlapping people are pushed apart."""


@dataclass(frozen=True, eq=False)
class Furniture(TensorStruct):
    """Boxes aligned with the world's axes that hide what is behind them, mm."""

    low: Float[Tensor, "frames boxes 3"]
    high: Float[Tensor, "frames boxes 3"]
    present: Bool[Tensor, "frames boxes"]


def sample_furniture(
    source: Noise, room: Float[Tensor, " frames"], share: Float[Tensor, " frames"], boxes: int = 5
) -> Furniture:
    """A table near the middle, then cabinets and trolleys anywhere, and last something that hangs (lamps, screens)."""
    frames = room.shape[0]
    any_at_all = source.uniform((frames, 1)) < share[:, None]
    half = between(source, (frames, boxes, 2), 150.0, 450.0)
    half[:, 0] = between(source, (frames, 2), 300.0, 950.0)
    centre = between(source, (frames, boxes, 2), -1.0, 1.0) * room[:, None, None] * 1.3
    centre[:, 0] = between(source, (frames, 2), -250.0, 250.0)
    bottom = torch.zeros(frames, boxes)
    top = between(source, (frames, boxes), 600.0, 1700.0)
    top[:, 0] = between(source, (frames,), 700.0, 1150.0)
    bottom[:, -1] = between(source, (frames,), 1500.0, 2000.0)
    top[:, -1] = bottom[:, -1] + between(source, (frames,), 150.0, 600.0)
    low = torch.cat([centre - half, bottom[..., None]], dim=-1)
    high = torch.cat([centre + half, top[..., None]], dim=-1)
    present = any_at_all & (source.uniform((frames, boxes)) < torch.tensor([0.9] + [0.5] * (boxes - 1)))
    return Furniture(low, high, present)


def no_furniture(frames: int) -> Furniture:
    """An empty room."""
    none = torch.zeros(frames, 0, 3)
    return Furniture(none, none, torch.zeros(frames, 0, dtype=torch.bool))


def _out_of_boxes(floor: Tensor, furniture: Furniture, margin: float = 180.0) -> Tensor:
    """Move people who stand inside a standing piece of furniture to its nearest edge."""
    for box in range(furniture.low.shape[1] - 1):
        low = furniture.low[:, None, box, :2] - margin
        high = furniture.high[:, None, box, :2] + margin
        inside = ((floor > low) & (floor < high)).all(-1) & furniture.present[:, None, box]
        gaps = torch.cat([low - floor, high - floor], dim=-1)
        nearest = gaps.abs().argmin(-1, keepdim=True)
        step = torch.zeros_like(gaps).scatter(-1, nearest, gaps.gather(-1, nearest))
        floor = floor + (step[..., :2] + step[..., 2:]) * inside[..., None]
    return floor


def sample_floor(
    source: Noise,
    present: Bool[Tensor, "frames persons"],
    room: Float[Tensor, " frames"],
    crowding: Float[Tensor, " frames"],
    furniture: Furniture,
    cameras: Float[Tensor, "frames views 3"],
) -> tuple[Float[Tensor, "frames persons 2"], Float[Tensor, "frames persons"]]:
    """Floor points (mm) and facing directions (radians): alone, in pairs, or round the table."""
    frames, persons = present.shape
    shape = (frames, persons)
    angle, away = between(source, shape, 0.0, 2 * math.pi), source.uniform(shape).sqrt() * room[:, None]
    floor = torch.stack([away * angle.cos(), away * angle.sin()], dim=-1)
    facing = between(source, shape, 0.0, 2 * math.pi)
    middle = (furniture.low[:, None, 0, :2] + furniture.high[:, None, 0, :2]) / 2
    at_table = source.uniform(shape) < crowding[:, None]
    floor = torch.where(at_table[..., None], middle + 250.0 * source.normal((*shape, 2)), floor)
    floor, facing = _pair_up(source, floor, facing, ~at_table)
    for _ in range(PUSHES):
        floor = _out_of_boxes(from_cameras(push_apart(floor, present), cameras), furniture)
    floor = push_apart(floor, present)
    to_middle = middle - floor
    towards = torch.atan2(to_middle[..., 1], to_middle[..., 0]) + 0.5 * source.normal(shape)
    inwards = at_table | (source.uniform(shape) < 0.25)
    return floor, torch.where(inwards, towards, facing)


def _pair_up(source: Noise, floor: Tensor, facing: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
    """Some people join their predecessor: face to face, side by side or one behind the other."""
    shape = facing.shape
    joins = (source.uniform(shape) < 0.3) & free
    joins[:, 0] = False
    distance = between(source, shape, 350.0, 1000.0)
    bearing = (source.uniform(shape) * 4).long() * (math.pi / 2) + 0.25 * source.normal(shape)
    before, ahead = floor.roll(1, dims=1), facing.roll(1, dims=1)
    place = before + distance[..., None] * torch.stack([(ahead + bearing).cos(), (ahead + bearing).sin()], dim=-1)
    opposite = (source.uniform(shape) < 0.5) & (bearing.cos() > 0.5)
    turned = torch.where(opposite, ahead + math.pi, ahead) + 0.3 * source.normal(shape)
    return torch.where(joins[..., None], place, floor), torch.where(joins, turned, facing)


def from_cameras(
    floor: Float[Tensor, "frames persons 2"], cameras: Float[Tensor, "frames views 3"]
) -> Float[Tensor, "frames persons 2"]:
    """Nobody stands right before a lens: move people away from cameras at the height of their heads or below."""
    gap = floor[:, :, None] - cameras[:, None, :, :2].float()
    distance = gap.norm(dim=-1).clamp(min=1.0)
    nearest = torch.where(cameras[:, None, :, 2] < 3000.0, NEAREST_TO_CAMERA_MM, 0.0)
    return floor + (gap / distance[..., None] * (nearest - distance).clamp(min=0.0)[..., None]).sum(2)


def push_apart(
    floor: Float[Tensor, "frames persons 2"], present: Bool[Tensor, "frames persons"]
) -> Float[Tensor, "frames persons 2"]:
    """One round of moving every overlapping pair apart, half of the overlap each (and a little more)."""
    gap = floor[:, :, None] - floor[:, None]
    distance = gap.norm(dim=-1).clamp(min=1e-3)
    overlap = (CLOSEST_MM - distance).clamp(min=0.0)
    pair = present[:, :, None] & present[:, None] & ~torch.eye(present.shape[1], dtype=torch.bool)
    return floor + (gap / distance[..., None] * (0.55 * overlap * pair)[..., None]).sum(2)

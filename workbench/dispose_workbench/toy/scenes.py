"""The teaching toy's scenes: people on a floor, seen by observers who judge directions well and distances badly."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dispose.errors import InputError
from dispose.tensors import TensorStruct


@dataclass(frozen=True)
class ToyConfig:
    """How scenes are drawn.

    Attributes:
        people: how many there are; every view sees all of them.
        views: how many observers.
        room_mm: side of the square floor.
        along_mm: standard deviation of a sighting along the observer's line of sight.
        across_mm: standard deviation across it.
        turn: angle between the lines of sight of neighbouring observers, rad.
    """

    people: int = 4
    views: int = 2
    room_mm: float = 4000.0
    along_mm: float = 900.0
    across_mm: float = 60.0
    turn: float = math.radians(20)

    def __post_init__(self) -> None:
        if self.people < 1 or self.views < 2:
            raise InputError(f"a toy scene needs people and at least two views, got {self.people} and {self.views}")
        if min(self.room_mm, self.along_mm, self.across_mm) <= 0:
            raise InputError(
                f"room, along and across must be positive lengths in mm, got {self.room_mm:g}, {self.along_mm:g} and "
                f"{self.across_mm:g}"
            )


@dataclass(frozen=True, eq=False)
class ToyScene(TensorStruct):
    """One instant, on the floor plan.

    Attributes:
        person_mm: where the people are.
        xy_mm: where every view puts its detections, in an order of its own.
        identity: who every detection is.
        sight: unit vector of every view's line of sight.
    """

    person_mm: Float[Tensor, "persons 2"]
    xy_mm: Float[Tensor, "views slots 2"]
    identity: Int[Tensor, "views slots"]
    sight: Float[Tensor, "views 2"]


def draw_toy_scene(config: ToyConfig, generator: torch.Generator) -> ToyScene:
    """People anywhere on the floor; every view sees all of them with its own error and lists them in its own order."""
    options = {"generator": generator, "dtype": torch.float64}
    person = config.room_mm * (torch.rand(config.people, 2, **options) - 0.5)
    angle = config.turn * (torch.arange(config.views, dtype=torch.float64) - (config.views - 1) / 2)
    sight = torch.stack([angle.sin(), angle.cos()], dim=1)
    across = torch.stack([sight[:, 1], -sight[:, 0]], dim=1)
    error = torch.randn(config.views, config.people, 2, **options)
    seen = (
        person + config.along_mm * error[..., :1] * sight[:, None] + config.across_mm * error[..., 1:] * across[:, None]
    )
    identity = torch.stack([torch.randperm(config.people, generator=generator) for _ in range(config.views)])
    return ToyScene(person, seen.gather(1, identity[..., None].expand(-1, -1, 2)), identity, sight)


def draw_toy_scenes(config: ToyConfig, count: int, generator: torch.Generator) -> list[ToyScene]:
    """Several scenes, one after the other."""
    return [draw_toy_scene(config, generator) for _ in range(count)]

"""The teaching toy: people on a floor, seen by observers who judge directions well and distances badly.

Who is who is found by the denoiser and the sampler of the real model on complete problems of a few people.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dispose.association.complete import every_tuple, everybody_once
from dispose.association.graph import CandidateGraph
from dispose.errors import InputError
from dispose.models.dispose.denoiser import DenoiserConfig
from dispose.models.dispose.sampling import Problem
from dispose.tensors import TensorStruct

METRE_MM = 1000.0

TOY_DENOISER = DenoiserConfig(
    detection_features=4, tuple_features=1, incidence_features=2, chans=32, layers=1, heads=2
)  # fmt: skip
"""The real network, small."""


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


def toy_problem(scene: ToyScene) -> Problem:
    """What a network may know of a scene: every combination, how far its sightings lie apart, and in which direction.

    The cost of a tuple is `raw_cost`, which knows nothing of how the views err; that is left to be learned.
    """
    views, people = scene.identity.shape
    members = every_tuple(people, views)
    view = torch.arange(views)
    offset = _offsets(scene)
    along = (offset * scene.sight).sum(-1)
    across = offset[..., 0] * scene.sight[:, 1] - offset[..., 1] * scene.sight[:, 0]
    cost = raw_cost(scene)
    place = torch.cat([scene.xy_mm / METRE_MM, scene.sight[:, None].expand(-1, people, -1)], dim=-1)
    graph = CandidateGraph(
        members=members,
        detections=place.flatten(0, 1).float(),
        tuples=cost.sqrt()[:, None].float(),
        incidences=torch.stack([along, across], dim=-1).flatten(0, 1).float(),
        cue=(-cost).exp().float(),
        tuple_of=torch.arange(len(members)).repeat_interleave(views),
        detection_of=(members + people * view).flatten(),
        sample=torch.zeros(len(members), dtype=torch.long),
        marginals=everybody_once(people, views),
    )
    return Problem(graph, members, cost)


def raw_cost(scene: ToyScene) -> Float[Tensor, " tuples"]:
    """Squared distances of a tuple's members to their mean, summed, m²; of two views, half their distance squared."""
    return _offsets(scene).square().sum((-1, -2))


def true_mass(scene: ToyScene) -> Float[Tensor, " tuples"]:
    """Mass 1 on the tuples whose members are one person: a vertex of the polytope (training and scoring only)."""
    views, people = scene.identity.shape
    who = scene.identity[torch.arange(views), every_tuple(people, views)]
    return (who == who[:, :1]).all(1).float()


def _offsets(scene: ToyScene) -> Float[Tensor, "tuples views 2"]:
    """From the mean of every tuple to its members, m."""
    views, people = scene.identity.shape
    seen = scene.xy_mm[torch.arange(views), every_tuple(people, views)] / METRE_MM
    return seen - seen.mean(1, keepdim=True)

"""The teaching toy: the denoiser and the sampler of the real model on complete problems of a few people."""

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.association.complete import every_tuple, everybody_once
from dispose.association.graph import CandidateGraph
from dispose.models.dispose.denoiser import DenoiserConfig
from dispose.models.dispose.sampling import Problem
from dispose_workbench.toy.scenes import ToyScene

METRE_MM = 1000.0

TOY_DENOISER = DenoiserConfig(
    detection_features=4, tuple_features=1, incidence_features=2, chans=32, layers=1, heads=2
)  # fmt: skip
"""The real network, small."""


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

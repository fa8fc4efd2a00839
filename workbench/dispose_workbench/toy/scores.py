"""How often the teaching toy's people are found, by the network and by who measures distances."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from dispose.association.complete import every_tuple
from dispose.association.decode import set_packing
from dispose.association.graph import collate
from dispose.diffusion.samplers import final
from dispose.errors import InputError
from dispose.models.dispose.denoiser import Denoiser
from dispose.models.dispose.sampling import Problem, SamplerConfig, trajectory
from dispose_workbench.toy.scenes import METRE_MM, ToyConfig, ToyScene, raw_cost, toy_problem, true_mass

Worth = Callable[[Sequence[ToyScene]], Float[Tensor, "scenes tuples"]]
"""How good a method finds every combination of every scene (all of one size); only differences count."""


@dataclass(frozen=True)
class ToyScore:
    """Over many scenes.

    Attributes:
        people: share of the people whose sightings were all put together, and nobody else's with them.
        scenes: share of the scenes without a mistake.
    """

    people: float
    scenes: float


def score_toy(worth: Worth, scenes: Sequence[ToyScene]) -> ToyScore:
    """Decode every scene from a method's worths and compare with who is who."""
    right = _shares_right(worth, scenes)
    return ToyScore(float(right.mean()), float((right == 1).double().mean()))


def best_assignment(worth: Float[Tensor, " tuples"], scene: ToyScene) -> Bool[Tensor, " tuples"]:
    """The vertex of largest total worth: of two views the Hungarian assignment, of more the integer programme."""
    views, people = scene.identity.shape
    if views == 2:
        rows, columns = linear_sum_assignment(worth.view(people, people).numpy(), maximize=True)
        chosen = torch.zeros(people, people, dtype=torch.bool)
        chosen[rows, columns] = True
        return chosen.flatten()
    return set_packing(worth.double() - worth.min().double() + 1, every_tuple(people, views))


def by_distance(scenes: Sequence[ToyScene]) -> Float[Tensor, "scenes tuples"]:
    """What lies close together is one person: no learning, and every direction counts alike."""
    return torch.stack([-raw_cost(scene) for scene in scenes])


def by_error_model(config: ToyConfig) -> Worth:
    """The likelihood under the very errors that the scenes are drawn with: about the best that can be done.

    It leaves out that nobody stands outside the room, which a network may learn.
    """

    def of_one(scene: ToyScene) -> Tensor:
        views, people = scene.identity.shape
        seen = scene.xy_mm[torch.arange(views), every_tuple(people, views)] / METRE_MM
        across = torch.stack([scene.sight[:, 1], -scene.sight[:, 0]], dim=1)
        trust = torch.stack([scene.sight / config.along_mm, across / config.across_mm], dim=1) * METRE_MM
        precision = trust.mT @ trust
        mean = torch.linalg.solve(precision.sum(0), (precision @ seen[..., None]).sum(1))
        return -(trust @ (seen[..., None] - mean[:, None])).square().sum((1, 2, 3))

    return lambda scenes: torch.stack([of_one(scene) for scene in scenes])


def by_diffusion(network: Denoiser, sampler: SamplerConfig | None = None) -> Worth:
    """The mass that the reverse diffusion ends with, from the zero latent unless the sampler says otherwise."""

    def worth(scenes: Sequence[ToyScene]) -> Tensor:
        problems = [toy_problem(scene) for scene in scenes]
        members = torch.cat([problem.members for problem in problems])
        cost = torch.cat([problem.cost for problem in problems])
        packed = Problem(collate([problem.graph for problem in problems]), members, cost)
        mass = final(trajectory(network, packed, sampler)).clean
        return mass.view(-1, len(scenes), len(problems[0].cost)).mean(0)

    return worth


def telling_scene(scenes: Sequence[ToyScene], worth: Worth) -> ToyScene:
    """A scene to look at: a method decodes it rightly, distances do not, and its sightings lie farthest apart.

    Raises:
        InputError: there is no such scene.
    """
    found = (_shares_right(worth, scenes) == 1) & (_shares_right(by_distance, scenes) < 1)
    telling = [scene for scene, good in zip(scenes, found.tolist(), strict=True) if good]
    if not telling:
        raise InputError(f"none of {len(scenes)} scenes is decoded rightly by the method and wrongly by distance")
    return max(telling, key=lambda scene: float(torch.pdist(scene.xy_mm.flatten(0, 1)).min()))


def undecided_scene(scenes: Sequence[ToyScene], worth: Worth) -> ToyScene:
    """The scene whose masses come closest to a toss of a coin: two people, of two views, who may be exchanged."""
    spread = torch.special.entr(worth(scenes)).sum(1)
    return scenes[int((spread - 2 * math.log(2)).abs().argmin())]


def _shares_right(worth: Worth, scenes: Sequence[ToyScene]) -> Float[Tensor, " scenes"]:
    """Of every scene the share of its people whose sightings are put together rightly."""
    chosen = [best_assignment(one, scene) for one, scene in zip(worth(scenes), scenes, strict=True)]
    return torch.stack([true_mass(scene)[rows].double().mean() for scene, rows in zip(scenes, chosen, strict=True)])

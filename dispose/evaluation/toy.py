"""How often the teaching toy's people are found, by the network and by who measures distances."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.association.complete import every_tuple
from dispose.association.decode import set_packing
from dispose.datasets.toy import ToyConfig, ToyScene
from dispose.diffusion.samplers import final
from dispose.models.denoiser import Denoiser
from dispose.models.sampling import SamplerConfig, trajectory
from dispose.models.toy import METRE_MM, raw_cost, toy_problem, true_mass

Worth = Callable[[ToyScene], Float[Tensor, " tuples"]]
"""How good a method finds every combination of a scene; only differences count."""


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
    right = torch.stack([true_mass(scene)[best_assignment(worth(scene), scene)].mean() for scene in scenes])
    return ToyScore(float(right.mean()), float((right == 1).double().mean()))


def best_assignment(worth: Float[Tensor, " tuples"], scene: ToyScene) -> Bool[Tensor, " tuples"]:
    """The vertex of largest total worth: of two views the Hungarian assignment, of more the integer programme."""
    views, people = scene.identity.shape
    return set_packing(worth.double() - worth.min().double() + 1, every_tuple(people, views))


def by_distance(scene: ToyScene) -> Float[Tensor, " tuples"]:
    """What lies close together is one person: no learning, and every direction counts alike."""
    return -raw_cost(scene)


def by_error_model(config: ToyConfig) -> Worth:
    """The likelihood under the very errors that the scenes are drawn with: what no method can beat for long."""

    def worth(scene: ToyScene) -> Tensor:
        views, people = scene.identity.shape
        seen = scene.xy_mm[torch.arange(views), every_tuple(people, views)] / METRE_MM
        across = torch.stack([scene.sight[:, 1], -scene.sight[:, 0]], dim=1)
        trust = torch.stack([scene.sight / config.along_mm, across / config.across_mm], dim=1) * METRE_MM
        precision = trust.mT @ trust
        mean = torch.linalg.solve(precision.sum(0), (precision @ seen[..., None]).sum(1))
        return -(trust @ (seen[..., None] - mean[:, None])).square().sum((1, 2, 3))

    return worth


def by_diffusion(network: Denoiser, sampler: SamplerConfig | None = None) -> Worth:
    """The mass that the reverse diffusion ends with, from the zero latent unless the sampler says otherwise."""

    def worth(scene: ToyScene) -> Tensor:
        return final(trajectory(network, toy_problem(scene), sampler)).clean

    return worth

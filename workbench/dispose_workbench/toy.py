"""The teaching toy: people on a floor, seen by observers who judge directions well and distances badly.

Who is who is found by the denoiser and the sampler of the real model on complete problems of a few people, trained in
seconds by the real model's training step on scenes drawn as they are needed, and scored beside who measures distances.
A training can leave a folder, as the long trainings do: recipe, log, figures.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from dispose.association.decode import set_packing
from dispose.association.polytope import CandidateGraph, collate, every_tuple, everybody_once
from dispose.diffusion.samplers import final
from dispose.errors import InputError
from dispose.formats.files import replacing
from dispose.models.dispose.denoiser import Denoiser, DenoiserConfig
from dispose.models.dispose.sampling import NoiseConfig, Problem, SamplerConfig, trajectory
from dispose.tensors import TensorStruct
from dispose.training.associator import denoise_known
from dispose.training.shards import claim
from dispose.zoo.records import to_json

METRE_MM = 1000.0

TOY_DENOISER = DenoiserConfig(
    detection_features=4, tuple_features=1, incidence_features=2, chans=32, layers=1, heads=2
)  # fmt: skip
"""The real network, small."""

"""As `dispose.models.dispose.sampling.SamplerConfig` has it, with which the trained network is sampled."""

UNSEEN = 40
"""Scenes that the trained network is scored on."""


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
    """One instant, on the floor plan (mm): where the people are, and where every view puts its detections.

    Every view has an order of its own: `identity` says who a detection is. `sight` are unit vectors of the lines of
    sight.
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


def _sightings(scene: ToyScene) -> Float[Tensor, "tuples views 2"]:
    """Where the members of every tuple were seen, m."""
    views, people = scene.identity.shape
    return scene.xy_mm[torch.arange(views), every_tuple(people, views)] / METRE_MM


def _offsets(scene: ToyScene) -> Float[Tensor, "tuples views 2"]:
    """From the mean of every tuple to its members, m."""
    seen = _sightings(scene)
    return seen - seen.mean(1, keepdim=True)


Worth = Callable[[Sequence[ToyScene]], Float[Tensor, "scenes tuples"]]
"""How good a method finds every combination of every scene (all of one size); only differences count."""


@dataclass(frozen=True)
class ToyScore:
    """Over many scenes, the share of the people whose sightings were all put together and nobody else's with them, and
    the share of the scenes without a mistake.
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
        seen = _sightings(scene)
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


@dataclass(frozen=True)
class ToyTraining:
    """A short training.

    Attributes:
        scenes: how scenes are drawn.
        steps: steps of the optimiser.
        batch: fresh scenes per step.
        rate: peak learning rate, reached after a tenth of the steps; it falls to 0 along a cosine.
        pure_noise: share of the scenes shown at time 1, where the sampler starts.
    """

    scenes: ToyConfig = field(default_factory=ToyConfig)
    steps: int = 200
    batch: int = 16
    rate: float = 3e-3
    pure_noise: float = 0.25

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1:
            raise InputError(f"a training needs steps and scenes, got {self.steps} steps of {self.batch} scenes")


def chance_divergence(scenes: ToyConfig) -> float:
    """The divergence per detection (nats) of who shares everybody out evenly, ``(1 - 1 / views) log people``."""
    return (1 - 1 / scenes.views) * math.log(scenes.people)


def train_toy(network: Denoiser, training: ToyTraining, generator: torch.Generator) -> Iterator[float]:
    """Train in place, yielding the divergence per detection (nats) of every step; who stops listening stops it.

    All randomness but the network's first weights comes from the generator.
    """
    optimizer = torch.optim.AdamW(network.parameters(), lr=training.rate, weight_decay=1e-4, fused=True)
    warmup = max(training.steps // 10, 1)
    for step in range(training.steps):
        rise, fall = min((step + 1) / warmup, 1.0), 0.5 + 0.5 * math.cos(math.pi * step / training.steps)
        for group in optimizer.param_groups:
            group["lr"] = training.rate * rise * fall
        scenes = draw_toy_scenes(training.scenes, training.batch, generator)
        graph = collate([toy_problem(scene).graph for scene in scenes])
        seeds = torch.randint(2**62, (training.batch,), generator=generator).tolist()
        truth = torch.cat([true_mass(scene) for scene in scenes])
        answer = denoise_known(network, graph, truth, seeds, noise=NoiseConfig(), pure_noise=training.pure_noise)
        loss = answer.divergence.mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        yield float(loss.detach())


def write_toy_run(folder: Path, training: ToyTraining, *, seed: int = 0) -> Path:
    """Train from scratch and write ``recipe.json``, ``metrics.jsonl`` (a line per step), ``metrics.json``.

    The log grows while the training runs, the figures come last. Returns the folder.

    Raises:
        InputError: the folder holds a run of another recipe.
    """
    claim(folder, to_json(training))
    torch.manual_seed(seed)
    network, generator = Denoiser(TOY_DENOISER), torch.Generator().manual_seed(seed)
    unseen = draw_toy_scenes(training.scenes, UNSEEN, generator)
    with (folder / "metrics.jsonl").open("w", encoding="utf-8") as log:
        for number, loss in enumerate(train_toy(network, training, generator), 1):
            log.write(json.dumps({"step": number, "toy/loss": loss}) + "\n")
            log.flush()
    score = score_toy(by_diffusion(network.eval()), unseen)
    with replacing(folder / "metrics.json") as file:
        json.dump({"people_right_%": 100 * score.people, "scenes_right_%": 100 * score.scenes}, file)
    return folder

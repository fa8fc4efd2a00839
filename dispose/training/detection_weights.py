"""Training of the weights of 2-D detections: joints, and how uncertain they are."""

import functools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

from dispose.losses.estimates import student_t_loss
from dispose.losses.objective import Term
from dispose.losses.triangulation import capped_squares
from dispose.models.triangulation.detections import DetectionWeights
from dispose.models.triangulation.statistics import UNNAMED
from dispose.tensors import cat
from dispose.training.detection_scenes import (
    VALIDATION_CHUNK,
    DetectionWeightsRecipe,
    WeighedPeople,
    build_people_chunk,
    draw_people,
    no_people,
)
from dispose.training.fit import fit
from dispose.training.shards import Shards, build_shards, claim, write_once
from dispose.training.task import Task, uniform
from dispose.zoo.checkpoints import load_weights, save_weights
from dispose.zoo.records import to_json

WEIGHTS = "algebraic_detections.safetensors"
"""What a run leaves in its folder."""

PER_METRE = 1e-3
"""Likelihoods are of metres."""

EARLY = 0.3
"""How much an early round's joints count against the last one's."""

NAMELESS = 0.15
"""Share of the joints without a name."""

LIKELIHOOD = 5.0
"""How much the likelihood of the covariances counts against a squared cm."""

GAUSSIAN_INTERVALS = ((0.5, 0.67449), (0.9, 1.64485))
"""Shares of a normal distribution, and the standard deviations on both sides that hold them."""


class WeighedSource:
    """The people of some chunks, together who are seen by equally many cameras with the joints of one skeleton."""

    def __init__(self, people: Sequence[WeighedPeople]) -> None:
        self._people = list(people)
        self._place = [(part, row) for part, some in enumerate(people) for row in range(len(some.xyz_world))]
        shapes = sorted({tuple(some.statistics.seen.shape[1:]) for some in people})
        self._groups = [shapes.index(tuple(self._people[part].statistics.seen.shape[1:])) for part, _ in self._place]

    @property
    def groups(self) -> Sequence[int]:
        """By the numbers of views and joints."""
        return self._groups

    def batch(self, rows: Sequence[int], seeds: Sequence[int]) -> WeighedPeople:
        """Some of the people; some of their joints lose their names."""
        parts = [self._people[part][[row]] for part, row in (self._place[row] for row in rows)]
        return nameless(cat(parts, "persons"), torch.tensor(seeds))


def nameless(people: WeighedPeople, seeds: Int[Tensor, " persons"]) -> WeighedPeople:
    """Of every person one joint in so many is not called by its name, for joints that the network never saw."""
    name = people.statistics.name
    draw = uniform((seeds[:, None] + 7_919 * torch.arange(name.shape[1])).flatten()).view(name.shape)
    unnamed = torch.where(draw < NAMELESS, UNNAMED, name)
    return replace(people, statistics=replace(people.statistics, name=unnamed))


class DetectionWeightsTask(Task):
    """Fit the weights of keypoints to the joints that they give, and the covariances to the errors left."""

    name = "detection_weights"

    def __init__(self, network: DetectionWeights) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: WeighedPeople) -> tuple[Term, ...]:
        """Capped squared errors of all rounds, and the likelihood of the last one's covariances."""
        batch = batch.to(self.network.stretch.device)
        rounds = self.network(batch.statistics)
        last, known, truth = rounds[-1], batch.known, batch.xyz_world
        weights = [EARLY] * (len(rounds) - 1) + [1.0]
        errors = [w * capped_squares(one.xyz_world, truth, known) for w, one in zip(weights, rounds, strict=True)]
        claimed = PER_METRE**2 * last.covariance
        likelihood = student_t_loss(PER_METRE * last.xyz_world.detach(), claimed, PER_METRE * truth, known)
        return (Term("joints", torch.stack(errors).sum()), Term("likelihood", likelihood, LIKELIHOOD))


def train_detection_weights(recipe: DetectionWeightsRecipe, folder: Path, *, workers: int | None = None) -> Path:
    """Train, scale the covariances on people that no step saw, save; the path of the weights.

    Raises:
        InputError: the folder holds a run of another recipe.
    """
    claim(folder, to_json(recipe))
    weights, raw = folder / WEIGHTS, folder / "unscaled.safetensors"
    if not raw.exists():
        build = functools.partial(build_people_chunk, recipe)
        paths = build_shards(folder, "people", recipe.chunks, build, workers=workers)
        source = WeighedSource(Shards(paths, no_people()).read_all())
        torch.manual_seed(recipe.seed)
        task = DetectionWeightsTask(DetectionWeights(recipe.model))
        fit(task, source, folder / task.name, recipe.optimisation, seed=recipe.seed, workers=workers)
        write_once(raw, lambda path: save_weights(path, task.network, recipe=to_json(recipe)))
    if not weights.exists():
        network = load_weights(raw, DetectionWeights)
        chunks = range(VALIDATION_CHUNK, VALIDATION_CHUNK + recipe.validation_chunks)
        note = scale_covariances(network, [people for chunk in chunks for people in draw_people(recipe, chunk)])
        print(note)
        write_once(weights, lambda path: save_weights(path, network, recipe=to_json(recipe), note=note))
    return weights


@torch.no_grad()
def scale_covariances(network: DetectionWeights, people: Sequence[WeighedPeople]) -> str:
    """Set `DetectionWeights.stretch` so that claimed intervals hold as many errors as they say; the figures in words.

    It is the geometric mean of what makes the intervals of 50 % and of 90 % true.
    """
    network.stretch.fill_(1.0)
    ratios, errors = [], []
    for some in people:
        found = network(some.statistics)[-1]
        offset = (found.xyz_world - some.xyz_world)[some.known]
        deviation = torch.diagonal(found.covariance, dim1=-2, dim2=-1).sqrt()[some.known]
        ratios.append((offset.abs() / deviation).flatten())
        errors.append(offset.norm(dim=-1))
    ratio, error = torch.cat(ratios).sort().values, torch.cat(errors)
    needed = [float(ratio[int(share * (len(ratio) - 1))]) / edge for share, edge in GAUSSIAN_INTERVALS]
    network.stretch.fill_((needed[0] * needed[1]) ** 0.5)
    held = [100 * float((ratio <= edge * network.stretch).double().mean()) for _, edge in GAUSSIAN_INTERVALS]
    return (
        f"On held-out synthetic people: joints off by {float(error.mean()):.1f} mm in the mean, "
        f"{float(error.median()):.1f} in the median; intervals of 50 and 90 % hold {held[0]:.1f} and {held[1]:.1f} %."
    )

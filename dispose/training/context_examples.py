"""Pictures of drawn people that Context-Aware PoseFormer learns from, and the recipe that says how many."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from dispose.datasets.cmu_motion import Motion
from dispose.models.context.lifter import LifterConfig
from dispose.models.context.network import TOLD, ContextConfig, PyramidConfig
from dispose.nn.backbones import BackboneConfig
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import cat
from dispose.training.config import Optimisation
from dispose.training.shards import save_shard
from dispose.training.task import uniform
from dispose_synthetic.randomness import Noise
from dispose_synthetic.renderer.filmed_people import ContextExamples, FilmConfig, film_people, tell
from dispose_synthetic.renderer.person_crops import FilmedPeople

VALIDATION_CHUNK = 1_000_000
"""No training sees the people of this chunk and those after it."""

SMALL_PYRAMID = BackboneConfig(depth=18, width=24, deconv_chans=32, joints=len(COCO_17), lateral=True)
SMALL_LIFTER = LifterConfig(coordinates=TOLD, chans=64, context=2, within=2, between=3, drop_path=0.1)


@dataclass(frozen=True)
class ContextRecipe:
    """The network and what it learns from.

    Attributes:
        name: of the run.
        seed: of everything that is drawn.
        captured: whether people move as captured ones do (the folder ``cmu_motion`` is needed), or as procedural ones.
        model: sizes.
        films: what is drawn.
        chunks: files of drawn people.
        people_per_chunk: people in each; one more chunk scores the weights after training.
        blind: share of the people whose picture says nothing while the lifter learns, so that it gets by without.
        heat: of the heat maps.
        lift: of the lifter.
    """

    name: str = "context"
    seed: int = 925
    captured: bool = True
    model: ContextConfig = field(
        default_factory=lambda: ContextConfig("coco_17", (96, 128), PyramidConfig(SMALL_PYRAMID), SMALL_LIFTER)
    )
    films: FilmConfig = field(default_factory=FilmConfig)
    chunks: int = 40
    people_per_chunk: int = 250
    blind: float = 0.2
    heat: Optimisation = Optimisation(
        steps=900, batch=64, rate=2e-3, last_rate=0.0, warmup=50, clip=1.0, weight_decay=1e-4
    )
    lift: Optimisation = Optimisation(
        steps=1500, batch=64, rate=1e-3, last_rate=0.0, warmup=100, clip=1.0, weight_decay=0.1
    )


class FilmedSource:
    """Filmed people, told of anew in every step; half of them in a mirror, and of a share the picture says nothing."""

    def __init__(self, filmed: FilmedPeople, config: FilmConfig, blind: float) -> None:
        self.filmed, self.config, self.blind = filmed, config, blind

    @property
    def groups(self) -> Sequence[int]:
        """One."""
        return [0] * len(self.filmed)

    def batch(self, rows: Sequence[int], seeds: Sequence[int]) -> ContextExamples:
        """Some of them; those in a mirror come last."""
        source = Noise(torch.Generator().manual_seed(seeds[0]))
        told = tell(source, self.filmed[list(rows)], self.config)
        number = torch.tensor(list(seeds))
        told = replace(told, blind=uniform(number + 11) < self.blind)
        flip = uniform(number) < 0.5
        return cat([told[~flip], told[flip].mirror()], "persons")


def film_chunk(recipe: ContextRecipe, motion: Motion | None, chunk: int, path: Path) -> None:
    """Write the people of a chunk: a function of the recipe's seed and the chunk's number."""
    source = Noise(torch.Generator().manual_seed(recipe.seed * 10_000_019 + chunk))
    save_shard(path, [film_people(source, motion, recipe.people_per_chunk, recipe.films)])


def nobody(recipe: ContextRecipe) -> FilmedPeople:
    """No picture."""
    width, height = recipe.model.input_size
    shapes = ((2, 3), (2,), (3, 3), (8,), (3, 3), (3,), (len(COCO_17), 3))
    return FilmedPeople(
        torch.zeros(0, height, width, 3, dtype=torch.uint8), *(torch.zeros(0, *shape) for shape in shapes)
    )

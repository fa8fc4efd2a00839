"""Pictures of drawn people that Context-Aware PoseFormer learns from, and the recipe that says how many."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from dispose.datasets.cmu_motion import Motion
from dispose.datasets.labelled_people import LabelledPeople
from dispose.datasets.tables.human36m_pickles import PicturedPeople
from dispose.formats.images.series import read_image
from dispose.models.context.crops import PersonCrops, cut_out_people, keypoint_boxes, root_boxes
from dispose.models.context.lifter import LifterConfig
from dispose.models.context.network import TOLD, ContextConfig, PyramidConfig
from dispose.models.lifting.sight import PeopleInView, sight_of
from dispose.nn.backbones import BackboneConfig
from dispose.options import FROM_0
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import cat
from dispose.training.config import Optimisation
from dispose.training.lifting import DrawnViews
from dispose.training.shards import save_shard
from dispose.training.task import uniform
from dispose_synthetic.randomness import Noise
from dispose_synthetic.renderer.filmed_people import ContextExamples, FilmConfig, film_people, tell
from dispose_synthetic.renderer.person_crops import FilmedPeople

Boxes = Callable[[LabelledPeople, PeopleInView], tuple[Tensor, Tensor]]
"""Middle and size of everybody's box, pixels."""


def boxes_of_keypoints(people: LabelledPeople, sight: PeopleInView) -> tuple[Tensor, Tensor]:
    """Around the keypoints."""
    return keypoint_boxes(sight.xy_image, sight.people.seen)


def boxes_of_true_root(people: LabelledPeople, sight: PeopleInView) -> tuple[Tensor, Tensor]:
    """Two metres around the measured root, as published: they give away how far away a person is."""
    roots = people.names.skeleton.indices(people.names.skeleton.root_of)
    return root_boxes(people.xyz_camera[:, roots].mean(1), people.cameras)


VALIDATION_CHUNK = 1_000_000
"""No training sees the people of this chunk and those after it."""

SMALL_PYRAMID = BackboneConfig(depth=18, width=16, deconv_chans=32, joints=len(COCO_17), lateral=True)
SMALL_LIFTER = LifterConfig(coordinates=TOLD, chans=48, context=2, within=2, between=2, drop_path=0.0)


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
        first: of the lifter without pictures, on people drawn for every step.
        lift: of the lifter with them.
    """

    name: str = "context"
    seed: int = field(default=925, metadata=FROM_0)
    captured: bool = True
    model: ContextConfig = field(
        default_factory=lambda: ContextConfig("coco_17", (96, 128), PyramidConfig(SMALL_PYRAMID), SMALL_LIFTER)
    )
    films: FilmConfig = field(default_factory=FilmConfig)
    chunks: int = 7
    people_per_chunk: int = 250
    blind: float = 0.2
    heat: Optimisation = Optimisation(
        steps=300, batch=32, rate=2e-3, last_rate=0.0, warmup=50, clip=1.0, weight_decay=1e-4
    )
    first: Optimisation = Optimisation(
        steps=250, batch=32, rate=2e-3, last_rate=0.0, warmup=50, clip=1.0, weight_decay=0.01
    )
    lift: Optimisation = Optimisation(
        steps=280, batch=32, rate=1e-3, last_rate=0.0, warmup=50, clip=1.0, weight_decay=0.05
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
        return half_mirrored(replace(told, blind=uniform(torch.tensor(list(seeds)) + 11) < self.blind), seeds)


class BlindSource:
    """People drawn for every step, in as many postures as one likes, whom nobody has filmed."""

    def __init__(self, recipe: ContextRecipe, motion: Motion | None) -> None:
        self.drawn, self.size = DrawnViews(recipe.films.views, motion), recipe.model.input_size

    @property
    def groups(self) -> Sequence[int]:
        """One."""
        return self.drawn.groups

    def batch(self, rows: Sequence[int], seeds: Sequence[int]) -> ContextExamples:
        """As many people as there are rows; all are blind."""
        told = self.drawn.batch(rows, seeds)
        persons, (width, height) = len(told.xyz), self.size
        nowhere = torch.zeros(*told.xyz.shape[:2], 2)
        crops = PersonCrops(torch.zeros(persons, 3, height, width), nowhere, nowhere, told.people)
        return ContextExamples(crops, told.xyz, told.known, torch.ones(persons, dtype=torch.bool))


def half_mirrored(told: ContextExamples, seeds: Sequence[int]) -> ContextExamples:
    """Everybody in a mirror or not, as their seed says; those in a mirror come last."""
    flip = uniform(torch.tensor(list(seeds))) < 0.5
    return cat([told[~flip], told[flip].mirror()], "persons")


BOXES = {"keypoints": boxes_of_keypoints, "true root": boxes_of_true_root}
"""How people are cut out of photographs: as anybody can, or as published, by their measured place and size."""


@dataclass(frozen=True)
class PublishedRecipe:
    """A released network on Human3.6M's pictures and a detector's keypoints.

    Attributes:
        name: of the run.
        seed: of everything random.
        model: the network.
        boxes: how people are cut out, a name of `BOXES`.
        lift: of the lifter; the published run lowers its rate by a hundredth after every epoch and has no end.
    """

    name: str
    model: ContextConfig
    seed: int = field(default=925, metadata=FROM_0)
    boxes: str = "keypoints"
    lift: Optimisation = Optimisation(
        # Thirty epochs of 1,559,752 pictures.
        steps=91_400,
        batch=512,
        rate=6.4e-4,
        last_rate=1e-5,
        warmup=0,
        clip=0.0,
        weight_decay=0.1,
    )


class PicturedSource:
    """Human3.6M's pictures as they are read, with true joints in the camera's axes, metres from the root.

    Args:
        pictured: who is in which picture.
        folder: of the pictures.
        input_size: width and height of a cut.
        boxes: how people are cut out.
    """

    def __init__(self, pictured: PicturedPeople, folder: Path, input_size: tuple[int, int], boxes: Boxes) -> None:
        self.pictured, self.folder, self.input_size, self.boxes = pictured, folder, input_size, boxes

    @property
    def groups(self) -> Sequence[int]:
        """One."""
        return [0] * len(self.pictured.people)

    def batch(self, rows: Sequence[int], seeds: Sequence[int]) -> ContextExamples:
        """Some of them, half in a mirror."""
        some = self.pictured.people[list(rows)]
        sight = sight_of(some.names.keypoints.joints, some.cameras, some.xy_image, some.seen.double(), some.seen)
        images = [read_image(self.folder / self.pictured.pictures[row]) for row in rows]
        crops = cut_out_people(images, sight, self.input_size, self.boxes(some, sight))
        nobody = torch.zeros(len(rows), dtype=torch.bool)
        return half_mirrored(ContextExamples(crops, (some.about_root() / 1000).float(), some.known, nobody), seeds)


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

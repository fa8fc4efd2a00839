"""Training on the four data sets with the published optimisation, on pseudo-labels alone.

The networks are ours at the published sizes; batches are over all processes (the published runs used two GPUs). The
published runs selected weights on test frames; here it is frames that are neither trained nor tested on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dispose.datasets.layouts import panoptic
from dispose.datasets.layouts.campus import CAMPUS, CAMPUS_TRAIN, CAMPUS_VALIDATION, open_campus
from dispose.datasets.layouts.mm_or import MM_OR, MM_OR_TRAIN, MM_OR_VALIDATION, open_mm_or
from dispose.datasets.layouts.panoptic import PANOPTIC, PANOPTIC_TRAIN, PANOPTIC_VALIDATION, open_panoptic
from dispose.datasets.layouts.shelf import SHELF, SHELF_TRAIN, SHELF_VALIDATION, open_shelf
from dispose.datasets.layouts.source import Layout, Split, Traits
from dispose.errors import InputError
from dispose.models.dispose.backbone import BackboneConfig
from dispose.models.dispose.decoder_layer import DecoderConfig
from dispose.models.dispose.model import DisPoseConfig
from dispose.models.dispose.root_associator import ImageAssociatorConfig
from dispose.recipes.orders import TrainingOrder
from dispose.training.config import (
    MODEL,
    NOTHING,
    BackboneTraining,
    Beginning,
    DatasetRecipe,
    LabelRules,
    ModelRecipe,
    Optimisation,
    PoseTraining,
)
from dispose.zoo.records import override


@dataclass(frozen=True)
class Dataset:
    """A recipe and where its frames are.

    Attributes:
        recipe: what is trained and how.
        open: looks through a folder for the frames of a split, as the cameras named see them.
        training: the frames that are learned from.
        validation: those by which weights are selected.
        arrangements: names of sets of cameras.
    """

    recipe: DatasetRecipe
    open: Callable[[Path, Split, Sequence[str]], Layout]
    training: Split
    validation: Split
    arrangements: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def cameras(self, names: Sequence[str], recipe: DatasetRecipe) -> tuple[str, ...]:
        """The cameras of an arrangement, or those named; without names the recipe's."""
        for known, cameras in self.arrangements:
            if list(names) == [known]:
                return cameras
        return tuple(names) or recipe.cameras


ARRANGEMENTS = (
    ("CMU0", panoptic.CMU0),
    ("CMU0_3", panoptic.CMU0_3),
    ("CMU0_4", panoptic.CMU0_4),
    ("CMU0_6", panoptic.CMU0_6),
    ("CMU0_7", panoptic.CMU0_7),
    ("CMU1", panoptic.CMU1),
    ("CMU2", panoptic.CMU2),
    ("CMU3", panoptic.CMU3),
    ("CMU4", panoptic.CMU4),
)
"""Arrangements of Panoptic's cameras in the literature: `CMU0` is trained with, the others are for unseen rigs."""

PUBLISHED = Optimisation(steps=25_000, batch=4, rate=3e-4, select_every=1000)


def full_size(traits: Traits) -> DisPoseConfig:
    """The published sizes on a data set's input."""
    return DisPoseConfig(
        input_size=traits.input_size,
        peak_threshold=traits.score_threshold,
        backbone=BackboneConfig(),
        associator=ImageAssociatorConfig(inward=256, chans=192, reader_heads=8, reader_points=8),
        decoder=DecoderConfig(chans=256, feature_chans=256, heads=8, points=8),
    )


def published(
    name: str, traits: Traits, plan: Optimisation, rules: LabelRules, warm: str | None = "panoptic"
) -> DatasetRecipe:
    """The published optimisation on one data set."""
    backbone = BackboneTraining(optimisation=Optimisation(steps=20_000, batch=16, rate=1e-4))
    recipe = ModelRecipe(name, model=full_size(traits), backbone=backbone, pose=PoseTraining(optimisation=plan))
    return DatasetRecipe(recipe, traits.views, rules=rules, warm=warm)


DATASETS = {
    "panoptic": Dataset(
        published("panoptic", PANOPTIC, PUBLISHED, LabelRules(), warm=None),
        lambda folder, split, views: open_panoptic(folder, split, views=views),
        PANOPTIC_TRAIN,
        PANOPTIC_VALIDATION,
        ARRANGEMENTS,
    ),
    "shelf": Dataset(
        published("shelf", SHELF, replace(PUBLISHED, steps=15_000, warmup=500), LabelRules(view_confidence=True)),
        lambda folder, split, views: open_shelf(folder, split, views=views),
        SHELF_TRAIN,
        SHELF_VALIDATION,
    ),
    "campus": Dataset(
        published(
            "campus", CAMPUS, replace(PUBLISHED, steps=15_000, batch=8, warmup=500), LabelRules(view_confidence=True)
        ),
        lambda folder, split, views: open_campus(folder, split, views=views),
        CAMPUS_TRAIN,
        CAMPUS_VALIDATION,
    ),
    # The published run keeps no unmatched people (slots=0), so that they are background to the heat maps.
    "mm_or": Dataset(
        published("mm_or", MM_OR, replace(PUBLISHED, warmup=500), LabelRules(highest_ankle_mm=250.0)),
        lambda folder, split, views: open_mm_or(folder, split, views=views),
        MM_OR_TRAIN,
        MM_OR_VALIDATION,
    ),
}
"""By the name on the command line."""


def train(order: TrainingOrder) -> Path:
    """Train on a data set; the path of the weights.

    Raises:
        InputError: data or labels are not named, or not those of the data set.
    """
    # Imported here: only training needs Lightning.
    from dispose.training.runs import train_dataset

    if order.data is None or order.labels is None:
        raise InputError(
            f"training on {order.recipe} needs --data FOLDER (data/cards/{order.recipe}.md says where it comes from) "
            "and --labels FILE (pseudo-labels, see dispose labels --help)"
        )
    dataset = DATASETS[order.recipe]
    recipe = override(dataset.recipe, order.settings)
    recipe = replace(recipe, cameras=dataset.cameras(order.cameras, recipe), interval=order.interval or recipe.interval)
    return train_dataset(
        recipe,
        order.folder,
        dataset.open(order.data, dataset.training, recipe.cameras),
        order.labels,
        validation=_validation(dataset, order.data, recipe),
        beginning=beginning_of(order, recipe),
        workers=order.workers,
    )


def beginning_of(order: TrainingOrder, recipe: DatasetRecipe) -> Beginning:
    """The weights that are named; where none are, those of a finished run of `warm` beside this one."""
    named = Beginning(order.trunk, order.backbone, order.start)
    if recipe.warm is None or named != NOTHING:
        return named
    weights = order.folder.parent / recipe.warm / MODEL
    if weights.exists():
        print(f"{order.recipe} begins with the weights in {weights}.")
        return Beginning(backbone=weights, stages=weights)
    print(
        f"{order.recipe} usually begins with the weights of {recipe.warm}, and there is no {weights}: it begins from "
        "nothing; --start and --backbone name other weights."
    )
    return named


def _validation(dataset: Dataset, folder: Path, recipe: DatasetRecipe) -> Layout | None:
    """The frames by which weights are selected; None, and a sentence that says so, where they are not there."""
    try:
        return dataset.open(folder, dataset.validation, recipe.cameras)
    except InputError as error:
        print(f"The last weights are kept, not the best, because of the validation frames: {error}")
        return None

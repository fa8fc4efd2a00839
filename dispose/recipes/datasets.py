"""Training on the four data sets with the published optimisation, on pseudo-labels alone.

The networks are ours at the published sizes; batches are over all processes (the published runs used two GPUs). The
published runs selected weights on test frames; here it is frames that are neither trained nor tested on.
"""

from dataclasses import replace
from pathlib import Path

from dispose.datasets.layouts.source import Layout
from dispose.datasets.originals import ORIGINALS, Original
from dispose.errors import InputError
from dispose.models.dispose.decoder_layer import DecoderConfig
from dispose.models.dispose.model import DisPoseConfig
from dispose.models.dispose.root_associator import ImageAssociatorConfig
from dispose.nn.backbones import BackboneConfig
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

PUBLISHED = Optimisation(steps=25_000, batch=4, rate=3e-4, select_every=1000)


def published(name: str, plan: Optimisation, rules: LabelRules, warm: str | None = "panoptic") -> DatasetRecipe:
    """The published sizes and optimisation on one data set."""
    traits = ORIGINALS[name].traits
    model = DisPoseConfig(
        input_size=traits.input_size,
        peak_threshold=traits.score_threshold,
        backbone=BackboneConfig(),
        associator=ImageAssociatorConfig(inward=256, chans=192, reader_heads=8, reader_points=8),
        decoder=DecoderConfig(chans=256, feature_chans=256, heads=8, points=8),
    )
    backbone = BackboneTraining(optimisation=Optimisation(steps=20_000, batch=16, rate=1e-4))
    recipe = ModelRecipe(name, model=model, backbone=backbone, pose=PoseTraining(optimisation=plan))
    return DatasetRecipe(recipe, traits.views, rules=rules, warm=warm)


DATASETS = {
    "panoptic": published("panoptic", PUBLISHED, LabelRules(), warm=None),
    "shelf": published("shelf", replace(PUBLISHED, steps=15_000, warmup=500), LabelRules(view_confidence=True)),
    "campus": published(
        "campus", replace(PUBLISHED, steps=15_000, batch=8, warmup=500), LabelRules(view_confidence=True)
    ),
    # The published run keeps no unmatched people (slots=0), so that they are background to the heat maps.
    "mm_or": published("mm_or", replace(PUBLISHED, warmup=500), LabelRules(highest_ankle_mm=250.0)),
}
"""By the name on the command line."""


def train(order: TrainingOrder) -> Path:
    """Train on a data set; the path of the weights.

    Raises:
        InputError: data or labels are not named, or not those of the data set.
    """
    # Imported here: only training needs Lightning.
    from dispose.training.runs import train_dataset

    order.refuse_captures()
    if order.data is None or order.labels is None:
        raise InputError(
            f"training on {order.recipe} needs --data FOLDER (data/cards/{order.recipe}.md says where it comes from) "
            "and --labels FILE (pseudo-labels, see dispose labels --help)"
        )
    data, recipe = ORIGINALS[order.recipe], override(DATASETS[order.recipe], order.set)
    cameras = data.cameras(order.cameras) if order.cameras else recipe.cameras
    recipe = replace(recipe, cameras=cameras, interval=order.interval or recipe.interval)
    return train_dataset(
        recipe,
        order.folder,
        data.open(order.data, data.training, cameras),
        order.labels,
        validation=_validation(data, order.data, cameras),
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


def _validation(data: Original, folder: Path, cameras: tuple[str, ...]) -> Layout | None:
    """The frames by which weights are selected; None, and a sentence that says so, where they are not there."""
    try:
        return data.open(folder, data.validation, cameras)
    except InputError as error:
        print(f"The last weights are kept, not the best, because of the validation frames: {error}")
        return None

"""Training on the four data sets with the published optimisation (spec §3, §6.1), on pseudo-labels alone.

The networks are ours at the published sizes; batches are over all processes (the published runs used two GPUs).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dispose.datasets.layouts.campus import CAMPUS, CAMPUS_TRAIN, open_campus
from dispose.datasets.layouts.mm_or import MM_OR, MM_OR_TRAIN, open_mm_or
from dispose.datasets.layouts.panoptic import PANOPTIC, PANOPTIC_TRAIN, open_panoptic
from dispose.datasets.layouts.shelf import SHELF, SHELF_TRAIN, open_shelf
from dispose.datasets.layouts.source import Source, Traits
from dispose.models.dispose.backbone import BackboneConfig
from dispose.models.dispose.decoder_layer import DecoderConfig
from dispose.models.dispose.model import DisPoseConfig
from dispose.models.dispose.root_associator import ImageAssociatorConfig
from dispose.training.image_config import BackboneTraining, ImageRecipe, Optimisation, PoseTraining


@dataclass(frozen=True)
class DatasetRecipe:
    """A recipe and the training frames it is for.

    Attributes:
        images: the recipe.
        training: opens the training split of a data set's folder.
        warm: data set whose weights Stage I and II usually start from; None = from nothing.
    """

    images: ImageRecipe
    training: Callable[[Path], Source]
    warm: str | None


def full_size(traits: Traits) -> DisPoseConfig:
    """The published sizes on a data set's input."""
    return DisPoseConfig(
        input_size=traits.input_size,
        peak_threshold=traits.score_threshold,
        backbone=BackboneConfig(),
        associator=ImageAssociatorConfig(inward=256, chans=192, reader_heads=8, reader_points=8),
        decoder=DecoderConfig(chans=256, feature_chans=256, heads=8, points=8),
    )


def published(name: str, traits: Traits, *, batch: int, steps: int, warmup: int) -> ImageRecipe:
    """The published optimisation on one data set."""
    return ImageRecipe(
        name=name,
        model=full_size(traits),
        backbone=BackboneTraining(optimisation=Optimisation(steps=20_000, batch=16, rate=1e-4)),
        pose=PoseTraining(optimisation=Optimisation(steps=steps, batch=batch, rate=3e-4, warmup=warmup)),
    )


DATASETS = {
    "panoptic": DatasetRecipe(
        published("panoptic", PANOPTIC, batch=4, steps=25_000, warmup=1000),
        lambda folder: open_panoptic(folder, PANOPTIC_TRAIN),
        None,
    ),
    "shelf": DatasetRecipe(
        published("shelf", SHELF, batch=4, steps=15_000, warmup=500),
        lambda folder: open_shelf(folder, SHELF_TRAIN),
        "panoptic",
    ),
    "campus": DatasetRecipe(
        published("campus", CAMPUS, batch=8, steps=15_000, warmup=500),
        lambda folder: open_campus(folder, CAMPUS_TRAIN),
        "panoptic",
    ),
    "mm_or": DatasetRecipe(
        published("mm_or", MM_OR, batch=4, steps=25_000, warmup=500),
        lambda folder: open_mm_or(folder, MM_OR_TRAIN),
        "panoptic",
    ),
}
"""By the name on the command line."""

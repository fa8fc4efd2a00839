"""Runs of Learnable Triangulation: as published on Human3.6M, for laptops on synthetic people, and miniatures."""

from dataclasses import replace
from pathlib import Path

from dispose.datasets.layouts.human36m import TRAINING_SUBJECTS, open_human36m
from dispose.errors import InputError
from dispose.models.triangulation.algebraic import AlgebraicConfig
from dispose.models.triangulation.v2v import LITE, V2VConfig
from dispose.models.triangulation.volumetric import CubeConfig, VolumetricConfig
from dispose.nn.backbones import LAPTOP, BackboneConfig
from dispose.recipes.orders import TrainingOrder
from dispose.training.config import (
    ALGEBRAIC,
    VOLUMETRIC,
    Beginning,
    Optimisation,
    ShardConfig,
    TriangulationRecipe,
    TriangulationTraining,
)
from dispose.zoo.records import override
from dispose_synthetic.renderer.captures import RenderConfig

PUBLISHED_ALGEBRAIC = TriangulationRecipe(
    "algebraic",
    AlgebraicConfig(),
    TriangulationTraining(
        # Sixty epochs of 15,000 instants.
        Optimisation(steps=112_500, batch=8, rate=1e-5, last_rate=1e-5, warmup=0, clip=0.0),
        views=(4, 4),
    ),
)
PUBLISHED_VOLUMETRIC = TriangulationRecipe(
    "volumetric",
    VolumetricConfig(),
    TriangulationTraining(
        # Forty epochs of 15,000 instants.
        Optimisation(steps=120_000, batch=5, rate=1e-3, last_rate=1e-3, warmup=0, clip=0.0),
        views=(1, 4),
        slow_backbone=True,
    ),
    warm="algebraic",
)

_PEOPLE = ShardConfig(RenderConfig(persons=(1, 1), empty=0.0, views=(3, 5), furniture=0.2), chunks=40)

TOY_ALGEBRAIC = TriangulationRecipe(
    "toy_algebraic",
    AlgebraicConfig(skeleton="panoptic_15", input_size=(128, 128), backbone=LAPTOP, head_chans=(64, 64)),
    TriangulationTraining(
        Optimisation(steps=2500, batch=6, rate=2e-3, warmup=100, clip=5.0, weight_decay=1e-4, checkpoint_every=200),
        views=(2, 5),
        margin=1.3,
        jitter=0.05,
        bfloat16=True,
        heatmap=300.0,
    ),
    shards=_PEOPLE,
)
TOY_VOLUMETRIC = TriangulationRecipe(
    "toy_volumetric",
    VolumetricConfig(
        skeleton="panoptic_15",
        input_size=(128, 128),
        backbone=LAPTOP,
        chans=16,
        cube=CubeConfig(side_mm=2300.0, cells=24, network=LITE, shortcut=True),
    ),
    TriangulationTraining(
        Optimisation(steps=1500, batch=6, rate=2e-3, warmup=100, clip=5.0, weight_decay=1e-4, checkpoint_every=200),
        views=(1, 5),
        margin=1.3,
        jitter=0.05,
        bfloat16=True,
        root_noise_mm=60.0,
        slow_backbone=True,
    ),
    shards=_PEOPLE,
    warm="toy_algebraic",
)

_TINY = BackboneConfig(depth=18, width=8, deconv_chans=8, lateral=True)
_FEW = ShardConfig(RenderConfig(size=(128, 96), persons=(1, 1), empty=0.0, views=(2, 3), furniture=0.0), 1, 8)
_SHORT = Optimisation(steps=8, batch=2, rate=1e-3, warmup=2, checkpoint_every=4)

TOY_ALGEBRAIC_SMOKE = replace(
    TOY_ALGEBRAIC,
    name="toy_algebraic_smoke",
    model=replace(TOY_ALGEBRAIC.model, backbone=_TINY, head_chans=(8, 8)),
    training=replace(TOY_ALGEBRAIC.training, optimisation=_SHORT),
    shards=_FEW,
)
TOY_VOLUMETRIC_SMOKE = replace(
    TOY_VOLUMETRIC,
    name="toy_volumetric_smoke",
    model=VolumetricConfig(
        skeleton="panoptic_15",
        input_size=(128, 128),
        backbone=_TINY,
        chans=4,
        cube=CubeConfig(side_mm=2300.0, cells=8, network=V2VConfig(3, 8, 0, (8, 8), 0), shortcut=True),
    ),
    training=replace(TOY_VOLUMETRIC.training, optimisation=_SHORT),
    shards=_FEW,
    warm="toy_algebraic_smoke",
)

RECIPES = {
    recipe.name: recipe
    for recipe in (
        PUBLISHED_ALGEBRAIC, PUBLISHED_VOLUMETRIC, TOY_ALGEBRAIC, TOY_VOLUMETRIC, TOY_ALGEBRAIC_SMOKE,
        TOY_VOLUMETRIC_SMOKE,
    )
}  # fmt: skip


def train(order: TrainingOrder) -> Path:
    """Train by one of these recipes; the path of the weights.

    Raises:
        InputError: the data are not named, or named where the recipe draws its own; what is named does not fit.
    """
    # Imported here: only training needs Lightning.
    from dispose.training.triangulation_runs import train_triangulation

    order.refuse_captures()
    recipe = override(RECIPES[order.recipe], order.set)
    layout = None
    if recipe.shards is None:
        if order.data is None:
            raise InputError(
                f"training {recipe.name} needs --data FOLDER: Human3.6M as Learnable Triangulation prepares it; "
                "toy_algebraic and toy_volumetric draw their own people."
            )
        layout = open_human36m(order.data, TRAINING_SUBJECTS, every=order.interval or 1)
    else:
        order.refuse_data(needed=("backbone",))
    beginning = _beginning(order, recipe)
    return train_triangulation(recipe, order.folder, layout=layout, beginning=beginning, workers=order.workers)


def _beginning(order: TrainingOrder, recipe: TriangulationRecipe) -> Beginning:
    """The weights that are named; where none are, the backbone of a finished run of `warm` beside this one."""
    named = Beginning(order.trunk, order.backbone)
    if recipe.warm is None or order.trunk is not None or order.backbone is not None:
        return named
    folder = order.folder.parent / recipe.warm
    for weights in (folder / ALGEBRAIC, folder / VOLUMETRIC):
        if weights.exists():
            print(f"{recipe.name} begins with the backbone in {weights}.")
            return Beginning(backbone=weights)
    print(
        f"{recipe.name} usually begins with the backbone of {recipe.warm}, and there is none in {folder}: it begins "
        "from nothing; --backbone names other weights."
    )
    return named

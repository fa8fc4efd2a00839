"""Runs on synthetic data alone, of the associator and of the model for images, as they ship; and miniatures of them."""

from dataclasses import replace
from pathlib import Path

from dispose.models.dispose.associator import AssociatorConfig
from dispose.models.dispose.decoder_layer import DecoderConfig
from dispose.models.dispose.model import DisPoseConfig
from dispose.models.dispose.placement import PlacementConfig
from dispose.models.dispose.root_associator import ImageAssociatorConfig
from dispose.nn.backbones import LAPTOP, BackboneConfig
from dispose.recipes.orders import TrainingOrder
from dispose.training.config import (
    OURS,
    AssociatorRecipe,
    BackboneTraining,
    DenoiserTraining,
    ModelRecipe,
    Optimisation,
    PlacementTraining,
    PoseTraining,
    RenderedRecipe,
    ShardConfig,
)
from dispose.zoo.records import override
from dispose_synthetic.renderer.captures import RenderConfig

SYNTHETIC = AssociatorRecipe()
"""The shipped weights: at most 45 minutes on two CPU cores."""

_DEPTH, _DENOISER = SYNTHETIC.placement.optimisation, SYNTHETIC.denoiser.optimisation

SMOKE = AssociatorRecipe(
    name="smoke",
    frames_per_chunk=16,
    model=AssociatorConfig(placement=PlacementConfig(chans=32, blocks=1), chans=32, layers=1),
    placement=PlacementTraining(chunks=2, optimisation=replace(_DEPTH, steps=40, batch=64, checkpoint_every=10)),
    denoiser=DenoiserTraining(
        chunks=2, optimisation=replace(_DENOISER, steps=30, batch=4, warmup=5, checkpoint_every=10)
    ),
)
"""The same run in about a minute: to see that training works on a machine, not to use the weights."""

LAPTOP_MODEL = DisPoseConfig(
    input_size=(256, 192),
    backbone=LAPTOP,
    associator=ImageAssociatorConfig(inward=LAPTOP.deconv_chans),
    decoder=DecoderConfig(chans=96, feature_chans=LAPTOP.deconv_chans, dropout=0.0),
)
"""Small enough to train on two CPU cores."""

TOY_IMAGES = RenderedRecipe(
    training=ModelRecipe(
        name="toy_images",
        model=LAPTOP_MODEL,
        backbone=BackboneTraining(
            optimisation=Optimisation(
                steps=2600, batch=4, rate=2e-3, warmup=100, clip=5.0, weight_decay=1e-4, checkpoint_every=200
            ),
            sigma_map_px=1.5,
            background=1.0,
            peak=9.0,
            copies=0,
            bfloat16=True,
            complete_labels=True,
        ),
        pose=PoseTraining(
            optimisation=Optimisation(
                steps=2400, batch=4, rate=1e-3, warmup=100, clip=5.0, weight_decay=1e-4, checkpoint_every=200
            ),
            copies=0,
            bfloat16=True,
            root_noise_mm=40.0,
            match_map_px=3.0,
            view_dropout=0.1,
            jitter_map_px=0.0,
            from_stage1=0.25,
            objective=replace(OURS, consistency=0.0),
            sigma_map_px=1.5,
        ),
    ),
    shards=ShardConfig(),
)
"""From nothing to the shipped weights, on synthetic images alone: at most an hour on two CPU cores."""

TOY_SMOKE = RenderedRecipe(
    training=replace(
        TOY_IMAGES.training,
        name="toy_smoke",
        model=DisPoseConfig(
            input_size=(128, 96),
            backbone=BackboneConfig(depth=18, width=8, deconv_chans=16),
            associator=ImageAssociatorConfig(inward=16, chans=16, layers=1),
            decoder=DecoderConfig(chans=16, feature_chans=16, layers=2, confidence=8, dropout=0.0),
        ),
        backbone=replace(
            TOY_IMAGES.training.backbone, optimisation=Optimisation(steps=12, batch=2, rate=1e-3, checkpoint_every=4)
        ),
        pose=replace(
            TOY_IMAGES.training.pose, optimisation=Optimisation(steps=12, batch=2, rate=1e-3, checkpoint_every=4)
        ),
    ),
    shards=ShardConfig(RenderConfig(size=(128, 96), views=(3, 4), persons=(1, 3)), chunks=1, frames_per_chunk=8),
)
"""The same run in about a minute: to see that training works on a machine, not to use the weights."""

RECIPES: dict[str, AssociatorRecipe | RenderedRecipe] = {
    **{recipe.name: recipe for recipe in (SYNTHETIC, SMOKE)},
    **{recipe.training.name: recipe for recipe in (TOY_IMAGES, TOY_SMOKE)},
}


def train(order: TrainingOrder) -> Path:
    """Train by one of these recipes; the path of the weights."""
    # Imported here: only training needs Lightning.
    from dispose.training.runs import train_associator, train_rendered

    order.refuse_data()
    recipe = override(RECIPES[order.recipe], order.set)
    if isinstance(recipe, AssociatorRecipe):
        return train_associator(recipe, order.folder, workers=order.workers)
    return train_rendered(recipe, order.folder, workers=order.workers)

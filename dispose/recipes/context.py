"""Runs of Context-Aware PoseFormer: as it ships, a miniature of it, and the published ones."""

from dataclasses import replace
from pathlib import Path

from dispose.errors import InputError
from dispose.models.context.lifter import LifterConfig
from dispose.models.context.network import TOLD, ContextConfig, PyramidConfig
from dispose.nn.backbones import BackboneConfig
from dispose.recipes.orders import TrainingOrder
from dispose.released.context import HUMAN36M_CONTEXT
from dispose.training.context_examples import ContextRecipe, PublishedRecipe
from dispose.zoo.records import override

SHIPPED = ContextRecipe()
"""The shipped weights: a quarter of an hour on one CPU core."""

SMOKE = ContextRecipe(
    name="context_smoke",
    captured=False,
    model=ContextConfig(
        "coco_17",
        (96, 128),
        PyramidConfig(BackboneConfig(depth=18, width=8, deconv_chans=8, joints=17, lateral=True)),
        LifterConfig(coordinates=TOLD, chans=16, context=1, within=1, between=1, heads=2, context_heads=2, points=2),
    ),
    chunks=1,
    people_per_chunk=16,
    heat=replace(SHIPPED.heat, steps=4, batch=8, warmup=2, checkpoint_every=2),
    first=replace(SHIPPED.first, steps=4, batch=8, warmup=2, checkpoint_every=2),
    lift=replace(SHIPPED.lift, steps=4, batch=8, warmup=2, checkpoint_every=2),
)
"""The same in seconds, on procedural people: to see that training works on a machine, not to use the weights."""

PUBLISHED = tuple(
    PublishedRecipe(f"context_{name}{suffix}", HUMAN36M_CONTEXT[f"hrnet_{width}"], boxes=boxes)
    for name, width in (("published", 32), ("published_48", 48))
    for suffix, boxes in (("", "keypoints"), ("_true_boxes", "true root"))
)
"""Human3.6M through HRNet-32 or -48; the last of each pair cuts people out as published, by the true root."""

RECIPES = {recipe.name: recipe for recipe in (SHIPPED, SMOKE, *PUBLISHED)}


def train(order: TrainingOrder) -> Path:
    """Train by one of these recipes; the path of the weights.

    Raises:
        InputError: the data or the backbone are not named, or named where the recipe draws its own.
    """
    # Imported here: only training needs Lightning.
    from dispose.training.context import train_context, train_published

    recipe = override(RECIPES[order.recipe], order.set)
    if isinstance(recipe, PublishedRecipe):
        order.refuse_data(needed=("data", "backbone", "interval"))
        if order.data is None or order.backbone is None:
            raise InputError(
                f"training {recipe.name} needs --data FOLDER, with h36m_train.pkl and images/, and --backbone, HRNet "
                "as `dispose zoo import-backbone` writes it."
            )
        every = order.interval or 1
        return train_published(recipe, order.folder, order.data, order.backbone, every=every, workers=order.workers)
    order.refuse_data(needed=("data",))
    motion = None if order.data is None else order.data / "cmu_motion"
    return train_context(recipe, order.folder, motion, workers=order.workers)

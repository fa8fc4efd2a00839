"""Runs of Context-Aware PoseFormer: as it ships, and a miniature of it."""

from dataclasses import replace
from pathlib import Path

from dispose.models.context.lifter import LifterConfig
from dispose.models.context.network import TOLD, ContextConfig, PyramidConfig
from dispose.nn.backbones import BackboneConfig
from dispose.recipes.orders import TrainingOrder
from dispose.training.context_examples import ContextRecipe
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
    lift=replace(SHIPPED.lift, steps=4, batch=8, warmup=2, checkpoint_every=2),
)
"""The same in seconds, on procedural people: to see that training works on a machine, not to use the weights."""

RECIPES = {recipe.name: recipe for recipe in (SHIPPED, SMOKE)}


def train(order: TrainingOrder) -> Path:
    """Train by one of these recipes; the path of the weights."""
    # Imported here: only training needs Lightning.
    from dispose.training.context import train_context

    order.refuse_data(needed=("data",))
    recipe = override(RECIPES[order.recipe], order.set)
    motion = None if order.data is None else order.data / "cmu_motion"
    return train_context(recipe, order.folder, motion, workers=order.workers)

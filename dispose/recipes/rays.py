"""Runs of the network that reads joints from rays: as it ships, and a miniature of it."""

from dataclasses import replace
from pathlib import Path

from dispose.models.rays.network import RaysConfig
from dispose.recipes.orders import TrainingOrder
from dispose.training.config import RaysRecipe
from dispose.zoo.records import override

RAYS = RaysRecipe()
"""The shipped weights: at most an hour on two CPU cores."""

RAYS_SMOKE = RaysRecipe(
    name="rays_smoke",
    captured=False,
    model=RaysConfig(chans=32, ray_chans=16, rounds=2, layers=1),
    shards=1,
    chunks_per_shard=1,
    optimisation=replace(RAYS.optimisation, steps=20, batch=16, warmup=5, checkpoint_every=10),
    validation_people=256,
)
"""The same in seconds, on procedural people: to see that training works on a machine, not to use the weights."""

RECIPES = {recipe.name: recipe for recipe in (RAYS, RAYS_SMOKE)}


def train(order: TrainingOrder) -> Path:
    """Train by one of these recipes; the path of the weights."""
    # Imported here: only training needs Lightning.
    from dispose.training.rays import train_rays

    order.refuse_data(needed=("data",))
    recipe = override(RECIPES[order.recipe], order.set)
    motion = None if order.data is None else order.data / "cmu_motion"
    return train_rays(recipe, order.folder, motion, workers=order.workers)

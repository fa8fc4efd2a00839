"""The associator, trained on synthetic captures alone: what ships with the project, and a miniature of it."""

from dataclasses import replace
from pathlib import Path

from dispose.models.dispose.associator import AssociatorConfig
from dispose.models.dispose.placement import PlacementConfig
from dispose.recipes.orders import TrainingOrder
from dispose.training.config import AssociatorRecipe, DenoiserTraining, PlacementTraining
from dispose.zoo.records import override

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

RECIPES = {recipe.name: recipe for recipe in (SYNTHETIC, SMOKE)}


def train(order: TrainingOrder) -> Path:
    """Train by one of these recipes; the path of the weights."""
    # Imported here: only training needs Lightning.
    from dispose.training.runs import train_associator

    order.refuse_data()
    return train_associator(override(RECIPES[order.recipe], order.set), order.folder, workers=order.workers)

"""Runs of the weights of 2-D detections: as they ship, and a miniature."""

from dataclasses import replace
from pathlib import Path

from dispose.models.triangulation.detections import DetectionWeightsConfig
from dispose.recipes.orders import TrainingOrder
from dispose.training.detection_scenes import DetectionWeightsRecipe
from dispose.zoo.records import override

SHIPPED = DetectionWeightsRecipe()
"""The shipped weights: about ten minutes on one CPU core."""

SMOKE = DetectionWeightsRecipe(
    name="algebraic_detections_smoke",
    model=DetectionWeightsConfig(chans=16, name_chans=4, rounds=2),
    chunks=1,
    frames_per_chunk=32,
    validation_chunks=1,
    optimisation=replace(SHIPPED.optimisation, steps=20, batch=8, warmup=5, checkpoint_every=10),
)
"""The same in seconds: to see that training works on a machine, not to use the weights."""

RECIPES = {recipe.name: recipe for recipe in (SHIPPED, SMOKE)}


def train(order: TrainingOrder) -> Path:
    """Train by one of these recipes; the path of the weights."""
    # Imported here: only training needs Lightning.
    from dispose.training.detection_weights import train_detection_weights

    order.refuse_data()
    return train_detection_weights(override(RECIPES[order.recipe], order.set), order.folder, workers=order.workers)

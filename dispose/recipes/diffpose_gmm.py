"""Runs of informed diffusion (Gong et al.): as it ships, a miniature, and the published sizes."""

from dataclasses import replace
from pathlib import Path

from dispose.models.diffpose_gmm.model import RELEASE, DiffPoseGmmConfig
from dispose.models.lifting.residual import ResidualConfig
from dispose.nn.graph import GraphSizes
from dispose.recipes.orders import TrainingOrder
from dispose.training.config import Optimisation
from dispose.training.diffpose_gmm import DiffPoseGmmRecipe
from dispose.zoo.records import override

SHIPPED = DiffPoseGmmRecipe()
"""The shipped weights: about fifteen minutes on one CPU core."""

SMOKE = DiffPoseGmmRecipe(
    name="diffpose-gmm_smoke",
    captured=False,
    model=DiffPoseGmmConfig(residual=ResidualConfig(width=32, blocks=1), denoiser=GraphSizes(chans=16, layers=1)),
    lifter=replace(SHIPPED.lifter, steps=20, batch=16, warmup=5, checkpoint_every=10, average=0.0),
    refiner=replace(SHIPPED.refiner, steps=20, batch=16, warmup=5, checkpoint_every=10, average=0.0),
    validation_people=256,
)
"""The same in seconds, on procedural people: to see that training works on a machine, not to use the weights."""

PUBLISHED = DiffPoseGmmRecipe(
    name="diffpose-gmm_published",
    model=DiffPoseGmmConfig(residual=None, graph=GraphSizes(), mode=RELEASE),
    lifter=Optimisation(steps=120_000, batch=1024, rate=1e-3, average=0.999, checkpoint_every=2000),
    refiner=Optimisation(steps=120_000, batch=1024, rate=1e-3, clip=1.0, average=0.999, checkpoint_every=2000),
)
"""Graph networks of the published sizes in the released mode: wants a GPU."""

RECIPES = {recipe.name: recipe for recipe in (SHIPPED, SMOKE, PUBLISHED)}


def train(order: TrainingOrder) -> Path:
    """Train by one of these recipes; the path of the weights."""
    # Imported here: only training needs Lightning.
    from dispose.training.diffpose_gmm_runs import train_diffpose_gmm

    order.refuse_data(needed=("data",))
    recipe = override(RECIPES[order.recipe], order.set)
    motion = None if order.data is None else order.data / "cmu_motion"
    return train_diffpose_gmm(recipe, order.folder, motion, workers=order.workers)

"""Runs of DiffPose of Holmquist and Wandt: what ships, the published size, and a miniature."""

from dataclasses import replace
from pathlib import Path

from dispose.models.diffpose_hypotheses.network import HypothesesConfig
from dispose.models.lifting.residual import ResidualConfig
from dispose.recipes.orders import TrainingOrder
from dispose.training.config import Optimisation
from dispose.training.hypotheses import HypothesesRecipe
from dispose.training.lifting import LIFTER_PLAN, LIFTER_WIDTH
from dispose.zoo.records import override

SMALL = HypothesesConfig(
    samples=16,
    channels=24,
    reach=2.0,
    layers=0,
    joint_dropout=0.0,
    condition=320,
    sight=True,
    width=448,
    answer="velocity",
    lifter=ResidualConfig(width=LIFTER_WIDTH),
    guess=2,
    leans=24,
    rays=True,
    even=0.5,
)
"""A pose first, then its covariance; the diffusion says what is left of it. No transformer: it is worth its time in
longer trainings only.
"""

SHIPPED = HypothesesRecipe(
    name="diffpose-hypotheses",
    model=SMALL,
    draws=2,
    bfloat16=True,
    optimisation=Optimisation(
        steps=2000, batch=256, rate=1.5e-3, last_rate=0.0, warmup=200, clip=1.0, weight_decay=1e-2, average=0.995
    ),
    denoiser=Optimisation(
        steps=2500, batch=256, rate=2e-3, last_rate=0.0, warmup=200, clip=1.0, weight_decay=1e-2, average=0.995
    ),
)
"""The shipped weights: about three quarters of an hour on one CPU core."""

FULL = HypothesesRecipe(
    name="diffpose-hypotheses-full",
    model=HypothesesConfig(reach=2.0),
    optimisation=Optimisation(
        steps=700_000, batch=32, rate=1e-4, last_rate=1e-4, warmup=0, clip=0.0, average=0.995, average_every=10
    ),
)
"""The published sizes and optimisation, on keypoints instead of heat maps; for a GPU."""

SMOKE = HypothesesRecipe(
    name="diffpose-hypotheses_smoke",
    captured=False,
    model=replace(
        SMALL,
        samples=4,
        channels=8,
        layers=1,
        feed_forward=32,
        condition=32,
        width=32,
        blocks=1,
        guess=1,
        leans=2,
        lifter=ResidualConfig(width=32, blocks=1),
    ),
    draws=2,
    optimisation=replace(SHIPPED.optimisation, steps=20, batch=16, warmup=5, checkpoint_every=10),
    denoiser=replace(SHIPPED.optimisation, steps=10, batch=16, warmup=5, checkpoint_every=10),
    lifter=replace(LIFTER_PLAN, steps=20, batch=16, warmup=5, checkpoint_every=10, average=0.0),
    validation_people=64,
)
"""The same in seconds, on procedural people: to see that training works on a machine, not to use the weights."""

RECIPES = {recipe.name: recipe for recipe in (SHIPPED, FULL, SMOKE)}


def train(order: TrainingOrder) -> Path:
    """Train by one of these recipes; the path of the weights."""
    # Imported here: only training needs Lightning.
    from dispose.training.hypotheses_run import train_hypotheses

    order.refuse_data(needed=("data",))
    recipe = override(RECIPES[order.recipe], order.set)
    motion = None if order.data is None else order.data / "cmu_motion"
    return train_hypotheses(recipe, order.folder, motion, workers=order.workers)

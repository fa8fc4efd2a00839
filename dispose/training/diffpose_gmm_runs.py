"""Runs of informed diffusion from nothing to weights."""

from dataclasses import replace
from pathlib import Path

import torch

from dispose.models.diffpose_gmm.model import DiffPoseGmm
from dispose.training.beginnings import claim_with_motion
from dispose.training.diffpose_gmm import (
    VALIDATION_SEED,
    WEIGHTS,
    DiffPoseGmmRecipe,
    RefinerTask,
    describe,
    error_of,
)
from dispose.training.fit import fit
from dispose.training.lifter_runs import train_lifter
from dispose.training.lifting import DrawnViews
from dispose.training.shards import write_once
from dispose.zoo.checkpoints import save_weights
from dispose.zoo.records import to_json
from dispose_synthetic.randomness import Noise


def train_diffpose_gmm(
    recipe: DiffPoseGmmRecipe, folder: Path, motion: Path | None, *, workers: int | None = None
) -> Path:
    """Train the lifter, measure how wrong it is, train the refiner, save; the path of the weights.

    Args:
        recipe: what is trained and how.
        folder: of the run.
        motion: the folder ``cmu_motion``.
        workers: processes that draw ahead.

    Raises:
        InputError: the recipe needs captured motion and there is none; the folder holds a run of another recipe.
    """
    captured = claim_with_motion(folder, recipe, motion)
    weights, people = folder / WEIGHTS, DrawnViews(recipe.views, captured)
    held_out = people.draw(Noise(torch.Generator().manual_seed(VALIDATION_SEED)), recipe.validation_people)
    if not weights.exists():
        torch.manual_seed(recipe.seed)
        network = DiffPoseGmm(recipe.model)
        lifter = network.lifter if recipe.model.residual is None else network.lifter.network
        train_lifter(lifter, people, recipe.lifter, folder, seed=recipe.seed, workers=workers)
        network.error.copy_(error_of(network.eval(), held_out))
        network.train()
        mode = recipe.model.mode
        seen = replace(recipe.views, exact=1.0) if mode.exact_2d else recipe.views
        task, source = RefinerTask(network), DrawnViews(seen, captured)
        fit(task, source, folder / "refiner", recipe.refiner, seed=recipe.seed + 1, workers=workers)
        note = describe(network.eval(), held_out)
        print(note)
        # Half precision moves joints by less than a tenth of a millimetre.
        half = torch.float16
        write_once(weights, lambda path: save_weights(path, network, recipe=to_json(recipe), note=note, storage=half))
    return weights

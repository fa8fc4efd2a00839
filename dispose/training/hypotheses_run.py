"""Runs of DiffPose of Holmquist and Wandt, from nothing to weights whose intervals hold what they say."""

import functools
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.datasets.cmu_motion import Motion
from dispose.metrics.lifting import energy_score, within_interval
from dispose.metrics.pose import mpjpe, pa_mpjpe
from dispose.models.diffpose_hypotheses.network import SHARPNESS, HypothesesNetwork, near_sharpness
from dispose.models.diffpose_hypotheses.sampling import PEOPLE_AT_ONCE, QUICK, Chain, lifter, told_sigma
from dispose.training.beginnings import claim_with_motion
from dispose.training.fit import fit
from dispose.training.hypotheses import HypothesesRecipe, HypothesesTask
from dispose.training.lifter_runs import train_lifter
from dispose.training.lifting import DrawnViews
from dispose.training.shards import write_once
from dispose.zoo.checkpoints import load_weights, save_weights
from dispose.zoo.records import to_json
from dispose_synthetic.motion import AS_CAPTURED
from dispose_synthetic.randomness import Noise

WEIGHTS = "diffpose_hypotheses.safetensors"
"""What a run leaves in its folder."""

VALIDATION_SEED = 20_261
VALIDATION = replace(QUICK, hypotheses=64)
LEVELS = (0.5, 0.9)
FEWEST = 50
"""People by whom a spread is scaled."""


def train_hypotheses(
    recipe: HypothesesRecipe, folder: Path, motion: Path | None, *, workers: int | None = None
) -> Path:
    """Train, scale the spread on people that no step saw, save; the path of the weights.

    Args:
        recipe: what is trained and how.
        folder: of the run.
        motion: the folder ``cmu_motion``.
        workers: processes that draw ahead.

    Raises:
        InputError: the recipe needs captured motion and there is none; the folder holds a run of another recipe.
    """
    captured = claim_with_motion(folder, recipe, motion)
    weights, raw, people = folder / WEIGHTS, folder / "unscaled.safetensors", DrawnViews(recipe.views, captured)
    if not raw.exists():
        torch.manual_seed(recipe.seed)
        network = HypothesesNetwork(recipe.model)
        if network.lifter is not None:
            train_lifter(network.lifter, people, recipe.lifter, folder, seed=recipe.seed, workers=workers)
            network.lifter.requires_grad_(False)
        task = HypothesesTask(network, recipe.draws, bfloat16=recipe.bfloat16)
        fit(task, people, folder / task.name, recipe.optimisation, seed=recipe.seed, workers=workers)
        if recipe.denoiser is not None:
            network.requires_grad_(False)
            network.denoiser.requires_grad_(True)
            task = HypothesesTask(network, recipe.denoiser_draws, bfloat16=recipe.bfloat16)
            fit(task, people, folder / "denoiser", recipe.denoiser, seed=recipe.seed + 1, workers=workers)
        write_once(raw, lambda path: save_weights(path, task.network, recipe=to_json(recipe)))
    if not weights.exists():
        network = load_weights(raw, HypothesesNetwork)
        note = scale_spread(network, recipe, captured)
        print(note)
        keep = functools.partial(save_weights, recipe=to_json(recipe), note=note, storage=torch.float16)
        write_once(weights, lambda path: keep(path, network))
    return weights


@torch.no_grad()
def scale_spread(network: HypothesesNetwork, recipe: HypothesesRecipe, motion: Motion | None) -> str:
    """Set how far hypotheses lie from the guess so that their intervals hold as many joints as they say; in words.

    Per axis and by how uncertain keypoints are told to be, the geometric mean of what makes the intervals of 50 % and
    of 90 % true. A network without a guess keeps its spread.
    """
    source = Noise(torch.Generator().manual_seed(VALIDATION_SEED))
    views = recipe.views if motion is None else replace(recipe.views, procedural=0.0, variety=AS_CAPTURED)
    batch = DrawnViews(views, motion).draw(source, max(recipe.validation_people, PEOPLE_AT_ONCE))
    batch = batch[batch.known.all(1)]
    lift = lifter(network, VALIDATION)
    # What was claimed before does not count.
    network.claim.fill_(1.0)
    generator = torch.Generator().manual_seed(VALIDATION_SEED)
    found = lift(batch.people, generator)
    if network.guess is not None:
        middle = lifter(network, Chain(1, steps=1))
        network.claim.zero_()
        centre = middle(batch.people, generator)[:, 0]
        off, truth = found - centre[:, None], batch.xyz - centre
        nearest = near_sharpness(told_sigma(batch.people)).argmax(1)
        for knot in range(len(SHARPNESS)):
            # Where hardly anybody's keypoints are so uncertain, everybody says it.
            some = nearest == knot if int((nearest == knot).sum()) >= FEWEST else torch.ones_like(nearest).bool()
            network.claim[knot] = needed_claim(off[some], truth[some])
        found = lift(batch.people, generator)
    held = [100 * float(within_interval(found, batch.xyz, share).double().mean()) for share in LEVELS]
    mean, known, truth = found.mean(1), batch.known, batch.xyz
    errors = (mpjpe(mean, truth, known), pa_mpjpe(mean, truth, known), energy_score(found, truth))
    figures = [1000 * float(one.mean()) for one in errors]
    scaled = "; ".join(", ".join(f"{one:.2f}" for one in knot) for knot in network.claim.tolist())
    return (
        f"On {len(batch.xyz)} people drawn after training: MPJPE of the mean pose {figures[0]:.1f} mm, PA-MPJPE "
        f"{figures[1]:.1f} mm, energy score {figures[2]:.1f} mm; intervals of 50 and 90 % hold {held[0]:.1f} and "
        f"{held[1]:.1f} % after the spread was scaled by {scaled} along x, y, z for keypoints from exact to poor."
    )


def needed_claim(
    off: Float[Tensor, "persons hypotheses joints 3"], truth: Float[Tensor, "persons joints 3"]
) -> Float[Tensor, " 3"]:
    """By how much hypotheses' offsets from a centre have to grow, per axis, for their intervals to hold the truth's."""
    factors = []
    for share in LEVELS:
        low, high = (off.quantile(edge, dim=1) for edge in ((1 - share) / 2, (1 + share) / 2))
        needed = torch.maximum(truth / high.clamp(min=1e-6), truth / low.clamp(max=-1e-6))
        factors.append(needed.flatten(0, 1).quantile(share, dim=0).clamp(0.1, 10))
    return (factors[0] * factors[1]).sqrt()

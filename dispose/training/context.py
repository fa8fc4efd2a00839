"""Training of Context-Aware PoseFormer: a network that finds joints in pictures, then the lifter on its frozen maps."""

import functools
from pathlib import Path

import torch
from torch import Tensor

from dispose.datasets.cmu_motion import read_motion
from dispose.errors import InputError
from dispose.geometry.image_affine import map_from_input
from dispose.losses.heatmaps import peaked_error
from dispose.losses.objective import Term
from dispose.metrics.pose import mpjpe, pa_mpjpe
from dispose.models.context.network import ContextNetwork, Pyramid, lift_crops
from dispose.nn.backbones import STRIDE
from dispose.tensors import cat
from dispose.training.context_examples import VALIDATION_CHUNK, ContextRecipe, FilmedSource, film_chunk, nobody
from dispose.training.fit import fit
from dispose.training.shards import Shards, build_files, claim, write_once
from dispose.training.task import Task
from dispose.zoo.checkpoints import load_weights, save_weights
from dispose.zoo.records import to_json
from dispose_synthetic.randomness import Noise
from dispose_synthetic.renderer.filmed_people import ContextExamples, tell
from dispose_synthetic.renderer.person_crops import FilmedPeople

WEIGHTS = "context.safetensors"
"""What a run leaves in its folder."""

SIGMA_MAP_PX = 1.5


class HeatTask(Task):
    """Fit heat maps to the joints that are told."""

    name = "heat"

    def __init__(self, pyramid: Pyramid) -> None:
        super().__init__()
        self.network = pyramid

    def forward(self, batch: ContextExamples) -> tuple[Term, ...]:
        """The squared error of the maps, near the joints ten times as heavy."""
        crops = batch.crops.to(next(self.parameters()).device)
        pixels = crops.pixels.contiguous(memory_format=torch.channels_last)
        with torch.autocast(pixels.device.type, torch.bfloat16):
            heat = self.network.look(pixels).heatmaps
        if heat is None:
            raise InputError("a pyramid without heat maps cannot learn to find joints")
        xy_map = map_from_input(crops.xy_crop, STRIDE)
        return (Term("heatmap", peaked_error(heat.float(), xy_map, crops.people.seen, SIGMA_MAP_PX)),)


class ContextTask(Task):
    """Fit the joints; the network of the maps is frozen."""

    name = "lift"

    def __init__(self, network: ContextNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: ContextExamples) -> tuple[Term, ...]:
        """The mean distance, metres."""
        batch = batch.to(self.network.lifter.place.device)
        sees = (~batch.blind)[:, None, None, None].to(batch.xyz.dtype)
        maps = tuple(level * sees for level in self.network.look(batch.crops.pixels))
        error = (self.network.answer(maps, batch.crops) - batch.xyz).norm(dim=-1)
        return (Term("distance", (error * batch.known).sum() / batch.known.sum().clamp(min=1)),)


def train_context(recipe: ContextRecipe, folder: Path, motion: Path | None, *, workers: int | None = None) -> Path:
    """Draw, train the heat maps, then the lifter; save with figures on people that no step saw; the weights' path.

    Args:
        recipe: what is trained and how.
        folder: of the run.
        motion: the folder ``cmu_motion``.
        workers: processes that draw and read ahead.

    Raises:
        InputError: the recipe needs captured motion and there is none; the folder holds a run of another recipe.
    """
    if recipe.captured and motion is None:
        raise InputError(f"training {recipe.name} needs --data FOLDER, which holds cmu_motion (see data/README.md)")
    captured = read_motion(motion) if recipe.captured and motion is not None else None
    claim(folder, to_json(recipe))
    weights, heat = folder / WEIGHTS, folder / "pyramid.safetensors"
    if weights.exists():
        return weights
    chunks = [*range(recipe.chunks), VALIDATION_CHUNK]
    files = [(chunk, folder / "shards" / f"people_{chunk:07d}.safetensors") for chunk in chunks]
    build_files(functools.partial(film_chunk, recipe, captured), files, "people", workers=workers)
    shards = Shards([path for _, path in files], nobody(recipe)).read_all()
    source = FilmedSource(cat(shards[:-1], "persons"), recipe.films, recipe.blind)
    torch.manual_seed(recipe.seed)
    network = ContextNetwork(recipe.model)
    if not heat.exists():
        task = HeatTask(recipe.model.pyramid.build())
        fit(task, source, folder / task.name, recipe.heat, seed=recipe.seed, workers=workers)
        write_once(heat, lambda path: save_weights(path, task.network, recipe=to_json(recipe)))
    network.pyramid.load_state_dict(load_weights(heat, type(network.pyramid)).state_dict())
    task = ContextTask(network)
    fit(task, source, folder / task.name, recipe.lift, seed=recipe.seed, workers=workers)
    note = figures(network.eval(), recipe, shards[-1])
    print(note)
    write_once(weights, lambda path: save_weights(path, network, recipe=to_json(recipe), note=note))
    return weights


@torch.no_grad()
def figures(network: ContextNetwork, recipe: ContextRecipe, filmed: FilmedPeople) -> str:
    """Errors on drawn people that no step saw, in words."""
    source, errors = Noise(torch.Generator().manual_seed(VALIDATION_CHUNK)), list[Tensor]()
    for rows in torch.arange(len(filmed)).split(100):
        told = tell(source, filmed[rows], recipe.films)
        found = 1000 * lift_crops(network, told.crops)
        truth = 1000 * told.xyz
        errors.append(torch.stack([mpjpe(found, truth, told.known), pa_mpjpe(found, truth, told.known)], 1))
    mean, aligned = torch.cat(errors).nanmean(0).tolist()
    return f"On {len(filmed)} drawn people that no step saw: MPJPE {mean:.1f} mm, PA-MPJPE {aligned:.1f} mm."

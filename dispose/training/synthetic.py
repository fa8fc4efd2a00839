"""Training of the associator on synthetic captures, from nothing to weights."""

import functools
from pathlib import Path

import torch
from tqdm import tqdm

from dispose.metrics.association import PairCounts, count_pairs
from dispose.models.dispose.associator import Associator
from dispose.models.dispose.placement import PlacementNet
from dispose.training.config import SyntheticRecipe
from dispose.training.examples import (
    VALIDATION_CHUNK,
    build_graph_chunk,
    build_placement_chunk,
    scenes_of_chunk,
)
from dispose.training.fit import fit
from dispose.training.modules import DenoiserTask, PlacementTask
from dispose.training.processes import build_files, claim, is_first, wait_for
from dispose.training.shards import load_graphs, load_placements
from dispose.zoo.checkpoints import load_weights, save_weights
from dispose.zoo.records import to_json

WEIGHTS = "associator.safetensors"


def train_synthetic(recipe: SyntheticRecipe, folder: Path, *, workers: int | None = None) -> Path:
    """Run a recipe in a folder, or go on with it, and return the path of the weights.

    Stages: detections of synthetic scenes, the depth network, candidate graphs, the denoiser. Every stage leaves
    files that exist only when complete, so that a run stopped anywhere ends as an unbroken one would have.

    Raises:
        InputError: the folder holds a run of another recipe.
    """
    claim(folder, to_json(recipe))
    torch.manual_seed(recipe.seed)
    placement = folder / "placement.safetensors"
    if not placement.exists():
        _train_placement(recipe, folder, placement, workers)
    weights = folder / WEIGHTS
    if not weights.exists():
        _train_denoiser(recipe, folder, placement, weights, workers)
    return weights


def _train_placement(recipe: SyntheticRecipe, folder: Path, path: Path, workers: int | None) -> None:
    settings = recipe.placement
    chunks = [(c, folder / "bank" / f"detections_{c:05d}.safetensors") for c in range(settings.chunks)]
    if is_first():
        build = functools.partial(build_placement_chunk, recipe)
        build_files(build, chunks, "detections", workers=workers)
    wait_for([p for _, p in chunks])
    torch.manual_seed(recipe.seed)
    network = PlacementNet(recipe.model.placement)
    task = PlacementTask(network, load_placements([p for _, p in chunks]), settings, recipe.seed)
    fit(task, folder / "placement", steps=settings.steps, checkpoint_every=recipe.checkpoint_every, clip=1.0)
    if is_first():
        save_weights(path, network, recipe=to_json(recipe))
    wait_for([path])


def _train_denoiser(recipe: SyntheticRecipe, folder: Path, placement: Path, path: Path, workers: int | None) -> None:
    settings = recipe.denoiser
    chunks = [(c, folder / "bank" / f"graphs_{c:05d}.safetensors") for c in range(settings.chunks)]
    if is_first():
        build = functools.partial(build_graph_chunk, recipe, placement=placement)
        build_files(build, chunks, "graphs", workers=workers)
    wait_for([p for _, p in chunks])
    examples = [example for _, p in chunks for example in load_graphs(p)]
    torch.manual_seed(recipe.seed)
    associator = Associator(recipe.model)
    associator.placement.load_state_dict(load_weights(placement, PlacementNet).state_dict())
    task = DenoiserTask(associator.denoiser, examples, settings, recipe.seed)
    fit(task, folder / "denoiser", steps=settings.steps, checkpoint_every=recipe.checkpoint_every, clip=settings.clip)
    if is_first():
        note = f"On {recipe.validation_frames} held-out synthetic frames: {validated(associator.eval(), recipe)}"
        save_weights(path, associator, recipe=to_json(recipe), note=note)
        print(note)
    wait_for([path])


def validated(associator: Associator, recipe: SyntheticRecipe) -> str:
    """Association figures on synthetic frames that no training saw."""
    counts = PairCounts()
    with torch.no_grad():
        for frame, labels in tqdm(
            scenes_of_chunk(recipe, VALIDATION_CHUNK, recipe.validation_frames), desc="validation", unit="frame"
        ):
            counts += count_pairs(associator(frame), labels.identity)
    return f"pair F1 {100 * counts.f1:.2f} %, exact groups {100 * counts.exact_rate:.2f} %."

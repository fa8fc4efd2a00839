"""Runs from nothing to weights: stage by stage, and on from where they were stopped.

Every stage leaves a file that exists only when it is complete, so that a run stopped anywhere ends as an unbroken one
would have.
"""

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from tqdm import tqdm

from dispose.datasets.layouts.source import Layout
from dispose.datasets.multiview import MultiViewDataset
from dispose.formats.pseudo_labels import read_pseudo_labels
from dispose.metrics.association import PairCounts, count_pairs
from dispose.models.dispose.associator import Associator
from dispose.models.dispose.model import DisPose
from dispose.models.dispose.placement import PlacementNet
from dispose.nn.backbones import Backbone
from dispose.training.associator import DenoiserTask, PlacementTask
from dispose.training.beginnings import begin, claim_beginning
from dispose.training.config import (
    ASSOCIATOR,
    BACKBONE,
    MODEL,
    NOTHING,
    AssociatorRecipe,
    Beginning,
    DatasetRecipe,
    ModelRecipe,
    RenderedRecipe,
)
from dispose.training.examples import (
    VALIDATION_CHUNK,
    GraphSource,
    PlacementSource,
    build_graph_chunk,
    build_placement_chunk,
    scenes_of_chunk,
)
from dispose.training.fit import StepTimes, fit
from dispose.training.frames import (
    FrameSource,
    ImageExamples,
    PseudoLabelled,
    RenderedFrames,
    ValidationFrames,
    render_shard,
)
from dispose.training.shards import build_shards, claim, write_once
from dispose.training.stages import BackboneTask, PoseTask
from dispose.zoo.checkpoints import load_weights, save_weights
from dispose.zoo.importing import start_stages
from dispose.zoo.records import to_json


def train_associator(recipe: AssociatorRecipe, folder: Path, *, workers: int | None = None) -> Path:
    """The depth network, then the denoiser, on synthetic scenes; the path of the weights.

    Raises:
        InputError: the folder holds a run of another recipe.
    """
    claim(folder, to_json(recipe))
    placement, weights = folder / "placement.safetensors", folder / ASSOCIATOR
    if not placement.exists():
        torch.manual_seed(recipe.seed)
        task = PlacementTask(PlacementNet(recipe.model.placement))
        build = functools.partial(build_placement_chunk, recipe)
        paths = build_shards(folder, "detections", recipe.placement.chunks, build, workers=workers)
        source, plan = PlacementSource(paths), recipe.placement.optimisation
        fit(task, source, folder / task.name, plan, seed=recipe.seed, workers=workers)
        write_once(placement, lambda path: save_weights(path, task.network, recipe=to_json(recipe)))
    if not weights.exists():
        build = functools.partial(build_graph_chunk, recipe, placement=placement)
        paths = build_shards(folder, "graphs", recipe.denoiser.chunks, build, workers=workers)
        torch.manual_seed(recipe.seed)
        associator = Associator(recipe.model)
        associator.placement.load_state_dict(load_weights(placement, PlacementNet).state_dict())
        task, plan = (
            DenoiserTask(associator.denoiser, recipe.denoiser, recipe.model.noise),
            recipe.denoiser.optimisation,
        )
        fit(task, GraphSource(paths), folder / task.name, plan, seed=recipe.seed, workers=workers)
        write_once(weights, lambda path: _save_validated(path, associator.eval(), recipe))
    return weights


def train_rendered(recipe: RenderedRecipe, folder: Path, *, workers: int | None = None) -> Path:
    """The model for images on synthetic ones; the path of the weights.

    Raises:
        InputError: the folder holds a run of another recipe.
    """
    claim(folder, to_json(recipe))
    shards = recipe.shards
    build = functools.partial(render_shard, shards.images, recipe.training.seed, shards.frames_per_chunk)

    def frames() -> RenderedFrames:
        return RenderedFrames(build_shards(folder, "images", shards.chunks, build, workers=workers))

    return train_model(recipe.training, folder, frames, NOTHING, workers)


def train_dataset(
    recipe: DatasetRecipe,
    folder: Path,
    training: Layout,
    labels: Path,
    *,
    validation: Layout | None = None,
    beginning: Beginning = NOTHING,
    workers: int | None = None,
) -> Path:
    """The model for images on a data set in its original layout with a file of pseudo-labels; the path of the weights.

    Args:
        recipe: what is trained and how.
        folder: of the run.
        training: the training frames.
        labels: pseudo-labels of them.
        validation: frames by which the weights are selected; without them the last weights are kept.
        beginning: what training goes on from.
        workers: processes that read ahead.

    Raises:
        InputError: the folder holds a run of another recipe; the labels are of another skeleton or of other frames.
    """
    claim_beginning(folder, to_json(recipe), beginning)
    store = read_pseudo_labels(labels, skeleton=DisPose.skeleton)
    size = recipe.training.model.input_size
    dataset = MultiViewDataset(training, size)
    frames = PseudoLabelled(dataset, store, recipe.rules, interval=recipe.interval)
    score = None
    if validation is not None and recipe.training.pose.optimisation.select_every:
        score = ValidationFrames(MultiViewDataset(validation, size), store, recipe.rules).score
    return train_model(recipe.training, folder, lambda: frames, beginning, workers, score)


def train_model(
    recipe: ModelRecipe,
    folder: Path,
    frames: Callable[[], ImageExamples],
    beginning: Beginning,
    workers: int | None,
    score: Callable[[DisPose], float] | None = None,
) -> Path:
    """The heat maps, then both stages on them; with 0 steps in the recipe the backbone is taken as it begins."""
    backbone, weights = folder / BACKBONE, folder / MODEL
    if not backbone.exists():
        torch.manual_seed(recipe.seed)
        model = DisPose(recipe.model)
        begin(model.backbone, beginning)
        plan = recipe.backbone.optimisation
        if plan.steps:
            task, source = BackboneTask(model, recipe.backbone), FrameSource(frames(), recipe.backbone.copies)
            fit(task, source, folder / task.name, plan, seed=recipe.seed, workers=workers)
            task.skipped.report()
        write_once(backbone, lambda path: save_weights(path, model.backbone, recipe=to_json(recipe)))
    if not weights.exists():
        torch.manual_seed(recipe.seed)
        model = DisPose(recipe.model)
        if beginning.stages is not None:
            print(start_stages(model, beginning.stages))
        model.backbone.load_state_dict(load_weights(backbone, Backbone).state_dict())
        task, plan = PoseTask(model, recipe.pose), recipe.pose.optimisation
        judge = None if score is None else functools.partial(score, model)
        source = FrameSource(frames(), recipe.pose.copies)
        fit(task, source, folder / task.name, plan, seed=recipe.seed, workers=workers, score=judge)
        task.skipped.report()
        write_once(weights, lambda path: save_weights(path, model, recipe=to_json(recipe)))
    return weights


def _save_validated(path: Path, associator: Associator, recipe: AssociatorRecipe) -> None:
    """Save the weights with their figures on synthetic frames that no training saw."""
    counts = PairCounts()
    scenes = scenes_of_chunk(recipe, VALIDATION_CHUNK, recipe.validation_frames)
    with torch.no_grad():
        for frame, labels in tqdm(scenes, desc="validation", unit="frame"):
            counts += count_pairs(associator(frame), labels.identity)
    figures = f"pair F1 {100 * counts.f1:.2f} %, exact groups {100 * counts.exact_rate:.2f} %."
    note = f"On {recipe.validation_frames} held-out synthetic frames: {figures}"
    save_weights(path, associator, recipe=to_json(recipe), note=note)
    print(note)


def time_training(recipe: RenderedRecipe, folder: Path, *, steps: int, workers: int | None = None) -> StepTimes:
    """How long steps of both stages take and how much of this they wait for the loader, for benches.

    A few shards are drawn, then the backbone and both stages take so many steps each; the times are of the latter.
    """
    training = recipe.training
    build = functools.partial(render_shard, recipe.shards.images, training.seed, recipe.shards.frames_per_chunk)
    frames = RenderedFrames(build_shards(folder, "images", recipe.shards.chunks, build, workers=workers))
    plan = replace(training.pose.optimisation, steps=steps)
    task = PoseTask(DisPose(training.model), training.pose)
    source = FrameSource(frames, training.pose.copies)
    return fit(task, source, folder / task.name, plan, seed=training.seed, workers=workers)

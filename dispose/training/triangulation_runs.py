"""Runs of algebraic and volumetric triangulation from nothing, or from a backbone, to weights."""

import functools
from pathlib import Path

import torch

from dispose.datasets.layouts.source import Layout
from dispose.datasets.one_person import RecordedPeople
from dispose.models.triangulation.algebraic import Algebraic, AlgebraicConfig
from dispose.models.triangulation.volumetric import Volumetric
from dispose.training.beginnings import begin, claim_beginning
from dispose.training.config import ALGEBRAIC, NOTHING, VOLUMETRIC, Beginning, ShardConfig, TriangulationRecipe
from dispose.training.fit import fit
from dispose.training.frames import render_shard
from dispose.training.person_crops import OnePerson, PersonSource, RenderedPeople
from dispose.training.shards import build_shards, write_once
from dispose.training.triangulation import AlgebraicTask, VolumetricTask
from dispose.zoo.checkpoints import save_weights
from dispose.zoo.records import to_json


def train_triangulation(
    recipe: TriangulationRecipe,
    folder: Path,
    *,
    layout: Layout | None = None,
    beginning: Beginning = NOTHING,
    workers: int | None = None,
) -> Path:
    """Train by a recipe; the path of the weights.

    Args:
        recipe: what is trained and how.
        folder: of the run.
        layout: the frames of a data set; None = the recipe's own synthetic images.
        beginning: the trunk or the backbone that training goes on from.
        workers: processes that read ahead.

    Raises:
        InputError: the folder holds a run of another recipe; the labels are of another skeleton; the weights to begin
            with do not fit.
    """
    claim_beginning(folder, to_json(recipe), beginning)
    settings = recipe.training
    torch.manual_seed(recipe.seed)
    if isinstance(recipe.model, AlgebraicConfig):
        weights, network = folder / ALGEBRAIC, Algebraic(recipe.model)
        task = AlgebraicTask(network, settings)
    else:
        weights, network = folder / VOLUMETRIC, Volumetric(recipe.model)
        task = VolumetricTask(network, settings)
    if weights.exists():
        return weights
    begin(network.backbone, beginning)
    people = RecordedPeople(layout) if layout is not None else _rendered(recipe, folder, workers)
    source = PersonSource(
        people, network.skeleton, recipe.model.input_size, margin=settings.margin, jitter=settings.jitter
    )
    fit(task, source, folder / task.name, settings.optimisation, seed=recipe.seed, workers=workers)
    write_once(weights, lambda path: save_weights(path, network, recipe=to_json(recipe)))
    return weights


def _rendered(recipe: TriangulationRecipe, folder: Path, workers: int | None) -> OnePerson:
    """The recipe's synthetic people; what is not there yet is drawn."""
    shards = recipe.shards or ShardConfig()
    build = functools.partial(render_shard, shards.images, recipe.seed, shards.frames_per_chunk)
    return RenderedPeople(build_shards(folder, "people", shards.chunks, build, workers=workers))

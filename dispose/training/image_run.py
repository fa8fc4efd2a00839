"""A run of the image models from labelled pictures to weights, which goes on where it was stopped."""

import functools
from collections.abc import Callable
from pathlib import Path

import torch

from dispose.datasets.augmentation.images import AugmentationConfig
from dispose.datasets.layouts.source import Source
from dispose.datasets.multiview import MultiViewDataset
from dispose.formats.pseudo_labels import read_pseudo_labels
from dispose.models.dispose.backbone import Backbone
from dispose.models.dispose.model import DisPose
from dispose.training.fit import fit
from dispose.training.image_config import ImageRecipe, Optimisation, RenderedRecipe, ShardConfig
from dispose.training.image_source import ImageSource
from dispose.training.image_tasks import BackboneTask, PoseTask
from dispose.training.labelled import LabelledImages
from dispose.training.processes import build_files, claim, is_first, wait_for
from dispose.training.rendered_shards import RenderedShards, render_shard
from dispose.zoo.checkpoints import load_weights, save_weights
from dispose.zoo.records import to_json

BACKBONE = "backbone.safetensors"
WEIGHTS = "dispose.safetensors"


def train_rendered(recipe: RenderedRecipe, folder: Path, *, workers: int | None = None) -> Path:
    """Draw synthetic pictures, learn from them, and return the path of the weights.

    Raises:
        InputError: the folder holds a run of another recipe.
    """
    claim(folder, to_json(recipe))
    bank = functools.partial(picture_bank, recipe.bank, recipe.images.seed, folder / "bank", workers)
    return train_images(recipe.images, folder, bank)


def train_dataset(
    recipe: ImageRecipe,
    folder: Path,
    pictures: Source,
    labels: Path,
    *,
    backbone_from: Path | None = None,
    pose_from: Path | None = None,
) -> Path:
    """Train on a data set in its original layout with a file of pseudo-labels.

    Raises:
        InputError: the folder holds a run of another recipe; the labels are of another skeleton or of other frames.
    """
    claim(folder, to_json(recipe))
    store = read_pseudo_labels(labels, skeleton=DisPose.skeleton)
    dataset = MultiViewDataset(pictures, recipe.model.input_size)
    source = LabelledImages(dataset, store, AugmentationConfig())
    return train_images(recipe, folder, lambda: source, backbone_from=backbone_from, pose_from=pose_from)


def picture_bank(config: ShardConfig, seed: int, folder: Path, workers: int | None) -> RenderedShards:
    """The drawn captures of a run; what is not there yet is drawn."""
    files = [(chunk, folder / f"pictures_{chunk:05d}.safetensors") for chunk in range(config.chunks)]
    if is_first():
        build = functools.partial(render_shard, config.pictures, seed, config.frames_per_chunk)
        build_files(build, files, "pictures", workers=workers)
    wait_for([path for _, path in files])
    return RenderedShards([path for _, path in files])


def train_images(
    recipe: ImageRecipe,
    folder: Path,
    source: Callable[[], ImageSource],
    *,
    backbone_from: Path | None = None,
    pose_from: Path | None = None,
) -> Path:
    """Train the heat maps, then both stages on them; a stage whose weights are in the folder is not run again.

    Args:
        recipe: what is trained and how.
        folder: of the run.
        source: the labelled pictures; called when a stage needs them.
        backbone_from: weights of a backbone to start from. With 0 steps in the recipe it is taken as it is.
        pose_from: weights of a whole model whose Stage I and II are started from.
    """
    backbone = folder / BACKBONE
    if not backbone.exists():
        _train_backbone(recipe, folder, source, backbone, backbone_from)
    weights = folder / WEIGHTS
    if not weights.exists():
        _train_pose(recipe, folder, source, backbone, weights, pose_from)
    return weights


def _train_backbone(
    recipe: ImageRecipe, folder: Path, source: Callable[[], ImageSource], path: Path, start: Path | None
) -> None:
    torch.manual_seed(recipe.seed)
    model = DisPose(recipe.model)
    if start is not None:
        model.backbone.load_state_dict(load_weights(start, Backbone).state_dict())
    plan = recipe.backbone.optimisation
    if plan.steps:
        task = BackboneTask(model, source(), recipe.backbone, recipe.seed)
        _fit(task, folder / "backbone", plan)
    if is_first():
        save_weights(path, model.backbone, recipe=to_json(recipe))
    wait_for([path])


def _train_pose(
    recipe: ImageRecipe,
    folder: Path,
    source: Callable[[], ImageSource],
    backbone: Path,
    path: Path,
    start: Path | None,
) -> None:
    torch.manual_seed(recipe.seed)
    model = DisPose(recipe.model)
    if start is not None:
        model.load_state_dict(load_weights(start, DisPose).state_dict())
    model.backbone.load_state_dict(load_weights(backbone, Backbone).state_dict())
    task = PoseTask(model, source(), recipe.pose, recipe.seed)
    _fit(task, folder / "pose", recipe.pose.optimisation)
    if is_first():
        save_weights(path, model, recipe=to_json(recipe))
    wait_for([path])


def _fit(task: BackboneTask | PoseTask, folder: Path, plan: Optimisation) -> None:
    fit(
        task,
        folder,
        steps=plan.steps,
        checkpoint_every=plan.checkpoint_every,
        clip=plan.clip,
        average=plan.average,
    )
    if task.skipped.count:
        print(task.skipped.summary())

"""Training of Context-Aware PoseFormer: a network that finds joints in pictures, then the lifter on its frozen maps."""

import functools
from pathlib import Path

import torch
from torch import Tensor

from dispose.datasets.human36m_choice import TRAINING_SUBJECTS, FrameChoice
from dispose.datasets.tables.human36m_pickles import read_context_pickle
from dispose.errors import InputError
from dispose.formats.files import digest_of
from dispose.geometry.image_affine import map_from_input
from dispose.losses.heatmaps import peaked_error
from dispose.losses.objective import Term
from dispose.metrics.pose import mpjpe, pa_mpjpe
from dispose.models.context.network import ContextNetwork, Pyramid, lift_crops
from dispose.nn.backbones import STRIDE
from dispose.nn.hrnet import HRNet
from dispose.released.context import ReleasedContext
from dispose.tensors import cat
from dispose.training.beginnings import claim_with_motion
from dispose.training.context_examples import (
    BOXES,
    VALIDATION_CHUNK,
    BlindSource,
    ContextRecipe,
    FilmedSource,
    PicturedSource,
    PublishedRecipe,
    film_chunk,
    nobody,
)
from dispose.training.fit import fit
from dispose.training.shards import Shards, build_files, claim, write_once
from dispose.training.task import Task
from dispose.zoo.checkpoints import load_weights, save_weights
from dispose.zoo.records import to_json
from dispose_synthetic.randomness import Noise
from dispose_synthetic.renderer.filmed_people import ContextExamples, tell
from dispose_synthetic.renderer.person_crops import FilmedPeople

LABELS_FILE = "h36m_train.pkl"
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
    captured = claim_with_motion(folder, recipe, motion)
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
    fit(task, BlindSource(recipe, captured), folder / "first", recipe.first, seed=recipe.seed, workers=workers)
    network.lifter.close_eyes()
    fit(task, source, folder / task.name, recipe.lift, seed=recipe.seed, workers=workers)
    note = figures(network.eval(), recipe, shards[-1])
    print(note)
    write_once(weights, lambda path: save_weights(path, network, recipe=to_json(recipe), note=note))
    return weights


def train_published(
    recipe: PublishedRecipe, folder: Path, data: Path, backbone: Path, *, every: int = 1, workers: int | None = None
) -> Path:
    """Train a released network on the maps of a backbone that others trained; the path of the weights.

    Args:
        recipe: what is trained and how.
        folder: of the run.
        data: with ``h36m_train.pkl`` and the pictures in ``images``.
        backbone: HRNet as `dispose zoo import-backbone` writes it.
        every: one frame in so many.
        workers: processes that read ahead.

    Raises:
        InputError: the folder holds a run of another recipe; the backbone is of other sizes; the data are not there.
    """
    if recipe.boxes not in BOXES:
        raise InputError(f"no boxes named {recipe.boxes!r}; there are {', '.join(BOXES)}")
    claim(folder, f"{to_json(recipe)} backbone {digest_of(backbone)} every {every}")
    weights = folder / WEIGHTS
    if weights.exists():
        return weights
    torch.manual_seed(recipe.seed)
    released, found = ReleasedContext(recipe.model), load_weights(backbone, HRNet)
    own = released.network.pyramid
    if not isinstance(own, HRNet) or found.config.width != own.config.width:
        raise InputError(f"{backbone}: is HRNet-{found.config.width}; {recipe.name} looks at {recipe.model.pyramid}")
    # Nobody reads its heat maps here, so it may have others, or none.
    stored = {name: value for name, value in found.state_dict().items() if not name.startswith("heatmaps.")}
    own.load_state_dict({**own.state_dict(), **stored})
    pictured = read_context_pickle(data / LABELS_FILE, FrameChoice("train", TRAINING_SUBJECTS, every))
    source = PicturedSource(pictured, data / "images", recipe.model.input_size, BOXES[recipe.boxes])
    task = ContextTask(released.network)
    fit(task, source, folder / task.name, recipe.lift, seed=recipe.seed, workers=workers)
    write_once(weights, lambda path: save_weights(path, released, recipe=to_json(recipe)))
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

"""The tasks of Learnable Triangulation: one person in several views to joints; and its runs."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.losses.heatmaps import peaked_error
from dispose.losses.objective import Term
from dispose.losses.triangulation import absolute_errors, capped_squares, relative_to_root, surprise_of_voxels
from dispose.models.triangulation.algebraic import Algebraic
from dispose.models.triangulation.crops import project_into_maps
from dispose.models.triangulation.volumetric import Volumetric
from dispose.scene.frame import ImageBatch
from dispose.training.config import TriangulationTraining
from dispose.training.person_crops import PersonBatch
from dispose.training.task import Task

BACKBONE_RATE = 0.1
"""Of the volumetric network the backbone learns at this share of the rate, as published (1e-4 and 1e-3)."""


class AlgebraicTask(Task):
    """Fit the joints that the weighted linear system says."""

    name = "algebraic"

    def __init__(self, network: Algebraic, settings: TriangulationTraining) -> None:
        super().__init__()
        self.network, self.settings = network, settings

    def forward(self, batch: PersonBatch) -> tuple[Term, ...]:
        """The capped error of the joints and, where the recipe asks for it, that of the heat maps."""
        batch = on_device(batch, self)
        images = some_views(batch, self.settings.views)
        with torch.autocast(batch.xyz_world.device.type, torch.bfloat16, enabled=self.settings.bfloat16):
            found = self.network(images)
        terms = [Term("capped", capped_squares(found.xyz_world, batch.xyz_world, batch.known))]
        if self.settings.heatmap:
            error = heatmap_error(found.heatmaps, images, batch, self.settings.sigma_map_px)
            terms.append(Term("heatmap", error, self.settings.heatmap))
        return tuple(terms)


class VolumetricTask(Task):
    """Fit the joints that the cube says, and the voxels that they lie in."""

    name = "volumetric"

    def __init__(self, network: Volumetric, settings: TriangulationTraining) -> None:
        super().__init__()
        self.network, self.settings = network, settings
        (self.root,) = network.skeleton.indices(network.skeleton.root_of)
        if not network.config.cube.shortcut:
            # Nobody reads the heat maps.
            network.backbone.heatmaps.requires_grad_(False)

    def rates(self) -> Mapping[str, float]:
        """The backbone learns slowly."""
        return {"network.backbone.": BACKBONE_RATE if self.settings.slow_backbone else 1.0}

    def forward(self, batch: PersonBatch) -> tuple[Term, ...]:
        """Absolute errors in cm, relative to the root if only one view sees, and the surprise at the right voxels."""
        batch = on_device(batch, self)
        images = some_views(batch, self.settings.views)
        cubes = self.network.cubes_around(*self.places(batch))
        with torch.autocast(batch.xyz_world.device.type, torch.bfloat16, enabled=self.settings.bfloat16):
            found = self.network(images, cubes)
        alone = images.images.present.sum(1) == 1
        xyz, truth = (relative_to_root(one, self.root, alone) for one in (found.xyz_world, batch.xyz_world))
        voxel = cubes.nearest(batch.xyz_world)
        surprise = surprise_of_voxels(found.log_probability, voxel, batch.known)
        return (
            Term("absolute", absolute_errors(xyz, truth, batch.known)),
            Term("surprise", surprise, self.settings.surprise),
        )

    def places(self, batch: PersonBatch) -> tuple[Float[Tensor, "samples 3"], Float[Tensor, " samples"]]:
        """Where the cubes stand, near the true roots, and how they are turned."""
        draws = torch.stack([torch.randn(3, generator=_generator(seed, 1)) for seed in batch.seeds])
        turns = torch.stack([torch.rand((), generator=_generator(seed, 2)) for seed in batch.seeds])
        root = batch.xyz_world[:, self.root]
        return root + self.settings.root_noise_mm * draws.to(root), 2 * torch.pi * turns.to(root)


def on_device(batch: PersonBatch, task: Task) -> PersonBatch:
    """A batch where the task's weights are, joints in their precision."""
    weight = next(task.parameters())
    return replace(
        batch,
        images=batch.images.to(weight.device),
        xyz_world=batch.xyz_world.to(weight),
        known=batch.known.to(weight.device),
    )


def some_views(batch: PersonBatch, bounds: tuple[int, int]) -> ImageBatch:
    """The images of as many views, chosen at random, as the seed of every sample says; all between these bounds.

    At most all that a sample has; the others are as if there were no picture.
    """
    present = batch.images.images.present
    kept = torch.zeros_like(present)
    for sample, seed in enumerate(batch.seeds):
        generator, there = _generator(seed, 3), present[sample].nonzero()[:, 0].cpu()
        low, high = (min(bound, len(there)) for bound in bounds)
        count = low + int(torch.randint(high - low + 1, (), generator=generator))
        kept[sample, there[torch.randperm(len(there), generator=generator)[:count]].to(kept.device)] = True
    return replace(batch.images, images=replace(batch.images.images, present=kept))


def heatmap_error(
    heatmaps: Float[Tensor, "samples views joints height width"], images: ImageBatch, batch: PersonBatch, sigma: float
) -> Float[Tensor, ""]:
    """Mean squared error of heat maps against Gaussians at the true joints; pixels near a peak count ten times."""
    present: Bool[Tensor, "samples views"] = images.images.present
    xy_input, _ = project_into_maps(batch.xyz_world, images.cameras, images.images.input_from_image)
    known = (batch.known[:, None] & present[..., None]).flatten(0, 1)
    return peaked_error(heatmaps.flatten(0, 1), xy_input.flatten(0, 1), known, sigma)


def _generator(seed: int, use: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed * 7 + use)

"""Losses on heat maps: of the backbone, and of reprojected joints seen as Gaussians."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.geometry.image_affine import apply, map_from_input
from dispose.losses.curation import THRESHOLD, PoseTargets
from dispose.nn.heatmaps import inside_map, render_gaussians
from dispose.scene.frame import Detections
from dispose.tensors import TensorStruct

EXCESS = 0.1
"""What a value above the target counts, against 1 for one below it, in the released backbone's loss."""


@dataclass(frozen=True, eq=False)
class HeatmapTargets(TensorStruct):
    """What the backbone learns from: unit Gaussians at every labelled joint, and which maps show one.

    Maps that show none say nothing.
    """

    heatmaps: Float[Tensor, "maps joints height width"]
    supervised: Bool[Tensor, "maps joints"]


def supervised_maps(
    visible: Bool[Tensor, "items joints"], map_of: Int[Tensor, " items"], maps: int
) -> Bool[Tensor, "maps joints"]:
    """Which maps show at least one labelled person's joint."""
    counts = torch.zeros(maps, visible.shape[1], dtype=torch.long, device=visible.device)
    return counts.index_add(0, map_of, visible.long()) > 0


def heatmap_targets(
    targets: PoseTargets,
    unmatched: Sequence[Detections],
    input_from_image: Float[Tensor, "samples views 2 3"],
    *,
    size: tuple[int, int],
    stride: float | int,
    sigma: float,
) -> HeatmapTargets:
    """Maps of all labelled people, those of unknown identity too.

    Args:
        targets: curated labels.
        unmatched: per sample, 2-D people who belong to none of them; joints below `THRESHOLD` are not drawn.
        input_from_image: of every image, as augmented.
        size: width and height of the heat maps.
        stride: input pixels per heat-map pixel.
        sigma: of the Gaussians, in heat-map pixels.
    """
    samples, views = input_from_image.shape[:2]
    xy, visible, map_of = [targets.xy_image.flatten(0, 1)], [targets.confidence.flatten(0, 1) > 0], []
    view = torch.arange(views, device=targets.sample.device)
    map_of.append((targets.sample[:, None] * views + view).flatten())
    for number, people in enumerate(unmatched):
        seen = people.visible & people.valid[..., None] & (people.confidence >= THRESHOLD)
        xy.append(people.xy_image.flatten(0, 1))
        visible.append(seen.flatten(0, 1))
        slots = people.valid.shape[1]
        map_of.append(number * views + view[: len(people.valid)].repeat_interleave(slots))
    maps, drawn = torch.cat(map_of), torch.cat(visible)
    affine = input_from_image.flatten(0, 1)[maps][:, None]
    xy_map = map_from_input(apply(affine, torch.cat(xy).to(affine.dtype)), stride)
    drawn = drawn & inside_map(xy_map, size)
    rendered = render_gaussians(xy_map, drawn, maps, samples * views, size=size, sigma=sigma)
    return HeatmapTargets(rendered, supervised_maps(drawn, maps, samples * views))


def peaked_error(
    heatmaps: Float[Tensor, "maps joints height width"],
    xy_map: Float[Tensor, "maps joints 2"],
    known: Bool[Tensor, "maps joints"],
    sigma: float,
) -> Float[Tensor, ""]:
    """Mean squared error of maps of one person each against Gaussians at their joints; near a peak ten times as heavy.

    Maps of joints that are not known say nothing.
    """
    maps, (height, width) = len(heatmaps), heatmaps.shape[-2:]
    number = torch.arange(maps, device=heatmaps.device)
    target = render_gaussians(xy_map, known, number, maps, size=(width, height), sigma=sigma)
    counted = known[..., None, None] * (1 + 9 * target)
    error = counted * (heatmaps - target).square()
    return error.sum() / (counted.sum().clamp(min=1) / 2)


def asymmetric_mse(
    heatmaps: Float[Tensor, "maps joints height width"],
    target: Float[Tensor, "maps joints height width"],
    supervised: Bool[Tensor, "maps joints"],
    *,
    excess: float = EXCESS,
    weight: Float[Tensor, "maps joints height width"] | None = None,
) -> Float[Tensor, ""]:
    """``mean(relu(t - p)² + excess · relu(p - t)²)`` over the supervised maps; 0 if there is none.

    People whom the labels miss make true peaks look like errors, so a value too high counts little.

    Args:
        heatmaps: the predictions.
        target: unit Gaussians at the labels.
        supervised: maps that count (`supervised_maps`): a joint that no label shows says nothing.
        excess: what too high a value counts, against 1 for too low.
        weight: of every pixel, for parts of images that say less; all 1 without it.
    """
    error = target.to(heatmaps.dtype) - heatmaps
    square = error.square() * torch.where(error > 0, 1.0, excess)
    counted = supervised[..., None, None].to(square.dtype).expand_as(square)
    if weight is not None:
        counted = counted * weight
    total = counted.sum()
    return torch.where(counted > 0, counted * square, 0.0).sum() / torch.where(total > 0, total, 1.0)

"""Losses on heat maps: of the backbone, and of reprojected joints seen as Gaussians."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

EXCESS = 0.1
"""What a value above the target counts, against 1 for one below it, in the released backbone's loss."""

WINDOW_SIGMAS = 5.0
"""Half the width of the windows: beyond them a target is below 4e-6 and its square does not count in float32."""


def supervised_maps(
    visible: Bool[Tensor, "items joints"], map_of: Int[Tensor, " items"], maps: int
) -> Bool[Tensor, "maps joints"]:
    """Which maps show at least one labelled person's joint."""
    counts = torch.zeros(maps, visible.shape[1], dtype=torch.long, device=visible.device)
    return counts.index_add(0, map_of, visible.long()) > 0


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
    return torch.where(counted > 0, counted * square, 0.0).sum() / _positive(counted.sum())


def reprojection_heatmap_loss(
    xy_map: Float[Tensor, "layers persons views joints 2"],
    valid: Bool[Tensor, "layers persons views joints"],
    target: Float[Tensor, "persons views joints 2"],
    confidence: Float[Tensor, "persons views joints"],
    *,
    size: tuple[int, int],
    sigma: float,
) -> Float[Tensor, ""]:
    """``Σ w relu(w G(target) - G(predicted))² / (H W Σ w)``, per layer, summed over layers.

    ``G`` are unit Gaussians over the pixels of the map, one per person, joint and view, and ``w`` is the target's
    confidence. Only where the target is higher is there an error, so it is found on a window around the target:
    equal to the sum over the whole map up to the square of what the target is beyond `WINDOW_SIGMAS`.

    Args:
        xy_map: reprojected joints in heat-map pixels.
        valid: those that have a place in the view (in front of its camera).
        target: where they should be, in heat-map pixels.
        confidence: of the targets, in [0, 1]; 0 where there is none.
        size: width and height of the heat maps of this data set.
        sigma: of the Gaussians, in heat-map pixels.
    """
    width, height = size
    chosen = confidence > 0
    aim, share = target[chosen], confidence[chosen]
    reach = math.ceil(WINDOW_SIGMAS * sigma)
    steps = torch.arange(-reach, reach + 1, device=target.device)
    pixels = aim.detach().round()[..., None] + steps.to(aim.dtype)
    limit = torch.tensor([width, height], dtype=aim.dtype, device=aim.device)[:, None]
    # Pixels beyond the map are no error: the Gaussian of the target is 0 there.
    held = (pixels >= 0) & (pixels < limit)
    wanted = torch.where(held, _bell(pixels - aim[..., None], sigma), 0.0)
    counted = chosen & valid
    placed = torch.where(counted[..., None], xy_map, 0.0)[:, chosen]
    found = _bell(pixels - placed[..., None], sigma)
    error = share[:, None, None] * _outer(wanted) - _outer(found)
    energy = error.relu().square().sum((-1, -2))
    weight = torch.where(counted[:, chosen], share, 0.0)
    return ((weight * energy).sum(-1) / _positive(weight.sum(-1)) / (width * height)).sum()


def _bell(distance: Float[Tensor, "*items"], sigma: float) -> Float[Tensor, "*items"]:
    return torch.exp(-0.5 * (distance / sigma).square())


def _outer(sides: Float[Tensor, "*items 2 pixels"]) -> Float[Tensor, "*items pixels pixels"]:
    """Two factors along x and y as a window of rows and columns."""
    return sides[..., 1, :, None] * sides[..., 0, None, :]


def _positive(total: Float[Tensor, "*sums"]) -> Float[Tensor, "*sums"]:
    """A divisor: sums over nothing are 0 and stay 0."""
    return torch.where(total > 0, total, 1.0)

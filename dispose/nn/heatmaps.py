"""What the backbone makes of images: heat maps with their peaks and targets (pixels of maps, centres at integers)."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from dispose.errors import InputError
from dispose.tensors import TensorStruct

RADIUS = 2
"""A peak is the largest value of the 5 x 5 pixels around it, and refined on them."""

_FLOOR = 0.1
"""Pixels below this share of their peak say nothing about where it is."""


@dataclass(frozen=True, eq=False)
class Features(TensorStruct):
    """Heat maps and feature maps of the views of a batch, ``maps = samples * views``, sample by sample.

    Heat maps and fine features are at stride 4, middle ones at 8, coarse ones at 16. Features are the raw outputs of
    the transposed convolutions, before normalisation and ReLU: that is where the released network taps them.
    """

    heatmaps: Float[Tensor, "maps joints height width"]
    fine: Float[Tensor, "maps chans height width"]
    middle: Float[Tensor, "maps chans middle_height middle_width"]
    coarse: Float[Tensor, "maps chans coarse_height coarse_width"]

    @property
    def pyramid(self) -> tuple[Float[Tensor, "maps chans _ _"], ...]:
        """The feature maps from fine to coarse."""
        return self.fine, self.middle, self.coarse


@dataclass(frozen=True, eq=False)
class Peaks(TensorStruct):
    """The strongest peaks of every map, strongest first: places in heat-map pixels and the map's value at that pixel.

    Both are 0 where `valid` says that an entry holds no peak.
    """

    xy_map: Float[Tensor, "maps joints peaks 2"]
    score: Float[Tensor, "maps joints peaks"]
    valid: Bool[Tensor, "maps joints peaks"]


def integer_peaks(heatmaps: Float[Tensor, "maps joints height width"], count: int, threshold: float) -> Peaks:
    """Pixels that equal the maximum of the 5 x 5 pixels around them and exceed `threshold`; at most `count`.

    As released: the place is the pixel's, equal neighbours are peaks both.
    """
    if count < 1:
        raise InputError(f"{count} peaks per map: at least one must be asked for")
    height, width = heatmaps.shape[-2:]
    largest = functional.max_pool2d(heatmaps, 2 * RADIUS + 1, 1, RADIUS)
    # NaN equals nothing: a pixel without a value is no peak.
    candidates = torch.where(heatmaps == largest, heatmaps, -torch.inf).flatten(2)
    score, index = candidates.topk(min(count, height * width), dim=-1)
    short = count - score.shape[-1]
    score, index = functional.pad(score, (0, short), value=-torch.inf), functional.pad(index, (0, short))
    valid = score > threshold
    xy = torch.stack([index % width, index // width], dim=-1).to(heatmaps.dtype)
    return Peaks(torch.where(valid[..., None], xy, 0.0), torch.where(valid, score, 0.0), valid)


def subpixel_peaks(heatmaps: Float[Tensor, "maps joints height width"], count: int, threshold: float) -> Peaks:
    """`integer_peaks` moved to the middle of the Gaussian that fits the 5 x 5 pixels around them.

    The logarithm of a Gaussian is a quadratic, found by least squares with the squared values as weights, which is
    the inverse variance of a logarithm (Guo 2011). Exact for a Gaussian of any width that stands alone; a peak moves
    one pixel along each axis at most, and stays where its surroundings do not curve downwards. The places are
    differentiable in the map's values. Of equal neighbours the first is a peak.
    """
    peaks = integer_peaks(heatmaps, count, threshold)
    valid = peaks.valid & ~_repeats(peaks)
    moved = peaks.xy_map + _offsets(heatmaps, peaks)
    return Peaks(torch.where(valid[..., None], moved, 0.0), torch.where(valid, peaks.score, 0.0), valid)


def soft_argmax(
    heatmaps: Float[Tensor, "*maps joints height width"], gain: float
) -> tuple[Float[Tensor, "*maps joints 2"], Float[Tensor, "*maps joints height width"]]:
    """The expected pixel under ``softmax(gain · heatmap)``, and that probability; differentiable in the values."""
    height, width = heatmaps.shape[-2:]
    probability = (gain * heatmaps).flatten(-2).softmax(-1).view_as(heatmaps)
    x = torch.arange(width, dtype=heatmaps.dtype, device=heatmaps.device)
    y = torch.arange(height, dtype=heatmaps.dtype, device=heatmaps.device)
    across, down = probability.sum(-2) @ x, probability.sum(-1) @ y
    return torch.stack([across, down], dim=-1), probability


def render_gaussians(
    xy_map: Float[Tensor, "items joints 2"],
    visible: Bool[Tensor, "items joints"],
    map_of: Int[Tensor, " items"],
    maps: int,
    *,
    size: tuple[int, int],
    sigma: float,
) -> Float[Tensor, "maps joints height width"]:
    """Target maps: Gaussians of unit height centred between pixels where they fall, the largest where they overlap.

    Args:
        xy_map: the points of every person in every map.
        visible: which of them are drawn.
        map_of: the map of every item.
        maps: number of maps.
        size: width and height of the maps.
        sigma: standard deviation in heat-map pixels.
    """
    width, height = size
    x = torch.arange(width, dtype=xy_map.dtype, device=xy_map.device)
    y = torch.arange(height, dtype=xy_map.dtype, device=xy_map.device)
    across = torch.exp(-0.5 * ((x - xy_map[..., :1]) / sigma).square()) * visible[..., None]
    down = torch.exp(-0.5 * ((y - xy_map[..., 1:]) / sigma).square())
    target = xy_map.new_zeros(maps, xy_map.shape[1], height, width)
    order = map_of.argsort(stable=True)
    counts = torch.bincount(map_of, minlength=maps)
    rank = torch.arange(len(map_of), device=map_of.device) - (counts.cumsum(0) - counts)[map_of[order]]
    # One person of every map at a time: no more memory than the target itself.
    for turn in range(int(counts.max()) if maps else 0):
        items = order[rank == turn]
        drawn = down[items, :, :, None] * across[items, :, None]
        target[map_of[items]] = torch.maximum(target[map_of[items]], drawn)
    return target


def inside_map(xy_map: Float[Tensor, "*items 2"], size: tuple[int, int]) -> Bool[Tensor, "*items"]:
    """Whether points fall on a pixel of a map of some width and height."""
    limit = torch.tensor(size, dtype=xy_map.dtype, device=xy_map.device)
    return ((xy_map >= -0.5) & (xy_map <= limit - 0.5)).all(-1)


def _repeats(peaks: Peaks) -> Bool[Tensor, "maps joints peaks"]:
    """Peaks that stand within the window of an earlier one: they can only equal it."""
    apart = (peaks.xy_map[..., :, None, :] - peaks.xy_map[..., None, :, :]).abs().amax(-1)
    near = (apart <= RADIUS) & peaks.valid[..., None, :] & peaks.valid[..., :, None]
    return near.tril(-1).any(-1)


def _offsets(heatmaps: Float[Tensor, "maps joints height width"], peaks: Peaks) -> Float[Tensor, "maps joints peaks 2"]:
    """From every peak's pixel to the maximum of the quadratic that fits the logarithms around it."""
    height, width = heatmaps.shape[-2:]
    steps = torch.arange(-RADIUS, RADIUS + 1, device=heatmaps.device)
    dy, dx = (grid.flatten() for grid in torch.meshgrid(steps, steps, indexing="ij"))
    column, row = (peaks.xy_map[..., k, None].long() + d for k, d in ((0, dx), (1, dy)))
    held = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    index = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
    value = heatmaps.flatten(2).gather(-1, index.flatten(2)).view(index.shape)
    share = value / torch.where(peaks.valid & (peaks.score > 0), peaks.score, 1.0)[..., None]
    weight = torch.where(held & (share > _FLOOR), share, 0.0).square().detach()
    level = torch.where(weight > 0, share, 1.0).log()

    x, y = dx.to(heatmaps.dtype), dy.to(heatmaps.dtype)
    basis = torch.stack([torch.ones_like(x), x, y, 0.5 * x * x, x * y, 0.5 * y * y], dim=-1)
    normal = torch.einsum("...p,pi,pj->...ij", weight, basis, basis)
    right = torch.einsum("...p,pi->...i", weight * level, basis)
    # Keeps windows with too few pixels solvable; next to the other entries, of order one, it is nothing.
    ridge = 1e-6 * torch.eye(6, dtype=normal.dtype, device=normal.device)
    _, bx, by, xx, xy, yy = torch.linalg.solve(normal + ridge, right).unbind(-1)
    determinant = xx * yy - xy * xy
    summit = (xx < 0) & (determinant > 1e-6) & peaks.valid & (peaks.score > 0)
    safe = torch.where(summit, determinant, 1.0)
    offset = torch.stack([xy * by - yy * bx, xy * bx - xx * by], dim=-1) / safe[..., None]
    return torch.where(summit[..., None], offset, 0.0).clamp(-1, 1)

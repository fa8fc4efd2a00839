"""Places on maps as `grid_sample` counts them, -1 to 1: which pixels these are, and what lies beyond.

Deformable attention counts in fractions of a map between its outer edges and reads zero beyond them. The functions here
turn other conventions into that one, so that every backend serves them all, in values and in gradients.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from dispose_kernels.deformable_attention.native import read_level

Places = Float[Tensor, "*places 2"]
Size = tuple[int, int]
"""Width and height of a map."""

Padding = Callable[[Tensor, Size], Tensor]
"""Fractions of a map of some size, as they are read."""

ReadLevel = Callable[[Tensor, Tensor, Tensor, Tensor, int], tuple[Tensor, Tensor]]


def zeros(fraction: Places, size: Size) -> Places:
    """Beyond the map is zero."""
    return fraction


def border(fraction: Places, size: Size) -> Places:
    """Beyond the middles of the outermost pixels the map goes on as there; the gradient of the place is zero there."""
    edge = 0.5 / fraction.new_tensor(size)
    return fraction.minimum(1 - edge).maximum(edge)


def fraction_of_grid(grid: Places, size: Size, *, align_corners: bool) -> Places:
    """Places from -1 to 1 as fractions of a map between its outer edges.

    With `align_corners`, -1 and 1 are the middles of the outermost pixels, ``(g + 1) / 2 · (W - 1)`` in pixels;
    otherwise their outer edges, ``((g + 1) W - 1) / 2``.
    """
    if not align_corners:
        return (grid + 1) / 2
    sizes = grid.new_tensor(size)
    return ((grid + 1) / 2 * (sizes - 1) + 0.5) / sizes


def sample_grid(
    level: Float[Tensor, "maps chans height width"],
    grid: Float[Tensor, "maps queries heads points 2"],
    weight: Float[Tensor, "maps queries heads points"],
    *,
    align_corners: bool,
    padding: Padding,
    read: ReadLevel = read_level,
) -> Float[Tensor, "maps queries heads chans"]:
    """Weighted sums of the samples of every head, all channels: ``sum_p weight[p] · level(grid[p])``.

    Args:
        level: maps of one resolution.
        grid: where every query of a map reads it, -1 to 1 along x and y.
        weight: how much each place counts.
        align_corners: whether -1 and 1 are the middles of the outermost pixels, or their outer edges.
        padding: `zeros` or `border`, what lies beyond.
        read: the backend.
    """
    size = (level.shape[-1], level.shape[-2])
    place = padding(fraction_of_grid(grid, size, align_corners=align_corners), size)
    map_of = torch.arange(len(level), device=level.device).repeat_interleave(grid.shape[1])
    total, _ = read(level, map_of, place.flatten(0, 1), weight.flatten(0, 1), 1)
    return total.unflatten(0, grid.shape[:2])


def sample_grid_plainly(
    level: Float[Tensor, "maps chans height width"],
    grid: Float[Tensor, "maps queries heads points 2"],
    weight: Float[Tensor, "maps queries heads points"],
    *,
    align_corners: bool,
    padding: Padding,
) -> Float[Tensor, "maps queries heads chans"]:
    """`sample_grid` by torch's own ``grid_sample``: the reference."""
    read = torch.nn.functional.grid_sample(
        level, grid.flatten(1, 3)[:, None], padding_mode=padding.__name__, align_corners=align_corners
    )
    return torch.einsum("mcqhp,mqhp->mqhc", read[:, :, 0].unflatten(-1, grid.shape[1:4]), weight)

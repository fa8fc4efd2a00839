"""Deformable attention on torch's own operators: any device, no compiler.

The four corners of all points of one head and level are one bag of rows of a channels-last table. Maps that already
lie channels last in memory (``memory_format=torch.channels_last``) are read where they are; others are copied once
a call.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from dispose_kernels.deformable_attention.operands import chans_per_head, check

Maps = Float[Tensor, "maps chans _ _"]


def deformable_attention(
    levels: Sequence[Maps],
    map_of: Int[Tensor, " queries"],
    location: Float[Tensor, "queries heads levels points 2"],
    weight: Float[Tensor, "queries heads levels points"],
) -> Float[Tensor, "queries chans"]:
    """``out[q, head k's channels] = sum_lp weight[q, k, l, p] levels[l][map_of[q], same channels](location)``."""
    check(levels, map_of, location, weight)
    queries, heads = location.shape[:2]
    size = chans_per_head(levels, heads)
    head = torch.arange(heads, device=location.device)[:, None]
    total = levels[0].new_zeros((queries * heads, size))
    for number, level in enumerate(levels):
        row, share = corners(level, map_of, location[:, :, number], weight[:, :, number])
        total = total + weighted_rows(table(level).reshape(-1, size), row * heads + head, share)
    return total.reshape(queries, heads * size)


def deformable_gather(
    levels: Sequence[Maps],
    map_of: Int[Tensor, " queries"],
    location: Float[Tensor, "queries heads levels points 2"],
    weight: Float[Tensor, "queries heads levels points"],
) -> tuple[Float[Tensor, "queries heads chans"], Float[Tensor, "queries heads"]]:
    """The weighted samples of all channels for every head, and the weight that fell inside the maps."""
    check(levels, map_of, location, weight)
    queries, heads = location.shape[:2]
    chans = levels[0].shape[1]
    total = levels[0].new_zeros((queries * heads, chans))
    coverage = weight.new_zeros((queries, heads))
    for number, level in enumerate(levels):
        row, share = corners(level, map_of, location[:, :, number], weight[:, :, number])
        total = total + weighted_rows(table(level), row, share)
        coverage = coverage + share.sum(-1)
    return total.reshape(queries, heads, chans), coverage


def table(level: Float[Tensor, "maps chans height width"]) -> Float[Tensor, "rows chans"]:
    """All pixels of all maps as rows, map by map and row by row; a view where the maps are channels last."""
    return level.permute(0, 2, 3, 1).reshape(-1, level.shape[1])


def corners(
    level: Float[Tensor, "maps chans height width"],
    map_of: Int[Tensor, " queries"],
    location: Float[Tensor, "queries heads points 2"],
    weight: Float[Tensor, "queries heads points"],
) -> tuple[Int[Tensor, "queries heads corners"], Float[Tensor, "queries heads corners"]]:
    """Rows of `table` around every point, and their shares of its weight: 0 outside the map.

    A point that is not finite reads nothing. Positions beyond the margin are brought to it before rounding: they
    read nothing there either, and large ones would not fit an integer.
    """
    height, width = level.shape[-2:]
    size = location.new_tensor([width, height])
    pixel = torch.nan_to_num(location * size - 0.5, nan=-2.0).clamp(location.new_full((2,), -2.0), size + 1)
    low = pixel.detach().floor()
    above = pixel - low
    first = low.long()
    offset = torch.tensor([0, 1], device=location.device)
    column, row = first[..., :1] + offset, first[..., 1:] + offset
    share_x = torch.stack([1 - above[..., 0], above[..., 0]], -1)
    share_y = torch.stack([1 - above[..., 1], above[..., 1]], -1)
    share_x = share_x * ((column >= 0) & (column < width))
    share_y = share_y * ((row >= 0) & (row < height)) * weight[..., None]
    base = (map_of * height)[:, None, None, None] + row.clamp(0, height - 1)
    rows = (base * width)[..., :, None] + column.clamp(0, width - 1)[..., None, :]
    share = share_y[..., :, None] * share_x[..., None, :]
    return rows.flatten(2), share.flatten(2)


def weighted_rows(
    rows: Float[Tensor, "rows chans"],
    index: Int[Tensor, "queries heads corners"],
    share: Float[Tensor, "queries heads corners"],
) -> Float[Tensor, "bags chans"]:
    """Sum of the rows of every bag times their shares, in the dtype of the rows, without a copy of the rows read."""
    bags, weights = index.flatten(0, 1), share.flatten(0, 1).to(rows.dtype)
    return functional.embedding_bag(bags, rows, mode="sum", per_sample_weights=weights)

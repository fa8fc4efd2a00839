"""The definition of deformable attention, in plain torch: four corners of every point, one after another."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

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
    every, _ = deformable_gather(levels, map_of, location, weight)
    own = every.reshape(queries, heads, heads, size).diagonal(dim1=1, dim2=2)
    return own.transpose(1, 2).reshape(queries, heads * size)


def deformable_gather(
    levels: Sequence[Maps],
    map_of: Int[Tensor, " queries"],
    location: Float[Tensor, "queries heads levels points 2"],
    weight: Float[Tensor, "queries heads levels points"],
) -> tuple[Float[Tensor, "queries heads chans"], Float[Tensor, "queries heads"]]:
    """The weighted samples of all channels for every head, and the weight that fell inside the maps."""
    check(levels, map_of, location, weight)
    queries, heads = location.shape[:2]
    total = levels[0].new_zeros((queries, heads, levels[0].shape[1]))
    coverage = weight.new_zeros((queries, heads))
    for number, level in enumerate(levels):
        sample, inside = bilinear(level, map_of, location[:, :, number])
        total = total + (weight[:, :, number, :, None] * sample).sum(2)
        coverage = coverage + (weight[:, :, number] * inside).sum(2)
    return total, coverage


def bilinear(
    level: Float[Tensor, "maps chans height width"],
    map_of: Int[Tensor, " queries"],
    location: Float[Tensor, "queries heads points 2"],
) -> tuple[Float[Tensor, "queries heads points chans"], Float[Tensor, "queries heads points"]]:
    """Value between four pixels, zero outside, and how much of the four lies inside (1 within the map).

    Pixel centres are at integers and the map ends half a pixel beyond them: fraction f is pixel ``f size - 1/2``.
    """
    height, width = level.shape[-2:]
    x, y = location[..., 0] * width - 0.5, location[..., 1] * height - 0.5
    query_map = map_of[:, None, None].expand(location.shape[:-1])
    sample = level.new_zeros((*location.shape[:-1], level.shape[1]))
    inside = torch.zeros_like(x)
    for column in (x.detach().floor(), x.detach().floor() + 1):
        for row in (y.detach().floor(), y.detach().floor() + 1):
            share = (1 - (x - column).abs()) * (1 - (y - row).abs())
            hit = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            share = torch.where(hit, share, 0.0)
            pixel = level[query_map, :, torch.where(hit, row, 0.0).long(), torch.where(hit, column, 0.0).long()]
            sample = sample + share[..., None] * pixel
            inside = inside + share
    return sample, inside

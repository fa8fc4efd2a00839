"""The definition of deformable attention, in plain torch: four corners of every point, one after another."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def read_level(level: Tensor, map_of: Tensor, location: Tensor, weight: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """All channels for every head, of which a head keeps its group (`ReadLevel`)."""
    sample, inside = bilinear(level, map_of, location)
    total = (weight[..., None] * sample).sum(2)
    head = torch.arange(weight.shape[1], device=total.device)
    return total.unflatten(2, (groups, -1))[:, head, head % groups], (weight * inside).sum(2)


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

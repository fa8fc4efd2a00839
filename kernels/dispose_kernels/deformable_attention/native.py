"""Deformable attention on torch's own operators: any device, no compiler.

The four corners of all points of one head and level are one bag of rows of a channels-last table. Maps that already
lie channels last in memory (``memory_format=torch.channels_last``) are read where they are; others are copied once
a call. Nothing of the size of the rows read is kept for the backward pass, which reads them again piece by piece.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from dispose_kernels.deformable_attention.corners import Corners, corners, location_gradient
from dispose_kernels.deformable_attention.rows import dots, sum_rows, table_gradient


def table(level: Float[Tensor, "maps chans height width"]) -> Float[Tensor, "rows chans"]:
    """All pixels of all maps as rows, map by map and row by row; a view where the maps are channels last."""
    return level.permute(0, 2, 3, 1).reshape(-1, level.shape[1])


class _ReadLevel(torch.autograd.Function):
    """Weighted bilinear samples of one level, and the weight inside it, with the gradients written out."""

    @staticmethod
    def forward(ctx, level: Tensor, map_of: Tensor, location: Tensor, weight: Tensor, groups: int):
        rows = table(level).reshape(-1, level.shape[1] // groups)
        around = _corners(level.shape, map_of, location, groups)
        share = around.share(weight)
        total = sum_rows(rows, around.row, share)
        ctx.save_for_backward(rows, map_of, location, weight)
        ctx.shape, ctx.groups = level.shape, groups
        return total.unflatten(0, weight.shape[:2]), share.sum(-1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, total: Tensor, coverage: Tensor):
        rows, map_of, location, weight = ctx.saved_tensors
        around = _corners(ctx.shape, map_of, location, ctx.groups)
        for_bags = total.flatten(0, 1).contiguous()  # a batched product copies bag by bag what is not
        for_level = for_location = for_weight = None
        if ctx.needs_input_grad[0]:
            maps, chans, height, width = ctx.shape
            gradient = table_gradient(rows, around.row, around.share(weight), for_bags)
            for_level = gradient.reshape(maps, height, width, chans).permute(0, 3, 1, 2)
        if ctx.needs_input_grad[2] or ctx.needs_input_grad[3]:
            slope = dots(rows, around.row, for_bags).to(weight.dtype) + coverage[..., None]
            for_location, for_weight = location_gradient(around, slope, weight)
        return for_level, None, for_location, for_weight, None


def _corners(shape: torch.Size, map_of: Tensor, location: Tensor, groups: int) -> Corners:
    heads = location.shape[1]
    group = torch.arange(heads, device=location.device) % groups
    return corners(location, map_of, group, (shape[3], shape[2]), groups)


read_level = _ReadLevel.apply

"""Deformable attention on torch's own operators: any device, no compiler.

The four corners of all points of one head and level are one bag of rows of a channels-last table. Maps that already
lie channels last in memory (``memory_format=torch.channels_last``) are read where they are; others are copied once
a call. Nothing of the size of the rows read is kept for the backward pass, which reads them again piece by piece.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

Plane = Float[Tensor, "queries heads points"]
Mask = Bool[Tensor, "queries heads points"]
Table = Float[Tensor, "rows chans"]
Index = Int[Tensor, "queries heads corners"]
Share = Float[Tensor, "queries heads corners"]
Bags = Float[Tensor, "bags chans"]


@dataclass(frozen=True, eq=False)
class Corners:
    """Rows of the four pixels around every point (upper left, upper right, lower left, lower right).

    Along one axis, ``near`` and ``far`` are the shares of the two pixels, 0 outside the map where ``in_near`` and
    ``in_far`` are false.
    """

    size: tuple[int, int]  # width, height
    row: Index
    x: "Axis"
    y: "Axis"

    def share(self, weight: Plane) -> Share:
        """What every corner contributes: the point's weight times its bilinear share, 0 outside the map."""
        upper, lower = weight * self.y.near, weight * self.y.far
        return torch.cat([upper * self.x.near, upper * self.x.far, lower * self.x.near, lower * self.x.far], -1)


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis of `Corners`: the pixel at or before every point, and the shares of it and the next."""

    first: Int[Tensor, "queries heads points"]
    near: Plane
    far: Plane
    in_near: Mask
    in_far: Mask


def corners(shape: torch.Size, map_of: Tensor, location: Tensor, groups: int) -> Corners:
    """Corners in maps of a shape as rows of their `table`, whose rows are cut into groups of channels."""
    height, width = shape[2:]
    group = torch.arange(location.shape[1], device=location.device) % groups
    x, y = _axis(location[..., 0], width), _axis(location[..., 1], height)
    top = (map_of * height)[:, None, None]
    upper = (top + y.first.clamp(0, height - 1)) * (width * groups) + group[:, None]
    lower = (top + (y.first + 1).clamp(0, height - 1)) * (width * groups) + group[:, None]
    left, right = x.first.clamp(0, width - 1) * groups, (x.first + 1).clamp(0, width - 1) * groups
    return Corners((width, height), torch.cat([upper + left, upper + right, lower + left, lower + right], -1), x, y)


def location_gradient(
    around: Corners, slope: Share, weight: Plane
) -> tuple[Float[Tensor, "queries heads points 2"], Plane]:
    """Gradients for locations and weights from those for the shares of the four corners."""
    upper_left, upper_right, lower_left, lower_right = slope.chunk(4, -1)
    x, y = around.x, around.y
    upper = x.near * upper_left + x.far * upper_right
    lower = x.near * lower_left + x.far * lower_right
    for_weight = y.near * upper + y.far * lower
    along_x = y.near * (x.in_far * upper_right - x.in_near * upper_left)
    along_x = along_x + y.far * (x.in_far * lower_right - x.in_near * lower_left)
    along_y = y.in_far * lower - y.in_near * upper
    width, height = around.size
    return torch.stack([weight * along_x * width, weight * along_y * height], -1), for_weight


def _axis(fraction: Plane, size: int) -> Axis:
    """Pixels along one axis; a position that is not finite, or far outside, is just outside and reads nothing."""
    pixel = torch.nan_to_num(fraction * size - 0.5, nan=-2.0).clamp(-2.0, size + 1.0)
    low = pixel.floor()
    share = pixel - low
    in_near, in_far = (low >= 0) & (low < size), (low >= -1) & (low < size - 1)
    return Axis(low.long(), (1 - share) * in_near, share * in_far, in_near, in_far)


def sum_rows(rows: Table, index: Index, share: Share) -> Bags:
    """Sum of the rows of every bag times their shares, in the dtype of the rows."""
    if rows.device.type in ("cpu", "cuda"):
        weights = share.flatten(0, 1).to(rows.dtype)
        return functional.embedding_bag(index.flatten(0, 1), rows, mode="sum", per_sample_weights=weights)
    return sum_rows_in_pieces(rows, index, share)


def sum_rows_in_pieces(rows: Table, index: Index, share: Share) -> Bags:
    """`sum_rows` for devices on which torch has no weighted bags."""
    bags, weights = index.flatten(0, 1), share.flatten(0, 1)
    total = rows.new_zeros((len(bags), rows.shape[1]))
    step = _step(bags, rows)
    for first in range(0, len(bags), step):
        piece = slice(first, first + step)
        read = rows[bags[piece]].to(weights.dtype)
        total[piece] = (weights[piece, None] @ read)[:, 0].to(rows.dtype)
    return total


def dots(rows: Table, index: Index, gradient: Bags) -> Share:
    """Scalar product of every row read with the gradient of its bag: the gradient of the shares."""
    bags = index.flatten(0, 1)
    dtype = torch.promote_types(gradient.dtype, torch.float32)
    out = torch.empty(bags.shape, dtype=dtype, device=rows.device)
    step, corners, chans = _step(bags, rows), bags.shape[1], rows.shape[1]
    buffer = rows.new_empty((step * corners, chans))  # one for all pieces: fresh memory costs more than the products
    for first in range(0, len(bags), step):
        piece = slice(first, first + step)
        chosen = bags[piece].flatten()
        read = torch.index_select(rows, 0, chosen, out=buffer[: len(chosen)]).view(-1, corners, chans).to(dtype)
        torch.bmm(gradient[piece, None].to(dtype), read.transpose(1, 2), out=out[piece, None])
    return out.view(index.shape)


def table_gradient(rows: Table, index: Index, share: Share, gradient: Bags) -> Table:
    """Every bag's gradient times the share of each row it read, added up by row."""
    bags, weights = index.flatten(0, 1), share.flatten(0, 1)
    dtype = torch.promote_types(gradient.dtype, torch.float32)
    out = torch.zeros(rows.shape, dtype=dtype, device=rows.device)
    step = _step(bags, rows)
    for first in range(0, len(bags), step):
        piece = slice(first, first + step)
        added = weights[piece, :, None].to(dtype) * gradient[piece, None].to(dtype)
        out.index_add_(0, bags[piece].flatten(), added.flatten(0, 1))
    return out.to(rows.dtype)


def _step(bags: Tensor, rows: Tensor) -> int:
    """How many bags to read at once: what a processor's cache holds, or some 100 MiB on an accelerator."""
    most = 2**19 if rows.device.type == "cpu" else 2**25
    return max(1, min(len(bags), most // max(1, bags.shape[1] * rows.shape[1])))


def table(level: Float[Tensor, "maps chans height width"]) -> Float[Tensor, "rows chans"]:
    """All pixels of all maps as rows, map by map and row by row; a view where the maps are channels last."""
    return level.permute(0, 2, 3, 1).reshape(-1, level.shape[1])


class _ReadLevel(torch.autograd.Function):
    """Weighted bilinear samples of one level, and the weight inside it, with the gradients written out."""

    @staticmethod
    def forward(ctx, level: Tensor, map_of: Tensor, location: Tensor, weight: Tensor, groups: int):
        rows = table(level).reshape(-1, level.shape[1] // groups)
        around = corners(level.shape, map_of, location, groups)
        share = around.share(weight)
        total = sum_rows(rows, around.row, share)
        ctx.save_for_backward(rows, map_of, location, weight)
        ctx.shape, ctx.groups = level.shape, groups
        return total.unflatten(0, weight.shape[:2]), share.sum(-1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, total: Tensor, coverage: Tensor):
        rows, map_of, location, weight = ctx.saved_tensors
        around = corners(ctx.shape, map_of, location, ctx.groups)
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


read_level = _ReadLevel.apply

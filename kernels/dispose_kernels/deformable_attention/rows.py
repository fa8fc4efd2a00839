"""Weighted sums of rows of a table, bag by bag, and their gradients, without holding all rows that are read."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

Table = Float[Tensor, "rows chans"]
Index = Int[Tensor, "queries heads corners"]
Share = Float[Tensor, "queries heads corners"]
Bags = Float[Tensor, "bags chans"]


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

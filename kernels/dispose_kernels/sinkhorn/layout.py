"""The tuples of some samples with their bins in a padded ``(samples, bins)`` table: what the solver computes on."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dispose_kernels.sinkhorn.problem import Marginals


@dataclass(frozen=True, eq=False)
class BinLayout:
    """A chunk of a packed problem, bins padded to the widest sample.

    Attributes:
        rows: which tuples of the packed problem these are.
        bins: ``(tuples, views)`` positions in the flattened table.
        columns: the same, one contiguous vector for every view.
        sample: ``(tuples,)`` row of the table.
        target: ``(samples, bins)``; 0 in the padding.
        gauge: ``(samples, bins, bins)`` ``[same view] - 1/views`` between bins that hold tuples, else 0.
        place: positions in the flattened table of the packed problem's bins `bin_rows`.
        bin_rows: which bins of the packed problem are in the table.
        pairs: ``(view pairs, tuples)`` positions of the Hessian's lower triangle, off the diagonal.
    """

    rows: Tensor
    bins: Tensor
    columns: tuple[Tensor, ...]
    sample: Tensor
    target: Tensor
    gauge: Tensor
    place: Tensor
    bin_rows: Tensor
    pairs: Tensor

    def spread(self, table: Tensor) -> Tensor:
        """``B table``: for every tuple the sum over its bins."""
        return table.reshape(-1)[self.bins].sum(1)

    def gather(self, values: Tensor) -> Tensor:
        """``Bt values``: for every bin the sum over its tuples."""
        flat = torch.zeros(self.target.numel(), dtype=values.dtype, device=values.device)
        everywhere = values[:, None].expand_as(self.bins).reshape(-1)
        return flat.index_add_(0, self.bins.reshape(-1), everywhere).view_as(self.target)

    def total(self, values: Tensor) -> Tensor:
        """For every sample the sum over its tuples."""
        return values.new_zeros(len(self.target)).index_add_(0, self.sample, values)

    def cooccurrence(self, values: Tensor) -> Tensor:
        """Lower triangle of ``Bt diag(values) B`` without its diagonal, ``(samples, bins, bins)``."""
        samples, bins = self.target.shape
        flat = torch.zeros(samples * bins * bins, dtype=values.dtype, device=values.device)
        flat.index_add_(0, self.pairs.reshape(-1), values.expand(self.pairs.shape).reshape(-1))
        return flat.view(samples, bins, bins)

    def pad(self, per_bin: Tensor) -> Tensor:
        """Values of the packed problem's bins in the table."""
        flat = torch.zeros(self.target.numel(), dtype=per_bin.dtype, device=per_bin.device)
        flat[self.place] = per_bin[self.bin_rows]
        return flat.view_as(self.target)

    def unpad(self, table: Tensor, per_bin: Tensor) -> None:
        """Write the table back into the values of the packed problem's bins."""
        per_bin[self.bin_rows] = table.reshape(-1)[self.place]


def lay_out(marginals: Marginals, present: Tensor, first: int, last: int) -> BinLayout:
    """The samples ``first..last-1`` of a packed problem with those of their tuples that are present."""
    rows = torch.nonzero(present & (marginals.sample >= first) & (marginals.sample < last))[:, 0]
    bin_rows = torch.nonzero((marginals.sample_of_bin >= first) & (marginals.sample_of_bin < last))[:, 0]
    owner = marginals.sample_of_bin[bin_rows] - first
    counts = torch.bincount(owner, minlength=last - first)
    width = int(counts.max()) if len(counts) else 0
    local = torch.arange(len(owner), device=owner.device) - (counts.cumsum(0) - counts)[owner]
    position = torch.zeros_like(marginals.sample_of_bin)
    position[bin_rows] = owner * width + local
    bins, sample = position[marginals.bins[rows]], marginals.sample[rows] - first
    return _build(rows, bins, sample, position[bin_rows], bin_rows, marginals.target[bin_rows], last - first, width)


def choose(layout: BinLayout, keep: Tensor) -> tuple[BinLayout, Tensor]:
    """The chosen samples of a layout as their own layout, and which of its tuples are in it."""
    width = layout.target.shape[1]
    number = keep.cumsum(0) - 1
    rows = torch.nonzero(keep[layout.sample])[:, 0]
    home = layout.place // width
    own = torch.nonzero(keep[home])[:, 0]
    place = number[home[own]] * width + layout.place[own] % width
    sample = number[layout.sample[rows]]
    bins = sample[:, None] * width + layout.bins[rows] % width
    target = layout.target.reshape(-1)[layout.place[own]]
    chosen = _build(layout.rows[rows], bins, sample, place, layout.bin_rows[own], target, int(keep.sum()), width)
    return chosen, rows


def _build(
    rows: Tensor,
    bins: Tensor,
    sample: Tensor,
    place: Tensor,
    bin_rows: Tensor,
    target: Tensor,
    samples: int,
    width: int,
) -> BinLayout:
    views = bins.shape[1]
    table = torch.zeros(samples * width, dtype=torch.float64, device=target.device)
    table[place] = target
    view = torch.full((samples * width,), -1, dtype=torch.long, device=target.device)
    for column in range(views):
        view[bins[:, column]] = column
    view = view.view(samples, width)
    same = (view[:, :, None] == view[:, None, :]).double() - 1.0 / views
    filled = view >= 0
    gauge = torch.where(filled[:, :, None] & filled[:, None, :], same, 0.0)
    one, other = torch.tril_indices(views, views, -1, device=bins.device)
    local = bins.T % width if width else bins.T
    high, low = torch.maximum(local[one], local[other]), torch.minimum(local[one], local[other])
    pairs = (sample[None] * width + high) * width + low
    columns = tuple(bins.T.contiguous().unbind(0))
    return BinLayout(rows, bins, columns, sample, table.view(samples, width), gauge, place, bin_rows, pairs)

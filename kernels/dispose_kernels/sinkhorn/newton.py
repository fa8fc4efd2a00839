"""The converged projection: Newton's method on the duals, all samples at once, with implicit gradients.

The Kullback-Leibler projection of ``exp(u)`` onto the polytope is ``x = exp(u + B y)``, B the incidence of tuples and
bins, where the duals y minimise the convex ``F(y) = sum x - target . y``. Gradient ``d - target`` with ``d = Bt x``,
Hessian ``H = Bt diag(x) B`` (the co-occurrence of bins). See `docs/decisions/0010-projection-solver.md`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from dispose_kernels.errors import OperandError
from dispose_kernels.sinkhorn.problem import Marginals, Projection, marginal_residual

ROUND = 8
"""Newton steps between two rescues by a log-domain sweep, after which finished samples leave the batch."""
RIDGE = 1e-9
"""Added to the unit diagonal of the scaled Hessian: bounds the step along nearly empty directions."""
NEAR = 1e-2
"""Residual below which Newton converges quadratically and sweeps no longer pay."""
CHUNK = 1 << 21
"""Most Hessian entries held at once (16 MiB)."""


@dataclass(frozen=True, eq=False)
class BinLayout:
    """A chunk of a packed problem, its bins in a table ``(samples, bins)`` that is padded to the widest sample.

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


def newton_projection(
    logits: Float[Tensor, " tuples"],
    marginals: Marginals,
    *,
    tolerance: float = 1e-9,
    warm_start: Float[Tensor, " bins"] | None = None,
    max_iterations: int = 200,
) -> Projection:
    """Project ``exp(logits)`` onto the marginals until no marginal is off by more than the tolerance.

    Float64 inside; the mass has the dtype of the logits and is differentiable in them by the implicit function
    theorem, whatever path the solver took. A sample stops at its own tolerance and is frozen then: its result does not
    depend on what else is in the batch. ``warm_start`` are the duals of an earlier projection onto the same marginals.

    A problem without a solution (an empty polytope) ends at `max_iterations` with the residual it has. Logits that are
    NaN or plus infinity raise `OperandError`; minus infinity means mass 0.
    """
    _refuse(logits, marginals)
    with torch.no_grad():
        duals, iterations = _solve(logits.detach().double(), marginals, warm_start, tolerance, max_iterations)
    mass = _ImplicitProjection.apply(logits, duals, marginals)
    residual = marginal_residual(_mass(logits.detach().double(), duals, marginals), marginals)
    return Projection(mass, duals, residual, iterations)


def _refuse(logits: Tensor, marginals: Marginals) -> None:
    bad = torch.isnan(logits) | torch.isposinf(logits)
    if bool(bad.any()):
        row = int(torch.nonzero(bad)[0])
        raise OperandError(f"logit {row} of {len(logits)} is {float(logits[row])}; the projection takes finite ones")
    for name, owner in (("sample", marginals.sample), ("sample_of_bin", marginals.sample_of_bin)):
        if len(owner) and bool((owner[1:] < owner[:-1]).any()):
            raise OperandError(f"marginals.{name} decreases; the samples of a packed problem follow one another")
    view = torch.zeros_like(marginals.sample_of_bin)
    for column, bins in enumerate(marginals.bins.unbind(1)):
        view[bins] = column
    column = torch.arange(marginals.bins.shape[1], device=view.device)
    shared = torch.nonzero(view[marginals.bins] != column)
    if len(shared):
        row, seen = shared[0].tolist()
        raise OperandError(f"bin {int(marginals.bins[row, seen])} is used in view {seen} and in a later one")


def _mass(logits: Tensor, duals: Tensor, marginals: Marginals) -> Tensor:
    """``exp(logits + sum of the duals of the bins)``; 0 where a bin may carry nothing."""
    lift = duals[marginals.bins].sum(1)
    allowed = (marginals.target > 0)[marginals.bins].all(1)
    return torch.where(allowed, torch.exp(logits + lift), 0.0)


class _ImplicitProjection(torch.autograd.Function):
    """``dx = x (du + B dy)`` with ``Bt dx = 0``: the adjoint is ``g_u = x (g - B H+ Bt (x g))``."""

    @staticmethod
    def forward(ctx, logits: Tensor, duals: Tensor, marginals: Marginals) -> Tensor:  # type: ignore[override]
        mass = _mass(logits.double(), duals, marginals)
        ctx.save_for_backward(mass)
        ctx.marginals = marginals
        return mass.to(logits.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):  # type: ignore[override]
        (mass,) = ctx.saved_tensors
        weighted = mass * grad.double()
        out = weighted.clone()
        for layout in _chunks(ctx.marginals, mass > 0):
            x = mass[layout.rows]
            carried = layout.gather(x)
            step = _newton_step(layout, x, carried, layout.gather(weighted[layout.rows]), 1e-12)
            out[layout.rows] -= x * layout.spread(step)
        return out.to(grad.dtype), None, None


def _solve(
    logits: Tensor, marginals: Marginals, warm_start: Tensor | None, tolerance: float, max_iterations: int
) -> tuple[Tensor, int]:
    """Duals of every bin, and the iterations of the slowest sample."""
    duals = torch.zeros_like(marginals.target) if warm_start is None else warm_start.detach().double().clone()
    slowest = 0
    for layout in _chunks(marginals, ~torch.isneginf(logits)):
        chunk, done = logits[layout.rows], 0
        while done < max_iterations:
            state = _log_sweep(layout, chunk, layout.pad(duals))
            if done == 0:
                everyone = torch.ones_like(layout.target[:, 0], dtype=torch.bool)
                state = _sweep(layout, _sweep(layout, state, everyone), everyone)
            state, finished, taken = _round(layout, state, tolerance, min(ROUND, max_iterations - done))
            done += taken
            layout.unpad(state.duals, duals)
            if bool(finished.all()):
                break
            layout, rows = choose(layout, ~finished)
            chunk = chunk[rows]
        slowest = max(slowest, done)
    return duals, slowest


@dataclass(frozen=True, eq=False)
class _State:
    """Where the samples of a chunk are: padded duals ``(samples, bins)`` and the mass of every tuple they give."""

    duals: Tensor
    log_mass: Tensor
    mass: Tensor


def _round(layout: BinLayout, state: _State, tolerance: float, steps: int) -> tuple[_State, Tensor, int]:
    """Some Newton steps, each followed by a sweep while far away; samples within the tolerance stay as they are."""
    taken = 0
    while True:
        carried = layout.gather(state.mass)
        gap = layout.target - carried
        worst = gap.abs().amax(1)
        finished = worst <= tolerance
        if taken == steps or bool(finished.all()):
            return state, finished, taken
        direction = _newton_step(layout, state.mass, carried, gap, RIDGE)
        state = _line_search(layout, state, torch.where(finished[:, None], 0.0, direction), gap)
        far = worst > NEAR
        if bool(far.any()):
            state = _sweep(layout, state, far)
        taken += 1


def _newton_step(layout: BinLayout, mass: Tensor, carried: Tensor, gap: Tensor, ridge: float) -> Tensor:
    """Solve ``H step = gap`` in every sample, the ridge in units of H's diagonal (`carried`).

    H is blind to raising one view's duals and lowering another's; those directions get the weight
    ``D E (I - 11t/V) Et D / total`` (D: the diagonal, E: indicators of the views), which changes nothing for a gap
    without part in them.
    """
    share = carried / layout.total(mass).clamp(min=torch.finfo(mass.dtype).tiny).sqrt()[:, None]
    matrix = (share[:, :, None] * share[:, None, :]).mul_(layout.gauge).add_(layout.cooccurrence(mass))
    diagonal = torch.diagonal(matrix, dim1=1, dim2=2)
    own = torch.where(carried > 0, carried, 1.0)
    diagonal += own * (1.0 + ridge)
    factor, failed = torch.linalg.cholesky_ex(matrix)
    while bool(failed.any()):  # rounding made it indefinite: more ridge for those samples only
        ridge = ridge * 100
        diagonal += torch.where(failed > 0, ridge, 0.0)[:, None] * own
        factor, failed = torch.linalg.cholesky_ex(matrix)
    right = torch.where(carried > 0, gap, 0.0)
    return torch.cholesky_solve(right[:, :, None], factor)[:, :, 0]


def _line_search(layout: BinLayout, state: _State, direction: Tensor, gap: Tensor) -> _State:
    """Halve the step of every sample until F falls enough (Armijo); a sample that cannot fall stays."""
    start = layout.total(state.mass)
    reward = (layout.target * direction).sum(1)
    slope = (gap * direction).sum(1)
    slack = 1e-14 * (start + (layout.target * state.duals).sum(1).abs()).clamp(min=1.0)
    length = torch.ones_like(start)
    lift = layout.spread(direction)
    for _ in range(40):
        log_mass = torch.addcmul(state.log_mass, length[layout.sample], lift)
        mass = torch.exp(log_mass)
        fall = start - layout.total(mass) + length * reward  # minus infinity where the step overshot
        accepted = fall >= 1e-4 * length * slope - slack
        if bool(accepted.all()):
            return _State(torch.addcmul(state.duals, length[:, None], direction), log_mass, mass)
        length = torch.where(accepted, length, length / 2)
    length = torch.where(accepted, length, 0.0)
    log_mass = torch.addcmul(state.log_mass, length[layout.sample], lift)
    return _State(torch.addcmul(state.duals, length[:, None], direction), log_mass, torch.exp(log_mass))


def _sweep(layout: BinLayout, state: _State, moving: Tensor) -> _State:
    """One Gauss-Seidel sweep over the views of the moving samples, on masses: cheap, and it tames an overshoot."""
    mass, factors = state.mass, torch.ones_like(layout.target).view(-1)
    target, movable = layout.target.view(-1), moving[:, None].expand_as(layout.target).reshape(-1)
    for bins in layout.columns:
        carried = torch.zeros_like(target).index_add_(0, bins, mass)
        ratio = torch.where((carried > 0) & movable, target / carried, 1.0)
        mass = mass * ratio[bins]
        factors *= ratio
    steps = factors.log_().view_as(state.duals)
    return _State(state.duals + steps, state.log_mass + layout.spread(steps), mass)


def _log_sweep(layout: BinLayout, logits: Tensor, table: Tensor) -> _State:
    """The state at given duals after one sweep on logarithms: good for masses that under- or overflow."""
    duals = table.reshape(-1).clone()
    log_mass = logits + layout.spread(table)
    log_target = torch.where(layout.target > 0, layout.target, 1.0).log().view(-1)
    for bins in layout.columns:
        largest = torch.full_like(duals, -torch.inf).scatter_reduce_(0, bins, log_mass, "amax")
        filled = torch.isfinite(largest)
        shift = torch.where(filled, largest, 0.0)
        carried = torch.zeros_like(duals).index_add_(0, bins, torch.exp(log_mass - shift[bins]))
        step = torch.where(filled, log_target - shift - torch.where(filled, carried, 1.0).log(), 0.0)
        log_mass = log_mass + step[bins]
        duals += step
    return _State(duals.view_as(table), log_mass, torch.exp(log_mass))


def _chunks(marginals: Marginals, present: Tensor) -> Iterator[BinLayout]:
    """The samples in groups whose Hessians fit the memory, without tuples that must have mass 0."""
    present = present & (marginals.target > 0)[marginals.bins].all(1)
    counts = torch.bincount(marginals.sample_of_bin, minlength=marginals.samples)
    widest = int(counts.max()) if marginals.samples else 0
    size = max(1, CHUNK // max(1, widest * widest))
    for first in range(0, marginals.samples, size):
        layout = lay_out(marginals, present, first, min(first + size, marginals.samples))
        if len(layout.rows):
            yield layout


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

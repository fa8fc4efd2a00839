"""The converged projection: Newton's method on the duals, all samples at once, with implicit gradients.

The Kullback-Leibler projection of ``exp(u)`` onto the polytope is ``x = exp(u + B y)``, B the incidence of tuples and
bins, where the duals y minimise the convex ``F(y) = sum x - target . y``. Gradient ``d - target`` with ``d = Bt x``,
Hessian ``H = Bt diag(x) B`` (the co-occurrence of bins). See `docs/decisions/0010-projection-solver.md`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from dispose_kernels.errors import OperandError
from dispose_kernels.sinkhorn.layout import Layout, choose, lay_out
from dispose_kernels.sinkhorn.problem import Marginals, Projection, marginal_residual

ROUND = 8
"""Newton steps between two rescues by a log-domain sweep, after which finished samples leave the batch."""
RIDGE = 1e-9
"""Added to the unit diagonal of the scaled Hessian: bounds the step along nearly empty directions."""
CHUNK = 1 << 21
"""Most Hessian entries held at once (16 MiB)."""


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

    A problem without a solution (an empty polytope) ends at `max_iterations` with the residual it has: `check` raises
    on it. Logits that are NaN or plus infinity raise `OperandError`; minus infinity means mass 0.
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
        state = _State(layout, logits[layout.rows], layout.pad(duals))
        done = 0
        while done < max_iterations:
            state = _log_sweep(state)
            for _ in range(2 if done == 0 else 0):
                state = _sweep(state, torch.ones_like(state.layout.target[:, 0], dtype=torch.bool))
            state, finished, taken = _round(state, tolerance, min(ROUND, max_iterations - done))
            done += taken
            state.layout.unpad(state.duals, duals)
            if bool(finished.all()):
                break
            smaller, rows = choose(state.layout, ~finished)
            state = _State(smaller, state.logits[rows], smaller.pad(duals))
        slowest = max(slowest, done)
    return duals, slowest


@dataclass(frozen=True, eq=False)
class _State:
    """The samples of one chunk on their way: logits of their tuples, padded duals ``(samples, bins)``."""

    layout: Layout
    logits: Tensor
    duals: Tensor

    def mass(self) -> Tensor:
        return torch.exp(self.logits + self.layout.spread(self.duals))

    def energy(self, mass: Tensor) -> Tensor:
        """F of every sample, and thereby infinity where a step overshot."""
        return self.layout.total(mass) - (self.layout.target * self.duals).sum(1)


def _round(state: _State, tolerance: float, steps: int) -> tuple[_State, Tensor, int]:
    """Some Newton steps with a sweep after each; samples within the tolerance stay as they are."""
    layout, taken = state.layout, 0
    while True:
        mass = state.mass()
        carried = layout.gather(mass)
        gap = layout.target - carried
        finished = gap.abs().amax(1) <= tolerance
        if taken == steps or bool(finished.all()):
            return state, finished, taken
        direction = _newton_step(layout, mass, carried, gap, RIDGE)
        direction = torch.where(finished[:, None], 0.0, direction)
        state = _sweep(_line_search(state, mass, direction, gap), ~finished)
        taken += 1


def _newton_step(layout: Layout, mass: Tensor, carried: Tensor, gap: Tensor, ridge: float) -> Tensor:
    """Solve ``H step = gap`` in every sample, with H scaled to unit diagonal.

    H is blind to raising one view's duals and lowering another's; those directions get the weight
    ``E (I - 11t/V) Et`` (E: unit vectors of the views), which changes nothing for a gap without part in them.
    """
    scale = torch.where(carried > 0, carried, 1.0).sqrt()
    outer = scale[:, :, None] * scale[:, None, :]
    total = layout.total(mass).clamp(min=torch.finfo(mass.dtype).tiny)
    matrix = layout.cooccurrence(mass) / outer + layout.gauge * (outer / total[:, None, None])
    own = carried / total[:, None] * layout.gauge.diagonal(dim1=1, dim2=2)
    diagonal = torch.diagonal(matrix, dim1=1, dim2=2)
    diagonal.copy_(torch.where(carried > 0, own, 0.0) + 1.0 + ridge)
    factor, failed = torch.linalg.cholesky_ex(matrix)
    while bool(failed.any()):  # rounding made it indefinite: more ridge for those samples only
        ridge = ridge * 100
        diagonal += torch.where(failed > 0, ridge, 0.0)[:, None]
        factor, failed = torch.linalg.cholesky_ex(matrix)
    right = torch.where(carried > 0, gap / scale, 0.0)
    return torch.cholesky_solve(right[:, :, None], factor)[:, :, 0] / scale


def _line_search(state: _State, mass: Tensor, direction: Tensor, gap: Tensor) -> _State:
    """Halve the step of every sample until F falls enough (Armijo); a sample that cannot fall stays."""
    start = state.energy(mass)
    slope = -(gap * direction).sum(1)
    slack = 1e-14 * start.abs().clamp(min=1.0)
    length = torch.ones_like(start)
    lift = state.layout.spread(direction)
    log_mass = state.logits + state.layout.spread(state.duals)
    linear = (state.layout.target * state.duals).sum(1), (state.layout.target * direction).sum(1)
    for _ in range(40):
        trial = torch.exp(log_mass + length[state.layout.sample] * lift)
        energy = state.layout.total(trial) - linear[0] - length * linear[1]
        accepted = energy <= start + 1e-4 * length * slope + slack
        if bool(accepted.all()):
            break
        length = torch.where(accepted, length, length / 2)
    length = torch.where(accepted, length, 0.0)
    return replace(state, duals=state.duals + length[:, None] * direction)


def _sweep(state: _State, moving: Tensor) -> _State:
    """One Gauss-Seidel sweep over the views of the moving samples, on masses: cheap, and it tames an overshoot."""
    layout, mass = state.layout, state.mass()
    factors = torch.ones_like(layout.target).view(-1)
    target, movable = layout.target.view(-1), moving[:, None].expand_as(layout.target).reshape(-1)
    for bins in layout.bins.unbind(1):
        carried = torch.zeros_like(target).index_add_(0, bins, mass)
        ratio = torch.where((carried > 0) & movable, target / carried, 1.0)
        mass = mass * ratio[bins]
        factors *= ratio
    duals = state.duals + factors.view_as(state.duals).log()
    return replace(state, duals=duals)


def _log_sweep(state: _State) -> _State:
    """The same sweep on logarithms: for masses that under- or overflow."""
    layout, duals = state.layout, state.duals.reshape(-1).clone()
    log_mass = state.logits + layout.spread(state.duals)
    log_target = torch.where(layout.target > 0, layout.target, 1.0).log().view(-1)
    for bins in layout.bins.unbind(1):
        largest = torch.full_like(duals, -torch.inf).scatter_reduce_(0, bins, log_mass, "amax")
        filled = torch.isfinite(largest)
        shift = torch.where(filled, largest, 0.0)
        carried = torch.zeros_like(duals).index_add_(0, bins, torch.exp(log_mass - shift[bins]))
        step = torch.where(filled, log_target - shift - torch.where(filled, carried, 1.0).log(), 0.0)
        log_mass = log_mass + step[bins]
        duals += step
    return replace(state, duals=duals.view_as(state.duals))


def _chunks(marginals: Marginals, present: Tensor) -> Iterator[Layout]:
    """The samples in groups whose Hessians fit the memory, without tuples that must have mass 0."""
    present = present & (marginals.target > 0)[marginals.bins].all(1)
    counts = torch.bincount(marginals.sample_of_bin, minlength=marginals.samples)
    widest = int(counts.max()) if marginals.samples else 0
    size = max(1, CHUNK // max(1, widest * widest))
    for first in range(0, marginals.samples, size):
        layout = lay_out(marginals, present, first, min(first + size, marginals.samples))
        if len(layout.rows):
            yield layout

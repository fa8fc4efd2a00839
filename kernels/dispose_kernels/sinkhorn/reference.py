"""Projection by sweeps over the views, in the log domain: the definition, and the released algorithm."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from dispose_kernels.segment import segment_logsumexp
from dispose_kernels.sinkhorn.problem import Marginals


def sweep_projection(logits: Float[Tensor, " tuples"], marginals: Marginals, sweeps: int) -> Float[Tensor, " tuples"]:
    """Mass after some Gauss-Seidel sweeps over the views, in the dtype of the logits.

    One step for view v: ``logit_e += log target(e_v) - logsumexp of the logits in the bin e_v``. In the limit this is
    the Kullback-Leibler projection of ``exp(logits)`` onto the polytope; truncated, only the last view's marginals
    are exact and the result depends on the order of the views. Gradients come from unrolling. Source: the released
    DisPOSE code, which takes two or four sweeps.
    """
    log_mass = logits.double()
    for log_mass in _log_steps(log_mass, marginals, sweeps):  # noqa: B007, B020 (the last one is wanted)
        pass
    return log_mass.exp().to(logits.dtype)


def sweep_steps(
    logits: Float[Tensor, " tuples"], marginals: Marginals, sweeps: int
) -> Iterator[Float[Tensor, " tuples"]]:
    """Every state that `sweep_projection` passes: the mass before, and after each view's step (sweeps x views)."""
    yield logits.double().exp().to(logits.dtype)
    for log_mass in _log_steps(logits.double(), marginals, sweeps):
        yield log_mass.exp().to(logits.dtype)


def _log_steps(log_mass: Tensor, marginals: Marginals, sweeps: int) -> Iterator[Tensor]:
    """The logarithm of the mass after every view's step."""
    log_target = marginals.target.log()  # minus infinity where nothing may lie
    for _ in range(sweeps):
        for bins in marginals.bins.unbind(1):
            carried = segment_logsumexp(log_mass, bins, len(log_target))
            log_mass = log_mass + _step(log_target, carried)[bins]
            yield log_mass


def _step(log_target: Tensor, carried: Tensor) -> Tensor:
    """What a view's step adds in every bin: an emptied bin has nothing left to scale."""
    return torch.where(torch.isfinite(carried), log_target - torch.where(torch.isfinite(carried), carried, 0.0), 0.0)

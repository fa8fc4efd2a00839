"""The packed marginal problem of many samples, and what a projection of it returns."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dispose_kernels.errors import OperandError


@dataclass(frozen=True, eq=False)
class Marginals:
    """The constraints: for every bin, the masses of the tuples that lie in it sum to its target.

    Every bin belongs to one view. A sample with fewer views than the widest one has spare view columns, each with one
    bin that holds all tuples of the sample and the sample's total mass as target: implied by the others, harmless.

    Attributes:
        bins: the global bin of every tuple in every view; the bins of all samples and views share one range.
        target: mass every bin must carry, float64; a bin with target 0 forces its tuples to mass 0.
        sample: sample of every tuple, never decreasing.
        sample_of_bin: sample of every bin, never decreasing.
        samples: number of samples.
    """

    bins: Int[Tensor, "tuples views"]
    target: Float[Tensor, " bins"]
    sample: Int[Tensor, " tuples"]
    sample_of_bin: Int[Tensor, " bins"]
    samples: int

    def to(self, device: torch.device | str) -> "Marginals":
        """The same constraints on another device."""
        return replace(self, **{f.name: self.__dict__[f.name].to(device) for f in fields(self) if f.name != "samples"})


@dataclass(frozen=True, eq=False)
class Projection:
    """Mass on the polytope and the evidence for it.

    Attributes:
        mass: ``exp(logits + sum of the duals of the tuple's bins)``, in the dtype of the logits.
        duals: one potential per bin, float64, without gradient: a warm start for the next projection.
        residual: per sample the largest absolute violation of a marginal, float64 (of the mass before it is rounded
            to the dtype of the logits).
        iterations: Newton steps and sweeps the slowest sample took.
    """

    mass: Float[Tensor, " tuples"]
    duals: Float[Tensor, " bins"]
    residual: Float[Tensor, " samples"]
    iterations: int


def carried_mass(mass: Float[Tensor, " tuples"], marginals: Marginals) -> Float[Tensor, " bins"]:
    """What every bin carries: the sum of the masses of its tuples, a **slice** sum (float64)."""
    carried = torch.zeros_like(marginals.target)
    for bins in marginals.bins.unbind(1):
        carried = carried.index_add(0, bins, mass.detach().to(carried.dtype))
    return carried


def marginal_residual(mass: Float[Tensor, " tuples"], marginals: Marginals) -> Float[Tensor, " samples"]:
    """Per sample the largest absolute difference between a bin's mass and its target (float64)."""
    error = (carried_mass(mass, marginals) - marginals.target).abs()
    worst = error.new_zeros(marginals.samples)
    return worst.scatter_reduce(0, marginals.sample_of_bin, error, "amax")


def pack(problems: Sequence[Marginals]) -> Marginals:
    """Several problems as one, sample after sample; narrower ones get spare view columns (see `Marginals`)."""
    if not problems:
        raise OperandError("pack needs at least one marginal problem, 0 were given")
    views = max(problem.bins.shape[1] for problem in problems)
    wide = [_widen(problem, views) for problem in problems]
    first_bin = [0, *itertools.accumulate(len(problem.target) for problem in wide)]
    first_sample = [0, *itertools.accumulate(problem.samples for problem in wide)]
    return Marginals(
        torch.cat([problem.bins + first for problem, first in zip(wide, first_bin)]),
        torch.cat([problem.target for problem in wide]),
        torch.cat([problem.sample + first for problem, first in zip(wide, first_sample)]),
        torch.cat([problem.sample_of_bin + first for problem, first in zip(wide, first_sample)]),
        first_sample[-1],
    )


def _widen(problem: Marginals, views: int) -> Marginals:
    """The problem with as many view columns as asked for; spare ones hold all tuples of their sample."""
    width = problem.bins.shape[1]
    if width == views:
        return problem
    if width == 0:
        raise OperandError("a marginal problem needs at least one view, 0 were given")
    spare, extra, device = len(problem.target), views - width, problem.sample.device
    first = torch.zeros_like(problem.target)
    first[problem.bins[:, 0]] = 1.0  # every tuple lies in one bin of the first view: their targets are the total
    total = problem.target.new_zeros(problem.samples).index_add(0, problem.sample_of_bin, first * problem.target)
    owner = torch.arange(problem.samples, device=device).repeat_interleave(extra)
    sample_of_bin = torch.cat([problem.sample_of_bin, owner])
    column = spare + problem.sample[:, None] * extra + torch.arange(extra, device=device)
    order = torch.argsort(sample_of_bin, stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=device)
    target = torch.cat([problem.target, total[owner]])[order]
    bins = torch.cat([problem.bins, column], 1)
    return Marginals(rank[bins], target, problem.sample, sample_of_bin[order], problem.samples)

"""Losses between a predicted and the true assignment."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dispose_kernels.segment import segment_sum


def projected_divergence(
    logits: Float[Tensor, " tuples"],
    mass: Float[Tensor, " tuples"],
    truth: Float[Tensor, " tuples"],
    sample: Int[Tensor, " tuples"],
    samples: int,
) -> Float[Tensor, " samples"]:
    """``KL(truth | project(logits))`` per sample, with its exact gradient ``mass - truth``.

    The projection is ``exp(logits + potentials of the bins)``, and feasible masses have the same sums over bins, so
    the potentials drop out of the gradient: it needs no derivative of the solver. (A Fenchel-Young loss,
    Blondel et al. 2020; its minimum over networks is the conditional mean of the truth.)

    Args:
        logits: the network's answer.
        mass: its projection, converged; treated as a constant.
        truth: a feasible assignment.
        sample: sample of every tuple.
        samples: number of samples.
    """
    mass, truth = mass.detach(), truth.to(mass.dtype)
    value = torch.xlogy(truth, truth) - truth * mass.clamp(min=1e-30).log() + mass - truth
    slope = (mass - truth) * (logits - logits.detach())
    return segment_sum(value + slope, sample, samples)


def released_assignment_loss(
    mass: Float[Tensor, " tuples"],
    logits: Float[Tensor, " tuples"],
    truth: Float[Tensor, " tuples"],
    *,
    mass_weight: float = 0.5,
    latent_weight: float = 0.25,
) -> Float[Tensor, ""]:
    """As released: mean squared error of the mass and of its clamped logarithm, over all tuples of the batch."""
    latent = mass.clamp(min=1e-12).log().clamp(-30, 30)
    target = truth.clamp(min=1e-12).log().clamp(-30, 30)
    return mass_weight * (mass - truth).square().mean() + latent_weight * (latent - target).square().mean()

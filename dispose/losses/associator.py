"""Losses of the associators: of an assignment, and of the depth network's placements."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.association.evidence import Placement
from dispose.association.viewpoint import Viewpoints
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


def released_errors(
    mass: Float[Tensor, " tuples"], truth: Float[Tensor, " tuples"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """As released: mean squared error of the mass and of its clamped logarithm, over all tuples of the batch."""
    latent = mass.clamp(min=1e-12).log().clamp(-30, 30)
    target = truth.clamp(min=1e-12).log().clamp(-30, 30)
    return (mass - truth).square().mean(), (latent - target).square().mean()


def placement_loss(
    placement: Placement,
    seen: Viewpoints,
    xyz: Float[Tensor, "detections joints 3"],
    known: Bool[Tensor, "detections joints"],
) -> Float[Tensor, ""]:
    """Negative log-likelihood of the true bodies under the placements, with heavy tails.

    The depth of the reference point (the visible joints' mean), every joint's offset from it (z only where the
    joint is visible) and the angular error of the visible joints. Scales follow the bulk of the errors:
    ``rho(r) = sqrt(1 + r²) - 1`` grows linearly, so swapped limbs do not set them.

    Args:
        placement: the network's answer.
        seen: the detections.
        xyz: true joints in the viewpoints' axes, mm.
        known: which of them are known.
    """
    visible = seen.visible & known
    weight = visible.float()
    count = weight.sum(1).clamp(min=1)
    reference = (xyz * weight[..., None]).sum(1) / count[:, None]
    depth_error = (reference[:, 2].clamp(min=100.0).log() - placement.log_depth) / placement.log_depth_sigma
    depth = _rho(depth_error.square()) + placement.log_depth_sigma.log()

    middle = (seen.xy * seen.size[:, None, None] * seen.visible[..., None]).sum(1) / seen.visible.sum(1).clamp(min=1)[
        :, None
    ]
    axis = torch.cat([middle, torch.ones_like(middle[:, :1])], dim=1) * reference[:, 2:]
    error = (xyz - axis[:, None] - placement.offset) / placement.offset_sigma[..., None]
    hidden = (known & ~seen.visible).float()
    offset = weight * (_rho(error[..., 2].square()) + placement.offset_sigma.log())
    offset = offset + hidden * (_rho(error.square().sum(-1)) + 3 * placement.offset_sigma.log())

    true_xy = xyz[..., :2] / xyz[..., 2:].clamp(min=100.0)
    image_error = ((true_xy - seen.xy * seen.size[:, None, None]) / placement.image_sigma[..., None]).square().sum(-1)
    image = weight * (_rho(image_error) + 2 * placement.image_sigma.log())
    return (depth + (offset.sum(1) + image.sum(1)) / known.sum(1).clamp(min=1)).mean()


def _rho(squared: Float[Tensor, "*items"]) -> Float[Tensor, "*items"]:
    return (1 + squared).sqrt() - 1

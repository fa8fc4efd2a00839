"""Confidence that means something: a distribution of the error, fitted by its likelihood.

An error e in mm is taken to be log-logistic: ``P(e < x) = 1 / (1 + (scale / x) ^ shape)``. Its median is `scale`;
its tail is heavy, so a few gross errors do not spoil the fit. The confidence shown to users is P(e < a threshold).
"""

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import softplus

JOINT_THRESHOLD_MM = 50.0
PERSON_THRESHOLD_MM = 100.0
CENSOR_MM = 500.0
"""A proposal that is nobody has an error of at least this much."""


def logit_below(
    log_scale: Float[Tensor, "*items"], log_shape: Float[Tensor, "*items"], log_error: Float[Tensor, "*items"] | float
) -> Float[Tensor, "*items"]:
    """Logit of the probability that the error is below ``exp(log_error)`` mm."""
    return log_shape.exp() * (log_error - log_scale)


def error_likelihood(
    log_scale: Float[Tensor, "*items"],
    log_shape: Float[Tensor, "*items"],
    error: Float[Tensor, "*items"],
    weight: Float[Tensor, "*items"],
) -> Float[Tensor, ""]:
    """Weighted mean of ``-log p(log error)`` of measured errors, mm; zero weights leave items out.

    Errors are targets: no gradient goes into them, so poses are not improved by making them predictable.
    """
    target = error.detach().clamp(min=1.0).log()
    z = logit_below(log_scale, log_shape, target)
    loss = softplus(z) + softplus(-z) - log_shape
    return (weight * loss).sum() / weight.sum().clamp(min=1e-6)


def censored_likelihood(
    log_scale: Float[Tensor, " persons"],
    log_shape: Float[Tensor, " persons"],
    error: Float[Tensor, " persons"],
    real: Bool[Tensor, " persons"],
) -> Float[Tensor, ""]:
    """Mean of ``-log p(log error)`` of real people and of ``-log P(error > 500 mm)`` of proposals that are nobody."""
    target = error.detach().clamp(1.0, CENSOR_MM).log()
    target = target.where(real, target.new_tensor(CENSOR_MM).log())
    z = logit_below(log_scale, log_shape, target)
    measured = softplus(z) + softplus(-z) - log_shape
    return measured.where(real, softplus(z)).sum() / max(len(real), 1)

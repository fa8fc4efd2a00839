"""What a denoiser answers with, the clean latent or the noise, and how each follows from the other."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

SMALLEST_NOISE = 1e-8
"""Share of noise below which it is not divided by."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """A latent taken apart: ``latent = sqrt(alpha_bar) clean + sqrt(1 - alpha_bar) noise``.

    Attributes:
        state: the feasible state that the clean latent stands for.
        clean: the clean latent.
        noise: the noise, of unit variance.
    """

    state: Float[Tensor, "*shape"]
    clean: Float[Tensor, "*shape"]
    noise: Float[Tensor, "*shape"]


Parameterisation = Callable[[Tensor, Tensor, float], Estimate]
"""``(latent, answer, alpha_bar) -> estimate``."""


def corrupt(
    clean: Float[Tensor, "*shape"], noise: Float[Tensor, "*shape"], alpha_bar: Float[Tensor, "*#shape"]
) -> Float[Tensor, "*shape"]:
    """``sqrt(alpha_bar) u0 + sqrt(1 - alpha_bar) noise``: the variance-preserving forward process."""
    return alpha_bar.sqrt() * clean + (1 - alpha_bar).sqrt() * noise


def noise_of(
    latent: Float[Tensor, "*shape"], clean: Float[Tensor, "*shape"], alpha_bar: float
) -> Float[Tensor, "*shape"]:
    """The noise that makes this latent of a clean one."""
    return (latent - alpha_bar**0.5 * clean) / max(1 - alpha_bar, SMALLEST_NOISE) ** 0.5


def clean_of(
    latent: Float[Tensor, "*shape"], noise: Float[Tensor, "*shape"], alpha_bar: float
) -> Float[Tensor, "*shape"]:
    """The clean latent that this noise made into this latent."""
    return (latent - (1 - alpha_bar) ** 0.5 * noise) / alpha_bar**0.5


def predict_clean(latent_of: Callable[[Tensor], Tensor]) -> Parameterisation:
    """The answer is the clean state; `latent_of` writes it as a latent."""

    def estimate(latent: Tensor, answer: Tensor, alpha_bar: float) -> Estimate:
        clean = latent_of(answer)
        return Estimate(answer, clean, noise_of(latent, clean, alpha_bar))

    return estimate


def predict_noise(project: Callable[[Tensor], Tensor]) -> Parameterisation:
    """The answer is the noise; `project` makes a latent a feasible state."""

    def estimate(latent: Tensor, answer: Tensor, alpha_bar: float) -> Estimate:
        clean = clean_of(latent, answer, alpha_bar)
        return Estimate(project(clean), clean, answer)

    return estimate

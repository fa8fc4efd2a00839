"""What a denoiser answers with: the clean latent, the noise or a mixture; and how each follows from the others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from dispose.errors import InputError

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


def predict_velocity(project: Callable[[Tensor], Tensor]) -> Parameterisation:
    """The answer is ``sqrt(alpha_bar) noise - sqrt(1 - alpha_bar) clean`` (`velocity_of`).

    As large at any time where the clean latent has unit variance. Source: Salimans & Ho 2022.
    """

    def estimate(latent: Tensor, answer: Tensor, alpha_bar: float) -> Estimate:
        signal, rest = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
        clean = signal * latent - rest * answer
        return Estimate(project(clean), clean, rest * latent + signal * answer)

    return estimate


def velocity_of(
    clean: Float[Tensor, "*shape"], noise: Float[Tensor, "*shape"], alpha_bar: Float[Tensor, "*#shape"]
) -> Float[Tensor, "*shape"]:
    """What `predict_velocity` reads."""
    return alpha_bar.sqrt() * noise - (1 - alpha_bar).sqrt() * clean


@dataclass(frozen=True)
class AnswerKind:
    """What a denoiser may be asked for.

    Attributes:
        target: what it should say, of ``(clean, noise, alpha_bar)``.
        read: how what it says is read; takes what makes a latent feasible, or a state a latent.
    """

    target: Callable[[Tensor, Tensor, Tensor], Tensor]
    read: Callable[[Callable[[Tensor], Tensor]], Parameterisation]


ANSWERS: Mapping[str, AnswerKind] = {
    "noise": AnswerKind(lambda clean, noise, alpha_bar: noise, predict_noise),
    "velocity": AnswerKind(velocity_of, predict_velocity),
    "clean": AnswerKind(lambda clean, noise, alpha_bar: clean, predict_clean),
}
"""By the name that configurations have for it."""


def answer_named(name: str) -> AnswerKind:
    """One of `ANSWERS`; `InputError` where there is none of that name."""
    if name not in ANSWERS:
        raise InputError(f"a denoiser's answer is {name!r}, which is none of {', '.join(ANSWERS)}.")
    return ANSWERS[name]


def bounded(parameterisation: Parameterisation, most: float) -> Parameterisation:
    """The same answer with the clean latent clamped to ``[-most, most]``, and the noise that then follows."""

    def estimate(latent: Tensor, answer: Tensor, alpha_bar: float) -> Estimate:
        found = parameterisation(latent, answer, alpha_bar)
        clean = found.clean.clamp(-most, most)
        return Estimate(found.state.clamp(-most, most), clean, noise_of(latent, clean, alpha_bar))

    return estimate

"""One step of a reverse process, and where it starts."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.diffusion.parameterisations import SMALLEST_NOISE, Estimate

ReverseStep = Callable[[Tensor, Estimate, float, float, torch.Generator | None], Tensor]
"""``(latent, estimate, alpha_bar now, alpha_bar then, generator) -> latent then``."""

Start = Callable[[Tensor, torch.Generator | None], Tensor]
"""``(tensor of the latent's shape, dtype and device, generator) -> first latent``."""


def zero_start(like: Float[Tensor, "*shape"], generator: torch.Generator | None = None) -> Float[Tensor, "*shape"]:
    """The most probable latent of pure noise: nothing is drawn."""
    return torch.zeros_like(like)


def normal_start(like: Float[Tensor, "*shape"], generator: torch.Generator | None = None) -> Float[Tensor, "*shape"]:
    """A draw of pure noise, on the generator's device (the CPU without one), so that a seed means the same anywhere."""
    device = "cpu" if generator is None else generator.device
    return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=device).to(like.device)


def fresh_noise(now: float, then: float) -> float:
    """Standard deviation of a latent given the one before and the clean one: the forward process' posterior."""
    return ((1 - then) / max(1 - now, SMALLEST_NOISE) * (1 - now / then)) ** 0.5 if then < 1 else 0.0


def ddim_step(
    latent: Float[Tensor, "*shape"],
    estimate: Estimate,
    now: float,
    then: float,
    generator: torch.Generator | None = None,
    *,
    stochasticity: float = 0.0,
) -> Float[Tensor, "*shape"]:
    """The estimate corrupted anew: ``sqrt(a') u0 + sqrt(1 - a' - s²) noise + s fresh``, s = eta times `fresh_noise`.

    Args:
        latent: where the step starts; the estimate says all that counts of it.
        estimate: of this latent.
        now: ``alpha_bar`` of the latent.
        then: ``alpha_bar`` that is stepped to.
        generator: of the fresh noise, needed where there is any.
        stochasticity: eta; 0 = deterministic, 1 = as much noise as `ancestral_step`.

    Source: Song et al. 2021.
    """
    spread = stochasticity * fresh_noise(now, then)
    after = then**0.5 * estimate.clean + max(1 - then - spread**2, 0.0) ** 0.5 * estimate.noise
    return after + spread * normal_start(latent, generator) if spread > 0 else after


def ancestral_step(
    latent: Float[Tensor, "*shape"],
    estimate: Estimate,
    now: float,
    then: float,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "*shape"]:
    """A draw from the forward process' posterior of the latent then, given this one and the clean one.

    ``sqrt(a') b / (1 - a) u0 + sqrt(a / a') (1 - a') / (1 - a) u`` with ``b = 1 - a / a'``, and `fresh_noise`.

    Source: Ho et al. 2020 (DDPM).
    """
    rest = max(1 - now, SMALLEST_NOISE)
    mean = then**0.5 * (1 - now / then) / rest * estimate.clean + (now / then) ** 0.5 * (1 - then) / rest * latent
    return mean + fresh_noise(now, then) * normal_start(latent, generator)

"""Reverse processes: generator functions that yield every state they pass.

They know neither cameras nor people: the caller passes what denoises, what projects and how a clean mass is
written as a latent. Running to the end is ``final(sampler)``; the list of states is what the pictures draw.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Latent = Float[Tensor, " tuples"]
Mass = Float[Tensor, " tuples"]


@dataclass(frozen=True, eq=False)
class Step:
    """One state of the reverse process.

    Attributes:
        time: diffusion time in [0, 1] at which the denoiser was asked.
        mass: the feasible state the denoiser saw.
        clean: the feasible mass it predicted, its mean over clean assignments given `mass`.
    """

    time: float
    mass: Mass
    clean: Mass


def keep_latent(latent: Latent, mass: Mass) -> Latent:
    """Ours: the reverse step starts from the latent whose projection the denoiser saw."""
    return latent


def log_of_mass(latent: Latent, mass: Mass) -> Latent:
    """As released: the reverse step starts from the clamped logarithm of the projection."""
    return mass.clamp(min=1e-12).log().clamp(-30, 30)


@dataclass(frozen=True)
class Process:
    """What a reverse process is made of.

    Attributes:
        denoise: ``(mass, time) -> clean mass``, feasible.
        project: latent to feasible mass.
        latent_of: a clean mass as a clean latent.
        alpha_bar: signal fraction at a time.
        observe: ``(latent, its projection) -> latent`` the reverse step starts from.
    """

    denoise: Callable[[Mass, float], Mass]
    project: Callable[[Latent], Mass]
    latent_of: Callable[[Mass], Latent]
    alpha_bar: Callable[[float], float]
    observe: Callable[[Latent, Mass], Latent] = keep_latent


def projected_ddim(
    process: Process,
    start: Latent,
    times: Sequence[float],
    *,
    stochasticity: float = 0.0,
    generator: torch.Generator | None = None,
) -> Iterator[Step]:
    """Denoising diffusion (DDIM) whose every state is projected onto the polytope.

    At each time the state ``x = project(u)`` is shown to the denoiser, whose clean mass gives the clean latent
    ``u0 = latent_of(clean)`` and the noise ``(u - sqrt(a) u0) / sqrt(1 - a)``; both are recombined at the next time.

    Args:
        process: what denoises, projects and so on.
        start: the latent at the first time.
        times: decreasing times in [0, 1].
        stochasticity: DDIM's eta; 0 = deterministic.
        generator: randomness, needed where `stochasticity` > 0.

    Source: Song et al. 2021 (DDIM); DisPOSE for the projection at every step.
    """
    latent = start
    for here, after in zip(times, [*times[1:], None], strict=True):
        mass = process.project(latent)
        latent = process.observe(latent, mass)
        clean = process.denoise(mass, here)
        yield Step(here, mass, clean)
        if after is None:
            return
        now, then = process.alpha_bar(here), process.alpha_bar(after)
        clean_latent = process.latent_of(clean)
        noise = (latent - now**0.5 * clean_latent) / max(1 - now, 1e-8) ** 0.5
        fresh = stochasticity * ((1 - then) / max(1 - now, 1e-8) * (1 - now / then)) ** 0.5 if then < 1 else 0.0
        latent = then**0.5 * clean_latent + max(1 - then - fresh**2, 0.0) ** 0.5 * noise
        if fresh > 0:
            latent = latent + fresh * torch.randn(
                latent.shape, generator=generator, dtype=latent.dtype, device=latent.device
            )


def final(steps: Iterator[Step]) -> Step:
    """Run a sampler to its end and return the last state."""
    last = None
    for last in steps:  # noqa: B007
        pass
    if last is None:
        raise ValueError("a sampler needs at least one time")
    return last

"""Reverse processes: where they start, one step, and generator functions that yield every state they pass.

They know neither cameras nor people: the caller passes what denoises, what projects and how an answer becomes a
latent. Running to the end is ``final(sampler)``; the list of states is what the plots draw.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.diffusion.parameterisations import SMALLEST_NOISE, Estimate, Parameterisation

ReverseStep = Callable[[Tensor, Estimate, float, float, torch.Generator | None], Tensor]
"""``(latent, estimate, alpha_bar now, alpha_bar then, generator) -> latent then``."""


def zero_start(like: Float[Tensor, "*shape"], generator: torch.Generator | None = None) -> Float[Tensor, "*shape"]:
    """The most probable latent of pure noise: nothing is drawn."""
    return torch.zeros_like(like)


def normal_start(like: Float[Tensor, "*shape"], generator: torch.Generator | None = None) -> Float[Tensor, "*shape"]:
    """A draw of pure noise, on the generator's device (the CPU without one), so that a seed means the same anywhere."""
    device = "cpu" if generator is None else generator.device
    return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=device).to(like.device)


def opposite_starts(
    like: Float[Tensor, "items draws *shape"], generator: torch.Generator | None = None
) -> Float[Tensor, "items draws *shape"]:
    """As `normal_start`; every second draw of an item is the one before it with the other sign.

    The mean of a few is then not moved by the noise that they started with.
    """
    half = normal_start(like[:, ::2], generator)
    return torch.stack([half, -half], 2).flatten(1, 2)[:, : like.shape[1]]


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


def mean_step(
    latent: Float[Tensor, "*shape"],
    estimate: Estimate,
    now: float,
    then: float,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "*shape"]:
    """The mean of the forward process' posterior of the latent then, given this one and the clean one.

    ``sqrt(a') b / (1 - a) u0 + sqrt(a / a') (1 - a') / (1 - a) u`` with ``b = 1 - a / a'``; nothing is drawn.

    Source: Ho et al. 2020 (DDPM).
    """
    rest = max(1 - now, SMALLEST_NOISE)
    return then**0.5 * (1 - now / then) / rest * estimate.clean + (now / then) ** 0.5 * (1 - then) / rest * latent


def ancestral_step(
    latent: Float[Tensor, "*shape"],
    estimate: Estimate,
    now: float,
    then: float,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "*shape"]:
    """A draw from the forward process' posterior of the latent then: `mean_step` and `fresh_noise`.

    Source: Ho et al. 2020 (DDPM).
    """
    mean = mean_step(latent, estimate, now, then)
    return mean + fresh_noise(now, then) * normal_start(latent, generator)


Latent = Float[Tensor, "*shape"]
Mass = Float[Tensor, "*shape"]


@dataclass(frozen=True, eq=False)
class Step:
    """One state of the reverse process.

    Attributes:
        time: diffusion time in [0, 1] at which the denoiser was asked.
        mass: the feasible state the denoiser saw.
        clean: the feasible state it predicted, its mean over clean states given `mass`.
    """

    time: float
    mass: Mass
    clean: Mass


def keep_latent(latent: Latent, mass: Mass) -> Latent:
    """The reverse step starts from the latent whose projection the denoiser saw."""
    return latent


def log_of_mass(latent: Latent, mass: Mass) -> Latent:
    """The reverse step starts from the clamped logarithm of the projection."""
    return mass.clamp(min=1e-12).log().clamp(-30, 30)


@dataclass(frozen=True)
class Process:
    """What a reverse process is made of.

    Attributes:
        denoise: ``(feasible state, time) -> answer``.
        project: latent to feasible state; the identity where everything is feasible.
        parameterisation: what the answer is (`dispose.diffusion.parameterisations`).
        alpha_bar: signal fraction at a time.
        observe: ``(latent, its projection) -> latent`` the reverse step starts from.
    """

    denoise: Callable[[Mass, float], Tensor]
    project: Callable[[Latent], Mass]
    parameterisation: Parameterisation
    alpha_bar: Callable[[float], float]
    observe: Callable[[Latent, Mass], Latent] = keep_latent


def reverse_process(
    process: Process,
    start: Latent,
    times: Sequence[float],
    *,
    step: ReverseStep = ddim_step,
    generator: torch.Generator | None = None,
) -> Iterator[Step]:
    """A reverse process whose every state is projected before the denoiser sees it.

    Args:
        process: what denoises, projects and so on.
        start: the latent at the first time.
        times: decreasing times in [0, 1].
        step: from one time to the next (`dispose.diffusion.samplers`).
        generator: randomness, needed where the step draws.

    Source: Ho et al. 2020 and Song et al. 2021; DisPOSE for the projection at every step.
    """
    latent = start
    for here, after in zip(times, [*times[1:], None], strict=True):
        mass = process.project(latent)
        latent = process.observe(latent, mass)
        now = process.alpha_bar(here)
        estimate = process.parameterisation(latent, process.denoise(mass, here), now)
        yield Step(here, mass, estimate.state)
        if after is None:
            return
        latent = step(latent, estimate, now, process.alpha_bar(after), generator)


def final(steps: Iterator[Step]) -> Step:
    """Run a sampler to its end and return the last state."""
    last = None
    for last in steps:  # noqa: B007
        pass
    if last is None:
        raise ValueError("a sampler needs at least one time")
    return last

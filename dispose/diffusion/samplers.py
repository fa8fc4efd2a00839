"""Reverse processes: generator functions that yield every state they pass.

They know neither cameras nor people: the caller passes what denoises, what projects and how an answer becomes a
latent. Running to the end is ``final(sampler)``; the list of states is what the plots draw.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.diffusion.parameterisations import Parameterisation
from dispose.diffusion.steps import ReverseStep, ddim_step

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
        step: from one time to the next (`dispose.diffusion.steps`).
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

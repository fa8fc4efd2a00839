"""Noise as a value: where it pulls to, how wide it is along every axis, and mixtures from which one kernel is drawn.

With ``NoiseLaw(0, 1)`` the forward process is the usual one, which ends in white noise. With another it ends in what is
known beforehand, such as where a detector says that joints are: the start of the reverse process is then informed.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dispose.diffusion.parameterisations import corrupt
from dispose.diffusion.samplers import normal_start
from dispose.tensors import TensorStruct


@dataclass(frozen=True, eq=False)
class NoiseLaw(TensorStruct):
    """A Gaussian without correlations: ``latent = centre + sqrt(a) (clean - centre) + sqrt(1 - a) scale e``.

    Attributes:
        centre: where the forward process ends, in the mean.
        scale: standard deviation of its end.
    """

    centre: Float[Tensor, "*#shape"]
    scale: Float[Tensor, "*#shape"]


def diagonal(scale: Float[Tensor, "*shape"]) -> NoiseLaw:
    """Noise about 0 with a standard deviation of its own along every axis."""
    return NoiseLaw(scale.new_zeros(()), scale)


@dataclass(frozen=True, eq=False)
class Mixture(TensorStruct):
    """Gaussians without correlations and how probable each is: `weight` is not negative and sums to 1 over kernels."""

    weight: Float[Tensor, "*batch kernels"]
    mean: Float[Tensor, "*batch kernels dims"]
    scale: Float[Tensor, "*batch kernels dims"]


def draw_kernel(mixture: Mixture, generator: torch.Generator | None = None) -> Int[Tensor, "*batch"]:
    """The number of a kernel for everything that has a mixture of its own, drawn by the weights.

    By the inverse of the summed weights: a kernel without weight is never drawn.
    """
    edge = mixture.weight.cumsum(-1)
    device = "cpu" if generator is None else generator.device
    share = torch.rand(edge.shape[:-1], generator=generator, device=device, dtype=edge.dtype).to(edge.device)
    return (share[..., None] * edge[..., -1:] >= edge).sum(-1).clamp(max=edge.shape[-1] - 1)


def law_of_kernel(mixture: Mixture, kernel: Int[Tensor, "*batch"]) -> NoiseLaw:
    """The Gaussian of one kernel each."""

    def taken(value: Tensor) -> Tensor:
        return torch.take_along_dim(value, kernel[..., None, None], -2)[..., 0, :]

    return NoiseLaw(taken(mixture.mean), taken(mixture.scale))


def draw_noise(
    law: NoiseLaw, like: Float[Tensor, "*shape"], generator: torch.Generator | None = None
) -> Float[Tensor, "*shape"]:
    """``scale e`` with white noise e of the shape of `like`, for `corrupt_about`."""
    return law.scale * normal_start(like, generator)


def corrupt_about(
    law: NoiseLaw,
    clean: Float[Tensor, "*shape"],
    noise: Float[Tensor, "*shape"],
    alpha_bar: Float[Tensor, "*#shape"],
) -> Float[Tensor, "*shape"]:
    """``centre + sqrt(a) (clean - centre) + sqrt(1 - a) noise``: the forward process of a law. Source: Gong 2023."""
    return law.centre + corrupt(clean - law.centre, noise, alpha_bar)


def antithetic_steps(count: int, steps: int, generator: torch.Generator | None = None) -> Int[Tensor, " count"]:
    """Step numbers to learn from: the first half drawn evenly, the others their mirror images ``steps - 1 - k``."""
    half = torch.randint(steps, (count // 2 + 1,), generator=generator)
    return torch.cat([half, steps - 1 - half])[:count]

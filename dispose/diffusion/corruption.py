"""Forward noising of a latent."""

from jaxtyping import Float
from torch import Tensor


def corrupt(
    latent: Float[Tensor, " tuples"], noise: Float[Tensor, " tuples"], alpha_bar: Float[Tensor, " tuples"]
) -> Float[Tensor, " tuples"]:
    """``sqrt(alpha_bar) u0 + sqrt(1 - alpha_bar) noise``: the variance-preserving forward process."""
    return alpha_bar.sqrt() * latent + (1 - alpha_bar).sqrt() * noise

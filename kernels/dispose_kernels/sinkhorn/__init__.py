"""Projection of tuple masses onto the marginals of many samples: truncated sweeps, and a converged solver."""

from dispose_kernels.sinkhorn.newton import newton_projection
from dispose_kernels.sinkhorn.problem import Marginals, Projection, carried_mass, marginal_residual, pack
from dispose_kernels.sinkhorn.reference import sweep_projection, sweep_steps

__all__ = [
    "Marginals",
    "Projection",
    "carried_mass",
    "marginal_residual",
    "newton_projection",
    "pack",
    "sweep_projection",
    "sweep_steps",
]

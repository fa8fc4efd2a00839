"""Many small products and systems at once: broadcasting is far faster than a loop of matrix calls."""

import torch
from jaxtyping import Float
from torch import Tensor


def rotate(rotation: Float[Tensor, "*#batch 3 3"], vector: Float[Tensor, "*#batch 3"]) -> Float[Tensor, "*batch 3"]:
    """``rotation vector`` by broadcasting: many small matrix products are far slower."""
    x, y, z = vector[..., :1], vector[..., 1:2], vector[..., 2:]
    return rotation[..., 0] * x + rotation[..., 1] * y + rotation[..., 2] * z


def solve_symmetric(
    matrix: Float[Tensor, "*batch 3 3"], vector: Float[Tensor, "*batch 3"]
) -> Float[Tensor, "*batch 3"]:
    """``matrix⁻¹ vector`` of symmetric positive definite 3x3 systems by Cholesky's formula, without a LAPACK loop."""
    a, b, c = matrix[..., 0, 0], matrix[..., 1, 0], matrix[..., 2, 0]
    d, e, f = matrix[..., 1, 1], matrix[..., 2, 1], matrix[..., 2, 2]
    tiny = torch.finfo(matrix.dtype).tiny
    l1, l2 = b / a, c / a
    d2 = (d - l1 * b).clamp(min=tiny)
    l3 = (e - l1 * c) / d2
    d3 = (f - l2 * c - l3 * (e - l1 * c)).clamp(min=tiny)
    y1 = vector[..., 0]
    y2 = vector[..., 1] - l1 * y1
    y3 = vector[..., 2] - l2 * y1 - l3 * y2
    z = y3 / d3
    y = y2 / d2 - l3 * z
    x = y1 / a - l1 * y - l2 * z
    return torch.stack([x, y, z], dim=-1)

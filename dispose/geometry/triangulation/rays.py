"""How far two rays pass each other by."""

import torch
from jaxtyping import Float
from torch import Tensor


def ray_distance(
    origin_a: Float[Tensor, "*#batch 3"],
    direction_a: Float[Tensor, "*#batch 3"],
    origin_b: Float[Tensor, "*#batch 3"],
    direction_b: Float[Tensor, "*#batch 3"],
) -> Float[Tensor, "*batch"]:
    """Shortest distance between two half-lines, mm; directions are unit vectors.

    Rays start at the camera: lines that meet only behind one of the cameras are as far apart as the rays are.
    All arguments broadcast against each other. Parallel rays are handled (any of their common perpendiculars).
    """
    offset = origin_b - origin_a
    dot = (direction_a * direction_b).sum(-1)
    along_a, along_b = (offset * direction_a).sum(-1), (offset * direction_b).sum(-1)
    # |a × b|² instead of 1 − (a·b)²: the difference of near-equal numbers would lose half the digits.
    cross = torch.linalg.cross(*torch.broadcast_tensors(direction_a, direction_b))
    sine2 = (cross * cross).sum(-1)
    # Below this angle the depths are rounding noise, and treating the rays as parallel is the smaller error.
    skew = sine2 > torch.finfo(sine2.dtype).eps
    safe = torch.where(skew, sine2, 1.0)
    depth_b = torch.where(skew, (dot * along_a - along_b) / safe, 0.0)
    # From the point on b, not from the formula for a: then the error of one depth does not become distance.
    depth_a = along_a + depth_b * dot
    # Where one depth is negative, the better of the two edges ``depth = 0`` of the half-lines.
    on_a, on_b = along_a.clamp(min=0), (-along_b).clamp(min=0)  # nearest to the other ray's origin
    # Squared distances along both edges, without their common |offset|².
    edge_a, edge_b = on_a * (on_a - 2 * along_a), on_b * (on_b + 2 * along_b)
    outside, take_a = (depth_a < 0) | (depth_b < 0), edge_a <= edge_b
    depth_a = torch.where(outside, torch.where(take_a, on_a, 0.0), depth_a)
    depth_b = torch.where(outside, torch.where(take_a, 0.0, on_b), depth_b)
    gap = offset + depth_b[..., None] * direction_b - depth_a[..., None] * direction_a
    return torch.linalg.vector_norm(gap, dim=-1)

"""The lens of Human3.6M's own tools, which is OpenCV's but for the tangential part."""

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.geometry.pinhole import distort

STEPS = 30
"""Of the fixed point: its lenses are mild, and every step gains a digit."""


def distort_human36m(
    xy_normalized: Float[Tensor, "*batch 2"], distortion: Float[Tensor, "*#batch 8"]
) -> Float[Tensor, "*batch 2"]:
    """Apply Human3.6M's lens to normalised camera coordinates; coefficients in OpenCV's order, of which it has five.

    ``x (1 + k1 r² + k2 r⁴ + k3 r⁶ + p1 y + p2 x) + p2 r²``, and the same with y and p1: half of OpenCV's cross-terms.
    """
    radial, tangential = _parts(xy_normalized, distortion)
    return xy_normalized * radial + tangential


def undistort_human36m(
    xy_distorted: Float[Tensor, "*batch 2"], distortion: Float[Tensor, "*#batch 8"]
) -> Float[Tensor, "*batch 2"]:
    """Invert `distort_human36m` by a fixed point; for the places that its cameras show."""
    xy = xy_distorted
    for _ in range(STEPS):
        radial, tangential = _parts(xy, distortion)
        xy = (xy_distorted - tangential) / radial
    return xy


def opencv_place(
    xy_image: Float[Tensor, "*batch 2"],
    matrix: Float[Tensor, "*#batch 3 3"],
    distortion: Float[Tensor, "*#batch 8"],
) -> Float[Tensor, "*batch 2"]:
    """Where OpenCV's lens of the same numbers shows what Human3.6M's shows at a pixel: some hundredths of one apart."""
    focal = torch.stack([matrix[..., 0, 0], matrix[..., 1, 1]], dim=-1)
    centre = matrix[..., :2, 2]
    seen = undistort_human36m((xy_image - centre) / focal, distortion)
    return distort(seen, distortion) * focal + centre


def _parts(
    xy: Float[Tensor, "*batch 2"], distortion: Float[Tensor, "*#batch 8"]
) -> tuple[Float[Tensor, "*batch 1"], Float[Tensor, "*batch 2"]]:
    """The factor of the radial part, and what the tangential one adds."""
    k1, k2, p1, p2, k3 = distortion[..., :5].unbind(-1)
    x, y = xy.unbind(-1)
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    tangential = torch.stack([x * (p1 * y + p2 * x) + p2 * r2, y * (p1 * y + p2 * x) + p1 * r2], dim=-1)
    return radial[..., None], tangential

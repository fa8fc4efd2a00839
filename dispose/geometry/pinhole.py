"""The OpenCV pinhole camera with rational distortion, and its inverse.

World points become camera points by ``xyz_camera = R @ xyz_world + t``; image points are pixels with
pixel centres at integers. Distortion order is OpenCV's ``k1 k2 p1 p2 k3 k4 k5 k6``.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def distort(
    xy_normalized: Float[Tensor, "*batch 2"], distortion: Float[Tensor, "*#batch 8"]
) -> Float[Tensor, "*batch 2"]:
    """Apply the OpenCV rational lens model to normalised camera coordinates (``x/z, y/z``)."""
    x, y = xy_normalized.unbind(-1)
    k1, k2, p1, p2, k3, k4, k5, k6 = distortion.unbind(-1)
    r2 = x * x + y * y
    radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    xd = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    yd = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    return torch.stack([xd, yd], dim=-1)


def undistort(
    xy_distorted: Float[Tensor, "*batch 2"], distortion: Float[Tensor, "*#batch 8"], *, steps: int = 10
) -> Float[Tensor, "*batch 2"]:
    """Invert `distort` by fixed-point iteration (as OpenCV's ``undistortPoints`` does)."""
    k1, k2, p1, p2, k3, k4, k5, k6 = distortion.unbind(-1)
    xd, yd = xy_distorted.unbind(-1)
    x, y = xd, yd
    for _ in range(steps):
        r2 = x * x + y * y
        inverse = (1 + r2 * (k4 + r2 * (k5 + r2 * k6))) / (1 + r2 * (k1 + r2 * (k2 + r2 * k3)))
        dx = 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
        dy = p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
        x, y = (xd - dx) * inverse, (yd - dy) * inverse
    return torch.stack([x, y], dim=-1)


def project_points(
    xyz_camera: Float[Tensor, "*batch 3"],
    matrix: Float[Tensor, "*#batch 3 3"],
    distortion: Float[Tensor, "*#batch 8"],
) -> Float[Tensor, "*batch 2"]:
    """Camera points (mm) to image points (pixels). Points with z <= 0 give a finite, meaningless result."""
    depth = xyz_camera[..., 2:].clamp(min=1e-6)
    xy = distort(xyz_camera[..., :2] / depth, distortion)
    homogeneous = torch.cat([xy, torch.ones_like(xy[..., :1])], dim=-1)
    return (matrix @ homogeneous[..., None])[..., :2, 0]


def normalize_points(
    xy_image: Float[Tensor, "*batch 2"],
    matrix: Float[Tensor, "*#batch 3 3"],
    distortion: Float[Tensor, "*#batch 8"],
) -> Float[Tensor, "*batch 2"]:
    """Image points (pixels) to undistorted normalised camera coordinates ``x/z, y/z``."""
    homogeneous = torch.cat([xy_image, torch.ones_like(xy_image[..., :1])], dim=-1)
    xy = (torch.linalg.inv(matrix) @ homogeneous[..., None])[..., :2, 0]
    return undistort(xy, distortion)

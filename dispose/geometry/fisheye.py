"""OpenCV's fisheye lens with four coefficients, and its inverse.

A point at the angle ``theta`` off the axis is seen at the distance ``theta (1 + k1 theta² + k2 theta⁴ + k3 theta⁶ +
k4 theta⁸)`` from the middle of the image, in focal lengths (Kannala and Brandt 2006). Both sides are normalised
camera coordinates (``x/z, y/z`` before the lens), so that nothing behind it needs to know of fisheyes; what lies 90
degrees or more off the axis has no such coordinates.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

WIDEST = math.atan(1000.0)
"""Largest angle off the axis that the inverse gives, radians (89.94 degrees)."""

NEAR_AXIS = 1e-8
"""Squared tangent below which ``atan(r) / r`` is its series: the next term is lost in rounding."""

HALVINGS = 8
STEPS = 12
"""Of Newton, each kept between the bounds: the last ones change nothing for lenses that do not turn back."""

SAMPLES = 129


def distort_fisheye(
    xy_normalized: Float[Tensor, "*batch 2"], coefficients: Float[Tensor, "*#batch 4"]
) -> Float[Tensor, "*batch 2"]:
    """Apply the lens to normalised camera coordinates (``x/z, y/z``)."""
    r2 = xy_normalized.square().sum(-1)
    near = r2 < NEAR_AXIS
    r = torch.where(near, 1.0, r2).sqrt()
    theta = torch.atan(r)
    scale = torch.where(near, 1 - r2 / 3, theta / r)
    square = torch.where(near, r2, theta * theta)
    return xy_normalized * (scale * _growth(square, coefficients))[..., None]


def undistort_fisheye(
    xy_distorted: Float[Tensor, "*batch 2"], coefficients: Float[Tensor, "*#batch 4"]
) -> Float[Tensor, "*batch 2"]:
    """Invert `distort_fisheye`.

    Points beyond the lens model's range (it turns back, or reaches `WIDEST`) get the widest angle of their direction.
    The derivative is that of the inverse function; it is zero where the model has none.
    """
    with torch.no_grad():
        far = xy_distorted.norm(dim=-1)
        theta = _angle(far, coefficients)
        stretch = torch.where(far > 1e-12, torch.tan(theta) / far.clamp(min=1e-12), 1.0)
        found = xy_distorted * stretch[..., None]
    step = _jacobian_solve(found, distort_fisheye(found, coefficients) - xy_distorted, coefficients.detach())
    return found - (step - step.detach())


def in_fisheye_range(
    xy_distorted: Float[Tensor, "*batch 2"], coefficients: Float[Tensor, "*#batch 4"]
) -> Bool[Tensor, "*batch"]:
    """Whether a lens shows a point by a ray less than `WIDEST` off its axis, before it turns back."""
    end = lens_end(coefficients)
    return xy_distorted.norm(dim=-1) < end * _growth(end * end, coefficients)


def fisheye_stretch(
    xy_normalized: Float[Tensor, "*batch 2"], coefficients: Float[Tensor, "*#batch 4"]
) -> Float[Tensor, "*batch"]:
    """By how much the lens stretches a small surface at a place, as a length: the root of the determinant."""
    along, across, _ = _stretches(xy_normalized, coefficients)
    return (along * across).clamp(min=0).sqrt()[..., 0]


def _growth(square: Float[Tensor, "*batch"], coefficients: Float[Tensor, "*#batch 4"]) -> Float[Tensor, "*batch"]:
    """``1 + k1 theta² + …`` of the squared angle."""
    k1, k2, k3, k4 = coefficients.unbind(-1)
    return 1 + square * (k1 + square * (k2 + square * (k3 + square * k4)))


def _slope(theta: Float[Tensor, "*batch"], coefficients: Float[Tensor, "*#batch 4"]) -> Float[Tensor, "*batch"]:
    """How fast the image point moves outwards as the angle grows."""
    k1, k2, k3, k4 = coefficients.unbind(-1)
    square = theta * theta
    return 1 + square * (3 * k1 + square * (5 * k2 + square * (7 * k3 + square * 9 * k4)))


def lens_end(coefficients: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch"]:
    """The angle, radians, up to which a lens moves points outwards as they go outwards; `WIDEST` at most."""
    grid = torch.linspace(0, WIDEST, SAMPLES, dtype=coefficients.dtype, device=coefficients.device)
    turned = _slope(grid.expand(*coefficients.shape[:-1], SAMPLES), coefficients[..., None, :]) <= 0
    first = torch.where(turned.any(-1), turned.to(torch.uint8).argmax(-1), SAMPLES - 1)
    low, high = grid[(first - 1).clamp(min=0)], grid[first]
    ends = turned.any(-1)
    for _ in range(40):
        middle = (low + high) / 2
        outwards = _slope(middle, coefficients) > 0
        low, high = torch.where(outwards, middle, low), torch.where(outwards, high, middle)
    return torch.where(ends, low, WIDEST)


def _angle(far: Float[Tensor, "*batch"], coefficients: Float[Tensor, "*#batch 4"]) -> Float[Tensor, "*batch"]:
    """The angle whose image is so far from the middle: bisection, then Newton between the bounds found."""
    end = lens_end(coefficients)
    low, high = torch.zeros_like(far), end.expand(far.shape)
    beyond = far >= end * _growth(end * end, coefficients)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        short = middle * _growth(middle * middle, coefficients) < far
        low, high = torch.where(short, middle, low), torch.where(short, high, middle)
    theta = (low + high) / 2
    for _ in range(STEPS):
        missing = theta * _growth(theta * theta, coefficients) - far
        low, high = torch.where(missing < 0, theta, low), torch.where(missing < 0, high, theta)
        slope = _slope(theta, coefficients)
        trial = theta - missing / torch.where(slope > 0, slope, 1.0)
        # Where the lens all but turns back, Newton may leave the bounds: halve them instead.
        theta = torch.where((slope > 0) & (trial >= low) & (trial <= high), trial, (low + high) / 2)
    return torch.where(beyond, end, theta)


def _jacobian_solve(
    xy: Float[Tensor, "*batch 2"], residual: Float[Tensor, "*batch 2"], coefficients: Float[Tensor, "*#batch 4"]
) -> Float[Tensor, "*batch 2"]:
    """``J⁻¹ residual`` with the Jacobian of `distort_fisheye`; zero where it is singular."""
    along, across, outwards = _stretches(xy, coefficients)
    sound = (along > 1e-9) & (across > 1e-9)
    part = (outwards * residual).sum(-1, keepdim=True) * outwards
    step = part / torch.where(sound, along, 1.0) + (residual - part) / torch.where(sound, across, 1.0)
    return torch.where(sound, step, 0.0)


def _stretches(
    xy: Float[Tensor, "*batch 2"], coefficients: Float[Tensor, "*#batch 4"]
) -> tuple[Float[Tensor, "*batch 1"], Float[Tensor, "*batch 1"], Float[Tensor, "*batch 2"]]:
    """The Jacobian of a lens that is round: its stretch along the radius and across it, and the radius' direction."""
    r2 = xy.square().sum(-1, keepdim=True)
    near = r2 < NEAR_AXIS
    r = torch.where(near, 1.0, r2).sqrt()
    theta = torch.where(near, 0.0, torch.atan(r))
    across = torch.where(near, 1.0, theta / r) * _growth((theta * theta)[..., 0], coefficients)[..., None]
    along = torch.where(near, 1.0, _slope(theta[..., 0], coefficients)[..., None] / (1 + r2))
    return along, across, torch.where(near, 0.0, xy / r)

"""The OpenCV pinhole camera with its lens, rational or fisheye, and the inverse.

World points become camera points by ``xyz_camera = R @ xyz_world + t``; image points are pixels with
pixel centres at integers. A lens is eight numbers, OpenCV's ``k1 k2 p1 p2 k3 k4 k5 k6``, or where a rig has a fisheye
nine: the last is 1 for a fisheye, of which the first four are its ``k1 k2 k3 k4``, and 0 otherwise (`Cameras.lens`).
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.geometry.fisheye import distort_fisheye, fisheye_stretch, in_fisheye_range, undistort_fisheye

MIN_DEPTH_MM = 1e-6
RATIONAL = 8
"""Numbers of a rational lens."""


def distort(xy_normalized: Float[Tensor, "*batch 2"], lens: Float[Tensor, "*#batch lens"]) -> Float[Tensor, "*batch 2"]:
    """Apply a lens to normalised camera coordinates (``x/z, y/z``)."""
    if lens.shape[-1] == RATIONAL:
        return distort_rational(xy_normalized, lens)
    fisheye, round_lens, rational = split_lens(lens)
    bent = distort_fisheye(xy_normalized, round_lens)
    return torch.where(fisheye, bent, distort_rational(xy_normalized, rational))


def undistort(
    xy_distorted: Float[Tensor, "*batch 2"], lens: Float[Tensor, "*#batch lens"], *, steps: int = 10
) -> Float[Tensor, "*batch 2"]:
    """Invert `distort`. Points beyond the lens model's range get the nearest value reached (always finite).

    The derivative is that of the inverse function, not of the iterations; it is zero where the model has none.
    """
    if lens.shape[-1] == RATIONAL:
        return undistort_rational(xy_distorted, lens, steps=steps)
    fisheye, round_lens, rational = split_lens(lens)
    straight = undistort_fisheye(xy_distorted, round_lens)
    return torch.where(fisheye, straight, undistort_rational(xy_distorted, rational, steps=steps))


def split_lens(
    lens: Float[Tensor, "*batch 9"],
) -> tuple[Bool[Tensor, "*batch 1"], Float[Tensor, "*batch 4"], Float[Tensor, "*batch 8"]]:
    """Which lenses are fisheyes, and the numbers of both kinds: 0 for a lens of the other."""
    fisheye = lens[..., RATIONAL:] > 0
    return fisheye, torch.where(fisheye, lens[..., :4], 0.0), torch.where(fisheye, 0.0, lens[..., :RATIONAL])


def distort_rational(
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


def undistort_rational(
    xy_distorted: Float[Tensor, "*batch 2"], distortion: Float[Tensor, "*#batch 8"], *, steps: int = 10
) -> Float[Tensor, "*batch 2"]:
    """Invert `distort_rational`: OpenCV's fixed-point iteration, then Newton where that was not accurate.

    The fixed point contracts for mild lenses only; Newton's steps make the inverse exact wherever the lens
    model is invertible. Points beyond the lens model's range get the nearest value reached (always finite).
    The derivative is that of the inverse function, not of the iteration; it is zero where the model has none.
    """
    with torch.no_grad():
        found = _newton_polish(_fixed_point(xy_distorted, distortion, steps), xy_distorted, distortion)
    if not (torch.is_grad_enabled() and (xy_distorted.requires_grad or distortion.requires_grad)):
        return found
    step = _jacobian_solve(found, distort_rational(found, distortion) - xy_distorted, distortion.detach())
    return found - (step - step.detach())


def _fixed_point(
    xy_distorted: Float[Tensor, "*batch 2"], distortion: Float[Tensor, "*#batch 8"], steps: int
) -> Float[Tensor, "*batch 2"]:
    """OpenCV's iteration ``x <- (x_d - tangential(x)) / radial(x)``."""
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


def _newton_polish(
    start: Float[Tensor, "*batch 2"],
    xy_distorted: Float[Tensor, "*batch 2"],
    distortion: Float[Tensor, "*#batch 8"],
    *,
    steps: int = 20,
) -> Float[Tensor, "*batch 2"]:
    """Newton steps on ``distort_rational(x) = xy_distorted`` for the points whose residual is above the tolerance."""
    tolerance = 100 * torch.finfo(xy_distorted.dtype).eps
    finite = torch.isfinite(start).all(-1, keepdim=True)
    x = torch.where(finite, start, xy_distorted)
    residual = (distort_rational(x, distortion) - xy_distorted).norm(dim=-1, keepdim=True)
    better = residual <= (distort_rational(xy_distorted, distortion) - xy_distorted).norm(dim=-1, keepdim=True)
    x = torch.where(better, x, xy_distorted)
    # Only points that are not done are computed with: a result never depends on its neighbours in the batch.
    row = (~(better & (residual <= tolerance)))[..., 0].flatten().nonzero()[:, 0]
    flat, lens = x.reshape(-1, 2).clone(), distortion.expand(*x.shape[:-1], 8).reshape(-1, 8)[row]
    target = xy_distorted.reshape(-1, 2)[row]
    point = _nearest_start(flat[row], target, lens)
    residual = distort_rational(point, lens) - target
    for _ in range(steps):
        error = residual.norm(dim=-1, keepdim=True)
        step = _jacobian_solve(point, residual, lens)
        gained = torch.zeros_like(error, dtype=torch.bool)
        moved, remaining = point, residual
        for scale in (1.0, 0.3, 0.05):
            trial = point - scale * step
            there = distort_rational(trial, lens) - target
            gain = ~gained & (error > tolerance) & (there.norm(dim=-1, keepdim=True) < error)
            moved, remaining = torch.where(gain, trial, moved), torch.where(gain, there, remaining)
            gained |= gain
            if bool((gained | (error <= tolerance)).all()):
                break
        flat[row] = moved
        # Whom no step brings nearer is where they stay.
        left = gained[:, 0].nonzero()[:, 0]
        if not len(left):
            break
        row, point, target, lens, residual = row[left], moved[left], target[left], lens[left], remaining[left]
    return flat.reshape(x.shape)


def _nearest_start(
    start: Float[Tensor, "points 2"], xy_distorted: Float[Tensor, "points 2"], distortion: Float[Tensor, "points 8"]
) -> Float[Tensor, "points 2"]:
    """Of starts on the way to the centre the one with the least residual.

    Far beyond the image a lens of high powers takes Newton's step only a fraction of the way.
    """
    starts = start[:, None] * 0.5 ** torch.arange(8, dtype=start.dtype, device=start.device)[:, None]
    away = (distort_rational(starts, distortion[:, None]) - xy_distorted[:, None]).norm(dim=-1)
    return torch.take_along_dim(starts, away.argmin(1)[:, None, None], dim=1)[:, 0]


def _jacobian_solve(
    xy: Float[Tensor, "*batch 2"], residual: Float[Tensor, "*batch 2"], distortion: Float[Tensor, "*#batch 8"]
) -> Float[Tensor, "*batch 2"]:
    """``J⁻¹ residual`` with the Jacobian of `distort_rational`; zero where it is singular."""
    x, y = xy.unbind(-1)
    k1, k2, p1, p2, k3, k4, k5, k6 = distortion.unbind(-1)
    r2 = x * x + y * y
    top, bottom = 1 + r2 * (k1 + r2 * (k2 + r2 * k3)), 1 + r2 * (k4 + r2 * (k5 + r2 * k6))
    radial = top / bottom
    slope = ((k1 + r2 * (2 * k2 + 3 * r2 * k3)) - radial * (k4 + r2 * (2 * k5 + 3 * r2 * k6))) / bottom
    a = radial + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x
    b = 2 * x * y * slope + 2 * p1 * x + 2 * p2 * y
    d = radial + 2 * y * y * slope + 6 * p1 * y + 2 * p2 * x
    determinant = a * d - b * b
    sound = determinant.abs() > 1e-9
    safe = torch.where(sound, determinant, 1.0)
    rx, ry = residual.unbind(-1)
    step = torch.stack([(d * rx - b * ry) / safe, (a * ry - b * rx) / safe], dim=-1)
    return torch.where((sound & torch.isfinite(safe))[..., None], step, 0.0)


def project_points(
    xyz_camera: Float[Tensor, "*batch 3"],
    matrix: Float[Tensor, "*#batch 3 3"],
    lens: Float[Tensor, "*#batch lens"],
) -> Float[Tensor, "*batch 2"]:
    """Camera points (mm) to image points (pixels). Points with z <= 0 give a finite, meaningless result."""
    depth = xyz_camera[..., 2:].clamp(min=MIN_DEPTH_MM)
    return _affine(matrix, distort(xyz_camera[..., :2] / depth, lens))


def normalize_points(
    xy_image: Float[Tensor, "*batch 2"],
    matrix: Float[Tensor, "*#batch 3 3"],
    lens: Float[Tensor, "*#batch lens"],
) -> Float[Tensor, "*batch 2"]:
    """Image points (pixels) to undistorted normalised camera coordinates ``x/z, y/z``."""
    return undistort(_affine(torch.linalg.inv(matrix), xy_image), lens)


def in_lens_range(
    xy_image: Float[Tensor, "*batch 2"], matrix: Float[Tensor, "*#batch 3 3"], lens: Float[Tensor, "*#batch 9"]
) -> Bool[Tensor, "*batch"]:
    """Whether a ray less than 90 degrees off the axis leads to an image point (pixels); of rational lenses always."""
    fisheye, round_lens, _ = split_lens(lens)
    return ~fisheye[..., 0] | in_fisheye_range(_affine(torch.linalg.inv(matrix), xy_image), round_lens)


def pixels_per_unit(
    xy_normalized: Float[Tensor, "*batch 2"],
    matrix: Float[Tensor, "*#batch 3 3"],
    lens: Float[Tensor, "*#batch lens"],
) -> Float[Tensor, "..."]:
    """Pixels that one unit of normalised camera coordinates measures: the mean focal length.

    A rational lens is taken to change that little, and the answer has no more axes than `matrix`. A fisheye shows the
    border of its image at a small fraction of its focal length, so that the answer depends on the place.
    """
    focal = (matrix[..., 0, 0] + matrix[..., 1, 1]) / 2
    if lens.shape[-1] == RATIONAL:
        return focal
    fisheye, round_lens, _ = split_lens(lens)
    return focal * torch.where(fisheye[..., 0], fisheye_stretch(xy_normalized, round_lens), 1.0)


def _affine(matrix: Float[Tensor, "*#batch 3 3"], xy: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 2"]:
    """``matrix (x, y, 1)`` without its last row, which is (0, 0, 1), and without many small matrix products."""
    x, y = xy[..., :1], xy[..., 1:]
    return matrix[..., :2, 0] * x + matrix[..., :2, 1] * y + matrix[..., :2, 2]

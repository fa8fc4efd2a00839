"""Triangulation by all views alike or by the least truncated error, and how far points can be trusted."""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.geometry.triangulation.linear import triangulate_algebraic
from dispose.geometry.triangulation.sights import RobustPoints, Sights, pair_midpoints, refine, sights_of


def joint_confidence(
    inlier: Bool[Tensor, "*batch views"], error: Float[Tensor, "*batch views"], score: Float[Tensor, "*batch views"]
) -> Float[Tensor, "*batch"]:
    """How far a triangulated point can be trusted, in [0, 1]: ``s · m/(m+1) · exp(−e²/2)``.

    s is the mean score and m the number of the views that agree with the point (`inlier`), e their root mean square
    reprojection error in units of the inlier bound.
    """
    weight = inlier.to(torch.float64)
    count = weight.sum(-1)
    mean = (weight * score).sum(-1) / count.clamp(min=1)
    square = torch.where(inlier, error, 0.0).square().sum(-1) / count.clamp(min=1)
    return (mean * count / (count + 1) * torch.exp(-square / 2)).clamp(0, 1)


def triangulate_dlt(
    xy_image: Float[Tensor, "*batch views 2"],
    weights: Float[Tensor, "*batch views"],
    matrix: Float[Tensor, "*#batch views 3 3"],
    distortion: Float[Tensor, "*#batch views 8"],
    rotation: Float[Tensor, "*#batch views 3 3"],
    translation: Float[Tensor, "*#batch views 3"],
    *,
    threshold_px: Float[Tensor, "*#batch views"] | float = 20.0,
) -> RobustPoints:
    """The direct linear transform over all views that see a point, whatever their weight: what others are measured by.

    Its equations are in pixels (`triangulate_algebraic`). Every view in front of which the point lies counts as one
    that agrees, also beyond the bound. Arguments as of `triangulate_robust`.
    """
    sights = sights_of(xy_image, weights, matrix, distortion, rotation, translation, threshold_px)
    in_pixels = torch.where(sights.weights > 0, sights.focal, 0.0)
    points = sights.judge(triangulate_algebraic(sights.xy, rotation, translation, in_pixels))
    return replace(points, inlier=torch.isfinite(points.error_px))


def triangulate_robust(
    xy_image: Float[Tensor, "*batch views 2"],
    weights: Float[Tensor, "*batch views"],
    matrix: Float[Tensor, "*#batch views 3 3"],
    distortion: Float[Tensor, "*#batch views 8"],
    rotation: Float[Tensor, "*#batch views 3 3"],
    translation: Float[Tensor, "*#batch views 3"],
    *,
    threshold_px: Float[Tensor, "*#batch views"] | float = 20.0,
    steps: int = 6,
) -> RobustPoints:
    """Robust triangulation over views, all points at once: exhaustive search over view pairs, then refinement.

    Every pair of views proposes its midpoint; the proposal with the least truncated cost
    ``Σ w min(e², τ²)`` (MSAC) is refined by Gauss-Newton steps on the Geman-McClure cost with scale ``τ``.
    No randomness: the result does not depend on the order of the views or on the rest of the batch.

    Args:
        xy_image: pixels, as detected (distorted).
        weights: confidence of every view, 0 = not seen.
        matrix: as in `Cameras`, like the other camera tensors; the views axis is the points' last but one.
        threshold_px: the inlier bound τ, for instance three times the detector's noise for this person's size.
        steps: Gauss-Newton steps.
    """
    sights = sights_of(xy_image, weights, matrix, distortion, rotation, translation, threshold_px)
    return sights.judge(refine(_best_pair(sights), sights, steps))


def _best_pair(sights: Sights) -> Float[Tensor, "*batch 3"]:
    """The midpoint of the pair of views with the least truncated cost; NaN where no pair is seen."""
    xy, weights, threshold = sights.xy, sights.weights, sights.threshold
    views = xy.shape[-2]
    origins, ray = sights.rays()
    best = torch.full_like(xy[..., 0, 0], torch.inf)
    xyz = torch.full_like(ray[..., 0, :], torch.nan)
    seen = weights > 0
    # One view against all later ones at a time: memory grows with views², not views³.
    for view in range(views - 1):
        others = slice(view + 1, views)
        pair_origin = torch.stack(
            torch.broadcast_tensors(origins[..., view : view + 1, :], origins[..., others, :]), -2
        )
        pair_ray = torch.stack([ray[..., view : view + 1, :].expand_as(ray[..., others, :]), ray[..., others, :]], -2)
        proposal = pair_midpoints(pair_origin, pair_ray, seen[..., view : view + 1] & seen[..., others])
        usable = torch.isfinite(proposal[..., 0])
        error = sights.errors(torch.where(usable[..., None], proposal, 0.0))
        # The untruncated tail, much reduced, breaks ties between proposals that nobody supports.
        cost = torch.minimum(error, threshold[..., None, :]) ** 2
        cost = cost + 1e-6 * torch.minimum(error, 1e3 * threshold[..., None, :]) ** 2
        cost = torch.where(usable, (weights[..., None, :] * cost).sum(-1), torch.inf)
        least = cost.min(dim=-1)
        chosen = torch.take_along_dim(proposal, least.indices[..., None, None], dim=-2)[..., 0, :]
        better = least.values < best
        xyz = torch.where(better[..., None], chosen, xyz)
        best = torch.where(better, least.values, best)
    return xyz

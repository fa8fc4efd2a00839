"""Triangulation by all views alike or by the least truncated error, and how far points can be trusted."""

from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.geometry.triangulation.linear import triangulate_algebraic
from dispose.geometry.triangulation.sights import RobustPoints, Sights, pair_midpoints, refine, triangulate_points


def dlt_of_sights(sights: Sights) -> RobustPoints:
    """The direct linear transform over all views that see a point, whatever their weight: what others are measured by.

    Its equations are in pixels (`triangulate_algebraic`). Every view in front of which the point lies counts as one
    that agrees, also beyond the bound.
    """
    in_pixels = torch.where(sights.weights > 0, sights.focal, 0.0)
    points = sights.judge(triangulate_algebraic(sights.xy, sights.rotation, sights.translation, in_pixels))
    return replace(points, inlier=torch.isfinite(points.error_px))


def robust_of_sights(sights: Sights, steps: int = 6) -> RobustPoints:
    """Robust triangulation over views: exhaustive search over view pairs, then refinement.

    Every pair of views proposes its midpoint; the proposal with the least truncated cost
    ``Σ w min(e², τ²)`` (MSAC; τ is the inlier bound) is refined by so many Gauss-Newton steps on the Geman-McClure cost
    with scale ``τ``. No randomness: the result does not depend on the order of the views.
    """
    return sights.judge(refine(_best_pair(sights), sights, steps))


triangulate_dlt = partial(triangulate_points, by=dlt_of_sights)
"""`triangulate_points` by all views alike."""

triangulate_robust = partial(triangulate_points, by=robust_of_sights)
"""`triangulate_points` by the least truncated error."""


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
        one, other = ((origins[..., end, :], ray[..., end, :]) for end in (slice(view, view + 1), others))
        proposal = pair_midpoints(one, other, seen[..., view : view + 1] & seen[..., others])
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

"""Triangulation by all views alike, by the least truncated error, or by consensus, without randomness where few see."""

from dataclasses import replace
from functools import partial
from itertools import combinations

import torch
from jaxtyping import Bool, Float, Int
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


MOST_PAIRS = 28
"""All pairs of eight views."""

SEED = 20190519


def ransac_of_sights(sights: Sights, steps: int = 6) -> RobustPoints:
    """The point on which most views agree.

    Every pair of views that see a point proposes its midpoint. The proposal within the inlier bound of the most views
    wins, among those of equal number the one with the smallest sum of their errors; the views that agree with it, and
    they alone, refine it by so many Gauss-Newton steps on the Geman-McClure cost. Every view has one vote; weights
    count in the refinement.

    Up to eight views that see the point every pair is tried, so that the order of the views does not matter; of more
    views `MOST_PAIRS` pairs, always the same.
    """
    start = _widest_consent(sights)
    agree = sights.judge(start).inlier
    consenting = replace(sights, weights=torch.where(agree, sights.weights, 0.0))
    return sights.judge(refine(start, consenting, steps))


triangulate_ransac = partial(triangulate_points, by=ransac_of_sights)
"""`triangulate_points` by consent."""


def _widest_consent(sights: Sights) -> Float[Tensor, "*batch 3"]:
    """The pair's midpoint with which most views agree; NaN where no pair is seen."""
    seen = sights.weights > 0
    pairs, both = _pairs(seen)
    origins, ray = sights.rays()
    one, other = ((_at(origins, end), _at(ray, end)) for end in pairs.unbind(-1))
    proposal = pair_midpoints(one, other, both)
    usable = torch.isfinite(proposal[..., 0])
    ratio = sights.errors(torch.where(usable[..., None], proposal, 0.0)) / sights.threshold[..., None, :]
    agree = seen[..., None, :] & (ratio <= 1)
    # A sum of ratios is at most the number of views, so that it only decides between equal numbers.
    views = seen.shape[-1]
    votes = agree.sum(-1) - torch.where(agree, ratio, 0.0).sum(-1) / (views + 1)
    best = torch.where(usable, votes, -1.0).max(dim=-1)
    chosen = torch.take_along_dim(proposal, best.indices[..., None, None], dim=-2)[..., 0, :]
    return torch.where((best.values >= 0)[..., None], chosen, torch.nan)


def _pairs(seen: Bool[Tensor, "*batch views"]) -> tuple[Int[Tensor, "*#batch pairs 2"], Bool[Tensor, "*batch pairs"]]:
    """Pairs of views, and who is seen by both: all of few views, of many always the same `MOST_PAIRS` that see most."""
    views, device = seen.shape[-1], seen.device
    # A single view is paired with itself, which proposes nothing.
    every = torch.tensor([*combinations(range(views), 2)] if views > 1 else [(0, 0)], device=device)
    both = seen.index_select(-1, every[:, 0]) & seen.index_select(-1, every[:, 1]) & (views > 1)
    if len(every) <= MOST_PAIRS:
        return every, both
    shuffled = torch.randperm(len(every), generator=torch.Generator().manual_seed(SEED)).to(device)
    # Stable: those that see the point first, in the shuffled order.
    order = torch.sort((~both[..., shuffled]).to(torch.uint8), dim=-1, stable=True).indices[..., :MOST_PAIRS]
    first = shuffled[order]
    return every[first], torch.take_along_dim(both, first, dim=-1)


def _at(
    values: Float[Tensor, "*#batch views 3"], end: Int[Tensor, "*#batch pairs"]
) -> Float[Tensor, "*#batch pairs 3"]:
    """The values of one view of every pair."""
    if end.ndim == 1:
        return values.index_select(-2, end)
    return torch.take_along_dim(values.expand(*end.shape[:-1], *values.shape[-2:]), end[..., None], dim=-2)

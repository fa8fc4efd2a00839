"""Random sample consensus over pairs of views, without randomness where there are few."""

from dataclasses import replace
from functools import partial
from itertools import combinations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.geometry.triangulation.sights import RobustPoints, Sights, pair_midpoints, refine, triangulate_points

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
    pairs = _pairs(seen)
    origins, ray = sights.rays()
    ends = pairs.clamp(min=0)
    # points x pairs x 2 ends x 3
    pair_origin = _at(origins.expand_as(ray), ends)
    proposal = pair_midpoints(pair_origin, _at(ray, ends), (pairs >= 0).all(-1))
    usable = torch.isfinite(proposal[..., 0])
    ratio = sights.errors(torch.where(usable[..., None], proposal, 0.0)) / sights.threshold[..., None, :]
    agree = seen[..., None, :] & (ratio <= 1)
    # A sum of ratios is at most the number of views, so that it only decides between equal numbers.
    views = seen.shape[-1]
    votes = agree.sum(-1) - torch.where(agree, ratio, 0.0).sum(-1) / (views + 1)
    best = torch.where(usable, votes, -1.0).max(dim=-1)
    chosen = torch.take_along_dim(proposal, best.indices[..., None, None], dim=-2)[..., 0, :]
    return torch.where((best.values >= 0)[..., None], chosen, torch.nan)


def _pairs(seen: Bool[Tensor, "*batch views"]) -> Int[Tensor, "*batch pairs 2"]:
    """Pairs of views that both see a point: all of few views, of many always the same `MOST_PAIRS`; -1 = none."""
    views, device = seen.shape[-1], seen.device
    # A single view is paired with itself, which proposes nothing.
    ends = [*combinations(range(views), 2)] if views > 1 else [(0, 0)]
    every = torch.tensor(ends, device=device)
    if len(every) <= MOST_PAIRS:
        both = seen[..., every].all(-1) & (every[:, 0] != every[:, 1])
        return torch.where(both[..., None], every, -1)
    shuffled = every[torch.randperm(len(every), generator=torch.Generator().manual_seed(SEED)).to(device)]
    both = seen[..., shuffled].all(-1)
    # Stable: those that see the point first, in the shuffled order.
    first = torch.sort((~both).to(torch.uint8), dim=-1, stable=True).indices[..., :MOST_PAIRS]
    return torch.where(torch.take_along_dim(both, first, dim=-1)[..., None], shuffled[first], -1)


def _at(
    values: Float[Tensor, "*batch views 3"], pairs: Int[Tensor, "*batch pairs 2"]
) -> Float[Tensor, "*batch pairs 2 3"]:
    """The values of both views of every pair."""
    flat = torch.take_along_dim(values, pairs.flatten(-2)[..., None], dim=-2)
    return flat.unflatten(-2, pairs.shape[-2:])

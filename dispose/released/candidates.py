"""The released candidate tuples and their polytope.

Pairs of root points are filtered, then what is left is scored; ours are joined level by level from fused Gaussian
evidence (`dispose_kernels.candidates`). Ten people at most, and a constant logit per dustbin.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.association.polytope import Marginals, marginals_of
from dispose.errors import ShapeError
from dispose.geometry.pinhole import undistort
from dispose.scene.cameras import Cameras, perspective_only
from dispose.tensors import ABSENT, TensorStruct
from dispose_kernels.candidates import Evidence, join

RELEASED_THRESHOLD_PX = 64.0
RELEASED_SHARPNESS = 0.01
RELEASED_SINGLETON_CUE = 0.3


@dataclass(frozen=True, eq=False)
class RootPoints(TensorStruct):
    """One image point per detection, in original pixels, with the weight (score) the released cue gives it."""

    cameras: Cameras
    xy_image: Float[Tensor, "views slots 2"]
    score: Float[Tensor, "views slots"]
    valid: Bool[Tensor, "views slots"]


@dataclass(frozen=True, eq=False)
class ReleasedCandidates(TensorStruct):
    """The candidates the released pruning keeps, in lexicographic order with absence last.

    Attributes:
        members: the slot taken in every view, or `ABSENT`.
        error: weighted mean squared reprojection error of the triangulated root, px²; 0 for singletons.
        cue: the released geometric score in [0, 1].
    """

    members: Int[Tensor, "tuples views"]
    error: Float[Tensor, " tuples"]
    cue: Float[Tensor, " tuples"]


def released_candidates(
    points: RootPoints,
    *,
    threshold_px: float = RELEASED_THRESHOLD_PX,
    sharpness: float = RELEASED_SHARPNESS,
    singleton_cue: float = RELEASED_SINGLETON_CUE,
) -> ReleasedCandidates:
    """The released pruning: pairs within ``V * threshold``, then tuples whose own error is within the threshold.

    The same set as the released enumeration of all combinations, found by joining over allowed pairs. Source: the
    released DisPOSE code.
    """
    views, slots = points.valid.shape
    allowed = _pair_errors(points) < threshold_px**2 * views**2
    nothing = torch.zeros(views, slots, 0, dtype=torch.float64, device=points.valid.device)
    unseen = Evidence(
        nothing[..., None, None].expand(-1, -1, -1, 3, 3),
        nothing[..., None].expand(-1, -1, -1, 3),
        nothing,
        points.valid,
    )
    members = join(unseen, allowed, cap=0.0, limit=0.0).members
    error = reprojection_error(points, members)
    count = (members != ABSENT).sum(1)
    kept = (count == 1) | (error <= threshold_px**2)
    members, error, count = members[kept], error[kept], count[kept]
    order = _absent_last(members, slots)
    cue = released_cue(error, count, views, sharpness=sharpness, singleton_cue=singleton_cue)
    return ReleasedCandidates(members[order], error[order], cue[order])


def released_cue(
    error: Float[Tensor, " tuples"],
    count: Int[Tensor, " tuples"],
    views: int,
    *,
    sharpness: float = RELEASED_SHARPNESS,
    singleton_cue: float = RELEASED_SINGLETON_CUE,
) -> Float[Tensor, " tuples"]:
    """``exp(-sharpness * error / max(1, (members - 1)^(views - 1)))``, a constant for singletons; error in px²."""
    spread = (count - 1).clamp(min=0).to(error.dtype).pow(views - 1).clamp(min=1.0)
    return torch.where(count > 1, torch.exp(-sharpness * error / spread), singleton_cue)


def reprojection_error(
    points: RootPoints, members: Int[Tensor, "tuples views"], *, chunk: int = 1 << 16
) -> Float[Tensor, " tuples"]:
    """Weighted mean squared distance (px²) of the members to their midpoint seen again; 0 for singletons.

    A view in which the midpoint lies behind the camera adds 0 to the sum of squares.
    """
    directions = _directions(points)
    column = torch.arange(members.shape[1], device=members.device)
    parts = []
    for rows in members.split(chunk):
        slot = rows.clamp(min=0)
        weight = torch.where(rows != ABSENT, points.score.double()[column, slot], 0.0)
        xyz = midpoint(points.cameras.centres.double(), directions[column, slot], weight)
        seen, front = points.cameras.to(torch.float64).project(xyz)
        squared = (seen.transpose(0, 1) - points.xy_image.double()[column, slot]).square().sum(-1)
        total = (weight * torch.where(front.T, squared, 0.0)).sum(1)
        parts.append(total / weight.sum(1).clamp(min=torch.finfo(torch.float64).tiny))
    error = torch.cat(parts) if parts else members.new_zeros(0, dtype=torch.float64)
    return torch.where((members != ABSENT).sum(1) > 1, error, 0.0)


def midpoint(
    origins: Float[Tensor, "views 3"],
    directions: Float[Tensor, "*batch views 3"],
    weight: Float[Tensor, "*batch views"],
) -> Float[Tensor, "*batch 3"]:
    """The point nearest to weighted rays: ``(sum w (I - d dt) + 1e-6 I) X = sum w (I - d dt) C``, mm."""
    eye = torch.eye(3, dtype=directions.dtype, device=directions.device)
    across = weight[..., None, None] * (eye - directions[..., :, None] * directions[..., None, :])
    right = (across @ origins[..., None])[..., 0].sum(-2)
    return torch.linalg.solve(across.sum(-3) + 1e-6 * eye, right)


def _directions(points: RootPoints) -> Float[Tensor, "views slots 3"]:
    """Unit world directions, undistorted by the five iterations of the released code."""
    cameras = perspective_only(points.cameras).to(torch.float64)
    xy = points.xy_image.double()
    xyz = torch.cat([xy, torch.ones_like(xy[..., :1])], -1) @ torch.linalg.inv(cameras.matrix).mT
    xy = undistort(xyz[..., :2], cameras.distortion[:, None], steps=5)
    world = torch.cat([xy, torch.ones_like(xy[..., :1])], -1) @ cameras.rotation
    return world / world.norm(dim=-1, keepdim=True)


def _pair_errors(points: RootPoints) -> Float[Tensor, "views slots views slots"]:
    """Error of every pair of detections of two views, as of a tuple of these two."""
    views, slots = points.valid.shape
    out = torch.full((views, slots, views, slots), torch.inf, dtype=torch.float64, device=points.valid.device)
    place = torch.nonzero(points.valid)
    one, other = torch.triu_indices(len(place), len(place), 1, device=place.device)
    apart = place[one, 0] != place[other, 0]
    first, second = place[one[apart]], place[other[apart]]
    members = torch.full((len(first), views), ABSENT, dtype=torch.long, device=place.device)
    row = torch.arange(len(first), device=place.device)
    members[row, first[:, 0]], members[row, second[:, 0]] = first[:, 1], second[:, 1]
    error = reprojection_error(points, members)
    out[first[:, 0], first[:, 1], second[:, 0], second[:, 1]] = error
    out[second[:, 0], second[:, 1], first[:, 0], first[:, 1]] = error
    return out


def _absent_last(members: Tensor, slots: int) -> Tensor:
    """Lexicographic order in which the dustbin is slot number `slots`, as the released enumeration goes."""
    order = torch.arange(len(members), device=members.device)
    for column in reversed(torch.where(members == ABSENT, slots, members).unbind(1)):
        order = order[torch.argsort(column[order], stable=True)]
    return order


RELEASED_ALPHA = 0.6607
"""The constant the released checkpoints add to a tuple's logit per dustbin."""


def released_marginals(
    members: Int[Tensor, "tuples views"],
    valid: Bool[Tensor, "views slots"],
    *,
    capacity: int = 10,
    epsilon: float = 1e-3,
) -> Marginals:
    """One sample's constraints as released: a detection carries ``1/capacity``, a dustbin the rest.

    The dustbin of a view with n detections carries ``(capacity - n + epsilon) / capacity``, so that every view's
    total is ``1 + epsilon/capacity``. With detections in fewer than two views every tuple but the fallback has mass 0.
    Where more people and lone detections are there than `capacity`, the right answer is outside.
    """
    counts = valid.sum(1)
    if int(counts.max() if len(counts) else 0) > capacity:
        raise ShapeError(f"{int(counts.max())} detections in one view, the released polytope holds {capacity}")
    lonely = int((counts > 0).sum()) < 2
    real = 0.0 if lonely else 1.0 / capacity
    rest = (capacity - counts.double() + epsilon) / capacity
    dustbin = torch.ones_like(rest) if lonely else rest
    return marginals_of(members, valid, real, dustbin)


def released_logits(
    logits: Float[Tensor, " tuples"], members: Int[Tensor, "tuples views"], alpha: float = RELEASED_ALPHA
) -> Float[Tensor, " all_tuples"]:
    """Logits of a sample's tuples and its fallback: ``alpha`` per dustbin is added, the fallback has only that."""
    dustbins = (members == ABSENT).sum(1)
    return torch.cat([logits + alpha * dustbins, logits.new_full((1,), alpha * members.shape[1])])

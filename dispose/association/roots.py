"""Stage I evidence from root points alone: candidate tuples of heat-map peaks and what geometry says of them.

Everything is a ratio to the noise of a peak, which is known per view (a heat-map pixel in original pixels), so a
network trained on one set of rigs and resolutions reads any other.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dispose.association.cues import IncidenceTable, gather_max, gather_mean, incidences
from dispose.association.evidence import fuse_ready
from dispose.geometry.triangulation import triangulate_midpoint
from dispose.scene.frame import Frame
from dispose.tensors import ABSENT, TensorStruct
from dispose_kernels.candidates import Candidates, join

RESIDUAL_CAP = 10.0
"""A member farther than this many deviations from its tuple's point is simply wrong."""


OUTLIER_MAP_PX = 3.0
"""A member this far from its group's root, in heat-map pixels, is somebody else's or none."""


@dataclass(frozen=True)
class RootCandidateConfig:
    """Which tuples of root points become candidates.

    Attributes:
        noise_map_px: standard deviation of a peak, heat-map pixels.
        calibration_sigma: angular error of a good calibration, radians, added to it.
        pair_limit: two points can be one person where their chi-square (one degree of freedom) is at most this.
        member_limit: a tuple of m members may cost this much times m - 1.
        budget: tuples kept per detection, the best by ``gain (m - 1) - cost``.
        gain: what one more member may cost before the smaller tuple is the better one.
    """

    noise_map_px: float = 0.7
    calibration_sigma: float = 2e-3
    pair_limit: float = 40.0
    member_limit: float = 60.0
    budget: int = 24
    gain: float = 20.0


@dataclass(frozen=True, eq=False)
class RootTuples(TensorStruct):
    """Candidate tuples of root points, triangulated.

    Attributes:
        members: the slot of every tuple in every view, `ABSENT` where it leaves a view out.
        xyz_world: the point nearest to the members' rays, mm; a singleton's is at the rig's usual depth.
        residual: distance of every member to the point seen again, in deviations of a peak, at most `RESIDUAL_CAP`.
        depth: of the point before every member's camera, mm.
        cost: of the join.
        table: which detections the memberships speak of.
    """

    members: Int[Tensor, "tuples views"]
    xyz_world: Float[Tensor, "tuples 3"]
    residual: Float[Tensor, " incidences"]
    depth: Float[Tensor, " incidences"]
    cost: Float[Tensor, " tuples"]
    table: IncidenceTable


def root_tuples(frame: Frame, map_pixel: Float[Tensor, " views"], config: RootCandidateConfig) -> RootTuples:
    """Candidates of a frame whose detections are root points (one joint of each is visible).

    Args:
        frame: the root points in original pixels.
        map_pixel: size of a heat-map pixel in original pixels, per view.
        config: the limits.
    """
    cameras, found = frame.cameras, frame.detections
    root = found.skeleton.index(found.skeleton.root_of[0])
    xy = found.xy_image[:, :, root].double()
    focal = cameras.matrix[:, [0, 1], [0, 1]].mean(1)
    angle = ((config.noise_map_px * map_pixel / focal).square() + config.calibration_sigma**2).sqrt()
    directions = cameras.directions(xy)
    usual = usual_depth(frame)
    kept = _join(frame, directions, angle, usual, config)
    table = incidences(kept.members, found.valid)
    xyz = _points(frame, kept.members, directions, usual)
    seen, front = cameras.project(xyz)
    distance = (seen[table.view, table.tuple_of] - xy[table.view, table.slot]).norm(dim=-1)
    residual = distance / (angle * focal)[table.view]
    residual = torch.where(front[table.view, table.tuple_of], residual, RESIDUAL_CAP).clamp(max=RESIDUAL_CAP)
    depth = cameras.to_camera(xyz)[table.view, table.tuple_of, 2]
    return RootTuples(kept.members, xyz, residual, depth, kept.cost, table)


def map_pixel_of(input_from_image: Float[Tensor, "views 2 3"], stride: int) -> Float[Tensor, " views"]:
    """Size of a heat-map pixel in original pixels, per view."""
    return stride / torch.linalg.det(input_from_image[..., :2].double()).abs().sqrt()


def weighted_roots(frame: Frame, weight: Float[Tensor, "persons views slots"]) -> Float[Tensor, "persons 3"]:
    """The points nearest to all rays of the root points, weighted; differentiable in the weights.

    A person with fewer than two rays of positive weight is NaN.
    """
    found = frame.detections
    root = found.skeleton.index(found.skeleton.root_of[0])
    directions = frame.cameras.directions(found.xy_image[:, :, root].double())
    centres = frame.cameras.centres[:, None].expand_as(directions)
    weight = torch.where(found.valid, weight.double(), 0.0)
    rays = directions.flatten(0, 1).expand(len(weight), -1, -1)
    return triangulate_midpoint(centres.flatten(0, 1), rays, weight.flatten(1))


def group_roots(
    frame: Frame, members: Int[Tensor, "persons views"], map_pixel: Float[Tensor, " views"]
) -> Float[Tensor, "persons 3"]:
    """Every group's root, mm: the point nearest to its members' rays, without those that do not fit.

    With three members or more, one that lies farther than `OUTLIER_MAP_PX` heat-map pixels from the point is left
    out once.
    """
    found, cameras = frame.detections, frame.cameras
    root = found.skeleton.index(found.skeleton.root_of[0])
    slots = found.valid.shape[1]
    chosen = torch.nn.functional.one_hot(members.clamp(min=0), slots) * (members != ABSENT)[..., None]
    weight = chosen * found.score.double().clamp(min=1e-3)
    xyz = weighted_roots(frame, weight)
    seen, front = cameras.project(torch.nan_to_num(xyz))
    distance = (seen.transpose(0, 1)[:, :, None] - found.xy_image[:, :, root].double()).norm(dim=-1)
    wrong = (distance > OUTLIER_MAP_PX * map_pixel[:, None]) | ~front.T[..., None]
    worst = distance / map_pixel[:, None] * chosen
    wrong = wrong & (worst == worst.flatten(1).amax(1)[:, None, None]) & (chosen > 0)
    left = weight * ~wrong
    enough = (left > 0).sum((1, 2)) >= 2
    return torch.where(enough[:, None], weighted_roots(frame, left), xyz)


def usual_depth(frame: Frame) -> Float[Tensor, " views"]:
    """Distance of every camera from the point nearest to all optical axes, mm: where people are expected."""
    cameras = frame.cameras
    axes = cameras.rotation[:, 2]
    focus = triangulate_midpoint(cameras.centres, axes, axes.new_ones(len(cameras)))
    distance = (cameras.centres - focus).norm(dim=-1)
    return torch.where(torch.isfinite(distance), distance, 4000.0).clamp(1500.0, 15_000.0)


def _join(frame: Frame, directions: Tensor, angle: Tensor, usual: Tensor, config: RootCandidateConfig) -> Candidates:
    """Level-wise join of the rays as long, thin normal distributions about the usual depth."""
    valid = frame.detections.valid
    view = valid.nonzero()[:, 0]
    ray = directions[valid]
    mean = frame.cameras.centres[view] + usual[view, None] * ray
    outer = ray[:, :, None] * ray[:, None]
    eye = torch.eye(3, dtype=ray.dtype, device=ray.device)
    across = (angle * usual)[view, None, None] ** 2
    # Along the ray nothing is known but that people stand in the room.
    along = (2.0 * usual)[view, None, None] ** 2
    covariance = across * (eye - outer) + along * outer
    origin = mean.mean(0) if len(mean) else mean.new_zeros(3)
    evidence = fuse_ready(mean[:, None], covariance[:, None], valid, origin[None])
    allowed = pair_chi_square(frame, directions, angle) <= config.pair_limit
    return join(
        evidence,
        allowed,
        cap=1e9,
        limit=config.member_limit,
        budget=config.budget,
        gain=config.gain,
    )


def pair_chi_square(
    frame: Frame, directions: Float[Tensor, "views slots 3"], angle: Float[Tensor, " views"]
) -> Float[Tensor, "views slots views slots"]:
    """Squared distance of two rays over its variance where they come nearest; infinite within a view.

    Rays that meet behind a camera are infinitely far apart.
    """
    views, slots = frame.detections.valid.shape
    centres = frame.cameras.centres
    one = directions[:, :, None, None]
    other = directions[None, None]
    between = (centres[None] - centres[:, None])[:, None, :, None]
    cosine = (one * other).sum(-1)
    sine2 = (1 - cosine.square()).clamp(min=1e-12)
    ahead, behind = (one * between).sum(-1), (other * between).sum(-1)
    depth_one = (ahead - cosine * behind) / sine2
    depth_other = (cosine * ahead - behind) / sine2
    gap = between + depth_other[..., None] * other - depth_one[..., None] * one
    variance = (depth_one * angle[:, None, None, None]).square() + (depth_other * angle[None, None, :, None]).square()
    chi = gap.square().sum(-1) / variance.clamp(min=1e-6)
    same = torch.eye(views, dtype=torch.bool, device=chi.device)[:, None, :, None].expand(views, slots, views, slots)
    valid = frame.detections.valid
    usable = (depth_one > 0) & (depth_other > 0) & ~same & valid[:, :, None, None] & valid[None, None]
    return torch.where(usable, chi, torch.inf)


def _points(
    frame: Frame, members: Int[Tensor, "tuples views"], directions: Tensor, usual: Tensor
) -> Float[Tensor, "tuples 3"]:
    """Where the members' rays meet; a lone ray's point lies at the usual depth."""
    centres = frame.cameras.centres
    view = torch.arange(len(centres), device=centres.device)
    ray = directions[view, members.clamp(min=0)]
    there = (members != ABSENT).double()
    xyz = triangulate_midpoint(centres, ray, there)
    lone = ((centres + usual[:, None] * ray) * there[..., None]).sum(1)
    return torch.where((there.sum(1) == 1)[:, None], lone, xyz)


ROOT_TUPLE_FEATURES = (
    "members", "members of views", "singleton", "pair", "chi² per degree of freedom", "worst residual",
    "spread of rays", "absent views that should see it", "heat there, mean over absent views",
    "heat there, most in an absent view", "mean score", "lowest score", "mean log depth over usual depth",
    "worst log depth over usual depth", "cue",
)  # fmt: skip

ROOT_INCIDENCE_FEATURES = ("residual", "score", "log depth over usual depth", "alone")


def root_cue(tuples: RootTuples) -> Float[Tensor, " tuples"]:
    """``exp(-max(0, chi² / dof - 1) / 2)`` with ``dof = 2m - 3``; 0.3 for singletons, as released."""
    ratio, size = _chi(tuples)
    return torch.where(size > 1, torch.exp(-0.5 * (ratio - 1).clamp(min=0)), 0.3)


def root_incidence_features(tuples: RootTuples, frame: Frame) -> Float[Tensor, "incidences incidence_features"]:
    """How well every member fits; see `ROOT_INCIDENCE_FEATURES`."""
    table = tuples.table
    _, size = _chi(tuples)
    columns = [
        tuples.residual.square().log1p(),
        frame.detections.score[table.view, table.slot],
        _surprise(tuples, frame),
        (size[table.tuple_of] == 1).double(),
    ]
    return torch.stack(columns, dim=1).float()


def root_tuple_features(
    tuples: RootTuples, frame: Frame, heat: Float[Tensor, "tuples views"]
) -> Float[Tensor, "tuples tuple_features"]:
    """What a judge of one tuple would look at; see `ROOT_TUPLE_FEATURES`.

    Args:
        tuples: the candidates.
        frame: the root points.
        heat: the root's heat map where every tuple's point is seen, in every view; 0 outside the image.
    """
    ratio, size = _chi(tuples)
    table, count = tuples.table, len(tuples.members)
    score = frame.detections.score[table.view, table.slot].double()
    rays = torch.stack(
        [gather_mean(frame.cameras.rotation[table.view, 2, k], table.tuple_of, count) for k in range(3)], dim=1
    )
    xy, front = frame.cameras.project(tuples.xyz_world)
    missing = ((tuples.members == ABSENT).T & frame.cameras.inside(xy) & front).double().T
    missing = torch.where((size > 1)[:, None], missing, 0.0)
    surprise = _surprise(tuples, frame)
    columns = [
        size.log(),
        size / tuples.members.shape[1],
        (size == 1).double(),
        (size == 2).double(),
        ratio.log1p(),
        gather_max(tuples.residual, table.tuple_of, count).square().log1p(),
        1 - rays.norm(dim=1),
        missing.mean(1),
        (heat.double() * missing).sum(1) / missing.sum(1).clamp(min=1),
        (heat.double() * missing).amax(1),
        gather_mean(score, table.tuple_of, count),
        -gather_max(-score, table.tuple_of, count),
        gather_mean(surprise, table.tuple_of, count),
        gather_max(surprise.abs(), table.tuple_of, count),
        root_cue(tuples),
    ]
    return torch.stack(columns, dim=1).float()


def _chi(tuples: RootTuples) -> tuple[Float[Tensor, " tuples"], Float[Tensor, " tuples"]]:
    """Chi-square per degree of freedom, and the number of members."""
    size = (tuples.members != ABSENT).sum(1).double()
    total = size.new_zeros(len(size)).index_add(0, tuples.table.tuple_of, tuples.residual.square())
    return total / (2 * size - 3).clamp(min=1), size


def _surprise(tuples: RootTuples, frame: Frame) -> Float[Tensor, " incidences"]:
    """Logarithm of every member's depth over its camera's usual depth; 0 for a lone ray, whose depth is a guess."""
    ratio = (tuples.depth.clamp(min=100.0) / usual_depth(frame)[tuples.table.view]).log().clamp(-3, 3)
    _, size = _chi(tuples)
    return torch.where(size[tuples.table.tuple_of] == 1, 0.0, ratio)

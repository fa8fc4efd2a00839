"""Geometric evidence of every candidate tuple, in numbers that mean the same on every rig.

Everything here is a ratio (misfit to its noise, bone length to human length, members to views), so that a
network trained on one set of rigs reads any other.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.association.evidence import Placement, inverse_3x3
from dispose.association.viewpoint import Viewpoints
from dispose.scene.cameras import Cameras
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT, TensorStruct
from dispose_kernels.candidates import Evidence, beliefs

MISFIT_CAP = 25.0
"""Chi-square above which one joint counts no further: swapped limbs must not veto a body that fits."""

SINGLE_CUE = 0.3
"""The released constant for a detection that stands alone."""

HUMAN_BONES_MM = {
    ("l_shoulder", "r_shoulder"): 340.0,
    ("l_shoulder", "l_elbow"): 285.0,
    ("r_shoulder", "r_elbow"): 285.0,
    ("l_elbow", "l_wrist"): 245.0,
    ("r_elbow", "r_wrist"): 245.0,
    ("l_shoulder", "l_hip"): 495.0,
    ("r_shoulder", "r_hip"): 495.0,
    ("l_hip", "r_hip"): 220.0,
    ("l_hip", "l_knee"): 400.0,
    ("r_hip", "r_knee"): 400.0,
    ("l_knee", "l_ankle"): 395.0,
    ("r_knee", "r_ankle"): 395.0,
}
"""Typical adult lengths between joint centres; only their logarithmic ratio to a tuple's bones is used."""


@dataclass(frozen=True, eq=False)
class Fused(TensorStruct):
    """Bodies of candidate tuples: the members' normal distributions multiplied.

    Attributes:
        xyz: joint means, mm, relative to the evidence's origin.
        misfit: chi-square of every joint, capped at `MISFIT_CAP`.
        seen: number of members that see the joint.
        size: number of members.
    """

    xyz: Float[Tensor, "tuples joints 3"]
    misfit: Float[Tensor, "tuples joints"]
    seen: Float[Tensor, "tuples joints"]
    size: Float[Tensor, " tuples"]


def fuse(
    evidence: Evidence,
    members: Int[Tensor, "tuples views"],
    visible: Bool[Tensor, "*frames views slots joints"],
    frame: Int[Tensor, " tuples"] | None = None,
) -> Fused:
    """Multiply the members' distributions, tuple by tuple (every tuple has at least one member)."""
    frame = torch.zeros_like(members[:, 0]) if frame is None else frame
    shape = (math.prod(visible.shape[:-3]), *visible.shape[-3:])
    table, visible = beliefs(evidence).view(*shape, 10), visible.view(shape).to(evidence.constant.dtype)
    belief = table.new_zeros(len(members), shape[3], 10)
    seen = table.new_zeros(len(members), shape[3])
    for view, column in enumerate(members.unbind(1)):
        rows = (column != ABSENT).nonzero()[:, 0]
        place = frame[rows], view, column[rows]
        belief.index_add_(0, rows, table[place])
        seen.index_add_(0, rows, visible[place])
    a, b, c, d, e, f, *_ = belief.unbind(-1)
    precision = torch.stack([a, b, d, b, c, e, d, e, f], dim=-1).unflatten(-1, (3, 3))
    xyz = (inverse_3x3(precision) * belief[..., None, 6:9]).sum(-1)
    left = belief[..., 9] - (belief[..., 6:9] * xyz).sum(-1)
    return Fused(xyz, left.clamp(0.0, MISFIT_CAP), seen, (members != ABSENT).sum(1).to(seen.dtype))


def degrees_of_freedom(fused: Fused) -> Float[Tensor, " tuples"]:
    """``sum_j max(2 n_j - 3, 0) + (m - 1)``: rays that meet leave 2n - 3 numbers, bodies m - 1 depths."""
    return (2 * fused.seen - 3).clamp(min=0).sum(1) + fused.size - 1


def noise_normalised_cue(fused: Fused) -> Float[Tensor, " tuples"]:
    """``exp(-max(0, chi² / dof - 1) / 2)``: 1 for anything the detectors' noise explains; singles `SINGLE_CUE`."""
    ratio = fused.misfit.sum(1) / degrees_of_freedom(fused).clamp(min=1)
    return torch.where(fused.size > 1, torch.exp(-0.5 * (ratio - 1).clamp(min=0)), SINGLE_CUE)


def bone_ratios(fused: Fused, skeleton: Skeleton) -> tuple[Float[Tensor, "tuples bones"], Bool[Tensor, "tuples bones"]]:
    """Logarithm of bone length over human length, and whether both ends are seen twice."""
    pairs = torch.tensor([skeleton.indices(bone) for bone in HUMAN_BONES_MM], device=fused.xyz.device)
    human = fused.xyz.new_tensor(list(HUMAN_BONES_MM.values()))
    length = (fused.xyz[:, pairs[:, 0]] - fused.xyz[:, pairs[:, 1]]).norm(dim=-1)
    known = (fused.seen[:, pairs] >= 2).all(-1)
    return torch.where(known, (length.clamp(min=1.0) / human).log().clamp(-1.5, 1.5), 0.0), known


TUPLE_FEATURES = (
    "members", "members of views", "singleton", "pair", "chi² per degree of freedom", "mean misfit of shared joints",
    "worst misfit of shared joints", "share of shared joints that misfit", "mean misfit of all joints",
    "joints shared", "joints seen", "joints seen in three views", "mean bone ratio", "spread of bone ratios",
    "worst bone ratio", "bones known", "absent views that should see it", "most visible in an absent view",
    "worst depth surprise", "mean depth surprise", "spread of rays", "mean score", "lowest score",
    "mean visible joints", "fewest visible joints", "cue",
)  # fmt: skip

INCIDENCE_FEATURES = (
    "mean misfit of member", "share of member's joints that misfit", "depth surprise", "joints seen",
    "share of its joints that others see", "score",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class IncidenceTable(TensorStruct):
    """Memberships in the order tuple, view: which tuple, view, slot and packed detection."""

    tuple_of: Int[Tensor, " incidences"]
    view: Int[Tensor, " incidences"]
    slot: Int[Tensor, " incidences"]
    detection: Int[Tensor, " incidences"]


def incidences(members: Int[Tensor, "tuples views"], valid: Bool[Tensor, "views slots"]) -> IncidenceTable:
    """All (detection, tuple) memberships of one frame; detections are numbered view by view."""
    number = (valid.flatten().cumsum(0) - 1).view(1, *valid.shape)
    return packed_incidences(members, torch.zeros_like(members[:, 0]), number)


def packed_incidences(
    members: Int[Tensor, "tuples views"], frame: Int[Tensor, " tuples"], number: Int[Tensor, "frames views slots"]
) -> IncidenceTable:
    """All (detection, tuple) memberships of several frames, given the number of every detection."""
    tuple_of, view = (members != ABSENT).nonzero(as_tuple=True)
    slot = members[tuple_of, view]
    return IncidenceTable(tuple_of, view, slot, number[frame[tuple_of], view, slot])


def incidence_features(
    evidence: Evidence,
    fused: Fused,
    table: IncidenceTable,
    seen: Viewpoints,
    placement: Placement,
    origin: Float[Tensor, "detections 3"],
) -> Float[Tensor, "incidences incidence_features"]:
    """How well every member fits the body its tuple makes; see `INCIDENCE_FEATURES`.

    Args:
        evidence: of all frames.
        fused: bodies of the tuples.
        table: memberships.
        seen: the detections from their viewpoints.
        placement: where their bodies stand.
        origin: of the evidence of every detection's frame.
    """
    xyz, valid = fused.xyz[table.tuple_of], evidence.valid
    precision, information = evidence.precision[valid][table.detection], evidence.information[valid][table.detection]
    own = (((precision * xyz[..., None, :]).sum(-1) - 2 * information) * xyz).sum(-1)
    own = (own + evidence.constant[valid][table.detection]).clamp(0.0, MISFIT_CAP)
    visible = seen.visible[table.detection].to(own.dtype)
    count = visible.sum(1)
    alone = fused.size[table.tuple_of] == 1
    others = ((fused.seen[table.tuple_of] >= 2) * visible).sum(1) / count.clamp(min=1)
    away = (origin - seen.centre)[table.detection]
    depth = ((xyz + away[:, None]) * seen.axes[table.detection][:, None, 2]).sum(-1)
    reference = (depth * visible).sum(1) / count.clamp(min=1)
    expected = placement.log_depth.double()[table.detection]
    surprise = (reference.clamp(min=100.0).log() - expected) / placement.log_depth_sigma.double()[table.detection]
    return torch.stack(
        [
            (own * visible).sum(1).div(count.clamp(min=1)).log1p(),
            ((own > 9.0) * visible).sum(1) / count.clamp(min=1),
            torch.where(alone, 0.0, surprise.clamp(-5, 5)),
            count / visible.shape[1],
            others,
            seen.score[table.detection],
        ],
        dim=1,
    ).float()


def tuple_features(
    fused: Fused,
    table: IncidenceTable,
    of_incidences: Float[Tensor, "incidences incidence_features"],
    members: Int[Tensor, "tuples views"],
    seen: Viewpoints,
    cameras: Cameras,
    skeleton: Skeleton,
    origin: Float[Tensor, "tuples 3"],
) -> Float[Tensor, "tuples tuple_features"]:
    """What a judge of one tuple would look at; see `TUPLE_FEATURES`. Cameras and origin are those of every tuple."""
    there = torch.ones_like(members) if cameras.present is None else cameras.present
    views = there.sum(1)
    shared = (fused.seen >= 2).double()
    several = shared.sum(1).clamp(min=1)
    ratio, known = bone_ratios(fused, skeleton)
    bones = known.sum(1).clamp(min=1)
    mean_ratio = ratio.sum(1) / bones
    absent_share = _visible_in_absent_views(fused, members, cameras, origin)
    chi = fused.misfit.sum(1) / degrees_of_freedom(fused).clamp(min=1)
    cue = noise_normalised_cue(fused)
    surprise = gather_max(of_incidences[:, 2].abs().double(), table.tuple_of, members.shape[0])
    mean_surprise = gather_mean(of_incidences[:, 2].abs().double(), table.tuple_of, members.shape[0])
    direction = torch.stack(
        [gather_mean(seen.axes[table.detection, 2, k], table.tuple_of, members.shape[0]) for k in range(3)], dim=1
    )
    score = seen.score[table.detection].double()
    joints = of_incidences[:, 3].double()
    columns = [
        fused.size.log(),
        fused.size / views,
        (fused.size == 1).double(),
        (fused.size == 2).double(),
        chi.log1p(),
        ((fused.misfit * shared).sum(1) / several).log1p(),
        (fused.misfit * shared).amax(1).log1p(),
        ((fused.misfit > 9.0) * shared).sum(1) / several,
        fused.misfit.mean(1).log1p(),
        shared.mean(1),
        (fused.seen >= 1).double().mean(1),
        (fused.seen >= 3).double().mean(1),
        mean_ratio,
        ((((ratio - mean_ratio[:, None]) * known) ** 2).sum(1) / bones).sqrt(),
        ratio.abs().amax(1),
        known.double().mean(1),
        absent_share.sum(1) / views,
        absent_share.amax(1),
        surprise,
        mean_surprise,
        1 - direction.norm(dim=1),
        gather_mean(score, table.tuple_of, members.shape[0]),
        -gather_max(-score, table.tuple_of, members.shape[0]),
        gather_mean(joints, table.tuple_of, members.shape[0]),
        -gather_max(-joints, table.tuple_of, members.shape[0]),
        cue,
    ]
    return torch.stack(columns, dim=1).float()


def _visible_in_absent_views(
    fused: Fused, members: Int[Tensor, "tuples views"], cameras: Cameras, origin: Float[Tensor, "tuples 3"]
) -> Float[Tensor, "tuples views"]:
    """Share of the body's seen joints that fall into the image of every view the tuple leaves out."""
    xy, front = cameras.project(fused.xyz + origin[:, None])
    inside = (cameras.inside(xy) & front).double()
    weight = (fused.seen >= 1).double()
    share = (inside * weight[:, None]).sum(-1) / weight.sum(-1).clamp(min=1)[:, None]
    return torch.where(members == ABSENT, share, 0.0)


def gather_mean(
    values: Float[Tensor, " incidences"], index: Int[Tensor, " incidences"], tuples: int
) -> Float[Tensor, " tuples"]:
    """The mean over every tuple's incidences; 0 where it has none."""
    total = values.new_zeros(tuples).index_add(0, index, values)
    return total / torch.bincount(index, minlength=tuples).clamp(min=1)


def gather_max(
    values: Float[Tensor, " incidences"], index: Int[Tensor, " incidences"], tuples: int
) -> Float[Tensor, " tuples"]:
    """The greatest of every tuple's incidences; minus infinity where it has none."""
    return values.new_full((tuples,), -torch.inf).scatter_reduce(0, index, values, "amax")

"""What every detection says about where its body's joints are, as normal distributions that can be fused.

A seen joint is known across its ray as well as the detector places it and along its ray as well as the body's
size tells. An unseen joint is known from the pose of the rest. In information form (precision ``P``, ``P mu``,
``mu' P mu``) the distributions of several detections fuse by addition, and what is left over,
``c - b' P^-1 b``, is a chi-square: the reprojection error in units of its noise where rays meet, and still
defined where two detections share few joints or none.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.association.viewpoint import Viewpoints
from dispose.tensors import TensorStruct
from dispose_kernels.candidates import Evidence, beliefs, misfit

EXPECTED_MISFIT = 1.0
"""Mean misfit of two detections of one person where cameras and detector are as good as assumed."""

DOUBTING_PAIRS = 20
"""So many pairs weigh as much as the assumption: a frame with few people hardly says how wrong its cameras are."""

PAIRS_AT_ONCE = 1 << 14
"""Pairs of detections whose misfit is computed at once (tens of MiB)."""


@dataclass(frozen=True, eq=False)
class Placement(TensorStruct):
    """A body's place along its rays and its joints about it, per detection, in its viewpoint's axes.

    Attributes:
        log_depth: logarithm of the depth (mm) of the reference point, the visible joints' mean.
        log_depth_sigma: standard deviation of `log_depth`.
        offset: every joint's offset from the reference point, mm. For a visible joint only z counts.
        offset_sigma: standard deviation of the offsets, mm.
        image_sigma: angular standard deviation of a visible joint (tangent units at depth 1).
    """

    log_depth: Float[Tensor, " detections"]
    log_depth_sigma: Float[Tensor, " detections"]
    offset: Float[Tensor, "detections joints 3"]
    offset_sigma: Float[Tensor, "detections joints"]
    image_sigma: Float[Tensor, "detections joints"]


@dataclass(frozen=True)
class EvidenceConfig:
    """How placements become normal distributions.

    Attributes:
        calibration_sigma: angular error of a good calibration, radians, added to every joint's own noise.
        pixel_sigma: pixels of noise that no detector is below.
        shared_joints: errors of the depth are common to all joints of a body. A sum over this many joints counts
            them once if each is given this many times the variance.
        unseen_inflation: the same, for the pose errors that unseen joints of a body share.
    """

    calibration_sigma: float = 2e-3
    pixel_sigma: float = 1.0
    shared_joints: float = 17.0
    unseen_inflation: float = 4.0


def joint_beliefs(
    seen: Viewpoints, placement: Placement, config: EvidenceConfig
) -> tuple[Float[Tensor, "detections joints 3"], Float[Tensor, "detections joints 3 3"]]:
    """Mean (mm, world) and covariance of every joint of every detection."""
    depth = placement.log_depth.double().exp()
    offset = placement.offset.double()
    ray = torch.cat([seen.xy * seen.size[:, None, None], torch.ones_like(seen.xy[..., :1])], dim=-1)
    joint_depth = (depth[:, None] + offset[..., 2]).clamp(min=100.0)
    middle = (ray * seen.visible[..., None]).sum(1) / seen.visible.sum(1).clamp(min=1)[:, None]
    middle = torch.cat([middle[:, :2], torch.ones_like(middle[:, 2:])], dim=-1)
    unseen = middle[:, None] * depth[:, None, None] + offset
    local = torch.where(seen.visible[..., None], ray * joint_depth[..., None], unseen)
    mean = local @ seen.axes + seen.centre[:, None]

    along = config.shared_joints * (depth * placement.log_depth_sigma.double())[:, None] ** 2
    pose = placement.offset_sigma.double() ** 2
    image = (
        placement.image_sigma.double() ** 2
        + config.calibration_sigma**2
        + (config.pixel_sigma * seen.pixel[:, None]) ** 2
    )
    across = torch.where(seen.visible, image * joint_depth**2, config.unseen_inflation * pose)
    deep = along + torch.where(seen.visible, pose, config.unseen_inflation * pose)
    direction = local / local.norm(dim=-1, keepdim=True) @ seen.axes
    outer = direction[..., :, None] * direction[..., None, :]
    eye = torch.eye(3, dtype=outer.dtype, device=outer.device)
    covariance = across[..., None, None] * (eye - outer) + deep[..., None, None] * outer
    return mean, covariance


def inverse_3x3(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Inverse of symmetric positive definite 3x3 matrices by cofactors (many small ones: far faster than LAPACK)."""
    a, b, c = matrix[..., 0, 0], matrix[..., 0, 1], matrix[..., 0, 2]
    d, e, f = matrix[..., 1, 1], matrix[..., 1, 2], matrix[..., 2, 2]
    cof = [d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e, a * d - b * b]
    determinant = a * cof[0] + b * cof[1] + c * cof[2]
    rows = torch.stack([cof[0], cof[1], cof[2], cof[1], cof[3], cof[4], cof[2], cof[4], cof[5]], dim=-1)
    return (rows / determinant[..., None]).unflatten(-1, (3, 3))


def fuse_ready(
    mean: Float[Tensor, "detections joints 3"],
    covariance: Float[Tensor, "detections joints 3 3"],
    valid: Bool[Tensor, "*frames views slots"],
    origin: Float[Tensor, "#detections 3"],
) -> Evidence:
    """Beliefs of packed detections in information form, padded to views and slots, about origins near the scene.

    Joints of detections that say nothing (an empty slot) have zero precision.
    """
    precision = inverse_3x3(covariance)
    away = mean - origin[:, None]
    information = (precision * away[..., None, :]).sum(-1)
    precision, information, constant = (
        values.new_zeros(*valid.shape, *values.shape[1:]).index_put((valid,), values)
        for values in (precision, information, (information * away).sum(-1))
    )
    return Evidence(precision, information, constant, valid)


def pair_misfit(evidence: Evidence, *, cap: float) -> Float[Tensor, "*frames views slots views slots"]:
    """Mean over joints of the capped chi-square of every two detections; infinite within a view and on empty slots."""
    *frames, views, slots = evidence.valid.shape
    valid = evidence.valid.view(math.prod(frames), views, slots)
    table, place = beliefs(evidence).view(*valid.shape, *evidence.constant.shape[-1:], 10), valid.nonzero()
    # Component by component, so that every operation runs over neighbours in memory.
    packed = table[place.unbind(1)].movedim(-1, 0).contiguous()
    frame, view, slot = place.unbind(1)
    one, other = ((frame[:, None] == frame) & (view[:, None] < view)).nonzero(as_tuple=True)
    parts = zip(one.split(PAIRS_AT_ONCE), other.split(PAIRS_AT_ONCE), strict=True)
    mean = [misfit((packed[:, a] + packed[:, b]).movedim(0, -1)).clamp(max=cap).mean(-1) for a, b in parts]
    out = packed.new_full((len(table), views, slots, views, slots), torch.inf)
    if mean:
        out[frame[one], view[one], slot[one], view[other], slot[other]] = torch.cat(mean)
    out = torch.minimum(out, out.permute(0, 3, 4, 1, 2))
    return out.view(*frames, views, slots, views, slots)


def noise_excess(
    misfit: Float[Tensor, "frames views slots views slots"], part_of: Int[Tensor, " frames"]
) -> Float[Tensor, " frames"]:
    """By how much the noise of every frame is above what is assumed (variance; at least 1), from its best pairs.

    Cameras that moved, lenses that were not calibrated and poor detectors push the members of everybody apart alike.
    Two detections that are each other's best are mostly one person, so the median of their misfits tells by how much:
    ``(median / EXPECTED_MISFIT) ** (n / (n + DOUBTING_PAIRS))``, n being their number.

    Args:
        misfit: of every two detections (`pair_misfit`).
        part_of: frames with the same number are views of one frame and share their noise.
    """
    views = misfit.shape[1]
    table = misfit.transpose(2, 3)
    best, back = table.min(-1), table.argmin(-2)
    mutual = back.gather(-1, best.indices) == torch.arange(misfit.shape[2], device=misfit.device)
    once = torch.ones(views, views, dtype=torch.bool, device=misfit.device).tril(-1)[..., None]
    frame, *place = (mutual & once & best.values.isfinite()).nonzero(as_tuple=True)
    values, owner = best.values[(frame, *place)], part_of[frame]
    excess = misfit.new_ones(len(part_of))
    for number in owner.unique():
        mine = values[owner == number]
        share = len(mine) / (len(mine) + DOUBTING_PAIRS)
        excess[part_of == number] = (mine.median() / EXPECTED_MISFIT).clamp(min=1.0) ** share
    return excess


def widen(evidence: Evidence, excess: Float[Tensor, " frames"]) -> Evidence:
    """The evidence with all covariances of a frame that many times as large."""
    one, two, three = (excess.reshape(-1, *(1,) * axes) for axes in (3, 4, 5))
    return Evidence(evidence.precision / three, evidence.information / two, evidence.constant / one, evidence.valid)

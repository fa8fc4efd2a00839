"""Weighted triangulation of 2-D detections: how far each keypoint can be trusted is learned, no image is looked at.

Learnable Triangulation (iskakov2019learnable) weighs every view and joint by what a network sees in the image. Here the
weights come from what detections tell (`dispose.models.triangulation.statistics`), in rounds: the joints that the
weights of one round give say which keypoints fit, and the next round weighs anew. A weight is one over the standard
deviation that the network expects of the keypoint, so the equations that give the joint give its covariance too.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from dispose.association.packing import GroupKeypoints
from dispose.association.reconstruct import Triangulate, judge_poses, triangulate_keypoints
from dispose.geometry.triangulation import ransac_of_sights, rotate, triangulate_algebraic
from dispose.models.triangulation.statistics import (
    NAMES,
    STATISTICS,
    KeypointStatistics,
    bone_misfit,
    keypoint_statistics,
    squashed,
)
from dispose.nn.blocks import mlp
from dispose.scene.frame import Poses
from dispose.tensors import TensorStruct

WIDEST_MM = 120.0
"""A joint whose standard deviation is larger, in the mean of the axes, is not known."""

LEAST_LOG_SIGMA, MOST_LOG_SIGMA = -6.0, 5.0


@dataclass(frozen=True)
class DetectionWeightsConfig:
    """Sizes of the network.

    Attributes:
        chans: width of what is kept of every keypoint.
        name_chans: width of what stands for a joint's name.
        rounds: how often keypoints are weighed and joints triangulated.
    """

    chans: int = 48
    name_chans: int = 8
    rounds: int = 3


@dataclass(frozen=True, eq=False)
class WeighedJoints(TensorStruct):
    """What one round says.

    Attributes:
        xyz_world: joints, mm; the start's where fewer than two views see them.
        log_sigma: logarithm of every keypoint's expected standard deviation, inlier bounds.
        covariance: of the joints, mm².
    """

    xyz_world: Float[Tensor, "persons joints 3"]
    log_sigma: Float[Tensor, "persons views joints"]
    covariance: Float[Tensor, "persons joints 3 3"]


class DetectionWeights(nn.Module):
    """From the statistics of keypoints to their weights, and so to joints with covariances.

    Attributes:
        stretch: what standard deviations are multiplied by, so that they hold on people whom training did not see.
    """

    stretch: Tensor

    def __init__(self, config: DetectionWeightsConfig) -> None:
        super().__init__()
        self.config = config
        chans = config.chans
        self.name = nn.Embedding(len(NAMES) + 1, config.name_chans)
        self.inward = mlp([len(STATISTICS) + config.name_chans, chans, chans])
        self.blocks = nn.ModuleList(_Exchange(chans) for _ in range(config.rounds))
        self.sigma = mlp([chans, chans, 1])
        self.joint = mlp([2 * chans + 1, chans, 2])
        self.register_buffer("stretch", torch.ones(()))

    def forward(
        self, statistics: KeypointStatistics, trusted: Bool[Tensor, "persons views joints"] | None = None
    ) -> list[WeighedJoints]:
        """What every round says, the last one being the answer, in which only keypoints that are trusted count."""
        seen = statistics.seen
        names = self.name(statistics.name)[:, None].expand(-1, seen.shape[1], -1, -1)
        x = self.inward(torch.cat([statistics.values, names], dim=-1)) * seen[..., None]
        xyz, found = statistics.start, []
        for block in self.blocks:
            x = block(x, statistics, xyz.detach())
            log_sigma = self.sigma(x)[..., 0].clamp(LEAST_LOG_SIGMA, MOST_LOG_SIGMA)
            if trusted is not None and len(found) == self.config.rounds - 1:
                log_sigma = torch.where(trusted, log_sigma, torch.inf)
            xyz = weighted_joints(statistics, log_sigma.double(), xyz)
            found.append(self._judged(x, statistics, log_sigma, xyz))
        return found

    def _judged(
        self,
        x: Float[Tensor, "persons views joints chans"],
        statistics: KeypointStatistics,
        log_sigma: Float[Tensor, "persons views joints"],
        xyz: Float[Tensor, "persons joints 3"],
    ) -> WeighedJoints:
        """The joints with how certain they are."""
        information = information_of(statistics, log_sigma.double(), xyz.detach())
        known = statistics.known
        eye = torch.eye(3, dtype=xyz.dtype, device=xyz.device)
        ready = torch.where(known[..., None, None], information, eye)
        trace = torch.diagonal(ready, dim1=-2, dim2=-1).sum(-1)[..., None, None]
        spread = torch.linalg.inv(ready + 1e-6 * trace * eye)
        wide = torch.diagonal(spread, dim1=-2, dim2=-1).sum(-1).log().float() / 2 - 4.0
        pooled = torch.cat([*_over_views(x, statistics.seen), wide[..., None]], dim=-1)
        scale, floor = self.joint(pooled).unbind(-1)
        scale, floor = scale.clamp(-4, 4).double(), (2.0 + floor.clamp(-4, 5)).double()
        covariance = (2 * scale).exp()[..., None, None] * spread + (2 * floor).exp()[..., None, None] * eye
        return WeighedJoints(xyz, log_sigma, covariance * self.stretch.double().square())


class _Exchange(nn.Module):
    """A round's talk of the keypoints: with the other views, with the person's other joints, with the neighbours."""

    def __init__(self, chans: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(chans)
        self.body = mlp([6 * chans + 2, 2 * chans, chans])

    def forward(
        self,
        x: Float[Tensor, "persons views joints chans"],
        statistics: KeypointStatistics,
        xyz: Float[Tensor, "persons joints 3"],
    ) -> Float[Tensor, "persons views joints chans"]:
        """Shape is kept; what is not seen stays 0."""
        seen = statistics.seen
        miss, _ = statistics.residual(xyz)
        now = torch.stack([squashed(miss.norm(dim=-1)), squashed(bone_misfit(statistics, miss))], dim=-1).float()
        y = self.norm(x) * seen[..., None]
        mean, most = _over_views(y, seen)
        body = _mean_over(y.flatten(0, 1), seen.flatten(0, 1))
        body = body.reshape(*y.shape[:2], 1, y.shape[-1])
        beside = statistics.neighbour.float()
        near = torch.einsum("pij,pvjc->pvic", beside, y) / beside.sum(-1).clamp(min=1)[:, None, :, None]
        around = torch.einsum("pij,pjc->pic", beside, mean) / beside.sum(-1).clamp(min=1)[..., None]
        told = [y, mean[:, None].expand_as(y), most[:, None].expand_as(y), body.expand_as(y), near]
        told += [around[:, None].expand_as(y), now]
        return (x + self.body(torch.cat(told, dim=-1))) * seen[..., None]


def _over_views(
    x: Float[Tensor, "persons views joints chans"], seen: Bool[Tensor, "persons views joints"]
) -> tuple[Float[Tensor, "persons joints chans"], Float[Tensor, "persons joints chans"]]:
    """Mean and maximum over the views that see a joint; 0 where none does."""
    there = seen[..., None]
    mean = (x * there).sum(1) / there.sum(1).clamp(min=1)
    most = torch.where(there, x, -torch.inf).amax(1)
    return mean, torch.where(there.any(1), most, 0.0)


def _mean_over(
    x: Float[Tensor, "persons joints chans"], known: Bool[Tensor, "persons joints"]
) -> Float[Tensor, "persons chans"]:
    """Mean over the joints that are known; 0 where none is."""
    return (x * known[..., None]).sum(1) / known.sum(1, keepdim=True).clamp(min=1)


def weighted_joints(
    statistics: KeypointStatistics,
    log_sigma: Float[Tensor, "persons views joints"],
    xyz: Float[Tensor, "persons joints 3"],
) -> Float[Tensor, "persons joints 3"]:
    """Joints by weighted linear triangulation, each equation divided by what it is expected to be off by.

    A linear equation is off by the image's error times the depth (that of `xyz`) over the focal length.
    """
    _, depth = statistics.residual(xyz.detach())
    reach = statistics.bound_px[..., None] * depth / statistics.focal_px[..., None]
    weights = torch.where(statistics.seen, (-log_sigma).exp() / reach, 0.0)
    largest = weights.detach().amax(1, keepdim=True)
    weights = (weights / torch.where(largest > 0, largest, 1.0)).transpose(1, 2)
    found = triangulate_algebraic(
        statistics.xy.transpose(1, 2), statistics.rotation[:, None], statistics.translation[:, None], weights
    )
    return torch.where(statistics.known[..., None], found, statistics.start)


def information_of(
    statistics: KeypointStatistics,
    log_sigma: Float[Tensor, "persons views joints"],
    xyz: Float[Tensor, "persons joints 3"],
) -> Float[Tensor, "persons joints 3 3"]:
    """What the keypoints tell of every joint's place, 1/mm²: ``Σ JᵀJ / σ²`` over the views."""
    camera = rotate(statistics.rotation[:, :, None], xyz[:, None]) + statistics.translation[:, :, None]
    _, depth = statistics.residual(xyz)
    place = camera[..., :2] / depth[..., None]
    # d(x/z) = (row_xy - (x/z) row_z) / z
    rows = statistics.rotation[:, :, None, :2] - place[..., None] * statistics.rotation[:, :, None, 2:]
    scale = statistics.focal_px[..., None] / (statistics.bound_px[..., None] * depth) * (-log_sigma).exp()
    rows = torch.where(statistics.seen[..., None, None], rows * scale[..., None, None], 0.0)
    return torch.einsum("pvjki,pvjkl->pjil", rows, rows)


def algebraic(network: DetectionWeights) -> Triangulate:
    """Triangulation by learned weights, with covariances and scores."""

    def triangulate(evidence: GroupKeypoints) -> Poses:
        statistics = keypoint_statistics(evidence)
        with torch.no_grad():
            return poses_of(evidence, statistics, network(statistics)[-1])

    return triangulate


def hybrid(network: DetectionWeights) -> Triangulate:
    """As `algebraic`, of the views alone that RANSAC finds to agree; of all where fewer than two do."""

    def triangulate(evidence: GroupKeypoints) -> Poses:
        statistics = keypoint_statistics(evidence)
        agree = triangulate_keypoints(evidence, ransac_of_sights).inlier.transpose(1, 2) & statistics.seen
        trusted = agree | (agree.sum(1, keepdim=True) < 2)
        with torch.no_grad():
            return poses_of(evidence, statistics, network(statistics, trusted)[-1])

    return triangulate


def poses_of(evidence: GroupKeypoints, statistics: KeypointStatistics, found: WeighedJoints) -> Poses:
    """The joints as poses, judged by their covariances: those that two views see and of which something is known."""
    deviation = torch.diagonal(found.covariance, dim1=-2, dim2=-1).mean(-1).sqrt()
    finite = torch.isfinite(found.xyz_world).all(-1) & torch.isfinite(deviation)
    valid = statistics.known & finite & (deviation <= WIDEST_MM)
    xyz = torch.where(valid[..., None], found.xyz_world, 0.0)
    covariance = torch.where(valid[..., None, None], found.covariance, 0.0)
    number = torch.zeros_like(evidence.frame)
    return judge_poses(evidence, Poses(evidence.packed.skeleton, xyz, valid.double(), valid, number, covariance))

"""Part b of the study of learned triangulation: can a head that sees a few numbers of every heat map tell who lies?

Of four views exactly k are wrong about a joint. The head never hears which; it learns from the loss of the triangulated
joints alone, on the cameras of five subjects of Human3.6M, and is scored on those of two others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from dispose.geometry.image_affine import apply, input_from_map, invert
from dispose.geometry.triangulation import triangulate_ransac, triangulate_robust
from dispose.losses.triangulation import capped_squares
from dispose.models.triangulation.algebraic import LEAST_SHARE, shares_of_views, solve_cholesky
from dispose.models.triangulation.crops import STRIDE, view_points
from dispose.nn.blocks import mlp
from dispose.nn.heatmaps import soft_argmax
from dispose.scene.cameras import Cameras
from dispose.skeletons.catalog import H36M_17
from dispose.skeletons.skeleton import Skeleton
from dispose_benchmarks.studies.promises import StudyLine
from dispose_synthetic.human36m_rig import TEST_SUBJECTS, TRAINING_SUBJECTS, human36m_rig
from dispose_synthetic.joint_maps import JointMaps, draw_joint_maps

STATISTICS = ("peak", "amount", "spread", "disorder", "rival", "mirror")
"""What is looked at; see `map_statistics`."""

RIVAL_DISTANCE = 4
"""A rival of the peak stands farther than so many pixels from it, along x or y."""


def map_statistics(
    maps: Float[Tensor, "*views joints height width"], skeleton: Skeleton
) -> Float[Tensor, "*views joints statistics"]:
    """Six numbers of every non-negative heat map, in the order of `STATISTICS`.

    The height of the peak; the logarithm of the squared heat; its standard deviation in pixels; its entropy; the
    highest heat far from the peak, as a share of it; and the mirror joint's heat right at the peak (0 for joints on the
    midline): both on one place means that one of them lies.
    """
    height, width = maps.shape[-2:]
    peak, place = maps.flatten(-2).max(-1)
    square = maps.square().flatten(-2)
    amount = square.sum(-1)
    share = square / amount.clamp(min=1e-12)[..., None]
    x, y = place % width, place // width
    column, row = (torch.arange(length, device=maps.device, dtype=maps.dtype) for length in (width, height))
    across, down = share.view(maps.shape).sum(-2), share.view(maps.shape).sum(-1)
    variance = across @ column.square() - (across @ column).square() + down @ row.square() - (down @ row).square()
    disorder = -(share * share.clamp(min=1e-12).log()).sum(-1)
    near = ((column - x[..., None]).abs() <= RIVAL_DISTANCE)[..., None, :]
    near = near & ((row - y[..., None]).abs() <= RIVAL_DISTANCE)[..., :, None]
    rival = maps.masked_fill(near, 0.0).flatten(-2).amax(-1) / peak.clamp(min=1e-12)
    # The largest heat of the 3 x 3 pixels around, as both maps' peaks are only so exact.
    blurred = max_pool2d(maps.flatten(0, -4), 3, 1, 1).view_as(maps).flatten(-2)[..., skeleton.mirror, :]
    sided = torch.tensor(skeleton.mirror, device=maps.device) != torch.arange(len(skeleton), device=maps.device)
    mirror = torch.where(sided, blurred.gather(-1, place[..., None])[..., 0], 0.0)
    numbers = (peak, amount.clamp(min=1e-12).log(), variance.clamp(min=0).sqrt(), disorder, rival, mirror)
    return torch.stack(numbers, dim=-1)


class MapTrust(nn.Module):
    """Logits of how far every map can be trusted, from its statistics and whose joint it is.

    Every view is judged alone: what the others see is for the triangulation to weigh.
    """

    def __init__(self, skeleton: Skeleton, chans: int = 32, embedding: int = 8) -> None:
        super().__init__()
        self.skeleton = skeleton
        self.normalize = nn.BatchNorm1d(len(STATISTICS))
        self.joint = nn.Embedding(len(skeleton), embedding)
        self.judging = mlp([len(STATISTICS) + embedding, chans, chans, 1])

    def forward(self, maps: Float[Tensor, "*views joints height width"]) -> Float[Tensor, "*views joints"]:
        """No view's answer depends on another view's maps."""
        numbers = map_statistics(maps, self.skeleton)
        numbers = self.normalize(numbers.flatten(0, -2)).view_as(numbers)
        joint = self.joint.weight.expand(*numbers.shape[:-1], -1)
        return self.judging(torch.cat([numbers, joint], dim=-1))[..., 0]


GAIN = 100.0
"""Of the soft-argmax."""

RANSAC_INPUT_PX = 15.0
"""RANSAC's bound in pixels of the maps' input, which is half of the published network's: theirs are 30 there."""

ROBUST_PX = 12.0
"""Bound of our robust triangulation, pixels of the image."""


@dataclass(frozen=True)
class StudyPlan:
    """How much is learned and scored: optimiser steps, people of a step, and people scored per case."""

    trust_steps: int = 300
    trust_batch: int = 24
    trust_rate: float = 1e-2
    cube_steps: int = 500
    cube_batch: int = 8
    cube_rate: float = 3e-3
    people: int = 128


def draw_rigs(generator: torch.Generator, subjects: Sequence[str], count: int) -> list[Cameras]:
    """So many rigs of these subjects, at random."""
    rigs = [human36m_rig(subject) for subject in subjects]
    return [rigs[row] for row in torch.randint(len(rigs), (count,), generator=generator).tolist()]


def train_trust(seed: int, plan: StudyPlan) -> MapTrust:
    """The head, from the capped error of the joints that its weights lead to."""
    torch.manual_seed(seed)
    trust = MapTrust(H36M_17)
    optimizer = torch.optim.Adam(trust.parameters(), lr=plan.trust_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, plan.trust_rate, plan.trust_steps + 1)
    generator = torch.Generator().manual_seed(1_000_003 * seed + 1)
    for _ in range(plan.trust_steps):
        wrong = torch.randint(3, (plan.trust_batch,), generator=generator)
        drawn = draw_joint_maps(generator, draw_rigs(generator, TRAINING_SUBJECTS, plan.trust_batch), wrong)
        xyz = triangulate_maps(drawn, learned_weights(trust, drawn))
        loss = capped_squares(xyz, drawn.xyz_world, torch.ones(xyz.shape[:2], dtype=torch.bool))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return trust.eval()


def learned_weights(trust: MapTrust, drawn: JointMaps) -> Float[Tensor, "samples views joints"]:
    """The head's trust in every view, as algebraic triangulation takes it."""
    there = torch.ones(drawn.maps.shape[:2], dtype=torch.bool)
    return shares_of_views(trust(drawn.maps), there) + LEAST_SHARE


def triangulate_maps(
    drawn: JointMaps, weights: Float[Tensor, "samples views joints"]
) -> Float[Tensor, "samples joints 3"]:
    """Soft-argmax of every map, then weighted linear triangulation in double precision, mm."""
    xy_map, _ = soft_argmax(drawn.maps, GAIN)
    points = view_points(input_from_map(xy_map, STRIDE).double(), weights, drawn.cameras, drawn.input_from_image)
    return solve_cholesky(points)


def triangulate_by_consent(
    drawn: JointMaps, weights: Float[Tensor, "samples views joints"] | None, *, exact: bool
) -> Float[Tensor, "samples joints 3"]:
    """RANSAC over all pairs with the published bound, or (`exact`) our robust triangulation, with weights if given."""
    cameras = drawn.cameras
    xy_map, _ = soft_argmax(drawn.maps, GAIN)
    xy_image = apply(invert(drawn.input_from_image)[:, :, None], input_from_map(xy_map, STRIDE).double())
    votes = torch.ones(xy_map.shape[:3], dtype=torch.float64) if weights is None else weights.double()
    scale = drawn.input_from_image[..., 0, 0]
    triangulate = triangulate_robust if exact else triangulate_ransac
    bound = torch.full_like(scale, ROBUST_PX) if exact else RANSAC_INPUT_PX / scale
    return triangulate(
        xy_image.transpose(1, 2),
        votes.transpose(1, 2),
        cameras.matrix[:, None],
        cameras.lens[:, None],
        cameras.rotation[:, None],
        cameras.translation[:, None],
        threshold_px=bound[:, None],
    ).xyz_world


@torch.no_grad()
def score_trust(trust: MapTrust, seed: int, plan: StudyPlan) -> list[StudyLine]:
    """Every way on people that nobody saw, with k of four views wrong."""
    lines = []
    for wrong in (0, 1, 2):
        case = f"4 views, {wrong} wrong"
        generator = torch.Generator().manual_seed(7_000_003 * (seed + 1) + wrong)
        rigs = draw_rigs(generator, TEST_SUBJECTS, plan.people)
        drawn = draw_joint_maps(generator, rigs, torch.full((plan.people,), wrong))
        weights = learned_weights(trust, drawn)
        right = (~drawn.wrong).double()
        found = {
            "DLT": triangulate_maps(drawn, torch.ones_like(weights)),
            "DLT weighted by the peaks": triangulate_maps(drawn, drawn.maps.flatten(-2).amax(-1)),
            "RANSAC": triangulate_by_consent(drawn, None, exact=False),
            "robust": triangulate_by_consent(drawn, None, exact=True),
            "learned": triangulate_maps(drawn, weights),
            "learned and robust": triangulate_by_consent(drawn, weights, exact=True),
            "true weights": triangulate_maps(drawn, right),
        }
        for method, xyz in found.items():
            lines.append(StudyLine(case, method, mean_error(xyz, drawn.xyz_world)))
        if wrong:
            lines.append(StudyLine(case, "AUROC of the weights", separation(weights, ~drawn.wrong)))
    return lines


def mean_error(xyz: Float[Tensor, "samples joints 3"], truth: Float[Tensor, "samples joints 3"]) -> float:
    """Mean distance, mm."""
    return float((xyz - truth).norm(dim=-1).mean())


def separation(weights: Float[Tensor, "*items"], good: Bool[Tensor, "*items"]) -> float:
    """Area under the ROC curve: how probably a good one has a larger weight than a bad one."""
    rank = weights.flatten().argsort().argsort().double() + 1
    good = good.flatten()
    positive, negative = int(good.sum()), int((~good).sum())
    return float((rank[good].sum() - positive * (positive + 1) / 2) / (positive * negative))

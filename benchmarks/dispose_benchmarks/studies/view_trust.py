"""Part b of the study of learned triangulation: can a head that sees a few numbers of every heat map tell who lies?

Of four views exactly k are wrong about a joint. The head never hears which; it learns from the loss of the triangulated
joints alone, on the cameras of five subjects of Human3.6M, and is scored on those of two others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.geometry.image_affine import apply, input_from_map, invert
from dispose.geometry.triangulation import triangulate_ransac, triangulate_robust
from dispose.losses.triangulation import capped_squares
from dispose.models.triangulation.algebraic import LEAST_SHARE, shares_of_views, solve_cholesky
from dispose.models.triangulation.crops import STRIDE, view_points
from dispose.models.triangulation.map_statistics import MapTrust
from dispose.nn.heatmaps import soft_argmax
from dispose.scene.cameras import Cameras
from dispose.skeletons.catalog import H36M_17
from dispose_benchmarks.studies.promises import StudyLine
from dispose_synthetic.human36m_rig import TEST_SUBJECTS, TRAINING_SUBJECTS, human36m_rig
from dispose_synthetic.joint_maps import JointMaps, draw_joint_maps

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

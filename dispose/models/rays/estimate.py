"""From the network's answer to people in the world: joints with covariances, those refused that nobody can know."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.association.body_bounds import without_impossible
from dispose.association.packing import GroupKeypoints
from dispose.association.reconstruct import NEAR_MM
from dispose.geometry.uncertainty import expected_error, probability_within
from dispose.models.rays.network import MOST_VIEWS, RayNetwork
from dispose.models.rays.sightings import Sightings, body_rays
from dispose.scene.frame import Poses
from dispose.tensors import TensorStruct, cat

MOST_MM = 100.0
"""A joint whose expected error is larger than this is not known."""

MOST_OF_DOUBTFUL_MM = 150.0
"""The same where otherwise little would be known of a person."""

FEWEST_KEYPOINTS = 3
"""With fewer keypoints in all views together there is no body to speak for a joint."""

PEOPLE_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class JointEstimates(TensorStruct):
    """Joints in the world.

    Attributes:
        xyz_world: places, mm.
        covariance: mm²; a Gaussian of this covariance holds the truth as often as it says.
        score: probability that a person's joints lie within `RIGHT_MM` of the truth in the mean.
        weight: how far every ray was trusted (`BodyEstimate.weight`).
        error_mm: expected error by the claim that is the same for any number of cameras: what decides whether a joint
            is said.
    """

    xyz_world: Float[Tensor, "persons joints 3"]
    covariance: Float[Tensor, "persons joints 3 3"]
    score: Float[Tensor, " persons"]
    weight: Float[Tensor, "persons views joints"]
    error_mm: Float[Tensor, "persons joints"]


@torch.no_grad()
def estimate_joints(network: RayNetwork, sightings: Sightings) -> JointEstimates:
    """All joints of all people, whether they can be known or not."""
    rays = body_rays(sightings)
    found, odds = network(rays)
    last, axes = found[-1], rays.axes
    wide = 1e6 * axes.mT[:, None] @ last.covariance.double() @ axes[:, None] * network.claim.double() ** 2
    factor = network.by_views.double()[seeing(sightings.seen)]
    covariance = wide * factor[:, None, None, None] ** 2
    score, weight = odds.double().sigmoid(), last.weight.double()
    return JointEstimates(rays.to_world(last.xyz), covariance, score, weight, expected_error(wide))


def seeing(seen: Bool[Tensor, "persons views joints"]) -> Int[Tensor, " persons"]:
    """The place of everybody's factor in `RayNetwork.by_views`: how many cameras see them, less one."""
    return seen.any(2).sum(1).clamp(1, MOST_VIEWS) - 1


@torch.no_grad()
def triangulate_rays(network: RayNetwork, groups: GroupKeypoints) -> Poses:
    """The people of groups: joints whose claimed error is small enough, also those that one view sees or none.

    The confidence of a joint is the probability that it lies within `NEAR_MM` of the truth.
    """
    parts = [
        estimate_joints(network, Sightings.of(groups.select(persons=slice(first, first + PEOPLE_AT_ONCE))))
        for first in range(0, max(len(groups.frame), 1), PEOPLE_AT_ONCE)
    ]
    found = cat(parts, "persons")
    known = is_known(found, groups)
    score = torch.where(known.any(1), found.score, 0.0)
    xyz = torch.where(known[..., None], found.xyz_world, 0.0)
    confidence = torch.where(known, probability_within(found.covariance, NEAR_MM), 0.0)
    number = torch.zeros_like(groups.frame)
    return without_impossible(Poses(groups.packed.skeleton, xyz, confidence, known, number, found.covariance, score))


def is_known(found: JointEstimates, groups: GroupKeypoints) -> Bool[Tensor, "persons joints"]:
    """Which joints are said at all: their claimed error is small enough.

    Of people of whom fewer than half of the seen joints would be said, such as somebody far off whom two cameras see,
    larger errors are: that they are there is worth saying. Of people of whom there are fewer than `FEWEST_KEYPOINTS`,
    only what two views see.
    """
    shown, error = groups.seen.any(1), found.error_mm
    sure = error <= MOST_MM
    doubtful = 2 * (sure & shown).sum(1) < shown.sum(1)
    said = torch.where(doubtful[:, None], error <= MOST_OF_DOUBTFUL_MM, sure)
    enough = groups.seen.sum((1, 2))[:, None] >= FEWEST_KEYPOINTS
    return (enough | (groups.seen.sum(1) >= 2)) & said

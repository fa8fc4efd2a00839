"""From groups of detections to skeletons: every joint seen in two or more views, triangulated robustly."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.association.body_bounds import without_impossible
from dispose.association.claims import claim, score_persons
from dispose.association.packing import GroupKeypoints, gather_groups, inlier_bound
from dispose.errors import ShapeError
from dispose.geometry.triangulation import (
    BySights,
    RobustPoints,
    dlt_of_sights,
    ransac_of_sights,
    robust_of_sights,
    triangulate_points,
)
from dispose.geometry.uncertainty import probability_within
from dispose.scene.frame import Frame, Poses
from dispose.scene.results import Association, Prediction
from dispose.skeletons.skeleton import Skeleton

NEAR_MM = 50.0
"""A joint nearer than this to the truth is right, as far as its confidence goes."""

RIGHT_MM = 150.0
"""A person is right whose joints lie this near the truth in the mean."""

Triangulate = Callable[[GroupKeypoints], Poses]
"""Where the joints of some groups are, with covariances and scores; a group's answer does not depend on the others."""


def triangulate_keypoints(evidence: GroupKeypoints, by: BySights = robust_of_sights) -> RobustPoints:
    """Every joint of every group from the views that see it."""
    cameras = evidence.cameras
    return triangulate_points(
        evidence.xy_image.transpose(1, 2),
        evidence.confidence.transpose(1, 2),
        cameras.matrix[:, None],
        cameras.lens[:, None],
        cameras.rotation[:, None],
        cameras.translation[:, None],
        threshold_px=inlier_bound(evidence)[:, None],
        by=by,
    )


def roots_of(
    skeleton: Skeleton, xyz_world: Float[Tensor, "persons joints 3"], valid: Bool[Tensor, "persons joints"]
) -> Float[Tensor, "persons 3"]:
    """The mean of the skeleton's root joints, mm; NaN where one of them is not known."""
    rows = skeleton.indices(skeleton.root_of)
    return torch.where(valid[:, rows].all(1, keepdim=True), xyz_world[:, rows].mean(1), torch.nan)


def triangulate_joints(evidence: GroupKeypoints, by: BySights = robust_of_sights) -> Poses:
    """Skeletons of groups: joints on which at least two views agree, others not valid; confidence 1 where known.

    Two rays that pass each other by are two different things, not one joint.
    """
    points = triangulate_keypoints(evidence, by)
    valid = torch.isfinite(points.xyz_world).all(-1) & (points.inlier.sum(-1) >= 2)
    xyz = torch.where(valid[..., None], points.xyz_world, 0.0)
    return Poses(evidence.packed.skeleton, xyz, valid.double(), valid, torch.zeros_like(evidence.frame))


def trust_joints(poses: Poses) -> Poses:
    """Skeletons with covariances, with confidences: how probably every joint lies within `NEAR_MM` of the truth.

    Joints that no body could have there are not known.
    """
    if poses.covariance is None:
        raise ShapeError("joints are trusted by how uncertain they are, and these skeletons do not say it")
    near = probability_within(poses.covariance, NEAR_MM)
    return without_impossible(replace(poses, confidence=torch.where(poses.valid, near, 0.0)))


def judge_poses(evidence: GroupKeypoints, poses: Poses) -> Poses:
    """`trust_joints` of skeletons made of these groups, and how probably every person is right (`score_persons`)."""
    return score_persons(evidence, trust_joints(poses))


def triangulate_groups(evidence: GroupKeypoints, by: BySights = robust_of_sights) -> Poses:
    """Skeletons of groups, with covariances (`dispose.association.claims`), confidences and scores (`judge_poses`)."""
    return judge_poses(evidence, claim(evidence, triangulate_joints(evidence, by)))


def predictions_of(frames: Sequence[Frame], associations: Sequence[Association], poses: Poses) -> list[Prediction]:
    """The predictions of frames from the skeletons of all their groups; `poses.id` counts a frame's groups."""
    root = roots_of(poses.skeleton, poses.xyz_world, poses.valid)
    found, first = [], 0
    for frame, association in zip(frames, associations, strict=True):
        rows = slice(first, first + len(association))
        number = torch.arange(len(association), device=root.device)
        mine = replace(poses[rows], id=number)
        found.append(Prediction(frame.number, association, mine, root[rows]))
        first = rows.stop
    return found


robust: Triangulate = triangulate_groups
"""Views that contradict the others are left out (`robust_of_sights`)."""

dlt: Triangulate = partial(triangulate_groups, by=dlt_of_sights)
"""All views alike (`dlt_of_sights`)."""

ransac: Triangulate = partial(triangulate_groups, by=ransac_of_sights)
"""The place on which most views agree (`ransac_of_sights`)."""


def reconstruct(
    frames: Sequence[Frame], associations: Sequence[Association], *, triangulate: Triangulate = robust
) -> list[Prediction]:
    """The skeletons of the associations of a batch of frames, person by person in their order."""
    return predictions_of(frames, associations, triangulate(gather_groups(frames, associations)))


def reconstruct_frame(frame: Frame, association: Association) -> Prediction:
    """`reconstruct` of one frame."""
    return reconstruct([frame], [association])[0]

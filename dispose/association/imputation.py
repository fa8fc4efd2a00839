"""Joints that were not triangulated, placed by what is known of the body: limb by limb outwards from the root.

Classical completion without learning, so that whole skeletons can be compared. A joint goes where a standing person
has it, turned about the vertical and scaled to the joints that are known, as seen from its parent joint; where a view
has a free peak near that place, it goes onto the peak's ray, a bone's length away from the parent.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.scene.cameras import Cameras
from dispose.scene.peaks import JointPeaks
from dispose.scene.results import Prediction
from dispose.skeletons.catalog import PANOPTIC_15, RestPose
from dispose.tensors import TensorStruct

# Facing +X, arms hanging; bones as long as those of `PANOPTIC_SHAPE`.
STANDING = RestPose(
    PANOPTIC_15,
    (
        (20.0, 0.0, 505.0), (115.0, 0.0, 705.0), (0.0, 0.0, 0.0),
        (10.0, 165.0, 495.0), (0.0, 200.0, 217.0), (110.0, 195.0, 5.0),
        (0.0, 105.0, 0.0), (30.0, 105.0, -394.0), (0.0, 105.0, -783.0),
        (10.0, -165.0, 495.0), (0.0, -200.0, 217.0), (110.0, -195.0, 5.0),
        (0.0, -105.0, 0.0), (30.0, -105.0, -394.0), (0.0, -105.0, -783.0),
    ),
)  # fmt: skip

FILLED_CONFIDENCE = 0.05
NEAR_LIMB = 1.0
"""A peak's ray may place a joint at most this many bone lengths away from where a standing person has it."""


@dataclass(frozen=True, eq=False)
class FreeRays(TensorStruct):
    """The rays of the peaks that no triangulated joint explains."""

    origin: Float[Tensor, "views 3"]
    direction: Float[Tensor, "views joints peaks 3"]
    free: Bool[Tensor, "views joints peaks"]


def impute_joints(
    prediction: Prediction, cameras: Cameras, peaks: JointPeaks, *, rest: RestPose = STANDING, gate: float = 2.0
) -> Prediction:
    """The prediction with every joint of every person whose root is known; joints that were known stay as they are.

    Args:
        prediction: of the peaks' skeleton.
        cameras: of the frame.
        peaks: of all joints.
        rest: a person who stands and faces +X.
        gate: a peak nearer than this to a known joint's projection is that joint's, heat-map pixels.
    """
    poses = prediction.poses
    rays = free_rays(prediction, cameras, peaks, gate)
    xyz, valid = poses.xyz_world.to(torch.float64).clone(), poses.valid.clone()
    confidence = poses.confidence.clone()
    standing = xyz.new_tensor(rest.xyz)
    root = poses.skeleton.index(str(poses.skeleton.root))
    for person in valid[:, root].nonzero()[:, 0].tolist():
        shape = fit_rest_pose(standing - standing[root], xyz[person] - xyz[person, root], valid[person])
        for parent, child in poses.skeleton.bone_indices:
            if valid[person, child]:
                continue
            limb = shape[child] - shape[parent]
            xyz[person, child] = _placed(xyz[person, parent], limb, child, rays)
        confidence[person, ~valid[person]] = FILLED_CONFIDENCE
        valid[person] = True
    return replace(prediction, poses=replace(poses, xyz_world=xyz, valid=valid, confidence=confidence))


def fit_rest_pose(
    standing: Float[Tensor, "joints 3"], body: Float[Tensor, "joints 3"], valid: Bool[Tensor, " joints"]
) -> Float[Tensor, "joints 3"]:
    """A standing person turned about the vertical and scaled to the known joints; roots are at the origin."""
    known = torch.where(valid[:, None], body, 0.0)
    ideal = torch.where(valid[:, None], standing, 0.0)
    dot = (ideal[:, :2] * known[:, :2]).sum()
    cross = (ideal[:, 0] * known[:, 1] - ideal[:, 1] * known[:, 0]).sum()
    length = torch.hypot(dot, cross)
    cos, sin = (dot / length, cross / length) if length > 0 else (torch.ones_like(dot), torch.zeros_like(dot))
    turn = torch.stack([torch.stack([cos, -sin]), torch.stack([sin, cos])])
    # Sizes of bodies, not of postures: sums of distances from the root do not shrink when somebody bends.
    size = known.norm(dim=-1).sum() / ideal.norm(dim=-1).sum() if bool((ideal != 0).any()) else torch.ones_like(dot)
    turned = torch.cat([standing[:, :2] @ turn.T, standing[:, 2:]], dim=1)
    return turned * size.clamp(0.6, 1.2)


def free_rays(prediction: Prediction, cameras: Cameras, peaks: JointPeaks, gate: float) -> FreeRays:
    """Rays of all peaks except those at the projections of known joints."""
    poses = prediction.poses
    xy, front = cameras.project(poses.xyz_world.to(torch.float64))
    where = peaks.xy_image.to(torch.float64)
    gap = torch.linalg.vector_norm(xy.transpose(1, 2)[:, :, :, None] - where[:, :, None], dim=-1)
    mine = (gap <= gate * peaks.spacing_px[:, None, None, None]) & (front & poses.valid).transpose(1, 2)[..., None]
    direction = cameras.directions(torch.where(peaks.valid[..., None], where, 0.0))
    return FreeRays(cameras.centres, direction, peaks.valid & ~mine.any(2))


def _placed(parent: Float[Tensor, " 3"], limb: Float[Tensor, " 3"], joint: int, rays: FreeRays) -> Float[Tensor, " 3"]:
    """A joint at the end of a limb, or on the nearest of the free rays at a bone's length from the parent."""
    there = parent + limb
    view, slot = rays.free[:, joint].nonzero(as_tuple=True)
    if not len(view):
        return there
    origin, direction = rays.origin[view], rays.direction[view, joint, slot]
    length = limb.norm()
    foot = ((parent - origin) * direction).sum(-1)
    across2 = (parent - origin).square().sum(-1) - foot.square()
    half = (length.square() - across2).clamp(min=0).sqrt()
    depth = torch.stack([foot - half, foot + half], dim=1)
    place = origin[:, None] + depth[..., None] * direction[:, None]
    gap = torch.where(depth > 0, (place - there).norm(dim=-1), torch.inf)
    # A ray that passes the parent at more than a bone's length is somebody else's.
    gap = torch.where((across2 <= (1.2 * length).square())[:, None], gap, torch.inf).flatten()
    least = int(gap.argmin())
    return place.reshape(-1, 3)[least] if gap[least] <= NEAR_LIMB * length else there

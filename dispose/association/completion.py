"""Joints that only one camera sees, placed on their ray by the rest of the body.

Triangulation needs two rays. Where a person's joint is seen once, the depth network still says how far in front of
or behind the other joints it lies; the other joints, triangulated, say where they are. Both together place it.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.association.body_bounds import impossible_joints, without_joints
from dispose.association.evidence import Placement
from dispose.association.packing import GroupKeypoints
from dispose.association.viewpoint import Viewpoints
from dispose.errors import ShapeError
from dispose.scene.frame import Poses
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT

DEPTH_FACTOR = 2.0
"""Depths of filled joints are off by twice what the network says of them: median 59 mm where it says 53 mm, nine of ten
below 163 mm (933 joints of 960 synthetic frames of two to five views, seed 21)."""


@dataclass(frozen=True)
class CompletionConfig:
    """When filling a joint is sound.

    Attributes:
        anchors: fewest triangulated joints (none of them left out) that the same camera sees: nine of twelve, a body
            that is seen nearly whole. Of one cut off at a table too little is known.
        sigma_mm: largest uncertainty of the joint's depth relative to the body.
        spread_mm: largest disagreement (median) of the anchors about the body's depth.
        left_out: joints that are never filled. A head turns without the body: what one camera sees of a face is
            worse placed by the body than by the other joints of the face.
    """

    anchors: int = 9
    sigma_mm: float = 70.0
    spread_mm: float = 150.0
    left_out: tuple[str, ...] = ("nose", "l_eye", "r_eye", "l_ear", "r_ear")


FILL_WHERE_SURE = CompletionConfig()
"""What `dispose predict` does; how it was chosen stands in docs/experiments.md."""


def fill_seen_once(
    groups: GroupKeypoints,
    poses: Poses,
    skeleton: Skeleton,
    seen: Viewpoints,
    placement: Placement,
    config: CompletionConfig,
) -> Poses:
    """The skeletons of groups with the joints that exactly one member sees, where that is sound.

    Filled joints keep their keypoint exactly and take their depth from the body; along the ray they are as uncertain as
    `DEPTH_FACTOR` times what the network says, across it as the person's other joints are in the mean. All other
    joints stay as they are, and a joint that no body could have there is not filled. Confidences are for
    `trust_joints` to give; scores stay those of what was triangulated.

    Args:
        groups: the groups the skeletons are of.
        poses: triangulated skeletons with covariances; joints that one view sees are not valid.
        skeleton: the joints of `seen` and `placement`; joints of the poses without a namesake stay unknown.
        seen: the detections in that skeleton (`dispose.association.viewpoint`).
        placement: the depth network's answer for them.
        config: when it is sound.
    """
    filled = [joint for joint in skeleton.joints if joint in poses.skeleton.joints and joint not in config.left_out]
    shared = [(poses.skeleton.index(joint), skeleton.index(joint)) for joint in filled]
    mine, theirs = torch.tensor(shared, dtype=torch.long, device=poses.valid.device).view(-1, 2).unbind(1)
    if poses.covariance is None:
        raise ShapeError("joints are filled in skeletons that say how uncertain they are, and these do not")
    once = (groups.seen.sum(1) == 1) & ~poses.valid
    # Persons with a joint to fill, and every view they are seen in.
    person, view = (once[:, mine].any(1)[:, None] & (groups.member != ABSENT)).nonzero(as_tuple=True)
    detection = groups.member[person, view]
    anchors = poses.valid[person][:, mine] & seen.visible[detection][:, theirs]
    xyz_seen = poses.xyz_world[person][:, mine]
    depth, sound = _depths(xyz_seen, anchors, seen[detection], placement[detection].select(joints=theirs), config)
    wanted = once[person][:, mine] & groups.seen[person, view][:, mine] & sound
    row, joint = wanted.nonzero(as_tuple=True)
    who, which, where, what = person[row], mine[joint], detection[row], theirs[joint]
    ray = seen.xy[where, what] * seen.size[where, None]
    local = torch.cat([ray, torch.ones_like(ray[:, :1])], dim=1) * depth[row, joint, None]
    xyz, covariance, valid = poses.xyz_world.clone(), poses.covariance.clone(), poses.valid.clone()
    xyz[who, which] = (local[:, None] @ seen.axes[where])[:, 0] + seen.centre[where]
    along = torch.nn.functional.normalize(xyz[who, which] - seen.centre[where], dim=-1)
    sigma = DEPTH_FACTOR * placement.offset_sigma[where, what].double()
    trace = torch.diagonal(poses.covariance, dim1=-2, dim2=-1).sum(-1)
    across = ((trace * poses.valid).sum(1) / (3 * poses.valid.sum(1).clamp(min=1)))[who]
    covariance[who, which] = (
        across[:, None, None] * torch.eye(3, dtype=xyz.dtype, device=xyz.device)
        + (sigma.square() - across)[:, None, None] * along[:, :, None] * along[:, None]
    )
    valid[who, which] = True
    filled = replace(poses, xyz_world=xyz, covariance=covariance, valid=valid)
    # What two views agree on is not given up for a guess.
    return without_joints(filled, impossible_joints(filled) & ~poses.valid)


def _depths(
    xyz_world: Float[Tensor, "detections joints 3"],
    anchors: Bool[Tensor, "detections joints"],
    seen: Viewpoints,
    placement: Placement,
    config: CompletionConfig,
) -> tuple[Float[Tensor, "detections joints"], Bool[Tensor, "detections joints"]]:
    """Depth of every joint along the viewpoint's axis, the body moved to its anchors, and whether that is sound."""
    expected = placement.log_depth.double().exp()[:, None] + placement.offset[..., 2].double()
    actual = ((xyz_world - seen.centre[:, None]) * seen.axes[:, None, 2]).sum(-1)
    shift = torch.where(anchors, actual - expected, torch.nan)
    middle = shift.nanmedian(dim=1, keepdim=True).values
    agree = (shift - middle).abs().nanmedian(dim=1, keepdim=True).values <= config.spread_mm
    enough = anchors.sum(1, keepdim=True) >= config.anchors
    sure = placement.offset_sigma.double() <= config.sigma_mm
    depth = expected + middle
    return depth, sure & (depth > 100.0) & agree & enough

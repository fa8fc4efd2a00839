"""Joints that only one camera sees, placed on their ray by the rest of the body.

Triangulation needs two rays. Where a person's joint is seen once, the depth network still says how far in front of
or behind the other joints it lies; the other joints, triangulated, say where they are. Both together place it.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.association.evidence import Placement
from dispose.association.reconstruct import gather_keypoints, roots_of
from dispose.association.viewpoint import Viewpoints
from dispose.scene.frame import Frame
from dispose.scene.poses import Poses
from dispose.scene.prediction import Prediction
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT

FILLED_CONFIDENCE = 0.25
"""No filled joint is trusted more than this; one that two cameras see well and agree on is trusted more."""


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
    sigma_mm: float = 60.0
    spread_mm: float = 150.0
    left_out: tuple[str, ...] = ("nose", "l_eye", "r_eye", "l_ear", "r_ear")


FILL_WHERE_SURE = CompletionConfig()
"""What `dispose predict` does; how it was chosen stands in docs/experiments.md."""


def fill_seen_once(
    frame: Frame,
    prediction: Prediction,
    skeleton: Skeleton,
    seen: Viewpoints,
    placement: Placement,
    config: CompletionConfig,
) -> Prediction:
    """The prediction with the joints that exactly one member sees, where that is sound.

    Filled joints keep their keypoint exactly and take their depth from the body; their confidence is the keypoint's
    score times at most `FILLED_CONFIDENCE`. All other joints stay as they are.

    Args:
        frame: the frame the prediction is of.
        prediction: triangulated skeletons; joints that one view sees are not valid.
        skeleton: the joints of `seen` and `placement`; joints of the frame's skeleton without a namesake stay unknown.
        seen: the frame's detections in that skeleton (`dispose.association.viewpoint`).
        placement: the depth network's answer for them.
        config: when it is sound.
    """
    poses = prediction.poses
    xyz, confidence, valid = poses.xyz_world.clone(), poses.confidence.clone(), poses.valid.clone()
    filled = [joint for joint in skeleton.joints if joint in poses.skeleton.joints and joint not in config.left_out]
    shared = [(poses.skeleton.index(joint), skeleton.index(joint)) for joint in filled]
    mine, theirs = (torch.tensor(column, dtype=torch.long) for column in zip(*shared, strict=True))
    evidence = gather_keypoints(frame, prediction.association)
    once = (evidence.seen.sum(1) == 1) & ~poses.valid
    number = (frame.detections.valid.flatten().cumsum(0) - 1).view(frame.detections.valid.shape)
    for person, view in _who_and_where(once[:, mine], prediction.association.members):
        detection = int(number[view, prediction.association.members[person, view]])
        wanted = once[person, mine] & evidence.seen[person, view, mine]
        anchors = poses.valid[person, mine] & seen.visible[detection, theirs]
        depth, sound = _depths(poses.xyz_world[person, mine], anchors, detection, seen, placement, theirs, config)
        rows = wanted & sound
        ray = seen.xy[detection, theirs] * seen.size[detection]
        local = torch.cat([ray, torch.ones_like(ray[:, :1])], dim=1) * depth[:, None]
        xyz[person, mine[rows]] = (local @ seen.axes[detection] + seen.centre[detection])[rows]
        sigma = placement.offset_sigma[detection, theirs].double()
        trust = FILLED_CONFIDENCE * torch.exp(-sigma / (2 * config.sigma_mm))
        confidence[person, mine[rows]] = (trust * evidence.confidence[person, view, mine])[rows]
        valid[person, mine[rows]] = True
    whole = Poses(poses.skeleton, xyz, confidence, valid, poses.id)
    return replace(prediction, poses=whole, root=roots_of(poses.skeleton, xyz, valid))


def _who_and_where(
    once: Bool[Tensor, "persons joints"], members: Int[Tensor, "persons views"]
) -> list[tuple[int, int]]:
    """Persons with a joint to fill, and every view they are seen in."""
    pairs = (once.any(1)[:, None] & (members != ABSENT)).nonzero()
    return [(int(person), int(view)) for person, view in pairs]


def _depths(
    xyz_world: Float[Tensor, "joints 3"],
    anchors: Bool[Tensor, " joints"],
    detection: int,
    seen: Viewpoints,
    placement: Placement,
    theirs: Int[Tensor, " joints"],
    config: CompletionConfig,
) -> tuple[Float[Tensor, " joints"], Bool[Tensor, " joints"]]:
    """Depth of every joint along the viewpoint's axis, the body moved to where its anchors are."""
    expected = placement.log_depth[detection].double().exp() + placement.offset[detection, theirs, 2].double()
    if int(anchors.sum()) < config.anchors:
        return expected, torch.zeros_like(anchors)
    actual = (xyz_world - seen.centre[detection]) @ seen.axes[detection, 2]
    shift = (actual - expected)[anchors]
    middle = shift.median()
    agree = float((shift - middle).abs().median()) <= config.spread_mm
    sure = placement.offset_sigma[detection, theirs].double() <= config.sigma_mm
    depth = expected + middle
    return depth, sure & (depth > 100.0) & agree

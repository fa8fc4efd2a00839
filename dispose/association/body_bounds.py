"""What a body allows: how long bones are at most, and which joints cannot be where they are said to be."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.scene.frame import Poses
from dispose.skeletons.skeleton import Skeleton

LONGEST_MM = 600.0
"""No joint is farther than this from its neighbour in any skeleton of the catalogue."""

BONES_MM = (
    ("nose", "eye", 90.0), ("eye", "ear", 160.0), ("ear", "shoulder", 330.0), ("shoulder", "shoulder", 450.0),
    ("shoulder", "elbow", 400.0), ("elbow", "wrist", 350.0), ("shoulder", "hip", 600.0), ("hip", "hip", 350.0),
    ("hip", "knee", 560.0), ("knee", "ankle", 540.0), ("ankle", "big_toe", 270.0), ("big_toe", "small_toe", 130.0),
    ("ankle", "heel", 130.0), ("upper_neck", "head_top", 330.0), ("upper_neck", "nose", 250.0), ("neck", "nose", 330.0),
    ("neck", "shoulder", 260.0), ("mid_hip", "hip", 180.0), ("mid_hip", "spine", 350.0), ("spine", "neck", 350.0),
    ("nose", "head_top", 330.0), ("bottom_head", "top_head", 330.0), ("head", "neck", 330.0),
)  # fmt: skip
"""How long bones are at most, mm: a tenth more than the longest of 2,000 synthetic people of 1.4 to 2.0 m."""


def bone_limits(skeleton: Skeleton) -> list[float]:
    """How long every bone is at most, mm; `LONGEST_MM` for one that is not in the table."""
    known = {frozenset(pair): limit for *pair, limit in BONES_MM}
    ends = ([name.removeprefix("l_").removeprefix("r_") for name in bone] for bone in skeleton.bones)
    return [known.get(frozenset(pair), LONGEST_MM) for pair in ends]


@cache
def reach(skeleton: Skeleton, device: torch.device) -> Float[Tensor, "joints joints"]:
    """How far apart every two joints are at most, mm: the bones between them outstretched; infinite without bones."""
    joints = len(skeleton)
    span = torch.full((joints, joints), torch.inf, dtype=torch.float64, device=device)
    span.fill_diagonal_(0.0)
    for (one, other), limit in zip(skeleton.bone_indices, bone_limits(skeleton), strict=True):
        span[one, other] = span[other, one] = limit
    for middle in range(joints):
        span = torch.minimum(span, span[:, middle : middle + 1] + span[middle : middle + 1])
    return span


def bone_excess(poses: Poses) -> Float[Tensor, "persons joints"]:
    """By how many times the longest such bone a joint is too far from the nearest neighbour in its skeleton.

    0 where one bone of the joint is as long as bones are, and for a joint whose neighbours are not known. A joint
    beside a wrong one has other neighbours to speak for it; the last joint of a limb does not.
    """
    least = torch.full(poses.valid.shape, torch.inf, dtype=torch.float64, device=poses.valid.device)
    for (one, other), limit in zip(poses.skeleton.bone_indices, bone_limits(poses.skeleton), strict=True):
        length = (poses.xyz_world[:, one].double() - poses.xyz_world[:, other].double()).norm(dim=-1)
        known = poses.valid[:, one] & poses.valid[:, other]
        excess = torch.where(known, (length / limit - 1).clamp(min=0), torch.inf)
        for end in (one, other):
            least[:, end] = torch.minimum(least[:, end], excess)
    return torch.where(torch.isfinite(least), least, 0.0)


def without_impossible(poses: Poses) -> Poses:
    """Without the joints that cannot be where they are said to be (`impossible_joints`): those are not known.

    Of neighbours that are too far apart the one goes that is out of reach of more of the rest of the body, of equals
    the less trusted one (confidence); until nothing is impossible.
    """
    while bool((torn := impossible_joints(poses)).any()):
        blame = _beyond(poses)(poses.valid) + 1 - 0.5 * poses.confidence.clamp(0, 1)
        worst = torch.nn.functional.one_hot(torch.where(torn, blame, 0.0).argmax(-1), torn.shape[1]).bool()
        poses = without_joints(poses, worst & torn)
    return poses


def impossible_joints(poses: Poses) -> Bool[Tensor, "persons joints"]:
    """Which known joints are farther than `LONGEST_MM` from a neighbour, or out of reach of most of the body."""
    others = poses.valid.sum(1, keepdim=True) - 1
    torn = poses.valid & (2 * _beyond(poses)(poses.valid) > others)
    for one, other in poses.skeleton.bone_indices:
        length = (poses.xyz_world[:, one] - poses.xyz_world[:, other]).norm(dim=-1)
        long = (length > LONGEST_MM) & poses.valid[:, one] & poses.valid[:, other]
        torn[:, one] |= long
        torn[:, other] |= long
    return torn


def _beyond(poses: Poses) -> Callable[[Tensor], Int[Tensor, "persons joints"]]:
    """How many of the known joints are out of reach of each, as a function of which are known."""
    gap = (poses.xyz_world[:, :, None] - poses.xyz_world[:, None]).norm(dim=-1)
    far = gap > reach(poses.skeleton, poses.valid.device)
    return lambda known: (far & known[:, :, None] & known[:, None]).sum(-1)


def without_joints(poses: Poses, gone: Bool[Tensor, "persons joints"]) -> Poses:
    """The same people, of whom some joints are not known."""
    valid = poses.valid & ~gone
    covariance = poses.covariance
    return replace(
        poses,
        xyz_world=torch.where(valid[..., None], poses.xyz_world, 0.0),
        confidence=torch.where(valid, poses.confidence, 0.0),
        valid=valid,
        covariance=None if covariance is None else torch.where(valid[..., None, None], covariance, 0.0),
    )

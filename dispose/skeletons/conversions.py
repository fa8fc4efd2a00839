"""Conversions between skeletons, declared as weighted sums of named joints.

A target joint of the same name is copied. Otherwise the first of its `ALTERNATIVES` whose joints are all
seen stands for it; where there is none the joint is absent. What is not a weighted sum (the heads of Shelf
and Campus) lives in `shelf_heads`.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.skeletons.skeleton import Skeleton


@dataclass(frozen=True)
class Combination:
    """A joint as the weighted sum of other joints; the weights sum to one."""

    joints: tuple[str, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True)
class Rule:
    """A target joint and the combinations that may stand for it, best first."""

    joint: str
    choices: tuple[Combination, ...]


@dataclass(frozen=True)
class Conversion:
    """How every joint of a target skeleton is made from a source skeleton; absent joints have no rule."""

    source: Skeleton
    target: Skeleton
    rules: tuple[Rule, ...]


def mean_of(*joints: str) -> Combination:
    """The plain mean of some joints."""
    return Combination(joints, (1.0 / len(joints),) * len(joints))


def mean_of_seen(left: str, right: str) -> tuple[Combination, ...]:
    """The mean of a pair, or one of the pair where the other is not seen."""
    return (mean_of(left, right), mean_of(left), mean_of(right))


ALTERNATIVES = (
    Rule("neck", (mean_of("l_shoulder", "r_shoulder"),)),
    Rule("mid_hip", (mean_of("l_hip", "r_hip"),)),
    Rule("spine", (mean_of("mid_hip", "neck"), mean_of("l_hip", "r_hip", "l_shoulder", "r_shoulder"))),
    Rule("head", (*mean_of_seen("l_eye", "r_eye"), *mean_of_seen("l_ear", "r_ear"), mean_of("nose"))),
    Rule("bottom_head", (mean_of("upper_neck"),)),
    Rule("top_head", (mean_of("head_top"),)),
    Rule("head_top", (mean_of("top_head"),)),
    Rule("upper_neck", (mean_of("bottom_head"),)),
)
"""What stands for a joint that a source skeleton does not have (as the MVOR protocol has it)."""


def conversion_between(source: Skeleton, target: Skeleton) -> Conversion:
    """The conversion from one skeleton to another by joint names and `ALTERNATIVES`."""
    known = set(source.joints)
    alternatives = {rule.joint: rule.choices for rule in ALTERNATIVES}
    rules = []
    for joint in target.joints:
        wanted = (mean_of(joint), *alternatives.get(joint, ()))
        choices = tuple(choice for choice in wanted if known.issuperset(choice.joints))
        if choices:
            rules.append(Rule(joint, choices))
    return Conversion(source, target, tuple(rules))


def convert_joints(
    points: Float[Tensor, "*batch joints dims"],
    confidence: Float[Tensor, "*batch joints"],
    seen: Bool[Tensor, "*batch joints"],
    conversion: Conversion,
) -> tuple[Float[Tensor, "*batch target dims"], Float[Tensor, "*batch target"], Bool[Tensor, "*batch target"]]:
    """Joints of the target skeleton: places, confidences (the least of those combined) and which are seen.

    Absent joints have place and confidence 0.
    """
    *batch, _, dims = points.shape
    joints = len(conversion.target)
    places = points.new_zeros(*batch, joints, dims)
    scores = confidence.new_zeros(*batch, joints)
    there = torch.zeros(*batch, joints, dtype=torch.bool, device=points.device)
    for rule in conversion.rules:
        at = conversion.target.index(rule.joint)
        for choice in rule.choices:
            rows = conversion.source.indices(choice.joints)
            take = seen[..., rows].all(-1) & ~there[..., at]
            weights = points.new_tensor(choice.weights)
            place = (points[..., rows, :] * weights[:, None]).sum(-2)
            places[..., at, :] = torch.where(take[..., None], place, places[..., at, :])
            scores[..., at] = torch.where(take, confidence[..., rows].amin(-1), scores[..., at])
            there[..., at] |= take
    return places, scores, there

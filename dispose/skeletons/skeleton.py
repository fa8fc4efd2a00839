"""A skeleton is a value: named joints, bones, mirror pairs and a root; and how one is made from another."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.errors import InputError


@dataclass(frozen=True)
class Skeleton:
    """Named joints in a fixed order and what connects them.

    Attributes:
        name: the catalogue name, such as ``coco_17``.
        joints: joint names in array order (``l_`` / ``r_`` = the person's left and right).
        bones: ordered pairs of joint names, from the root outwards.
        root: the reference joint's name, or None where the skeleton has no such joint
            (then the root is the mean of `root_of`).
        root_of: joints whose mean is the root.
    """

    name: str
    joints: tuple[str, ...]
    bones: tuple[tuple[str, str], ...]
    root: str | None
    root_of: tuple[str, ...]

    def __post_init__(self) -> None:
        known = set(self.joints)
        if len(known) != len(self.joints):
            raise ValueError(f"skeleton {self.name}: joint names repeat")
        for name in (*self.root_of, *(joint for bone in self.bones for joint in bone)):
            if name not in known:
                raise ValueError(f"skeleton {self.name}: no joint named {name!r}")

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        """Array position of a joint; `InputError` for one that there is not."""
        if joint not in self.joints:
            raise InputError(f"skeleton {self.name} has no joint {joint!r} (it has: {', '.join(self.joints)}).")
        return self.joints.index(joint)

    def indices(self, joints: tuple[str, ...]) -> list[int]:
        """Array positions of several joints."""
        return [self.index(joint) for joint in joints]

    @property
    def bone_indices(self) -> list[tuple[int, int]]:
        """Bones as pairs of array positions."""
        return [(self.index(a), self.index(b)) for a, b in self.bones]

    @property
    def mirror(self) -> list[int]:
        """For every joint the array position of its left-right mirror (itself on the midline)."""
        swap = {"l_": "r_", "r_": "l_"}
        return [
            self.joints.index(swap[j[:2]] + j[2:]) if j[:2] in swap and swap[j[:2]] + j[2:] in self.joints else i
            for i, j in enumerate(self.joints)
        ]


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

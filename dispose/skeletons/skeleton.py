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
        root_of: joints whose mean is the root, the skeleton's reference point; none where it is not known.
    """

    name: str
    joints: tuple[str, ...]
    bones: tuple[tuple[str, str], ...]
    root_of: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = set(self.joints)
        if len(known) != len(self.joints):
            raise ValueError(f"skeleton {self.name}: joint names repeat")
        for name in (*self.root_of, *(joint for bone in self.bones for joint in bone)):
            if name not in known:
                raise ValueError(f"skeleton {self.name}: no joint named {name!r}")

    def __len__(self) -> int:
        return len(self.joints)

    @property
    def root(self) -> str | None:
        """The joint that is the root; None where there is no such joint."""
        return self.root_of[0] if len(self.root_of) == 1 else None

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


Choices = tuple[tuple[str, ...], ...]
"""Groups of joints, best first: the mean of the first group that is all seen stands for a joint."""


@dataclass(frozen=True)
class Conversion:
    """What stands for every joint of a target skeleton among a source's joints; nothing for those that are absent."""

    source: Skeleton
    target: Skeleton
    choices: tuple[Choices, ...]


ALTERNATIVES: tuple[tuple[str, Choices], ...] = (
    ("neck", (("l_shoulder", "r_shoulder"),)),
    ("mid_hip", (("l_hip", "r_hip"),)),
    ("spine", (("mid_hip", "neck"), ("l_hip", "r_hip", "l_shoulder", "r_shoulder"))),
    ("head", (("l_eye", "r_eye"), ("l_eye",), ("r_eye",), ("l_ear", "r_ear"), ("l_ear",), ("r_ear",), ("nose",))),
    ("bottom_head", (("upper_neck",),)),
    ("top_head", (("head_top",),)),
    ("head_top", (("top_head",),)),
    ("upper_neck", (("bottom_head",),)),
)
"""What stands for a joint that a source skeleton does not have or show (as the MVOR protocol has it)."""


def conversion_between(source: Skeleton, target: Skeleton) -> Conversion:
    """Joints of the same name are copied; `ALTERNATIVES` stand for the others.

    What is no mean of joints (the heads of Shelf and Campus) is in `dispose.scene.convert`.
    """
    known, alternatives = set(source.joints), dict(ALTERNATIVES)
    wanted = (((joint,), *alternatives.get(joint, ())) for joint in target.joints)
    return Conversion(source, target, tuple(tuple(c for c in some if known.issuperset(c)) for some in wanted))


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
    for at, choices in enumerate(conversion.choices):
        for choice in choices:
            rows = conversion.source.indices(choice)
            take = seen[..., rows].all(-1) & ~there[..., at]
            place = (points[..., rows, :] * points.new_tensor(1 / len(rows))).sum(-2)
            places[..., at, :] = torch.where(take[..., None], place, places[..., at, :])
            scores[..., at] = torch.where(take, confidence[..., rows].amin(-1), scores[..., at])
            there[..., at] |= take
    return places, scores, there

"""A skeleton is a value: named joints, bones, mirror pairs, a root and parts."""

from dataclasses import dataclass

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

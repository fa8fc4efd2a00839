"""A skeleton as a tree, as animation programs want it: one root, a parent for every other joint, and a rest pose."""

from dataclasses import dataclass

from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT

MIDDLES = (("mid_hip", ("l_hip", "r_hip"), ("mid_hip", "pelvis")),
           ("mid_shoulders", ("l_shoulder", "r_shoulder"), ("neck", "thorax")))  # fmt: skip
"""Joints that a tree needs: the middle of two others, made where the skeleton has none of those in the last column."""

HEAD_ON = ("head", "upper_neck", "bottom_head", "neck", "thorax", "mid_shoulders")
PARENTS = {
    "spine": ("mid_hip", "pelvis"),
    "mid_shoulders": ("spine", "mid_hip", "pelvis"),
    "thorax": ("spine", "mid_hip", "pelvis"),
    "neck": ("thorax", "spine", "mid_hip", "pelvis"),
    "upper_neck": HEAD_ON[3:],
    "bottom_head": HEAD_ON[3:],
    "head": HEAD_ON[1:],
    "head_top": HEAD_ON,
    "top_head": HEAD_ON,
    "nose": HEAD_ON,
    "eye": ("nose", *HEAD_ON),
    "ear": ("nose", *HEAD_ON),
    "shoulder": ("neck", "thorax", "mid_shoulders", "spine"),
    "elbow": ("shoulder",),
    "wrist": ("elbow",),
    "hip": ("mid_hip", "pelvis"),
    "knee": ("hip",),
    "ankle": ("knee",),
    "big_toe": ("ankle",),
    "small_toe": ("ankle",),
    "heel": ("ankle",),
    "thumb": ("wrist",),
    "index": ("wrist",),
    "pinky": ("wrist",),
}
"""What a joint hangs on, best first; limbs without their side, and on joints of their own side before others."""

REST = {
    "mid_hip": (0, 0, 0), "pelvis": (0, 20, -30), "spine": (0, 250, -10), "thorax": (0, 470, -20),
    "neck": (0, 500, -10), "mid_shoulders": (0, 490, -10), "upper_neck": (0, 590, 20), "bottom_head": (0, 590, 20),
    "head": (0, 650, 40), "head_top": (0, 770, 0), "top_head": (0, 770, 0), "nose": (0, 650, 110),
    "eye": (30, 690, 95), "ear": (75, 665, 10), "shoulder": (180, 490, -10), "elbow": (460, 490, -10),
    "wrist": (710, 490, -10), "hip": (110, 0, 0), "knee": (110, -430, 0), "ankle": (110, -830, -20),
    "big_toe": (120, -890, 150), "small_toe": (170, -890, 120), "heel": (110, -890, -70), "thumb": (740, 480, 40),
    "index": (800, 490, 20), "pinky": (790, 490, -30),
}  # fmt: skip
"""A person in a T-pose, mm: x to their left, y up, z to the front; of limbs the left one."""


@dataclass(frozen=True)
class BodyTree:
    """A tree over the joints of a skeleton, and over middles of some where it needs them.

    Attributes:
        joints: names, depth first: every joint is followed by those that hang on it.
        parents: position of every joint's parent; `ABSENT` for the root, which is first.
        made_of: positions in the skeleton of the joints whose mean a joint is (itself, or the two of a middle).
        rest: the T-pose, mm, y up, facing +z; None where a joint's place in it is not known.
    """

    joints: tuple[str, ...]
    parents: tuple[int, ...]
    made_of: tuple[tuple[int, ...], ...]
    rest: tuple[tuple[float, float, float] | None, ...]

    def children(self, joint: int) -> list[int]:
        """Positions of the joints that hang on one."""
        return [child for child, parent in enumerate(self.parents) if parent == joint]


def body_tree(skeleton: Skeleton) -> BodyTree:
    """The tree of a skeleton; joints without a place in a body hang on their neighbour by the bones, or on the root."""
    made_of: dict[str, tuple[int, ...]] = {joint: (row,) for row, joint in enumerate(skeleton.joints)}
    for middle, pair, others in MIDDLES:
        if made_of.keys() >= set(pair) and not made_of.keys() & set(others):
            made_of[middle] = tuple(skeleton.indices(pair))
    roots = ("mid_hip", "pelvis", "spine", "neck", "thorax", "mid_shoulders", *skeleton.joints)
    root = next(joint for joint in roots if joint in made_of)
    parents = {joint: _parent(joint, made_of) for joint in made_of if joint != root}
    placed, waiting = [root], [joint for joint in made_of if joint != root]
    while waiting:
        ready = [joint for joint in waiting if parents[joint] in placed]
        if not ready:  # what is left hangs on nothing that is placed: by bones, else on the root
            joint, parent = next(iter(_by_bones(skeleton, placed, waiting)), (waiting[0], root))
            parents[joint], ready = parent, [joint]
        placed += ready
        waiting = [joint for joint in waiting if joint not in ready]
    order: list[str] = []
    stack = [root]
    while stack:
        order.append(stack.pop())
        stack += [joint for joint in reversed(placed) if parents.get(joint) == order[-1]]
    rows = tuple(ABSENT if joint == root else order.index(parents[joint] or root) for joint in order)
    return BodyTree(tuple(order), rows, tuple(made_of[joint] for joint in order), tuple(map(_rest, order)))


def _parent(joint: str, there: dict[str, tuple[int, ...]]) -> str | None:
    side, part = _side(joint)
    for name in PARENTS.get(part, ()):
        for one in (side + name, name):
            if one in there:
                return one
    return None


def _by_bones(skeleton: Skeleton, placed: list[str], waiting: list[str]) -> list[tuple[str, str]]:
    """Joints that a bone connects with one that has its place, and that one."""
    both = (*skeleton.bones, *((b, a) for a, b in skeleton.bones))
    return [(b, a) for a, b in both if a in placed and b in waiting]


def _side(joint: str) -> tuple[str, str]:
    """The side that a joint's name begins with, and the rest of it."""
    return (joint[:2], joint[2:]) if joint[:2] in ("l_", "r_") else ("", joint)


def _rest(joint: str) -> tuple[float, float, float] | None:
    side, part = _side(joint)
    if part not in REST:
        return None
    x, y, z = map(float, REST[part])
    return (-x if side == "r_" else x, y, z)

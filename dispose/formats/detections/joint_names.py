"""What files call their joints, and which skeleton that is."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from dispose.skeletons.catalog import CATALOG, WHOLE_BODIES, body_of
from dispose.skeletons.skeleton import Skeleton

FEWEST_NAMED = 5
"""Fewer joints of a person are hardly one."""

SIDED = (
    ("eye", ("eye",)), ("ear", ("ear",)), ("shoulder", ("shoulder",)), ("elbow", ("elbow",)), ("wrist", ("wrist",)),
    ("hip", ("hip",)), ("knee", ("knee",)), ("ankle", ("ankle",)), ("heel", ("heel",)),
    ("big_toe", ("bigtoe", "toe", "footindex", "hallux")), ("small_toe", ("smalltoe", "littletoe")),
)  # fmt: skip

MIDDLE = (
    ("nose", ("nose",)), ("neck", ("neck", "thorax")),
    ("upper_neck", ("upperneck", "headbottom", "bottomhead", "neck")),
    ("head_top", ("headtop", "tophead", "topofhead", "head", "forehead")), ("head", ("head",)),
    ("top_head", ("tophead", "headtop", "topofhead", "head", "forehead")),
    ("bottom_head", ("bottomhead", "headbottom", "chin", "neck")),
    ("mid_hip", ("midhip", "hip", "pelvis", "root", "hipcenter")), ("pelvis", ("pelvis", "root")),
    ("thorax", ("thorax",)), ("spine", ("spine",)),
)  # fmt: skip

SIDES = (("l_", ("left", "l"), "2"), ("r_", ("right", "r"), "1"))
"""Prefixes here, words in files (before or after the joint), and the number behind it in DeepLabCut's human models."""


@dataclass(frozen=True)
class NamedJoints:
    """The joints of a skeleton among the columns of a file.

    Attributes:
        skeleton: the smallest of those that have most of them.
        columns: for every joint its column; None where the file has none.
        strange: names of the file that the skeleton has no joint for.
    """

    skeleton: Skeleton
    columns: tuple[int | None, ...]
    strange: tuple[str, ...]

    def notes(self, place: str, what: str) -> tuple[str, ...]:
        """Sentences about what was made of the names."""
        told = f"{place}: skeleton {self.skeleton.name}, told from the names of the {what}."
        left = f"{place}: {what} that it has no joint for, left out: {', '.join(self.strange)}."
        return (told, left) if self.strange else (told,)

    def in_order(self, person: object) -> object:
        """A person of as many joints as there were names, with the joints of the skeleton; others as they are."""
        named = len(set(self.columns) - {None}) + len(self.strange)
        if self.columns == (*range(named),) or not isinstance(person, list) or len(person) != 3 * named:
            return person
        rows = [(0.0, 0.0, 0.0) if at is None else person[3 * at : 3 * at + 3] for at in self.columns]
        return [value for row in rows for value in row]


@cache
def _known() -> dict[str, tuple[str, ...]]:
    """The joints that a plain name may mean."""
    found: dict[str, list[str]] = {}
    for joint, words in MIDDLE:
        for word in words:
            found.setdefault(word, []).append(joint)
    for prefix, sides, number in SIDES:
        for joint, words in SIDED:
            for word in words:
                for name in (*(f"{s}{word}" for s in sides), *(f"{word}{s}" for s in sides), f"{word}{number}"):
                    found.setdefault(name, []).append(prefix + joint)
    return {name: tuple(joints) for name, joints in found.items()}


def joints_called(name: str) -> tuple[str, ...]:
    """The joints that a name may mean: ``left_wrist``, ``LWrist``, ``wrist_l`` and ``wrist2`` are all l_wrist."""
    return _known().get(re.sub(r"[^a-z0-9]", "", name.lower()), ())


def skeleton_of_names(names: Sequence[str]) -> Skeleton | None:
    """The skeleton that has exactly these joints in this order (of faces and hands the number); None: none has."""
    for skeleton in (*CATALOG, *(whole for whole, _ in WHOLE_BODIES)):
        columns = skeleton.indices(body_of(skeleton).joints)
        if len(names) == len(skeleton) and all(skeleton.joints[c] in joints_called(names[c]) for c in columns):
            return skeleton
    return None


def joints_in_order(names: Sequence[str]) -> NamedJoints | None:
    """`skeleton_of_names` where that finds one, else `named_joints`."""
    skeleton = skeleton_of_names(names)
    return named_joints(names) if skeleton is None else NamedJoints(skeleton, tuple(range(len(names))), ())


def named_joints(names: Sequence[str]) -> NamedJoints | None:
    """The skeleton that has most of these joints, whatever their order; None where hardly any is a person's."""
    called = [joints_called(name) for name in names]
    best: NamedJoints | None = None
    for skeleton in sorted(CATALOG, key=len):
        columns = tuple(next((c for c, of in enumerate(called) if j in of), None) for j in skeleton.joints)
        strange = tuple(name for c, name in enumerate(names) if c not in columns)
        if best is None or len(strange) < len(best.strange):
            best = NamedJoints(skeleton, columns, strange)
    return best if best is not None and len(names) - len(best.strange) >= FEWEST_NAMED else None

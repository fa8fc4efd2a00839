"""Which camera of a calibration is which camera of the detections, and which skeleton a detector used."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.errors import InputError
from dispose.skeletons.catalog import CATALOG, H36M_17, LIMB_BONES, MPI_INF_3DHP_17, MPII_17
from dispose.skeletons.skeleton import Skeleton

CLEAR_MARGIN = 1.6
"""Left and right limbs must differ this many times as much under the second-best skeleton (real sets: over 2.2)."""

ENOUGH_PEOPLE = 5

# Joints measured by markers are reported by no 2-D detector, so 17 joints are COCO's.
DETECTED_SKELETONS = tuple(one for one in CATALOG if one not in (H36M_17, MPII_17, MPI_INF_3DHP_17))


@dataclass(frozen=True)
class NameMatch:
    """Positions (calibration, detections) of cameras that are the same, and the names of those that one has alone."""

    pairs: tuple[tuple[int, int], ...]
    only_calibrated: tuple[str, ...]
    only_detected: tuple[str, ...]


def plain(name: str) -> str:
    """A camera name without case, punctuation and the endings that detectors add."""
    lower = name.lower().removesuffix("_json").removesuffix(".mp4")
    return "".join(letter for letter in lower if letter.isalnum())


def digits(name: str) -> str:
    """The numbers in a camera name without leading zeros; empty where there are none."""
    return ".".join(str(int(group)) for group in re.findall(r"\d+", name))


def match_names(calibrated: Sequence[str], detected: Sequence[str]) -> NameMatch:
    """Match camera names: equal names first, then equal but for punctuation and case, then by their numbers.

    A looser rule is used only where it is unique on both sides: ``cam_01`` is ``cam01_json`` and, if nothing else
    is number 1, also ``camera1``.
    """
    left, right = dict(enumerate(calibrated)), dict(enumerate(detected))
    pairs: list[tuple[int, int]] = []
    for rule in (str, plain, digits):
        # Among all names, matched ones too: of cameras a_1 and b_1 the second is not c1 because the first is a1.
        keys_left, keys_right = [rule(name) for name in calibrated], [rule(name) for name in detected]
        for i, name in list(left.items()):
            key = rule(name)
            if key == "" or keys_left.count(key) != 1 or keys_right.count(key) != 1:
                continue
            j = keys_right.index(key)
            if j in right:
                pairs.append((i, j))
                del left[i], right[j]
    return NameMatch(tuple(sorted(pairs)), tuple(left.values()), tuple(right.values()))


def choose_skeleton(source: str, people: Sequence[Float[Tensor, "joints 3"]]) -> tuple[Skeleton, str | None]:
    """The catalogue's skeleton for detected people (``x, y, score`` rows) and, where it had to be worked out, why.

    Where several skeletons have that many joints, the one under which left and right limbs are of one length is
    taken, if they clearly are not under the others (a wrong joint order joins a wrist to an ear). Raises
    `InputError` that asks for the skeleton's name where that does not decide.
    """
    if not people:
        names = ", ".join(skeleton.name for skeleton in DETECTED_SKELETONS)
        raise InputError(f"{source}: nobody is detected, so choose the skeleton with --skeleton ({names}).")
    joints = people[0].shape[0]
    fitting = [skeleton for skeleton in DETECTED_SKELETONS if len(skeleton) == joints]
    if not fitting:
        known = ", ".join(f"{skeleton.name} ({len(skeleton)})" for skeleton in DETECTED_SKELETONS)
        raise InputError(f"{source}: people have {joints} joints, which fits no skeleton we know: {known}.")
    if len(fitting) == 1:
        return fitting[0], None
    table = torch.stack(list(people))
    ranked = sorted((limb_asymmetry(skeleton, table), skeleton.name, skeleton) for skeleton in fitting)
    (best, _, skeleton), (second, other, _) = ranked[0], ranked[1]
    if len(people) < ENOUGH_PEOPLE or not second > CLEAR_MARGIN * best:
        names = " or ".join(name for _, name, _ in ranked)
        raise InputError(
            f"{source}: people have {joints} joints, which fits {names}; say which (--skeleton {ranked[0][1]})."
        )
    return skeleton, (
        f"skeleton {skeleton.name}: {joints} joints fit {other} as well, but left and right limbs would differ "
        f"{second / best:.1f} times as much in length."
    )


def limb_asymmetry(skeleton: Skeleton, people: Float[Tensor, "people joints 3"]) -> float:
    """Mean of ``|a - b| / (a + b)`` over a limb's and its mirror limb's length in the image; inf if unseen."""
    bones = [(a, b) for a, b in LIMB_BONES if {a, b} <= set(skeleton.joints) and a[:2] == b[:2]]
    start, end = skeleton.indices(tuple(a for a, _ in bones)), skeleton.indices(tuple(b for _, b in bones))
    seen, xy = people[..., 2] > 0, people[..., :2]
    length = (xy[:, start] - xy[:, end]).norm(dim=-1)
    left = [i for i, (a, _) in enumerate(bones) if a.startswith("l_")]
    right = [bones.index(("r" + a[1:], "r" + b[1:])) for a, b in (bones[i] for i in left)]
    known = seen[:, start] & seen[:, end]
    both = known[:, left] & known[:, right]
    apart = (length[:, left] - length[:, right]).abs() / (length[:, left] + length[:, right]).clamp(min=1e-6)
    return float(apart[both].mean()) if bool(both.any()) else float("inf")

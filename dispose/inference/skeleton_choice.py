"""Which skeleton a detector used: the number of its joints is a hint, the limbs decide."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NoReturn

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.errors import InputError
from dispose.skeletons.catalog import (
    CATALOG,
    H36M_17,
    HUMANEVA_15,
    LIMB_BONES,
    MPI_INF_3DHP_17,
    MPII_17,
    OPENPOSE_15,
    WHOLE_BODIES,
    body_of,
)
from dispose.skeletons.skeleton import Skeleton

KNOWN = (*CATALOG, *(whole for whole, _ in WHOLE_BODIES))
RARE = (H36M_17, MPII_17, MPI_INF_3DHP_17, HUMANEVA_15, OPENPOSE_15)
"""Skeletons that hardly a 2-D detector writes: of 3-D data sets, of old models. Few people are not enough to tell."""

ENOUGH_PEOPLE = 5

WRONG_FROM = 1.0
"""Misfits of right skeletons reach 0.95 on real detections and real motion; those of wrong orders mostly lie above."""

CLEAR_MARGIN = 0.15
"""The second best must fit worse by so much (real sets: 0.28 and more)."""

DOWN_THE_BODY = (
    ("nose", "head", "head_top", "top_head", "l_eye", "r_eye", "l_ear", "r_ear"),
    ("l_shoulder", "r_shoulder"),
    ("spine",),
    ("l_hip", "r_hip"),
    ("l_knee", "r_knee"),
    ("l_ankle", "r_ankle"),
)


@dataclass(frozen=True)
class LimbFit:
    """How badly people's joints in the image fit a skeleton's names.

    Attributes:
        lengths: mean length of a bone over the mean distance of any two joints: neighbours are near one another.
        asymmetry: mean of ``|a - b| / (a + b)`` over a limb's and its mirror limb's length.
        disorder: share of the steps head, shoulders, hips, knees, ankles that lead up in the image.
    """

    lengths: float
    asymmetry: float
    disorder: float

    @property
    def misfit(self) -> float:
        """The sum of the three; infinite where a part could not be measured."""
        return self.lengths + self.asymmetry + self.disorder

    def __str__(self) -> str:
        return (
            f"left and right limbs differ by {100 * self.asymmetry:.0f} %, {100 * self.disorder:.0f} % of the steps "
            f"down the body lead up, bones measure {100 * self.lengths:.0f} % of any two joints' distance"
        )

    def against(self, better: "LimbFit") -> str:
        """What would have to be true, beside what is true under a better skeleton."""
        return (
            f"left and right limbs would differ by {100 * self.asymmetry:.0f} % (not {100 * better.asymmetry:.0f}), "
            f"{100 * self.disorder:.0f} % (not {100 * better.disorder:.0f}) of the steps down the body would lead up"
        )


def fit_of(skeleton: Skeleton, people: Float[Tensor, "people joints 3"]) -> LimbFit:
    """How people (``x, y, score`` in the skeleton's order, 0 = not seen) fit the body of a skeleton."""
    body = body_of(skeleton)
    body_people = people[:, skeleton.indices(body.joints)]
    return LimbFit(bone_share(body, body_people), limb_asymmetry(body, body_people), disorder(body, body_people))


def bone_share(skeleton: Skeleton, people: Float[Tensor, "people joints 3"]) -> float:
    """Mean length of a seen bone over the mean distance of two seen joints; inf where nobody shows three bones."""
    seen, xy = people[..., 2] > 0, people[..., :2]
    start, end = (list(ends) for ends in zip(*skeleton.bone_indices, strict=True))
    known = seen[:, start] & seen[:, end]
    length = ((xy[:, start] - xy[:, end]).norm(dim=-1) * known).sum(1) / known.sum(1).clamp(min=1)
    pairs = (seen[:, :, None] & seen[:, None]).triu(1)
    apart = (torch.cdist(xy, xy) * pairs).sum((1, 2)) / pairs.sum((1, 2)).clamp(min=1)
    usable = (known.sum(1) >= 3) & (apart > 0)
    return float((length / apart.clamp(min=1e-6))[usable].mean()) if bool(usable.any()) else float("inf")


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


def disorder(skeleton: Skeleton, people: Float[Tensor, "people joints 3"]) -> float:
    """Share of the steps down a body (`DOWN_THE_BODY`) that lead up in the image; 0 where no step is seen."""
    levels = []
    for group in DOWN_THE_BODY:
        rows = [skeleton.index(joint) for joint in group if joint in skeleton.joints]
        if rows:
            seen = people[:, rows, 2] > 0
            height = (people[:, rows, 1] * seen).sum(1) / seen.sum(1).clamp(min=1)
            levels.append((height, seen.any(1)))
    up, steps = 0, 0
    for (above, one), (below, other) in pairwise(levels):
        known = one & other
        up, steps = up + int((above >= below)[known].sum()), steps + int(known.sum())
    return up / max(steps, 1)


def choose_skeleton(source: str, people: Sequence[Float[Tensor, "joints 3"]]) -> tuple[Skeleton, str | None]:
    """The skeleton of detected people (``x, y, score`` rows) and, where it had to be worked out, why.

    Raises `InputError` that names the skeletons to choose from where none fits, or where the limbs do not decide.
    """
    if not people:
        names = ", ".join(skeleton.name for skeleton in KNOWN if skeleton not in RARE)
        raise InputError(
            f"{source}: nobody is detected in any frame, so choose the skeleton with --skeleton ({names})."
        )
    joints = people[0].shape[0]
    fitting = [skeleton for skeleton in KNOWN if len(skeleton) == joints]
    if not fitting:
        known = ", ".join(f"{skeleton.name} ({len(skeleton)})" for skeleton in KNOWN if skeleton not in RARE)
        raise InputError(f"{source}: people have {joints} joints, which fits no skeleton we know: {known}.")
    usual = [skeleton for skeleton in fitting if skeleton not in RARE]
    table = torch.stack(list(people))
    ranked = sorted(((fit_of(skeleton, table), skeleton) for skeleton in fitting), key=lambda one: one[0].misfit)
    (best, skeleton), others = ranked[0], ranked[1:]
    if len(people) < ENOUGH_PEOPLE or best.misfit == float("inf"):
        if len(usual) == 1:
            return usual[0], None
        _ask(source, joints, usual or fitting, "too few people are seen to tell which")
    _refuse_exchanged(source, skeleton, table, best)
    if best.misfit > WRONG_FROM:
        why = f"but they do not fit the limbs of {'any of them' if others else skeleton.name} ({best})"
        _ask(source, joints, sorted(fitting, key=RARE.__contains__), why)
    if others and others[0][0].misfit < best.misfit + CLEAR_MARGIN:
        _ask(source, joints, [one for _, one in ranked], "and their limbs do not tell which")
    if len(usual) == 1 and skeleton in usual:
        return skeleton, None
    if not others:
        return skeleton, None
    second, other = others[0]
    return (
        skeleton,
        f"skeleton {skeleton.name}: {joints} joints fit {other.name} as well, but then {second.against(best)}.",
    )


def _refuse_exchanged(source: str, skeleton: Skeleton, people: Float[Tensor, "people joints 3"], fit: LimbFit) -> None:
    """Raise `InputError` where people would stand upright if x and y were exchanged, as MoveNet writes them."""
    other = fit_of(skeleton, people[..., [1, 0, 2]])
    if other.misfit < fit.misfit - 2 * CLEAR_MARGIN:
        raise InputError(
            f"{source}: {100 * fit.disorder:.0f} % of the steps down the body (head, shoulders, hips, knees, ankles) "
            f"lead up; with x and y exchanged {100 * other.disorder:.0f} % would: are they written as y, x? Exchange "
            f"them, or say --skeleton {skeleton.name} if people lie or the images are turned."
        )


def _ask(source: str, joints: int, skeletons: Sequence[Skeleton], why: str) -> NoReturn:
    """Raise the question which of some skeletons it is."""
    names = " or ".join(skeleton.name for skeleton in skeletons)
    raise InputError(
        f"{source}: people have {joints} joints, which fits {names}, {why}; say which (--skeleton {skeletons[0].name})."
    )


def doubt_of(skeleton: Skeleton, people: Sequence[Float[Tensor, "joints 3"]]) -> str | None:
    """A sentence where people clearly do not fit the skeleton that was told for them."""
    if len(people) < ENOUGH_PEOPLE:
        return None
    table = torch.stack(list(people))
    told = fit_of(skeleton, table)
    if told.misfit == float("inf") or told.misfit <= WRONG_FROM:
        return None
    fits = [(fit_of(one, table), one) for one in KNOWN if len(one) == len(skeleton) and one != skeleton]
    best, other = min(fits, key=lambda one: one[0].misfit, default=(told, skeleton))
    better = f"; {other.name} would fit ({best})" if best.misfit < told.misfit - CLEAR_MARGIN else ""
    return f"skeleton {skeleton.name} as told, but people hardly fit it: {told}{better}."

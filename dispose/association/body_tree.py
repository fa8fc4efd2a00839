"""The best whole body from candidate places of its joints: exact dynamic programming over the tree of bones.

Pictorial structures in space with the candidates as states (belagiannis2014shelf), in a few lines.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from dispose.skeletons.catalog import PANOPTIC_15
from dispose.skeletons.skeleton import Skeleton

MISSING = -1

SIZES = (0.7, 0.8, 0.88, 0.95, 1.02, 1.09, 1.16)
SIZE_COSTS = (1.0, 0.6, 0.2, 0.0, 0.0, 0.1, 0.3)
"""How large people are compared to the mean, children included, and what it costs to believe it."""


@dataclass(frozen=True)
class BodyShape:
    """How long bones are.

    Attributes:
        skeleton: its bones are a tree that starts at the root joint, parents before children.
        length_mm: mean of every bone.
        spread_mm: standard deviation of every bone among people of one size, with the error of its ends.
        farthest: deviations beyond which two places are no bone.
    """

    skeleton: Skeleton
    length_mm: tuple[float, ...]
    spread_mm: tuple[float, ...]
    farthest: float = 3.5

    def blurred(self, error_mm: float) -> "BodyShape":
        """The same for joints whose places err by so much (standard deviation)."""
        return replace(self, spread_mm=tuple(float(np.hypot(spread, 2**0.5 * error_mm)) for spread in self.spread_mm))

    @property
    def reach_mm(self) -> tuple[float, ...]:
        """How far every joint can be from the root: the longest bones on the way, stretched out."""
        reach = [0.0] * len(self.skeleton)
        for (parent, child), length, spread in zip(
            self.skeleton.bone_indices, self.length_mm, self.spread_mm, strict=True
        ):
            reach[child] = reach[parent] + SIZES[-1] * length + spread
        return tuple(reach)


@dataclass(frozen=True, eq=False)
class Choice:
    """Which candidate every joint takes (`MISSING`: none), and what that gains."""

    candidate: tuple[int, ...]
    gain: float


# Bones in the order of `NECK_TREE`; lengths are means over Panoptic.
PANOPTIC_SHAPE = BodyShape(
    PANOPTIC_15,
    (507.0, 225.0, 165.0, 280.0, 239.0, 165.0, 280.0, 239.0, 105.0, 395.0, 390.0, 105.0, 395.0, 390.0),
    (65.0, 45.0, 40.0, 45.0, 42.0, 40.0, 45.0, 42.0, 35.0, 52.0, 52.0, 35.0, 52.0, 52.0),
)


def best_body(
    shape: BodyShape, xyz_world: Sequence[Float[np.ndarray, "_ 3"]], gain: Sequence[Float[np.ndarray, " _"]]
) -> Choice:
    """The places of greatest gain ``Σ gain - Σ z² / 2`` over bones of z deviations from their length at some size.

    A joint may be missing: it gains nothing, and its children must be no farther from the last joint before it that
    is there than the bones between them stretched out (z counts what is beyond). The size of the person is the one
    with the greatest gain.

    Args:
        shape: how long bones are.
        xyz_world: the candidates of every joint, mm; the root has at least one.
        gain: what every candidate gains.
    """
    options = _options(shape, xyz_world)
    best = Choice((MISSING,) * len(gain), -np.inf)
    for size, cost in zip(SIZES, SIZE_COSTS, strict=True):
        found = _best_of_size(shape, options, gain, size)
        if found.gain - cost > best.gain:
            best = Choice(found.candidate, found.gain - cost)
    return best


@dataclass(frozen=True, eq=False)
class _Options:
    """What a joint may be, and how that fits what its parent may be.

    Attributes:
        stretch_mm: length of the missing bones between every option's place and the joint; 0 for its own candidates,
            which come first; behind them are the parent's options, for a joint that is missing.
        distance_mm: from every option of the parent to every own candidate (none for the root).
    """

    stretch_mm: Float[np.ndarray, " options"]
    distance_mm: Float[np.ndarray, "parents candidates"]


def _options(shape: BodyShape, xyz_world: Sequence[Float[np.ndarray, "_ 3"]]) -> list[_Options]:
    """The options of every joint."""
    root = shape.skeleton.bone_indices[0][0]
    place = list(xyz_world)
    nothing = _Options(np.zeros(len(place[root])), np.zeros((0, len(place[root]))))
    options = [nothing] * len(place)
    for (parent, child), length in zip(shape.skeleton.bone_indices, shape.length_mm, strict=True):
        own = xyz_world[child]
        distance = np.linalg.norm(place[parent][:, None] - own[None], axis=-1)
        stretch = np.concatenate([np.zeros(len(own)), options[parent].stretch_mm + length])
        options[child] = _Options(stretch, distance)
        place[child] = np.concatenate([own, place[parent]])
    return options


def _best_of_size(
    shape: BodyShape, options: Sequence[_Options], gain: Sequence[Float[np.ndarray, " _"]], size: float
) -> Choice:
    """`best_body` at one size."""
    total = [
        np.concatenate([own, np.zeros(len(o.stretch_mm) - len(own))]) for own, o in zip(gain, options, strict=True)
    ]
    picked: list[tuple[int, int, Int[np.ndarray, " options"]]] = []
    bones = list(zip(shape.skeleton.bone_indices, shape.length_mm, shape.spread_mm, strict=True))
    for (parent, child), length, spread in reversed(bones):
        stretch, distance = options[parent].stretch_mm[:, None], options[child].distance_mm
        deviation = (distance - size * (stretch + length)) / spread
        deviation = np.where(stretch > 0, np.maximum(deviation, 0.0), np.abs(deviation))
        fit = np.where(deviation <= shape.farthest, -deviation * deviation / 2, -np.inf)
        count = len(gain[child])
        # Own candidates, and being missing where the parent's option is.
        with_child = np.concatenate([fit + total[child][:count], total[child][count:, None]], axis=1)
        best = with_child.argmax(1)
        own = np.arange(len(best))
        total[parent] = total[parent] + with_child[own, best]
        picked.append((parent, child, np.where(best == count, count + own, best)))
    start = shape.skeleton.bone_indices[0][0]
    option = [0] * len(gain)
    option[start] = int(total[start].argmax())
    for parent, child, best in reversed(picked):
        option[child] = int(best[option[parent]])
    chosen = tuple(o if o < len(own) else MISSING for o, own in zip(option, gain, strict=True))
    return Choice(chosen, float(total[start].max()))

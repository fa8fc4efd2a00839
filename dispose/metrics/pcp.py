"""Percentage of correct parts on Shelf and Campus (belagiannis2014shelf)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.errors import ShapeError
from dispose.metrics.pose import pairwise_mpjpe
from dispose.scene.frame import Poses
from dispose.skeletons.catalog import SHELF_14
from dispose.tensors import TensorStruct, cat

PARTS = (
    ("lower leg r", ("r_ankle",), ("r_knee",)),
    ("upper leg r", ("r_knee",), ("r_hip",)),
    ("upper leg l", ("l_hip",), ("l_knee",)),
    ("lower leg l", ("l_knee",), ("l_ankle",)),
    ("lower arm r", ("r_wrist",), ("r_elbow",)),
    ("upper arm r", ("r_elbow",), ("r_shoulder",)),
    ("upper arm l", ("l_shoulder",), ("l_elbow",)),
    ("lower arm l", ("l_elbow",), ("l_wrist",)),
    ("head", ("bottom_head",), ("top_head",)),
    ("torso", ("l_hip", "r_hip"), ("bottom_head",)),
)
"""Name and the two ends of every part; an end is the mean of its joints."""


@dataclass(frozen=True, eq=False)
class PartResults(TensorStruct):
    """Which parts, in the order of `PARTS`, were found of which true person (`actor`)."""

    actor: Int[Tensor, " persons"]
    correct: Bool[Tensor, "persons parts"]


def part_ends(poses: Poses) -> tuple[Float[Tensor, "persons parts 2 3"], Bool[Tensor, "persons parts"]]:
    """The two ends of every part and whether both are known."""
    ends, known = [], []
    for _, *pair in PARTS:
        rows = [SHELF_14.indices(joints) for joints in pair]
        ends.append(torch.stack([poses.xyz_world[:, r].mean(1) for r in rows], 1))
        known.append(torch.stack([poses.valid[:, r].all(1) for r in rows], 1).all(1))
    return torch.stack(ends, 1).to(torch.float64), torch.stack(known, 1)


def correct_parts(predicted: Poses, truth: Poses, *, alpha: float = 0.5, min_joints: int = 6) -> PartResults:
    """For every true person the parts that the nearest prediction has right.

    A part is right if the mean error of its two ends is at most `alpha` times its true length. The nearest
    prediction is the one with the least mean joint distance among those with at least `min_joints` joints;
    a missing joint makes its parts wrong, a missing prediction all ten.
    Raises `ShapeError` where a skeleton is not Shelf's.
    """
    for poses in (predicted, truth):
        if poses.skeleton != SHELF_14:
            raise ShapeError(f"PCP needs skeleton {SHELF_14.name}, got {poses.skeleton.name}")
    true_ends, true_known = part_ends(truth)
    persons = truth.valid.shape[0]
    distance = pairwise_mpjpe(predicted, truth, min_joints=min_joints)
    if distance.shape[0] == 0 or persons == 0:
        return PartResults(truth.id, torch.zeros(persons, len(PARTS), dtype=torch.bool))
    nearest, chosen = distance.min(0)
    ends, known = part_ends(predicted)
    ends, known = ends[chosen], known[chosen] & torch.isfinite(nearest)[:, None]
    error = torch.linalg.vector_norm(ends - true_ends, dim=-1).mean(-1)
    length = torch.linalg.vector_norm(true_ends[:, :, 0] - true_ends[:, :, 1], dim=-1)
    return PartResults(truth.id, known & true_known & (error <= alpha * length))


def pool_parts(frames: Sequence[PartResults]) -> PartResults:
    """The true persons of all frames as one list."""
    nobody = PartResults(torch.zeros(0, dtype=torch.long), torch.zeros(0, len(PARTS), dtype=torch.bool))
    return cat([nobody, *frames], "persons")


def pcp_of_actor(results: PartResults, actor: int) -> float:
    """Share of the actor's parts that are right; NaN where the actor never appears."""
    return float(results.correct[results.actor == actor].to(torch.float64).mean())


def pcp_of_part(results: PartResults, part: str, *, actors: Sequence[int]) -> float:
    """Share of the right ones among the parts of this name of some actors; NaN where they never appear."""
    column = [name for name, *_ in PARTS].index(part)
    mine = torch.isin(results.actor, torch.tensor(list(actors)))
    return float(results.correct[mine, column].to(torch.float64).mean())


def pcp(results: PartResults, *, actors: Sequence[int] = (0, 1, 2)) -> float:
    """Mean over actors of the share of their parts that are right."""
    return sum(pcp_of_actor(results, actor) for actor in actors) / len(actors)

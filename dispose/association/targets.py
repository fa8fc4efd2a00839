"""The clean assignment: which candidate tuples are true, given who every detection is (training only)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dispose.tensors import ABSENT


def true_tuples(
    members: Int[Tensor, "tuples views"],
    cost: Float[Tensor, " tuples"],
    identity: Int[Tensor, "views slots"],
) -> Float[Tensor, " tuples"]:
    """Mass 1 on disjoint tuples that cover every detection once: a vertex of the polytope.

    A person's complete tuple where it is a candidate; where it was pruned, its largest candidate part (the
    cheapest of these), then the next. Detections of nobody stand alone. Singletons must be among the tuples.
    """
    views = members.shape[1]
    there = members != ABSENT
    who = torch.where(there, identity[torch.arange(views, device=members.device), members.clamp(min=0)], ABSENT)
    first = torch.where(there, who, torch.iinfo(torch.long).max).amin(1)
    same = (~there | ((who == first[:, None]) & (first[:, None] != ABSENT))).all(1)
    pure = (there.sum(1) == 1) | (same & there.any(1))
    rows = pure.nonzero()[:, 0]
    order = rows[torch.argsort(cost[rows], stable=True)]
    order = order[torch.argsort(there[order].sum(1), descending=True, stable=True)]
    used = torch.zeros_like(identity, dtype=torch.bool)
    mass = torch.zeros(members.shape[0], device=members.device)
    for row in order.tolist():
        at = there[row].nonzero()[:, 0]
        slots = members[row, at]
        if not bool(used[at, slots].any()):
            used[at, slots] = True
            mass[row] = 1.0
    return mass

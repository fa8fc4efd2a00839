"""The definition of the candidates: every combination of slots, one after another."""

import itertools

import torch
from jaxtyping import Bool
from torch import Tensor

from dispose_kernels.candidates.evidence import ABSENT, Candidates, Evidence


def enumerate_product(
    evidence: Evidence,
    allowed: Bool[Tensor, "views slots views slots"],
    *,
    cap: float,
    limit: float,
) -> Candidates:
    """Every tuple whose members are pairwise allowed and whose cost is at most ``limit (members - 1)``.

    The cost is the sum over joints of ``min(c - b . P^+ b, cap)`` of the summed beliefs; singletons cost 0.
    """
    views, slots = evidence.valid.shape
    options = [[ABSENT, *(s for s in range(slots) if evidence.valid[v, s])] for v in range(views)]
    members, costs = [], []
    for row in itertools.product(*options):
        chosen = [(v, s) for v, s in enumerate(row) if s != ABSENT]
        if not chosen or not all(allowed[a][b] for a, b in itertools.combinations(chosen, 2)):
            continue
        cost = _cost(evidence, chosen, cap) if len(chosen) > 1 else 0.0
        if len(chosen) == 1 or cost <= limit * (len(chosen) - 1):
            members.append(row)
            costs.append(cost)
    table = torch.tensor(members, dtype=torch.long).reshape(-1, views)
    return Candidates(table, torch.tensor(costs, dtype=torch.float64), torch.zeros_like(table[:, 0]))


def _cost(evidence: Evidence, chosen: list[tuple[int, int]], cap: float) -> float:
    precision = sum(evidence.precision[place] for place in chosen)
    information = sum(evidence.information[place] for place in chosen)
    constant = sum(evidence.constant[place] for place in chosen)
    assert isinstance(precision, Tensor) and isinstance(information, Tensor) and isinstance(constant, Tensor)
    inverse = torch.linalg.pinv(precision, rtol=1e-10, hermitian=True)
    misfit = constant - (information[:, None] @ inverse @ information[..., None])[:, 0, 0]
    return float(misfit.clamp(min=0.0, max=cap).sum())

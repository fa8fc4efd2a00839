"""The complete problem: everybody is seen once in every view, every combination is a candidate, nobody is absent.

For two views its polytope is Birkhoff's: the doubly stochastic matrices, whose vertices are the permutations.
"""

import torch
from jaxtyping import Int
from torch import Tensor

from dispose.errors import ShapeError
from dispose_kernels.sinkhorn import Marginals


def every_tuple(people: int, views: int) -> Int[Tensor, "tuples views"]:
    """All ``people ** views`` combinations of one detection per view, the last view fastest.

    Mass over them is a tensor: ``mass.view((people,) * views)``, for two views a matrix.

    >>> every_tuple(2, 2).tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    if people < 1 or views < 2:
        raise ShapeError(f"a complete problem needs people and at least two views, got {people} and {views}")
    return torch.cartesian_prod(*[torch.arange(people)] * views)


def everybody_once(people: int, views: int) -> Marginals:
    """The constraints on `every_tuple`: every detection carries exactly 1, there is no dustbin."""
    members = every_tuple(people, views)
    return Marginals(
        bins=members + people * torch.arange(views),
        target=torch.ones(people * views, dtype=torch.float64),
        sample=torch.zeros(len(members), dtype=torch.long),
        sample_of_bin=torch.zeros(people * views, dtype=torch.long),
        samples=1,
    )

"""What the join works on and what it returns."""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor

ABSENT = -1
"""Entry of a candidate tuple for a view in which nobody is taken."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Per detection and joint a Gaussian belief about the joint's place, in information form (float64).

    Beliefs fuse by adding precision, information and constant. A joint that was not seen has all three 0.
    Places should be centred near the scene: the misfit is a difference of numbers that grow with their square.
    One frame has no leading axis; several have one, padded to the most views and slots by slots that are not valid.

    Attributes:
        precision: P, symmetric positive semi-definite.
        information: ``b = P mean``.
        constant: ``c = mean . P mean``.
        valid: which slots hold a detection.
    """

    precision: Float[Tensor, "*frames views slots joints 3 3"]
    information: Float[Tensor, "*frames views slots joints 3"]
    constant: Float[Tensor, "*frames views slots joints"]
    valid: Bool[Tensor, "*frames views slots"]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Candidate tuples frame by frame in lexicographic order of their members, each with at least one.

    Attributes:
        members: the slot taken in every view, or `ABSENT`.
        cost: sum over joints of the capped misfit of the fused evidence; 0 for singletons.
        frame: frame of every tuple.
    """

    members: Int[Tensor, "tuples views"]
    cost: Float[Tensor, " tuples"]
    frame: Int[Tensor, " tuples"]

"""Whether the unit that a file is in is the one it says: people are of people's size."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.errors import InputError

LEAST_MM, MOST_MM, ENOUGH_JOINTS = 50.0, 10_000.0, 5
"""How far the joints of people lie apart; of people with so many that are known."""


def require_size(place: str, xyz: Float[Tensor, "people joints 3"], known: Bool[Tensor, "people joints"]) -> None:
    """Raise `InputError` where half of the people (mm) are smaller or larger than people: they are in another unit."""
    whole = known.sum(-1) >= ENOUGH_JOINTS
    there, points = known[whole][..., None], xyz[whole]
    most, least = (torch.where(there, sign * points, -torch.inf).amax(1) for sign in (1, -1))
    size = float((most + least).amax(-1).median()) if len(points) else LEAST_MM
    if size > 0 and not LEAST_MM <= size <= MOST_MM:
        raise InputError(f"{place}, and the joints of half of the people lie within {size:g} mm: is the unit another?")

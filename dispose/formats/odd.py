"""What was odd in files and was left out, or taken otherwise: how often, and where first."""

from collections.abc import Iterable
from dataclasses import dataclass

EMPTY = "left out: people without a single keypoint"
MISSHAPEN = "left out: people with another number of joints than the others"
NO_NUMBER = "not seen: joints with a value that is no number (NaN, null, infinite)"
OUTSIDE = "not seen: joints at negative coordinates or far outside the image"
AT_ORIGIN = "not seen: joints at exactly 0, 0, where detectors put what they do not see"
OTHER_CLASS = "left out: what is no person by its class or category"
BEYOND = "not seen: joints 90 degrees or more off the axis of a fisheye"
CLAMPED = "scores outside [0, 1], taken as 0 or 1"
MISSPELT = "left out: what stands under a misspelt name, or has no scores where others have"
NO_FRAME = "left out: people of whom the file does not say the frame"


@dataclass(frozen=True)
class Odd:
    """One kind of odd thing: how many there were, and the place (file, camera, frame, …, value) of the first."""

    kind: str
    count: int
    first: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.count} (the first: {self.first})."


def counted(found: Iterable[Odd]) -> tuple[Odd, ...]:
    """One entry a kind: counts are added, the first place is the one that comes first."""
    kinds: dict[str, Odd] = {}
    for odd in found:
        known = kinds.get(odd.kind)
        kinds[odd.kind] = odd if known is None else Odd(odd.kind, known.count + odd.count, known.first)
    return tuple(kinds.values())

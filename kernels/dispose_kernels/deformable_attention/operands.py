"""What the two operators of deformable attention are given, and what they refuse."""

from collections.abc import Sequence

from torch import Tensor

from dispose_kernels.errors import OperandError


def check(levels: Sequence[Tensor], map_of: Tensor, location: Tensor, weight: Tensor) -> None:
    """`OperandError` unless maps, queries, heads, levels and points agree; nothing is read from the device."""
    if not levels:
        raise OperandError("deformable attention needs at least one level of feature maps, and was given none")
    maps, chans = levels[0].shape[:2]
    for number, level in enumerate(levels):
        if level.ndim != 4 or level.shape[:2] != (maps, chans):
            raise OperandError(
                f"every level holds maps x chans x height x width with equal maps and chans; level 0 is "
                f"{tuple(levels[0].shape)} and level {number} is {tuple(level.shape)}"
            )
    if location.ndim != 5 or location.shape[2] != len(levels) or location.shape[-1] != 2:
        raise OperandError(
            f"locations are queries x heads x {len(levels)} levels x points x 2; these are {tuple(location.shape)}"
        )
    if weight.shape != location.shape[:-1]:
        raise OperandError(
            f"every location has one weight; locations are {tuple(location.shape)} and weights {tuple(weight.shape)}"
        )
    if map_of.shape != location.shape[:1]:
        raise OperandError(
            f"every query has one map; there are {len(location)} queries and map_of is {tuple(map_of.shape)}"
        )


def chans_per_head(levels: Sequence[Tensor], heads: int) -> int:
    """Channels that each head reads for itself; `OperandError` if they cannot be shared out equally."""
    chans = levels[0].shape[1]
    if not heads or chans % heads:
        raise OperandError(f"{chans} channels cannot be shared equally by {heads} heads")
    return chans // heads

"""The four pixels around a point, and the derivative of bilinear reading."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Plane = Float[Tensor, "queries heads points"]
Mask = Bool[Tensor, "queries heads points"]


@dataclass(frozen=True, eq=False)
class Corners:
    """Rows of the four pixels around every point (upper left, upper right, lower left, lower right).

    Along one axis, ``near`` and ``far`` are the shares of the two pixels, 0 outside the map where ``in_near`` and
    ``in_far`` are false.
    """

    size: tuple[int, int]  # width, height
    row: Int[Tensor, "queries heads corners"]
    x: "Axis"
    y: "Axis"

    def share(self, weight: Plane) -> Float[Tensor, "queries heads corners"]:
        """What every corner contributes: the point's weight times its bilinear share, 0 outside the map."""
        upper, lower = weight * self.y.near, weight * self.y.far
        return torch.cat([upper * self.x.near, upper * self.x.far, lower * self.x.near, lower * self.x.far], -1)


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis of `Corners`: the pixel at or before every point, and the shares of it and the next."""

    first: Int[Tensor, "queries heads points"]
    near: Plane
    far: Plane
    in_near: Mask
    in_far: Mask


def corners(
    location: Float[Tensor, "queries heads points 2"],
    map_of: Int[Tensor, " queries"],
    group: Int[Tensor, " heads"],
    size: tuple[int, int],
    groups: int,
) -> Corners:
    """Corners as rows of a table of ``maps x height x width x groups`` rows."""
    width, height = size
    x, y = _axis(location[..., 0], width), _axis(location[..., 1], height)
    top = (map_of * height)[:, None, None]
    shift = group[:, None]
    upper = (top + y.first.clamp(0, height - 1)) * (width * groups) + shift
    lower = (top + (y.first + 1).clamp(0, height - 1)) * (width * groups) + shift
    left, right = x.first.clamp(0, width - 1) * groups, (x.first + 1).clamp(0, width - 1) * groups
    return Corners(size, torch.cat([upper + left, upper + right, lower + left, lower + right], -1), x, y)


def location_gradient(
    around: Corners, slope: Float[Tensor, "queries heads corners"], weight: Plane
) -> tuple[Float[Tensor, "queries heads points 2"], Plane]:
    """Gradients for locations and weights from those for the shares of the four corners."""
    upper_left, upper_right, lower_left, lower_right = slope.chunk(4, -1)
    x, y = around.x, around.y
    upper = x.near * upper_left + x.far * upper_right
    lower = x.near * lower_left + x.far * lower_right
    for_weight = y.near * upper + y.far * lower
    along_x = y.near * (x.in_far * upper_right - x.in_near * upper_left)
    along_x = along_x + y.far * (x.in_far * lower_right - x.in_near * lower_left)
    along_y = y.in_far * lower - y.in_near * upper
    width, height = around.size
    return torch.stack([weight * along_x * width, weight * along_y * height], -1), for_weight


def _axis(fraction: Plane, size: int) -> Axis:
    """Pixels along one axis; a position that is not finite, or far outside, is just outside and reads nothing."""
    pixel = torch.nan_to_num(fraction * size - 0.5, nan=-2.0).clamp(-2.0, size + 1.0)
    low = pixel.floor()
    share = pixel - low
    in_near, in_far = (low >= 0) & (low < size), (low >= -1) & (low < size - 1)
    return Axis(low.long(), (1 - share) * in_near, share * in_far, in_near, in_far)

"""Shadows on the floor: one map of its brightness, which every view reads."""

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dispose.tensors import ABSENT
from dispose_synthetic.renderer.rooms import Clutter, Light
from dispose_synthetic.renderer.solids import Solids

CELL_MM = 35.0
CELLS = 320
"""The map is a square of cells round the world's origin."""
_LOWEST_LAMP = 0.3
"""Sine of the lamp's height below which shadows grow no longer."""
_FAR = 30000


def floor_cell(x: Float[Tensor, " pixels"], y: Float[Tensor, " pixels"]) -> Int[Tensor, " pixels"]:
    """Cell under a floor point (mm); `ABSENT` outside the map."""
    column, row = (x / CELL_MM + CELLS / 2).floor(), (y / CELL_MM + CELLS / 2).floor()
    inside = (column >= 0) & (column < CELLS) & (row >= 0) & (row < CELLS)
    return torch.where(inside, row * CELLS + column, float(ABSENT)).long()


def _cast(points: Float[Tensor, "*points 3"], light: Light) -> list:
    """Cells in which the shadows of points fall."""
    low = light.towards[2].clamp(min=_LOWEST_LAMP)
    return _cells(points[..., :2] - points[..., 2:] / low * light.towards[:2])


def _cells(xy: Float[Tensor, "*points 2"]) -> list:
    return (xy / CELL_MM + CELLS / 2).round().int().clamp(-_FAR, _FAR).tolist()


def _strength(light: Light) -> float:
    return 0.8 * float(light.lamp / (light.lamp + light.ambient))


def floor_shadow(solids: Solids, light: Light) -> Float[Tensor, " cells"]:
    """Brightness of every cell: the lamp's shadow of solids, and darkness where they come near the floor."""
    ends = torch.stack([solids.base, solids.top], dim=1)
    shadow, contact = (np.zeros((CELLS, CELLS), np.float32) for _ in range(2))
    width = (2 * solids.reach.amax(-1) / CELL_MM).round().int().clamp(1, 255).tolist()
    for image, lines in ((shadow, _cast(ends, light)), (contact, _cells(ends[..., :2]))):
        for (start, end), thick in zip(lines, width, strict=True):
            cv2.line(image, start, end, 1.0, thick)
    soft, dark = cv2.GaussianBlur(shadow, (0, 0), 1.2), cv2.GaussianBlur(contact, (0, 0), 4.0)
    return torch.from_numpy((1 - _strength(light) * soft) * (1 - 0.4 * dark)).reshape(-1)


def box_shadow(clutter: Clutter, light: Light) -> Float[Tensor, " cells"]:
    """Brightness of every cell: the lamp's shadow of boxes."""
    image = np.zeros((CELLS, CELLS), np.float32)
    pick = torch.cartesian_prod(*[torch.tensor([False, True])] * 3)
    corners = torch.where(pick, clutter.high[:, None], clutter.low[:, None])
    for box in _cast(corners, light):
        cv2.fillConvexPoly(image, cv2.convexHull(np.array(box, np.int32)), 1.0)
    soft = cv2.GaussianBlur(image, (0, 0), 1.2)
    return torch.from_numpy(1 - _strength(light) * soft).reshape(-1)

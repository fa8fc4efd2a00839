"""Colour operations on RGB images, one function each; strengths are those of the released recipe.

Each takes an image and a generator and returns a new image. Those that map every value on its own are one table of
256 entries per channel.
"""

from collections.abc import Callable
from typing import TypeAlias

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

ColourOperation: TypeAlias = Callable[[np.ndarray, torch.Generator], np.ndarray]

GREY = np.array([0.299, 0.587, 0.114])
VALUES = np.arange(256.0)
COLOUR_STRENGTH = CONTRAST_STRENGTH = 0.6
BRIGHTNESS_STRENGTH = SHARPNESS_STRENGTH = 0.5
KEPT_BITS = 6
HOLE_PX = 16
# ImageNet's mean colour: 0 after normalisation.
HOLE_COLOUR = (124, 116, 104)


def colour(image: UInt8[np.ndarray, "height width 3"], generator: torch.Generator) -> np.ndarray:
    """Saturation up or down: a mixture of the image and its grey version."""
    factor = 1 + _signed(COLOUR_STRENGTH, generator)
    matrix = factor * np.eye(3) + (1 - factor) * np.ones((3, 1)) * GREY
    return cv2.transform(image, matrix)


def contrast(image: UInt8[np.ndarray, "height width 3"], generator: torch.Generator) -> np.ndarray:
    """Contrast up or down: a mixture of the image and its mean grey."""
    factor = 1 + _signed(CONTRAST_STRENGTH, generator)
    mean = float(np.array(cv2.mean(image)[:3]) @ GREY)
    return cv2.LUT(image, _table(mean + factor * (VALUES - mean)))


def brightness(image: UInt8[np.ndarray, "height width 3"], generator: torch.Generator) -> np.ndarray:
    """Brighter or darker: a mixture of the image and black."""
    return cv2.LUT(image, _table((1 + _signed(BRIGHTNESS_STRENGTH, generator)) * VALUES))


def sharpness(image: UInt8[np.ndarray, "height width 3"], generator: torch.Generator) -> np.ndarray:
    """Sharper or softer: a mixture of the image and its 3x3 mean with the middle weighted fivefold."""
    factor = 1 + _signed(SHARPNESS_STRENGTH, generator)
    kernel = np.ones((3, 3))
    kernel[1, 1] = 5
    kernel *= (1 - factor) / kernel.sum()
    kernel[1, 1] += factor
    return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REPLICATE)


def posterize(image: UInt8[np.ndarray, "height width 3"], generator: torch.Generator) -> np.ndarray:
    """Fewer shades: the lowest bits are cleared."""
    return image & np.uint8(256 - 2 ** (8 - KEPT_BITS))


def auto_contrast(image: UInt8[np.ndarray, "height width 3"], generator: torch.Generator) -> np.ndarray:
    """Every channel stretched to the full range; a channel of one value stays."""
    low, high = np.array([cv2.minMaxLoc(channel)[:2] for channel in cv2.split(image)]).T
    spread = high > low
    gain = np.where(spread, 255 / np.where(spread, high - low, 1), 1)
    offset = np.where(spread, low, 0)
    return cv2.LUT(image, _table((VALUES[:, None] - offset) * gain))


def equalize(image: UInt8[np.ndarray, "height width 3"], generator: torch.Generator) -> np.ndarray:
    """Every channel by its cumulative histogram."""
    return cv2.merge([cv2.equalizeHist(channel) for channel in cv2.split(image)])


def cutout(image: UInt8[np.ndarray, "height width 3"], generator: torch.Generator) -> np.ndarray:
    """A square of the mean colour around a random pixel."""
    height, width = image.shape[:2]
    x, y = (torch.rand(2, generator=generator) * torch.tensor([width, height])).int().tolist()
    left, top = max(x - HOLE_PX // 2, 0), max(y - HOLE_PX // 2, 0)
    result = image.copy()
    result[top : y + HOLE_PX // 2, left : x + HOLE_PX // 2] = HOLE_COLOUR
    return result


COLOUR_OPERATIONS: tuple[ColourOperation, ...] = (
    colour, contrast, brightness, sharpness, posterize, auto_contrast, equalize, cutout,
)  # fmt: skip


def _signed(strength: float, generator: torch.Generator) -> float:
    """Plus or minus the strength."""
    return strength if float(torch.rand(1, generator=generator)) < 0.5 else -strength


def _table(values: Float[np.ndarray, "256 *channels"]) -> np.ndarray:
    table = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return table.reshape(256, 1, -1) if table.ndim == 2 else table

"""What MoveNet's networks are shown of an image, and the way back to its pixels.

Images are shrunk until the long side fits, and padded at the bottom and right; one person is cut out in a square.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from dispose.errors import ShapeError
from dispose.models.movenet.network import MULTIPLE

Rgb = UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True, eq=False)
class Letterbox:
    """A whole image as a network is shown it.

    Attributes:
        image: of sides that are multiples of 32, what is added is black.
        source_scale: source pixels per pixel of it, x and y: whole pixels make the two differ.
    """

    image: Rgb
    source_scale: tuple[float, float]


def letterbox(image: Rgb, side: int) -> Letterbox:
    """An image whose long side is `side` px."""
    height, width = _size(image)
    scale = side / max(height, width)
    small_width, small_height = max(round(width * scale), 1), max(round(height * scale), 1)
    # INTER_AREA repeats pixels when it enlarges.
    how = cv2.INTER_AREA if scale <= 1 else cv2.INTER_LINEAR
    small = cv2.resize(image, (small_width, small_height), interpolation=how)
    below, right = -small_height % MULTIPLE, -small_width % MULTIPLE
    padded = cv2.copyMakeBorder(small, 0, below, 0, right, cv2.BORDER_CONSTANT, value=0)
    return Letterbox(padded, (width / small_width, height / small_height))


def crop_squares(
    image: Rgb, squares: Float[np.ndarray, "persons 3"], side: int
) -> UInt8[np.ndarray, "persons side side 3"]:
    """Squares (middle x, middle y, side; px) of an image, each brought to `side` px; black lies outside the image."""
    _size(image)
    crops = np.zeros((len(squares), side, side, 3), np.uint8)
    for crop, (x, y, extent) in zip(crops, squares, strict=True):
        scale = side / extent
        affine = np.array([[scale, 0, side / 2 - scale * x], [0, scale, side / 2 - scale * y]])
        crop[:] = cv2.warpAffine(image, affine, (side, side), flags=cv2.INTER_LINEAR, borderValue=0)
    return crops


def _size(image: Rgb) -> tuple[int, int]:
    """Height and width; `ShapeError` for an image without pixels."""
    height, width = image.shape[:2]
    if not height or not width:
        raise ShapeError(f"an image of {width}x{height} px has no pixels")
    return height, width

"""Skeletons painted into pixels by OpenCV: for films, whose thousands of pictures matplotlib would draw in hours."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from dispose.skeletons.skeleton import Skeleton
from dispose_viz.style import Theme

Canvas = UInt8[np.ndarray, "height width 3"]
FONT = cv2.FONT_HERSHEY_SIMPLEX
FAR = 1e5
"""Pixels beyond which nothing is painted: OpenCV's coordinates end."""


def rgb_of(color: str) -> tuple[int, int, int]:
    """``#0072B2`` as numbers from 0 to 255."""
    red, green, blue = (int(color[at : at + 2], 16) for at in (1, 3, 5))
    return red, green, blue


def blank(width: int, height: int, theme: Theme) -> Canvas:
    """An empty canvas."""
    return np.full((height, width, 3), rgb_of(theme.paper), np.uint8)


def fit(picture: Canvas, width: int, height: int, theme: Theme) -> tuple[Canvas, Float[np.ndarray, " 3"]]:
    """A picture as large as it can be in the middle of a tile; scale and shift that bring its pixels there."""
    rows, columns = picture.shape[:2]
    scale = min(width / columns, height / rows)
    size = max(1, round(columns * scale)), max(1, round(rows * scale))
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    tile = blank(width, height, theme)
    tile[top : top + size[1], left : left + size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    # Pixel centres are at integers.
    return tile, np.array([scale, left + (scale - 1) / 2, top + (scale - 1) / 2])


def placed(xy: Float[np.ndarray, "*points 2"], into: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "*points 2"]:
    """Points of a picture in its tile."""
    return xy * into[0] + into[1:]


def paint_line(
    canvas: Canvas, one: Float[np.ndarray, " 2"], other: Float[np.ndarray, " 2"], color: str, width: int = 1
) -> None:
    """A line; nothing where an end is no number or far outside."""
    ends = np.stack([one, other])
    if np.isfinite(ends).all() and (np.abs(ends) < FAR).all():
        (a, b), (c, d) = np.round(ends).astype(int).tolist()
        cv2.line(canvas, (a, b), (c, d), rgb_of(color), width, cv2.LINE_AA)


def paint_dot(canvas: Canvas, at: Float[np.ndarray, " 2"], color: str, radius: int, *, filled: bool = True) -> None:
    """A joint as a disc, or a keypoint as a ring."""
    if np.isfinite(at).all() and (np.abs(at) < FAR).all():
        x, y = np.round(at).astype(int).tolist()
        cv2.circle(canvas, (x, y), radius, rgb_of(color), -1 if filled else 1, cv2.LINE_AA)


def paint_skeleton(
    canvas: Canvas,
    xy: Float[np.ndarray, "joints 2"],
    seen: Bool[np.ndarray, " joints"],
    skeleton: Skeleton,
    color: str,
    *,
    width: int = 2,
) -> None:
    """Bones between joints that are seen, and the joints."""
    for one, other in skeleton.bone_indices:
        if seen[one] and seen[other]:
            paint_line(canvas, xy[one], xy[other], color, width)
    for joint in np.flatnonzero(seen).tolist():
        paint_dot(canvas, xy[joint], color, width)


def paint_words(
    canvas: Canvas, text: str, at: Sequence[float], color: str, theme: Theme, *, scale: float = 0.45
) -> None:
    """Words that begin at a place (their lower left corner), kept inside, on a strip of paper."""
    (width, height), below = cv2.getTextSize(text, FONT, scale, 1)
    x = int(np.clip(at[0], 2, max(2, canvas.shape[1] - width - 3)))
    y = int(np.clip(at[1], height + 3, max(height + 3, canvas.shape[0] - 4)))
    under = canvas[max(y - height - 3, 0) : y + below // 2 + 2, x - 2 : x + width + 3]
    under[:] = (0.3 * under + 0.7 * np.array(rgb_of(theme.paper))).astype(np.uint8)
    cv2.putText(canvas, text, (x, y), FONT, scale, rgb_of(color), 1, cv2.LINE_AA)

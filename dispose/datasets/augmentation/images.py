"""Images and detections varied for training: turned, scaled, recoloured, and views taken away.

The rates are those of the released recipe (`wang2026dispose`). Labels stay in pixels of the original image: a copy of
a frame differs by its pixels and by its affine only, so that all copies share their labels. Colour operations take an
RGB image and a generator and return a new image; those that map every value on its own are one table of 256 entries
per channel.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from dispose.datasets.multiview import warp_views
from dispose.geometry.image_affine import apply, rotation_about
from dispose.scene.frame import Images
from dispose.tensors import ABSENT

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


@dataclass(frozen=True)
class AugmentationConfig:
    """How much a frame varies.

    Attributes:
        copies: varied copies beside the frame as it is.
        turn_rate: how often a view is turned.
        largest_turn_degrees: the turn is uniform up to this, either way.
        scale_rate: how often a view is scaled.
        scale_range: of u; half of the time the image shrinks by ``1 + u``, else it grows by ``1 / (1 - u / 2)``.
        redraws: how often a view is drawn again because nobody is left in it.
        colour_draws: colour operations drawn per view, with replacement.
        colour_rate: how often a drawn one is applied.
        view_dropout: how often a person seen in more than two views is lost in one of them.
        jitter_share: width of the uniform jitter of root peaks, as a share of the heat map's width.
    """

    copies: int = 2
    turn_rate: float = 0.5
    largest_turn_degrees: float = 45.0
    scale_rate: float = 0.5
    scale_range: tuple[float, float] = (0.1, 0.35)
    redraws: int = 100
    colour_draws: int = 2
    colour_rate: float = 0.5
    view_dropout: float = 0.2
    jitter_share: float = 1 / 30


def augment(
    originals: Sequence[np.ndarray | None],
    base: Float[Tensor, "views 2 3"],
    input_size: tuple[int, int],
    joints: tuple[Float[Tensor, "views persons joints 2"], Bool[Tensor, "views persons joints"]],
    config: AugmentationConfig,
    generator: torch.Generator,
) -> tuple[Images, ...]:
    """The frame as it is, then its varied copies; every view of every copy is drawn on its own.

    Args:
        originals: RGB, uint8, one per view; None where there is none.
        base: the affine from each original image to the input (`image_affine.letterbox`).
        input_size: width and height of the network's input.
        joints: where people's joints are in original pixels, and which are visible; they only keep people in sight.
        config: how much.
        generator: of all that is drawn.
    """
    affines = [base, *(draw_affines(base, input_size, joints, config, generator) for _ in range(config.copies))]
    vary = partial(recolour, config=config, generator=generator)
    return tuple(warp_views(originals, affine, input_size, vary=vary) for affine in affines)


def draw_affines(
    base: Float[Tensor, "views 2 3"],
    input_size: tuple[int, int],
    joints: tuple[Float[Tensor, "views persons joints 2"], Bool[Tensor, "views persons joints"]],
    config: AugmentationConfig,
    generator: torch.Generator,
) -> Float[Tensor, "views 2 3"]:
    """`base`, turned and scaled about the input's middle, for every view on its own.

    A view in which `base` shows somebody is drawn again until the result does; after `redraws` it stays as `base`.
    """
    result = base
    open_views = torch.ones(len(base), dtype=torch.bool)
    wanted = in_sight(base, input_size, joints)
    for _ in range(config.redraws):
        candidates = _turned_and_scaled(base, input_size, config, generator)
        result = torch.where(open_views[:, None, None], candidates, result)
        open_views = wanted & ~in_sight(result, input_size, joints)
        if not open_views.any():
            return result
    return torch.where(open_views[:, None, None], base, result)


def in_sight(
    affine: Float[Tensor, "views 2 3"],
    input_size: tuple[int, int],
    joints: tuple[Float[Tensor, "views persons joints 2"], Bool[Tensor, "views persons joints"]],
) -> Bool[Tensor, " views"]:
    """Whether at least one visible joint lies inside the input."""
    xy_image, visible = joints
    xy = apply(affine[:, None, None].to(xy_image.dtype), xy_image)
    limit = torch.tensor(input_size, dtype=xy.dtype) - 0.5
    return (visible & ((xy >= -0.5) & (xy <= limit)).all(-1)).flatten(1).any(-1)


def _turned_and_scaled(
    base: Float[Tensor, "views 2 3"],
    input_size: tuple[int, int],
    config: AugmentationConfig,
    generator: torch.Generator,
) -> Float[Tensor, "views 2 3"]:
    u = torch.rand(5, len(base), generator=generator, dtype=base.dtype)
    angle = (2 * u[1] - 1) * math.radians(config.largest_turn_degrees) * (u[0] < config.turn_rate)
    low, high = config.scale_range
    amount = low + (high - low) * u[3]
    scale = torch.where(u[4] < 0.5, 1 / (1 + amount), 1 / (1 - amount / 2))
    return rotation_about(base, input_size, angle, torch.where(u[2] < config.scale_rate, scale, 1.0))


def recolour(
    image: UInt8[np.ndarray, "height width 3"],
    config: AugmentationConfig,
    generator: torch.Generator,
    *,
    operations: Sequence[ColourOperation] = COLOUR_OPERATIONS,
) -> UInt8[np.ndarray, "height width 3"]:
    """Some colour operations, drawn with replacement, each applied or not."""
    which = torch.randint(len(operations), (config.colour_draws,), generator=generator).tolist()
    applied = (torch.rand(config.colour_draws, generator=generator) < config.colour_rate).tolist()
    for chosen, use in zip(which, applied, strict=True):
        if use:
            image = operations[chosen](image, generator)
    return image


def drop_views(
    identity: Int[Tensor, "views slots"], probability: float, generator: torch.Generator
) -> Bool[Tensor, "views slots"]:
    """Which detections stay when each person seen in more than two views is lost in one of them now and then.

    Args:
        identity: the person of every detection slot; `ABSENT` = nobody, who always stays.
        probability: that a person is lost in a view.
        generator: of the draw.
    """
    people = identity[identity != ABSENT].unique()
    seen = (identity[..., None] == people).any(1)
    lost = (torch.rand(len(people), generator=generator) < probability) & (seen.sum(0) > 2)
    order = torch.where(seen, torch.rand(seen.shape, generator=generator), -1.0)
    view = order.argmax(0) if len(seen) else lost.long()
    gone = torch.zeros_like(identity, dtype=torch.bool)
    rows = torch.arange(len(identity))
    for person, where in zip(people[lost], view[lost], strict=True):
        gone |= (identity == person) & (rows == where)[:, None]
    return ~gone


def jitter_roots(
    xy_map: Float[Tensor, "*batch 2"], map_width: int, share: float, generator: torch.Generator
) -> Float[Tensor, "*batch 2"]:
    """Root peaks moved at random by up to half of ``share * map_width`` pixels, either way in x and y.

    The released code adds ``U[0, 1) * map_width / 30``: on Panoptic 0 to 8 pixels of the heat map, always to the right
    and down, in training only. All rays of a person then pass beside them on the same side, the triangulated root sinks
    by some 90 mm, and the geometric cue says 0.3 where test data says 0.85. This jitter has the same width and the mean
    zero, so that a network trained with it meets the same statistics at test time.
    """
    u = torch.rand(xy_map.shape, generator=generator, dtype=xy_map.dtype)
    return xy_map + (u - 0.5) * (share * map_width)

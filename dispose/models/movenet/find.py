"""People in one image, and the joints of people whose places are known; what the networks are shown for it."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from dispose.errors import ShapeError
from dispose.models.movenet.decode import decode_people, decode_person
from dispose.models.movenet.network import MULTIPLE, MoveNet, MoveNetHeads, TracedMoveNet

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


@dataclass(frozen=True, eq=False)
class MultiplePeople:
    """People of one image in its pixels, the best first.

    Attributes:
        keypoints: x, y and score, in the order of `dispose.skeletons.catalog.COCO_17`.
        boxes: left, top, right, bottom; inside the image.
        scores: in [0, 1].
    """

    keypoints: Float[np.ndarray, "persons 17 3"]
    boxes: Float[np.ndarray, "persons 4"]
    scores: Float[np.ndarray, " persons"]


@torch.inference_mode()
def find_people(network: MoveNet | TracedMoveNet, image: Rgb, side: int) -> MultiplePeople:
    """Up to six people, with keypoints that are rough; nobody who is no peak of the network's map of middles.

    Args:
        network: for several people.
        image: red first.
        side: the long side that the network is shown, px.
    """
    shown = letterbox(image, side)
    people = decode_people(_heads(network, shown.image[None]))
    height, width = shown.image.shape[:2]
    to_source = np.array(shown.source_scale) * (width, height)
    scores, peaks = _numbers(people.scores[0]), _numbers(people.peaks[0])
    order = np.argsort(-scores, kind="stable")
    order = order[peaks[order] > 0]
    keypoints = _numbers(people.keypoints[0])[order][..., [1, 0, 2]]
    keypoints[..., :2] *= to_source
    boxes = _numbers(people.boxes[0])[order][:, [1, 0, 3, 2]] * np.tile(to_source, 2)
    # The padding is no place for a box.
    boxes = np.clip(boxes, 0, np.tile((image.shape[1], image.shape[0]), 2))
    return MultiplePeople(keypoints, boxes, scores[order])


@torch.inference_mode()
def find_joints(
    network: MoveNet | TracedMoveNet, image: Rgb, squares: Float[np.ndarray, "persons 3"]
) -> Float[np.ndarray, "persons 17 3"]:
    """Keypoints (x, y in pixels of the image, score) of the one person in each square.

    One after the other: a batch takes no less time on one core, and more memory.

    Args:
        network: for one person.
        image: red first.
        squares: middle x, middle y and side, px.
    """
    side = network.config.side
    keypoints = np.zeros((len(squares), 17, 3))
    for one, crop, (x, y, extent) in zip(keypoints, crop_squares(image, squares, side), squares, strict=True):
        found = _numbers(decode_person(_heads(network, crop[None]))[0])
        one[:, :2] = (found[:, [1, 0]] - 0.5) * extent + (x, y)
        one[:, 2] = found[:, 2]
    return keypoints


def _heads(network: MoveNet | TracedMoveNet, images: UInt8[np.ndarray, "images height width 3"]) -> MoveNetHeads:
    """What a network says of images, where it runs; on a graphics card in full single precision, alike in every run."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        return network(torch.from_numpy(images).to(network.device).permute(0, 3, 1, 2).float())


def _numbers(values: Float[Tensor, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Values wherever they are, for NumPy."""
    return values.cpu().double().numpy()

"""Image files: read whole or refused, and brought to the size of a network.

Pixel centres are at integers everywhere; OpenCV's warps mean the same.
"""

import math
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from dispose.errors import InputError
from dispose.geometry.image_affine import compose

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
"""Mean and deviation of RGB in [0, 1], what every backbone with ImageNet's weights expects."""

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
"""Endings of image files, lower case."""

# OpenCV decodes what is there of a torn file and leaves the rest grey or black; the marks of a whole file are these.
TAIL = 4096
LAST_MARK = {b"\xff\xd8": b"\xff\xd9", b"\x89PNG": b"IEND"}


def read_image(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    """RGB as the sensor stored it: a turn in the file's EXIF data is ignored, since calibrations know nothing of it.

    Raises:
        InputError: the file cannot be read, is no image, or breaks off.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    if not data:
        raise InputError(f"{path}: is empty.")
    for first, last in LAST_MARK.items():
        if data.startswith(first) and last not in data.rstrip(b"\0")[-TAIL:]:
            raise InputError(f"{path}: the picture breaks off after {len(data)} bytes.")
    try:
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise InputError(f"{path}: is no picture that OpenCV reads ({error.err}).") from error
    if decoded is None:
        raise InputError(f"{path}: is no picture that OpenCV reads.")
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def warp_image(
    image: UInt8[np.ndarray, "height width 3"], to_from_image: Float[Tensor, "2 3"], size: tuple[int, int]
) -> UInt8[np.ndarray, "to_height to_width 3"]:
    """An image moved by an affine into another of some width and height; black where nothing falls.

    An image that shrinks is first averaged over areas to about its final size (a plain warp would read one pixel in
    several and alias); the rest of the affine, rotation included, is a bilinear warp.
    """
    height, width = image.shape[:2]
    affine = to_from_image.to(torch.float64)
    scale = math.sqrt(abs(float(torch.linalg.det(affine[:, :2]))))
    if scale < 1:
        small = max(1, round(width * scale)), max(1, round(height * scale))
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        across, down = width / small[0], height / small[1]
        from_small = torch.tensor([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2]], dtype=torch.float64)
        affine = compose(affine, from_small)
    warped = cv2.warpAffine(image, affine.numpy(), size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return warped.astype(np.uint8, copy=False)


def normalize_pixels(image: UInt8[np.ndarray, "height width 3"]) -> Float[Tensor, "3 height width"]:
    """RGB bytes as a network takes them: float32, less ImageNet's mean, over its deviation."""
    planes = torch.empty(3, *image.shape[:2])
    # OpenCV's split is ten times as fast as a strided conversion.
    for plane, channel in zip(planes, cv2.split(image), strict=True):
        plane.copy_(torch.from_numpy(channel))
    mean, deviation = torch.tensor(IMAGENET_MEAN)[:, None, None], torch.tensor(IMAGENET_DEVIATION)[:, None, None]
    return planes.sub_(255 * mean).mul_(1 / (255 * deviation))

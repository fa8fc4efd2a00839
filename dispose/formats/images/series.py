"""Images of one camera over time, a folder of numbered files or a video: read whole or refused, brought to any size.

Pixel centres are at integers everywhere; OpenCV's warps mean the same.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import simplejpeg
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from dispose.errors import InputError
from dispose.formats.detections.people import DamagedFrameError
from dispose.formats.files import numbered_files, read_bytes, reading, visible
from dispose.formats.images.heads import JPEG, PNG, size_in_head
from dispose.geometry.image_affine import compose

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
"""Mean and deviation of RGB in [0, 1], what every backbone with ImageNet's weights expects."""

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
"""Endings of image files, lower case."""

MOST_PIXELS = 100_000_000
"""Of a larger image nothing is decoded: it would take more than 600 MB, and no camera of a rig has as many."""

# A decoder may draw what is there of a torn file and leave the rest grey or black; the marks of whole files are these.
TAIL = 4096
LAST_MARK = {JPEG: b"\xff\xd9", PNG: b"IEND"}

JPEG_PASS = b"\xff\xda"
"""Begins a pass over all pixels."""


def read_image(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    """RGB as the sensor stored it: a turn in the file's EXIF data is ignored, since calibrations know nothing of it.

    Raises:
        InputError: the file cannot be read, is no image, is damaged or breaks off, or is larger than `MOST_PIXELS`.
    """
    data = read_bytes(path)
    if not data:
        raise InputError(f"{path}: is empty.")
    size = size_in_head(data)
    if size is None or min(size) < 1:
        raise InputError(f"{path}: is no picture (PNG, JPEG, BMP, TIFF or WebP) that says its size.")
    if size[0] * size[1] > MOST_PIXELS:
        raise InputError(f"{path}: is {size[0]}x{size[1]} pixels large; up to {MOST_PIXELS:,} are read.")
    if data.startswith(JPEG) and (passes := data.count(JPEG_PASS)) * size[0] * size[1] > 16 * MOST_PIXELS:
        raise InputError(f"{path}: draws {size[0]}x{size[1]} pixels in {passes} passes; no camera makes as many.")
    for first, last in LAST_MARK.items():
        if data.startswith(first) and last not in data.rstrip(b"\0")[-TAIL:]:
            raise InputError(f"{path}: the picture breaks off after {len(data)} bytes.")
    try:
        image = _decoded_jpeg(data) if data.startswith(JPEG) else _decoded(data)
    except (cv2.error, ValueError) as error:
        raise InputError(f"{path}: is a damaged picture ({' '.join(str(error).split())[:200]}).") from error
    if image.shape[1::-1] != size:
        raise InputError(f"{path}: says that it is {size[0]}x{size[1]}, and is {image.shape[1]}x{image.shape[0]}.")
    return image


def _decoded_jpeg(data: bytes) -> UInt8[np.ndarray, "height width 3"]:
    """By libjpeg-turbo itself, which OpenCV uses too; `ValueError` also for damage that it could draw over."""
    *_, colours, _ = simplejpeg.decode_jpeg_header(data)
    # Those of prints are left to OpenCV, which knows what their makers mean by them.
    if colours in ("CMYK", "YCCK"):
        return _decoded(data)
    return simplejpeg.decode_jpeg(data, "RGB", strict=True)


def _decoded(data: bytes) -> UInt8[np.ndarray, "height width 3"]:
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if decoded is None:
        raise ValueError("OpenCV reads nothing in it")
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


MOST_FRAMES = 10_000_000
"""A video of more says nonsense: these are four days of 30 frames per second."""

HEAD, TEXT = 256, bytes((*b"\t\n\f\r", *range(0x20, 0x7F), *range(0x80, 0x100)))
"""So many first bytes of a video are looked at; a text has no others than these."""

VIDEO_ENDINGS = (".mp4", ".avi", ".mov", ".mkv", ".m4v", ".webm", ".mpg", ".mpeg")
"""Endings of video files, lower case."""


@dataclass(frozen=True)
class ImageFolder:
    """A folder of image files whose names end in the frame number: ``cam01_000042.jpg``; numbers ascend."""

    camera: str
    files: Mapping[int, Path]

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """The frame numbers that there are, ascending."""
        return tuple(self.files)

    def where(self, number: int) -> str:
        """File, camera and frame, for complaints."""
        return f"{self.files[number]}: camera {self.camera}, frame {number}"

    def read(self, number: int) -> UInt8[np.ndarray, "height width 3"]:
        """An image; `DamagedFrameError` where the file cannot be decoded."""
        path = self.files[number]
        try:
            return read_image(path)
        except InputError as error:
            raise DamagedFrameError(f"{self.where(number)}: {str(error).removeprefix(f'{path}: ')}") from error


class Video:
    """A video file; its frames count from 0. Reading in order is fast, going back opens the file again."""

    def __init__(self, camera: str, path: Path) -> None:
        self.camera = camera
        self.path = path
        self._stream = self._opened()
        count = int(self._stream.get(cv2.CAP_PROP_FRAME_COUNT))
        if not 1 <= count <= min(MOST_FRAMES, path.stat().st_size):
            raise InputError(f"{path}: camera {camera}: the video says that it has {count} frames.")
        self.numbers = range(count)
        self._next = 0

    def where(self, number: int) -> str:
        """File, camera and frame, for complaints."""
        return f"{self.path}: camera {self.camera}, frame {number}"

    def read(self, number: int) -> UInt8[np.ndarray, "height width 3"]:
        """A frame, RGB; `DamagedFrameError` where the video ends or breaks off before it."""
        if number < self._next:
            self._stream.release()
            self._stream, self._next = self._opened(), 0
        # Seeking by frame number is inexact in many containers; decoding what lies between is not.
        while self._next < number and self._stream.grab():
            self._next += 1
        there, image = self._stream.read() if self._next == number else (False, None)
        if not there or image is None:
            raise DamagedFrameError(f"{self.where(number)}: the video breaks off at frame {self._next}.")
        self._next += 1
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)

    def _opened(self) -> cv2.VideoCapture:
        try:
            stream = open_video(self.path)
        except InputError as error:
            raise InputError(
                f"{self.path}: camera {self.camera}: {str(error).removeprefix(f'{self.path}: ')}"
            ) from error
        if not stream.isOpened():
            raise InputError(f"{self.path}: camera {self.camera}: is no video that OpenCV reads.")
        return stream


def open_video(path: Path) -> cv2.VideoCapture:
    """OpenCV's stream of a file, which may not be opened. `InputError` for what is no file, and for lists of files.

    FFmpeg would follow a list (as of HTTP streaming) to other files and to the network, whatever its ending.
    """
    with reading(path), open(path, "rb") as file:
        head = file.read(HEAD)
        if head and not head.translate(None, TEXT):
            raise InputError(f"{path}: is a text, no video.")
        return cv2.VideoCapture(str(path))


ImageSeries: TypeAlias = ImageFolder | Video
"""The images of one camera; nothing is decoded before it is asked for."""


def open_image_folder(folder: Path) -> ImageFolder:
    """A camera's folder, its files listed but not read; `InputError` where names do not number the frames."""
    return ImageFolder(folder.name, numbered_files(folder, ENDINGS))


def open_image_series(folder: Path) -> tuple[ImageSeries, ...]:
    """The cameras of a folder in alphabetical order: sub-folders with images, and video files.

    Raises:
        InputError: there is no such folder, none of either is in it, or two have one name.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder of pictures or videos.")
    series: list[ImageSeries] = []
    for path in visible(folder.iterdir()):
        if path.is_dir():
            opened = open_image_folder(path)
            series.extend([opened] if opened.numbers else [])
        elif path.suffix.lower() in VIDEO_ENDINGS:
            series.append(Video(path.stem, path))
    if not series:
        raise InputError(f"{folder}: neither sub-folders with pictures nor videos in it (one per camera is expected).")
    names = [one.camera for one in series]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"{folder}: camera {twice[0]} is there {names.count(twice[0])} times.")
    return tuple(series)

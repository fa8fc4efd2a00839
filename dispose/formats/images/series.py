"""The images of one camera over time: a folder of numbered files, or a video."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from jaxtyping import UInt8

from dispose.errors import InputError
from dispose.formats.detections.people import DamagedFrameError
from dispose.formats.files import numbered_files, visible
from dispose.formats.images.files import ENDINGS, read_image

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
        if count < 1:
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
        stream = cv2.VideoCapture(str(self.path))
        if not stream.isOpened():
            raise InputError(f"{self.path}: camera {self.camera}: is no video that OpenCV reads.")
        return stream


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

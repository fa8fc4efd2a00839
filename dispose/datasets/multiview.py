"""Frames of any data set in its original layout: pictures and cameras for a model, truth apart from them.

Nothing is read before it is asked for. A picture that is not there leaves its view out; anything else that is wrong
is an `InputError`, which a training run survives by way of `Tolerant` and `good_frames`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from dispose.datasets.layouts.source import FrameKey, Source, Truth
from dispose.errors import InputError
from dispose.formats.images.files import normalize_pixels, read_image, warp_image
from dispose.geometry.image_affine import letterbox
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Frame
from dispose.scene.images import Images

Sample = tuple[Frame, Truth]


@dataclass(frozen=True, eq=False)
class RawFrame:
    """The pictures of one instant as they were taken, RGB; None where a view has none."""

    number: int
    cameras: Cameras
    pictures: tuple[UInt8[np.ndarray, "_ _ 3"] | None, ...]

    @property
    def present(self) -> Bool[Tensor, " views"]:
        """Which views have a picture."""
        return torch.tensor([picture is not None for picture in self.pictures])


@dataclass(frozen=True, eq=False)
class MultiViewDataset(Dataset[Sample]):
    """The frames of a source at the size of a network: ``dataset[i]`` is ``(Frame, Truth)``.

    Attributes:
        source: an adapter's, such as `dispose.datasets.layouts.panoptic.open_panoptic`.
        input_size: width and height of the network's input; usually ``source.traits.input_size``.
    """

    source: Source
    input_size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.source.keys)

    def __getitem__(self, index: int) -> Sample:
        key = self.source.keys[index]
        raw = self.raw(index)
        return letterbox_frame(raw, self.input_size), self.source.truth(key)

    def raw(self, index: int) -> RawFrame:
        """The pictures of a frame as they were taken, for those who choose the affine themselves."""
        return read_raw(self.source, self.source.keys[index])


def of_source(source: Source) -> MultiViewDataset:
    """The frames of a source at the input size that its data set is usually taken at."""
    return MultiViewDataset(source, source.traits.input_size)


def read_raw(source: Source, key: FrameKey) -> RawFrame:
    """Read all pictures of an instant.

    Raises:
        InputError: a picture is unreadable or of another size than its calibration; a camera has no folder; no view
            has a picture. The message names file, camera and frame.
    """
    cameras = source.cameras(key.sequence)
    pictures = tuple(read_view(source, key, cameras, view) for view in range(len(cameras)))
    if all(picture is None for picture in pictures):
        where = f"{source.image(key, 0)}: frame {key.number} of {key.sequence}"
        raise InputError(f"{where}: none of the {len(cameras)} cameras has a picture.")
    return RawFrame(key.number, cameras, pictures)


def read_view(source: Source, key: FrameKey, cameras: Cameras, view: int) -> UInt8[np.ndarray, "_ _ 3"] | None:
    """One picture, or None where the file is not there."""
    path = source.image(key, view)
    where = f"camera {cameras.names[view]}, frame {key.number} of {key.sequence}"
    if not path.exists():
        if not path.parent.is_dir():
            raise InputError(f"{path.parent}: {where}: there is no such folder of pictures.")
        return None
    try:
        picture = read_image(path)
    except InputError as error:
        raise InputError(f"{str(error).rstrip('.')} ({where}).") from error
    check_size(picture, cameras, view, f"{path}: {where}")
    return picture


def check_size(picture: UInt8[np.ndarray, "height width 3"], cameras: Cameras, view: int, where: str) -> None:
    """Raise `InputError` where a picture has not the size that its camera was calibrated for."""
    height, width = picture.shape[:2]
    told = cameras.size[view].tolist()
    if (width, height) != tuple(told):
        raise InputError(
            f"{where}: the picture is {width} x {height} pixels, the calibration is for {told[0]:g} x {told[1]:g}."
        )


def letterbox_frame(raw: RawFrame, input_size: tuple[int, int]) -> Frame:
    """The whole of every picture at the largest scale that fits."""
    return as_frame(raw, letterbox(raw.cameras.size, input_size), input_size)


def as_frame(raw: RawFrame, input_from_image: Float[Tensor, "views 2 3"], input_size: tuple[int, int]) -> Frame:
    """The pictures moved by an affine each, as a model sees them."""
    warped = warp_views(raw, input_from_image, input_size)
    return Frame.of_images(raw.number, raw.cameras, as_images(warped, input_from_image, raw.present))


def warp_views(
    raw: RawFrame, input_from_image: Float[Tensor, "views 2 3"], input_size: tuple[int, int]
) -> UInt8[np.ndarray, "views height width 3"]:
    """The pictures moved by an affine each; zeros for views that have none."""
    width, height = input_size
    warped = np.zeros((len(raw.pictures), height, width, 3), np.uint8)
    for view, picture in enumerate(raw.pictures):
        if picture is not None:
            warped[view] = warp_image(picture, input_from_image[view], input_size)
    return warped


def as_images(
    warped: UInt8[np.ndarray, "views height width 3"],
    input_from_image: Float[Tensor, "views 2 3"],
    present: Bool[Tensor, " views"],
) -> Images:
    """RGB bytes at the input's size as a network takes them; 0, not black, where a view has no picture."""
    views, height, width = warped.shape[:3]
    pixels = torch.zeros(views, 3, height, width)
    for view in present.nonzero()[:, 0].tolist():
        pixels[view] = normalize_pixels(warped[view])
    return Images(pixels, input_from_image, present)


@dataclass(frozen=True)
class BadFrame:
    """A frame that could not be read, and why."""

    sequence: str
    number: int
    reason: str


@dataclass(frozen=True, eq=False)
class Tolerant(Dataset[Sample | BadFrame]):
    """A data set whose unreadable frames are values, not exceptions; `good_frames` takes them out and counts."""

    dataset: MultiViewDataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample | BadFrame:
        key = self.dataset.source.keys[index]
        try:
            return self.dataset[index]
        except InputError as error:
            return BadFrame(key.sequence, key.number, str(error))


@dataclass
class FrameLog:
    """What was met on the way: filled by `good_frames`, read at the end of a run.

    Attributes:
        frames: number of frames that were good.
        skipped: number of times that a frame was left out.
        bad: the frames left out, each once, and why.
        absent: for every camera the number of good frames in which its picture was missing.
    """

    frames: int = 0
    skipped: int = 0
    bad: dict[FrameKey, str] = field(default_factory=dict)
    absent: Counter[str] = field(default_factory=Counter)

    def add(self, item: Sample | BadFrame) -> None:
        """Count a frame."""
        if isinstance(item, BadFrame):
            self.skipped += 1
            self.bad[FrameKey(item.sequence, item.number)] = item.reason
            return
        self.frames += 1
        frame = item[0]
        for view in (~frame.require_images().present).nonzero()[:, 0].tolist():
            self.absent[frame.cameras.names[view]] += 1

    def summary(self) -> str:
        """What happened, in sentences."""
        lines = [f"{self.frames} frames read, {self.skipped} skipped."]
        for camera, count in sorted(self.absent.items()):
            lines.append(f"Camera {camera} had no picture in {count} of them and was left out there.")
        lines.extend(f"Skipped: {reason}" for _, reason in sorted(self.bad.items())[:10])
        if len(self.bad) > 10:
            lines.append(f"and {len(self.bad) - 10} more.")
        return "\n".join(lines)


def good_frames(items: Iterable[Sample | BadFrame], log: FrameLog) -> Iterator[Sample]:
    """The frames that could be read; every one and every other is counted in `log`."""
    for item in items:
        log.add(item)
        if not isinstance(item, BadFrame):
            yield item


@dataclass(frozen=True)
class MissingImages:
    """Pictures that a source names and that are not there.

    Attributes:
        frames: number of frames looked at.
        views: number of cameras.
        missing: sequence, camera and frame number of each.
    """

    frames: int
    views: int
    missing: tuple[tuple[str, str, int], ...]

    def summary(self) -> str:
        """How many, and which, camera by camera."""
        if not self.missing:
            return f"All {self.frames * self.views} pictures of {self.frames} frames are there."
        lines = [f"{len(self.missing)} of {self.frames * self.views} pictures of {self.frames} frames are missing:"]
        for sequence, camera in dict.fromkeys(entry[:2] for entry in self.missing):
            numbers = [n for s, c, n in self.missing if (s, c) == (sequence, camera)]
            shown = ", ".join(str(n) for n in numbers[:8]) + (", …" if len(numbers) > 8 else "")
            lines.append(f"{sequence}, camera {camera}: {len(numbers)} ({shown})")
        return "\n".join(lines)


def missing_images(source: Source) -> MissingImages:
    """Look for every picture without opening it."""
    missing = []
    views = 0
    for key in source.keys:
        names = source.cameras(key.sequence).names
        views = len(names)
        missing.extend((key.sequence, name, key.number) for v, name in enumerate(names) if not _there(source, key, v))
    return MissingImages(len(source.keys), views, tuple(missing))


def _there(source: Source, key: FrameKey, view: int) -> bool:
    return source.image(key, view).is_file()

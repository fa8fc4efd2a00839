"""Frames of any data set in its original layout: images and cameras for a model, truth apart from them.

Nothing is read before it is asked for. An image that is not there leaves its view out; anything else that is wrong
is an `InputError`, which a run survives by way of `good_samples`.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from dispose.datasets.layouts.source import FrameKey, Layout, Truth
from dispose.errors import InputError
from dispose.formats.detections.people import DamagedFrameError
from dispose.formats.images.series import normalize_pixels, read_image, warp_image
from dispose.geometry.image_affine import letterbox
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Frame, Images

Sample = tuple[Frame, Truth]


@dataclass(frozen=True, eq=False)
class RawFrame:
    """The images of one instant as they were taken, RGB; None where a view has none."""

    number: int
    cameras: Cameras
    images: tuple[UInt8[np.ndarray, "_ _ 3"] | None, ...]


@dataclass(frozen=True, eq=False)
class MultiViewDataset(Dataset[Sample]):
    """The frames of a source at the size of a network: ``dataset[i]`` is ``(Frame, Truth)``.

    Attributes:
        source: an adapter's, such as `dispose.datasets.layouts.panoptic.open_panoptic`.
        input_size: width and height of the network's input; usually ``source.traits.input_size``.
    """

    source: Layout
    input_size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.source.keys)

    def __getitem__(self, index: int) -> Sample:
        key = self.source.keys[index]
        return letterbox_frame(read_raw(self.source, key), self.input_size), self.source.truth(key)


def read_raw(source: Layout, key: FrameKey) -> RawFrame:
    """Read all images of an instant.

    Raises:
        InputError: an image is unreadable or of another size than its calibration; a camera has no folder; no view
            has an image. The message names file, camera and frame.
    """
    cameras = source.rigs[key.sequence]
    images = tuple(read_view(source, key, cameras, view) for view in range(len(cameras)))
    if all(image is None for image in images):
        where = f"{source.image(key, 0)}: frame {key.number} of {key.sequence}"
        raise InputError(f"{where}: none of the {len(cameras)} cameras has a picture.")
    return RawFrame(key.number, cameras, images)


def read_view(source: Layout, key: FrameKey, cameras: Cameras, view: int) -> UInt8[np.ndarray, "_ _ 3"] | None:
    """One image, or None where the file is not there."""
    path = source.image(key, view)
    where = f"camera {cameras.names[view]}, frame {key.number} of {key.sequence}"
    if not path.exists():
        if not path.parent.is_dir():
            raise InputError(f"{path.parent}: {where}: there is no such folder of pictures.")
        return None
    try:
        image = read_image(path)
    except InputError as error:
        raise InputError(f"{str(error).rstrip('.')} ({where}).") from error
    check_size(image, cameras, view, f"{path}: {where}")
    return image


def check_size(image: UInt8[np.ndarray, "height width 3"], cameras: Cameras, view: int, where: str) -> None:
    """Raise `DamagedFrameError` where an image has not the size that its camera was calibrated for."""
    height, width = image.shape[:2]
    told = cameras.size[view].tolist()
    if (width, height) != tuple(told):
        turned = "; one of them is turned" if (height, width) == tuple(told) else ""
        wanted = f"{told[0]:g} x {told[1]:g}{turned}"
        raise DamagedFrameError(f"{where}: the picture is {width} x {height} pixels, the calibration is for {wanted}.")


def letterbox_frame(raw: RawFrame, input_size: tuple[int, int]) -> Frame:
    """The whole of every image at the largest scale that fits."""
    images = warp_views(raw.images, letterbox(raw.cameras.size, input_size), input_size)
    return Frame.of_images(raw.number, raw.cameras, images)


def warp_views(
    originals: Sequence[UInt8[np.ndarray, "_ _ 3"] | None],
    input_from_image: Float[Tensor, "views 2 3"],
    input_size: tuple[int, int],
    *,
    vary: Callable[[np.ndarray], np.ndarray] = lambda image: image,
) -> Images:
    """Images moved by an affine each, as a network takes them; 0, not black, where a view has none.

    Args:
        originals: RGB, uint8, one per view; None where there is none.
        input_from_image: the affines.
        input_size: width and height of the network's input.
        vary: what is done with every image at that size before it is normalized.
    """
    width, height = input_size
    pixels = torch.zeros(len(originals), 3, height, width)
    for view, image in enumerate(originals):
        if image is not None:
            pixels[view] = normalize_pixels(vary(warp_image(image, input_from_image[view], input_size)))
    return Images(pixels, input_from_image, torch.tensor([image is not None for image in originals], dtype=torch.bool))


@dataclass
class FrameLog:
    """What was met on the way: filled by `good_samples`, read at the end of a run.

    Attributes:
        frames: number of frames that were good.
        skipped: number of times that a frame was left out.
        bad: the frames left out, each once, and why.
        absent: for every camera the number of good frames in which its image was missing.
    """

    frames: int = 0
    skipped: int = 0
    bad: dict[FrameKey, str] = field(default_factory=dict)
    absent: Counter[str] = field(default_factory=Counter)

    def add(self, frame: Frame) -> None:
        """Count a frame that is good."""
        self.frames += 1
        for view in (~frame.require_images().present).nonzero()[:, 0].tolist():
            self.absent[frame.cameras.names[view]] += 1

    def skip(self, key: FrameKey, reason: str) -> None:
        """Count a frame that is left out."""
        self.skipped += 1
        self.bad[key] = reason

    def summary(self) -> str:
        """What happened, in sentences."""
        lines = [f"{self.frames} frames read, {self.skipped} skipped."]
        for camera, count in sorted(self.absent.items()):
            lines.append(f"Camera {camera} had no picture in {count} of them and was left out there.")
        lines.extend(f"Skipped: {reason}" for _, reason in sorted(self.bad.items())[:10])
        if len(self.bad) > 10:
            lines.append(f"and {len(self.bad) - 10} more.")
        return "\n".join(lines)


def good_samples(dataset: MultiViewDataset, log: FrameLog) -> Iterator[Sample]:
    """The frames that can be read, in order; every one and every other is counted in `log`."""
    for index, key in enumerate(dataset.source.keys):
        try:
            sample = dataset[index]
        except InputError as error:
            log.skip(key, str(error))
            continue
        log.add(sample[0])
        yield sample

"""Joints by the pictures of a capture, of people whom its keypoints or another network have found."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from dispose.association.reconstruct import roots_of
from dispose.datasets.multiview import RawFrame
from dispose.errors import InputError
from dispose.formats.images.series import ImageSeries
from dispose.inference.capture import Capture, read_image_capture, read_raw
from dispose.inference.finding import IMAGE_FOLDERS, folder_named
from dispose.inference.readings import REASONS
from dispose.inference.sizes import check_sizes
from dispose.models.triangulation.people import PlacePeople
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Frame
from dispose.scene.results import Association, Prediction, Reconstruct


def pictures_beside(
    capture: Capture,
    folder: Path | None,
    calibration: Path | None,
    mm_per_unit: float | None,
    *,
    up: str | None,
    told: Sequence[str],
    needed_by: str,
) -> Capture[ImageSeries]:
    """The images that lie beside the detections of a capture.

    Raises `InputError` where there are none, and where fewer than two of its cameras have some.
    """
    place = folder or capture.source
    if folder_named(place, IMAGE_FOLDERS) is None:
        looked = ", ".join(IMAGE_FOLDERS)
        raise InputError(f"{place}: the triangulator {needed_by} looks at pictures, and there are none ({looked}).")
    pictures = read_image_capture(place, calibration, None, mm_per_unit, up=up, told=told)
    if sum(name in capture.cameras.names for name in pictures.cameras.names) < 2:
        raise InputError(f"{place}: fewer than two of the cameras with detections have pictures.")
    check_sizes(pictures.cameras, pictures.views)
    return pictures


@dataclass
class InPictures:
    """A `Reconstruct`: people are placed as `start` does, and then anew by the pictures around them.

    Attributes:
        pictures: of the capture, opened for this alone: videos are read in order.
        start: says about where everybody is.
        place: says where their joints are.
    """

    pictures: Capture[ImageSeries]
    start: Reconstruct
    place: PlacePeople

    def __post_init__(self) -> None:
        self.missing, self.damaged = Counter[str](), list[str]()
        self.nowhere = 0

    def __call__(self, frames: Sequence[Frame], associations: Sequence[Association]) -> list[Prediction]:
        """The predictions of some frames, in their order."""
        found = self.start(frames, associations)
        return [self.anew(frame, one) for frame, one in zip(frames, found, strict=True)]

    def anew(self, frame: Frame, found: Prediction) -> Prediction:
        """One frame's people by its pictures; of somebody whom too few of them show no joint is known."""
        raw = self.read(frame.number, frame.cameras)
        poses = self.place(raw, found)
        self.nowhere += int((~poses.valid.any(1)).sum())
        root = roots_of(poses.skeleton, poses.xyz_world, poses.valid)
        return replace(found, poses=replace(poses, id=torch.arange(len(poses.id))), root=root)

    def read(self, number: int, cameras: Cameras) -> RawFrame:
        """The images of a frame in the order of its cameras."""
        raw, missing, damaged = read_raw(self.pictures, number)
        self.missing.update(loss.camera for loss in missing)
        self.damaged += [loss.reason for loss in damaged]
        images = dict(zip(raw.cameras.names, raw.images, strict=True))
        return RawFrame(number, cameras, tuple(images.get(name) for name in cameras.names))

    def sentences(self) -> tuple[str, ...]:
        """Which images were lost and whom they would have shown, in words."""
        found = [f"camera {name} has no picture for {count} frames." for name, count in self.missing.items()]
        found += [f"lost: {reason}" for reason in self.damaged[:REASONS]]
        if len(self.damaged) > REASONS:
            found.append(f"lost: {len(self.damaged) - REASONS} further pictures.")
        return (*found, *self.unplaced())

    def unplaced(self) -> tuple[str, ...]:
        """How often somebody was found whom too few images show, in words."""
        if not self.nowhere:
            return ()
        return (f"{self.nowhere} times a person is without a joint: too few pictures show them.",)

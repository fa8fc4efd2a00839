"""One image or video with a detector's keypoints and the camera that took it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from dispose.datasets.multiview import check_size
from dispose.errors import InputError
from dispose.formats.detections.one_camera import keypoints_of_image, keypoints_of_video
from dispose.formats.detections.people import DamagedFrameError, DetectionView
from dispose.formats.files import frame_number
from dispose.formats.images.series import ENDINGS, VIDEO_ENDINGS, ImageFolder, ImageSeries, Video
from dispose.inference.first_look import settle_detections
from dispose.inference.pairing import match_names
from dispose.scene.cameras import Cameras
from dispose.skeletons.catalog import body_of
from dispose.skeletons.skeleton import Skeleton


@dataclass(frozen=True, eq=False)
class Lens:
    """The camera of an image: one view; whether its extrinsics say where up is, and who told its numbers."""

    cameras: Cameras
    upright: bool
    told_by: str


@dataclass(frozen=True, eq=False)
class OneCamera:
    """An image or a video with a detector's keypoints and its lens.

    Attributes:
        pictures: the image as a series of one, or the video.
        video: which of the two.
        found: keypoints.
        skeleton: the detector's.
        lens: the camera.
        numbers: of the frames that have both, ascending.
        notes: sentences about what was worked out.
    """

    pictures: ImageSeries
    video: bool
    found: DetectionView
    skeleton: Skeleton
    lens: Lens
    numbers: tuple[int, ...]
    notes: tuple[str, ...]


def open_pictures(path: Path) -> ImageSeries:
    """An image as a series of one, or a video; `InputError` for anything else."""
    if not path.is_file():
        what = "is a folder; an image or a video is expected" if path.is_dir() else "there is no such image or video"
        raise InputError(f"{path}: {what}.")
    if path.suffix.lower() in VIDEO_ENDINGS:
        return Video(path.stem, path)
    if path.suffix.lower() in ENDINGS:
        return ImageFolder(path.stem, {frame_number(path) or 0: path})
    raise InputError(f"{path}: neither an image ({', '.join(ENDINGS)}) nor a video ({', '.join(VIDEO_ENDINGS)}).")


def lens_of_focal(size: tuple[int, int], focal_px: float, told_by: str) -> Lens:
    """A lens without distortion whose axis goes through the middle of the image."""
    width, height = size
    matrix = torch.tensor([[focal_px, 0, (width - 1) / 2], [0, focal_px, (height - 1) / 2], [0, 0, 1]])
    still = torch.eye(3, dtype=torch.float64)[None]
    cameras = Cameras(
        ("camera",),
        torch.tensor([size], dtype=torch.float64),
        matrix.double()[None],
        torch.zeros(1, 8, dtype=torch.float64),
        still,
        torch.zeros(1, 3, dtype=torch.float64),
    )
    return Lens(cameras, upright=False, told_by=told_by)


def focal_of_field(width: int, degrees: float) -> float:
    """Focal length, pixels, of a lens that sees so many degrees from left to right; `InputError` from 180 on."""
    if degrees >= 180:
        raise InputError(f"a field of view of {degrees:g} degrees: no flat image has 180 or more.")
    return width / 2 / math.tan(math.radians(degrees) / 2)


def lens_of_calibration(cameras: Cameras, source: Path, image: Path, name: str | None) -> Lens:
    """One camera of a calibration: the one named, the only one, or the one that image or folder are named after."""
    names = cameras.names
    if name is not None:
        if name not in names:
            raise InputError(f"{source}: no camera {name!r} (there are {', '.join(names)}).")
        row = names.index(name)
    elif len(names) == 1:
        row = 0
    else:
        called = [image.resolve().parent.name, image.stem]
        found = {i for one in called for i, _ in match_names(names, [one]).pairs}
        if len(found) != 1:
            raise InputError(f"{source}: say which camera took {image.name}: --camera NAME, one of {', '.join(names)}.")
        row = found.pop()
    return Lens(cameras.select(views=[row]), upright=True, told_by=f"{source}, camera {names[row]}")


def size_of(pictures: ImageSeries) -> tuple[int, int]:
    """Width and height of the first picture."""
    height, width = pictures.read(pictures.numbers[0]).shape[:2]
    return width, height


def open_one_camera(pictures: ImageSeries, keypoints: Path, lens: Lens, skeleton: Skeleton | None) -> OneCamera:
    """An image or a video beside its keypoints.

    Raises:
        InputError: the keypoints are of something else, of nobody, or of a skeleton that is not told and cannot be
            worked out; the image has another size than its calibration.
    """
    path = pictures.path if isinstance(pictures, Video) else next(iter(pictures.files.values()))
    video, first = isinstance(pictures, Video), pictures.numbers[0]
    check_size(pictures.read(first), lens.cameras, 0, str(path))
    found = keypoints_of_video(keypoints, path.stem) if video else keypoints_of_image(keypoints, path)
    numbers = tuple(number for number in found.numbers if number in pictures.numbers)
    here = replace(found, files={number: found.files[number] for number in numbers})
    if not any(isinstance(one, list) and one for number in numbers for one in _listed(here, number)):
        what = "frame of this video" if video else "person in this image"
        raise InputError(f"{keypoints}: no {what} has keypoints.")
    width, height = lens.cameras.size[0].tolist()
    (here,), notes = settle_detections(str(keypoints), [here], [(width, height)], skeleton)
    assert here.skeleton is not None
    left_out = len(found.numbers) - len(numbers)
    if left_out:
        notes = (*notes, f"keypoints of {left_out} frames that the video does not have are left out.")
    return OneCamera(pictures, video, here, body_of(here.skeleton), lens, numbers, notes)


def _listed(found: DetectionView, number: int) -> Sequence[object]:
    try:
        return found.listed(number)
    except DamagedFrameError:
        return ()

"""Sizes of images: taken from them where a calibration does not say them, else looked at before a long run."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from dispose.datasets.multiview import check_size
from dispose.errors import InputError
from dispose.formats.calibration.rig import CalibratedRig
from dispose.formats.detections.people import DamagedFrameError
from dispose.formats.images.series import ImageSeries
from dispose.inference.pairing import NameMatch, same_names
from dispose.scene.cameras import Cameras

LOOKED_AT = 5
"""Images of a camera that are opened at most."""

SAME_IMAGE = 1.5
"""Twice the principal point is at most that many times as large as the image, or as small, unless it was resized."""


def sized_by_pictures(
    rig: CalibratedRig, pictures: Sequence[ImageSeries], match: NameMatch, recorded: Sequence[str]
) -> CalibratedRig:
    """A rig whose guessed sizes are those of the images; where a camera has none, a sentence says that it is a guess.

    Args:
        rig: as it was read.
        pictures: images and videos, which may be of other cameras too.
        match: which camera recorded what.
        recorded: names of those that did.

    Raises `InputError` where images are so much larger or smaller than the principal point says that they were resized.
    """
    if not rig.guessed:
        return rig
    by_name = {one.camera: one for one in pictures}
    same = same_names(recorded, list(by_name))
    size, found, guessed = rig.cameras.size.clone(), list[str](), list[str]()
    for i, j in match.pairs:
        name = rig.cameras.names[i]
        if name not in rig.guessed:
            continue
        series = by_name.get(same.get(recorded[j], ""))
        told = None if series is None else size_of(series)
        shown = "{:g} x {:g}".format(*size[i].tolist()) if told is None else f"{told[0]} x {told[1]}"
        (guessed if told is None else found).append(f"{name} ({shown})")
        if told is not None:
            _require_same_image(name, size[i].tolist(), told, series)
            size[i] = torch.tensor(told, dtype=size.dtype)
    notes = list(rig.notes)
    if found:
        notes.append(f"the calibration does not say the pictures' size: taken from the pictures, {', '.join(found)}.")
    if guessed:
        notes.append(
            "the calibration does not say the pictures' size: guessed as twice the principal point, "
            f"{', '.join(guessed)}."
        )
    left = tuple(name for name in rig.guessed if not any(one.startswith(f"{name} (") for one in found))
    return replace(rig, cameras=replace(rig.cameras, size=size), guessed=left, notes=tuple(notes))


def size_of(series: ImageSeries) -> tuple[int, int] | None:
    """Width and height of the first image that can be read; None where none of the first ones can."""
    for number in series.numbers[:LOOKED_AT]:
        try:
            height, width = series.read(number).shape[:2]
        except DamagedFrameError:
            continue
        return width, height
    return None


def _require_same_image(name: str, guess: Sequence[float], told: tuple[int, int], series: ImageSeries | None) -> None:
    ratio = max(max(a / b, b / a) for a, b in zip(guess, told, strict=True))
    if series is not None and ratio > SAME_IMAGE:
        raise InputError(
            f"{series.where(series.numbers[0])}: the picture is {told[0]} x {told[1]} pixels, but the calibration of "
            f"{name} has its middle at {guess[0] / 2:.0f}, {guess[1] / 2:.0f}: it is of larger or smaller pictures."
        )


def check_sizes(cameras: Cameras, views: Sequence[ImageSeries]) -> None:
    """Look at the first images of every camera before a long run.

    Raises `InputError`, with file, camera, frame and both sizes, where those of a camera that can be decoded all have
    another size than its calibration: then the calibration is of other images.
    """
    for view, series in enumerate(views):
        wrong: list[DamagedFrameError] = []
        for number in series.numbers[:LOOKED_AT]:
            try:
                image = series.read(number)
            except DamagedFrameError:
                continue
            try:
                check_size(image, cameras, view, series.where(number))
            except DamagedFrameError as error:
                wrong.append(error)
                continue
            break
        else:
            if wrong:
                raise wrong[0]

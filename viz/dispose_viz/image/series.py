"""What the cameras of finished results saw: the images of a capture, by the number of a frame."""

from collections.abc import Callable
from pathlib import Path

from dispose.errors import InputError
from dispose.formats.images.series import open_image_series
from dispose.inference.capture import find_images
from dispose.inference.pairing import match_names
from dispose.scene.cameras import Cameras
from dispose_viz.scene.timeline import Images


def images_of_capture(folder: Path, cameras: Cameras) -> Callable[[int], Images]:
    """A function from a frame's number to what these cameras saw; None where there is no image.

    `folder` is a capture, or itself holds a folder of images or a video per camera, whose names tell which is which.

    Raises:
        InputError: the folder has no images, or none of these cameras.
    """
    views = open_image_series(find_images(folder))
    recorded = [view.camera for view in views]
    match = match_names(cameras.names, recorded)
    if not match.pairs:
        raise InputError(
            f"{folder}: has pictures of {', '.join(recorded)}, the results are of {', '.join(cameras.names)}."
        )
    place = dict(match.pairs)
    series = [views[place[view]] if view in place else None for view in range(len(cameras))]

    def at(number: int) -> Images:
        return tuple(s.read(number) if s is not None and number in s.numbers else None for s in series)

    return at

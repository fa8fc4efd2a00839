"""What the cameras of finished results saw: the images of a capture, by the number of a frame."""

from collections.abc import Callable
from pathlib import Path

from dispose.errors import InputError
from dispose.inference.capture import read_image_capture
from dispose.scene.cameras import Cameras
from dispose_viz.scene.timeline import Images


def images_of_capture(folder: Path, cameras: Cameras) -> Callable[[int], Images]:
    """A function from a frame's number to what these cameras saw; None where there is no image.

    Raises:
        InputError: the folder has no images, or none of these cameras.
    """
    capture = read_image_capture(folder)
    place = {name: view for view, name in enumerate(capture.cameras.names)}
    if not set(place) & set(cameras.names):
        raise InputError(
            f"{folder}: has pictures of {', '.join(place)}, the results are of {', '.join(cameras.names)}."
        )

    def at(number: int) -> Images:
        series = [capture.views[place[name]] if name in place else None for name in cameras.names]
        return tuple(s.read(number) if s is not None and number in s.numbers else None for s in series)

    return at

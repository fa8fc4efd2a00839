"""The detectors that there are, by name."""

from collections.abc import Callable
from functools import partial

from dispose.models.movenet.network import MULTIPOSE, THUNDER, TracedMoveNet
from dispose.preparation.detector import Detector
from dispose.preparation.movenet import MoveNetDetector, MoveNetSettings
from dispose.zoo.movenet import DIGESTS, load_movenet


def load_movenet_detector(settings: MoveNetSettings) -> MoveNetDetector:
    """MoveNet with the weights that `dispose detector install` put into the user's cache.

    Raises `InputError` that says this command where they are not there.
    """
    weights = tuple((config.name, DIGESTS[config.name]) for config in (MULTIPOSE, THUNDER))
    people, joints = (TracedMoveNet(load_movenet(config)) for config in (MULTIPOSE, THUNDER))
    return MoveNetDetector(people, joints, weights, settings)


CAREFUL = 1.4
"""Side of the square of the second look, in longer sides of somebody's box: errors that have a side cancel."""


def detector_of(tiles: int = 1, *, careful: bool = False) -> Callable[[], Detector]:
    """How the usual detector is made in a process.

    Args:
        tiles: wide scenes are searched in so many parts across and down as well.
        careful: everybody is looked at twice.
    """
    return partial(load_movenet_detector, MoveNetSettings(tiles=tiles, careful=CAREFUL if careful else 0.0))

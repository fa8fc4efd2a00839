"""The detectors that there are, by name."""

from collections.abc import Callable
from functools import partial

from dispose.models.movenet.network import MULTIPOSE, THUNDER
from dispose.preparation.detector import Detector
from dispose.preparation.movenet import MoveNetDetector, MoveNetSettings
from dispose.zoo.movenet import DIGESTS, load_movenet

DEFAULT_DETECTOR = "movenet"


def load_movenet_detector(settings: MoveNetSettings) -> MoveNetDetector:
    """MoveNet with the weights that `dispose detector install` put into the user's cache.

    Raises `InputError` that says this command where they are not there.
    """
    weights = tuple((config.name, DIGESTS[config.name]) for config in (MULTIPOSE, THUNDER))
    return MoveNetDetector(load_movenet(MULTIPOSE), load_movenet(THUNDER), weights, settings)


def detector_of(tiles: int) -> Callable[[], Detector]:
    """How the usual detector is made in a process; tiles: wide scenes are searched in so many parts as well."""
    return partial(load_movenet_detector, MoveNetSettings(tiles=tiles))
